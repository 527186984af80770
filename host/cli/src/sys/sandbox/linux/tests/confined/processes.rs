//! Programs, capabilities, threads, memory, and the system calls that a worker has no use for.
#![allow(
    unsafe_code,
    reason = "system calls that no crate makes, since nobody should"
)]

use super::*;
use libc::c_long;
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use std::process::Command;
use std::time::Duration;
use wasmtime::{Config, Engine, Instance, InstanceAllocationStrategy, Module, Store, Trap};

#[test]
#[ignore = "another test runs it"]
fn no_program_is_executed() {
    if !is_child() {
        return;
    }
    let files = confine_files(&Needs::default()).expect("the files are confined");
    if !files.is_empty() {
        return println!("skipped: {files:?}");
    }
    denied(Command::new("/bin/true").status());
    if confine_now(&Needs::default()) {
        denied(Command::new("/bin/true").status());
    }
}

#[test]
#[ignore = "another test runs it"]
fn capabilities_are_dropped() {
    if !is_child() {
        return;
    }
    confine_files(&Needs::default()).expect("the files are confined");
    assert!(rustix::thread::no_new_privs().expect("a flag"));
    let sets = || rustix::thread::capabilities(None).expect("sets");
    let of_a_thread = std::thread::spawn(sets).join().expect("no panic");
    for sets in [sets(), of_a_thread] {
        assert!(sets.permitted.is_empty() && sets.effective.is_empty());
        assert!(sets.inheritable.is_empty());
    }
}

#[test]
#[ignore = "another test runs it"]
fn capabilities_that_grants_take_are_kept() {
    if !is_child() {
        return;
    }
    let had = rustix::thread::capabilities(None).expect("sets").permitted;
    let kept = CapabilitySet::DAC_READ_SEARCH | CapabilitySet::NET_BIND_SERVICE;
    let needs = Needs {
        directories: vec![directory(&scratch(), false)],
        network: true,
    };
    confine_files(&needs).expect("the files are confined");
    let sets = rustix::thread::capabilities(None).expect("sets");
    assert_eq!(sets.permitted, had & kept);
    assert!(sets.inheritable.is_empty() && kept.contains(sets.effective));
    confine_files(&Needs::default()).expect("the files are confined");
    let sets = rustix::thread::capabilities(None).expect("sets");
    assert!(sets.permitted.is_empty() && sets.effective.is_empty());
}

#[test]
#[ignore = "another test runs it"]
fn threads_start_and_end() {
    if !confine(&Needs::default()) {
        return;
    }
    let starts = || {
        rustix::process::setpriority_process(None, 19).expect("a low priority");
        std::thread::yield_now();
        std::thread::available_parallelism()
            .expect("a number")
            .get()
    };
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(starts)).collect();
    for thread in threads {
        assert!(thread.join().expect("no panic") > 0);
    }
}

#[test]
#[ignore = "another test runs it"]
fn event_loops_start_and_end() {
    if !confine(&Needs::default()) {
        return;
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let slept = runtime.block_on(async {
        let timer = tokio::time::sleep(Duration::from_millis(1));
        tokio::join!(timer, tokio::task::spawn_blocking(|| 7)).1
    });
    assert_eq!(slept.expect("no panic"), 7);
}

/// Maps a page that can be executed, and makes another one so.
fn executable_memory() -> [std::io::Result<()>; 2] {
    const SIZE: usize = 4096;
    let map = |access| {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, of which nobody knows.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, access, flags, -1, 0) };
        match start == libc::MAP_FAILED {
            true => Err(std::io::Error::last_os_error()),
            false => Ok(start),
        }
    };
    let readable = map(libc::PROT_READ).expect("a page");
    // SAFETY: the mapping is this function's own.
    let changed = unsafe { libc::mprotect(readable, SIZE, libc::PROT_READ | libc::PROT_EXEC) };
    let changed = match changed {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    [map(libc::PROT_READ | libc::PROT_EXEC).map(drop), changed]
}

#[test]
#[ignore = "another test runs it"]
fn no_memory_becomes_executable() {
    if !confine(&Needs::default()) {
        return;
    }
    for result in executable_memory() {
        denied(result);
    }
}

#[test]
#[ignore = "another test runs it"]
fn guests_run_and_trap() {
    if !is_child() {
        return;
    }
    let (engine, module) = compiled();
    if confine_now(&Needs::default()) {
        run_and_trap(&engine, &module);
        std::thread::spawn(move || run_and_trap(&engine, &module))
            .join()
            .expect("no panic");
    }
}

/// A guest with a memory that has contents, in a pool, as a service is.
fn compiled() -> (Engine, Module) {
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::pooling());
    let engine = Engine::new(&config).expect("an engine");
    let text = r#"(module (memory 1 9) (data (i32.const 0) "text")
        (func (export "grow") (result i32)
            (drop (memory.grow (i32.const 8))) (i32.load8_u (i32.const 0)))
        (func (export "trap") (drop (i32.load (i32.const -1)))))"#;
    let module = wat::parse_str(text).map(|bytes| Module::new(&engine, bytes));
    (engine, module.expect("a binary").expect("a module"))
}

fn run_and_trap(engine: &Engine, module: &Module) {
    for _ in 0..3 {
        let mut store = Store::new(engine, ());
        let instance = Instance::new(&mut store, module, &[]).expect("an instance");
        let grow = instance.get_typed_func::<(), i32>(&mut store, "grow");
        let first = grow.expect("a function").call(&mut store, ());
        assert_eq!(first.expect("a byte"), i32::from(b't'));
        let trap = instance.get_typed_func::<(), ()>(&mut store, "trap");
        let error = trap.expect("a function").call(&mut store, ());
        let error = error.expect_err("a trap");
        assert_eq!(error.downcast_ref(), Some(&Trap::MemoryOutOfBounds));
        assert!(error.downcast_ref::<wasmtime::WasmBacktrace>().is_some());
    }
}

/// The error of a system call with these arguments, and zeros.
fn call(number: c_long, arguments: &[c_long]) -> Option<Errno> {
    let argument = |index| arguments.get(index).copied().unwrap_or(0);
    // SAFETY: each of these calls fails before it does anything. If one did not, this process, which is about to
    // end, would have a wrong idea of itself.
    let result = unsafe {
        let (a, b, c, d) = (argument(0), argument(1), argument(2), argument(3));
        libc::syscall(number, a, b, c, d, 0, 0)
    };
    let error = std::io::Error::last_os_error();
    (result == -1)
        .then(|| Errno::from_io_error(&error))
        .flatten()
}

#[test]
#[ignore = "another test runs it"]
fn other_calls_fail() {
    let parent = c_long::from(std::os::unix::process::parent_id().cast_signed());
    if !confine(&Needs::default()) {
        return;
    }
    for number in [
        libc::SYS_add_key,
        libc::SYS_bpf,
        libc::SYS_chroot,
        libc::SYS_delete_module,
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_fanotify_init,
        libc::SYS_init_module,
        libc::SYS_inotify_init1,
        libc::SYS_io_setup,
        libc::SYS_io_uring_setup,
        libc::SYS_kcmp,
        libc::SYS_keyctl,
        libc::SYS_mount,
        libc::SYS_name_to_handle_at,
        libc::SYS_open_by_handle_at,
        libc::SYS_openat,
        libc::SYS_perf_event_open,
        libc::SYS_personality,
        libc::SYS_pidfd_open,
        libc::SYS_pivot_root,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_ptrace,
        libc::SYS_seccomp,
        libc::SYS_setns,
        libc::SYS_setresuid,
        libc::SYS_setsid,
        libc::SYS_setuid,
        libc::SYS_unshare,
        libc::SYS_userfaultfd,
    ] {
        assert_eq!(call(number, &[]), Some(Errno::PERM), "call {number}");
    }
    assert_eq!(call(libc::SYS_kill, &[parent]), Some(Errno::PERM));
    assert_eq!(call(libc::SYS_clone3, &[]), Some(Errno::NOSYS));
}

#[test]
#[ignore = "another test runs it"]
fn arguments_are_checked() {
    if !is_child() {
        return;
    }
    // Without Landlock, which would deny some of it by itself.
    let missing = confine_calls(&Needs::default()).expect("the calls are confined");
    if !missing.is_empty() {
        return println!("skipped: {missing:?}");
    }
    let parent = c_long::from(std::os::unix::process::parent_id().cast_signed());
    let denied = |number, arguments: &[i64]| {
        let error = call(number, arguments);
        assert_eq!(error, Some(Errno::PERM), "call {number} with {arguments:?}");
    };
    // A process rather than a thread.
    denied(libc::SYS_clone, &[libc::SIGCHLD.into()]);
    denied(libc::SYS_tgkill, &[parent, parent, 0]);
    denied(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE.into(), 1]);
    denied(libc::SYS_ioctl, &[0, libc::TIOCSTI.cast_signed()]);
    denied(libc::SYS_fcntl, &[0, libc::F_SETOWN.into()]);
    denied(libc::SYS_setpriority, &[libc::PRIO_USER.into()]);
    denied(libc::SYS_sched_setattr, &[parent]);
    denied(libc::SYS_prlimit64, &[0, libc::RLIMIT_NOFILE.into(), 1]);
    denied(libc::SYS_prlimit64, &[parent]);
    denied(libc::SYS_socketpair, &[libc::AF_TIPC.into()]);
    denied(libc::SYS_setsockopt, &[0, libc::SOL_ALG.into()]);
    denied(libc::SYS_newfstatat, &[libc::AT_FDCWD.into()]);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    assert!(limit.current.is_none_or(|limit| limit > 0));
}

/// A worker cannot loosen it.
#[test]
#[ignore = "another test runs it"]
fn what_is_confined_stays_confined() {
    if !is_child() {
        return;
    }
    let files = confine_files(&Needs::default()).expect("the files are confined");
    if !files.is_empty() {
        return println!("skipped: {files:?}");
    }
    let more = Needs {
        directories: vec![directory(Path::new("/etc"), false)],
        ..Needs::default()
    };
    // Finding a directory is no access to it.
    confine_files(&more).expect("a second time");
    denied(std::fs::File::open("/etc/passwd"));
    confine_calls(&Needs::default()).expect("the calls are confined");
    confine_files(&Needs::default()).expect_err("no more of it");
}

/// As in a container whose own filter forbids to install another one.
#[test]
#[ignore = "another test runs it"]
fn a_container_that_forbids_filters_is_a_line() {
    if !is_child() {
        return;
    }
    let first = confine_calls(&Needs::default()).expect("the calls are confined");
    if !first.is_empty() {
        return println!("skipped: {first:?}");
    }
    let second = confine_calls(&Needs::default()).expect("it is no failure");
    let lines: Vec<_> = second.iter().map(Missing::to_string).collect();
    let why = "this kernel or container does not allow it (Operation not permitted (os error 1))";
    let line = format!("the system calls of workers are not filtered: {why}");
    assert_eq!(lines, [line]);
}

#[test]
#[ignore = "another test runs it"]
fn aborting() {
    if is_child() {
        confine_now(&Needs::default());
        std::process::abort();
    }
}
