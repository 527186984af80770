use super::*;
use crate::address::BACKLOG;
use crate::scratch::Scratch;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;

fn bind_at(path: &Path) -> Result<Opened, SourceError> {
    bind(path, None, BACKLOG)
}

/// Returns the error for a path that cannot be used: one line.
fn refused(path: &Path) -> String {
    let error = bind_at(path).expect_err("it is refused").to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

fn is_served(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

/// Leaves the file of a closed socket behind, as a killed process does.
fn stale(path: &Path) {
    drop(UnixListener::bind(path).expect("a socket"));
    assert!(
        path.symlink_metadata()
            .expect("a file")
            .file_type()
            .is_socket()
    );
}

#[test]
fn a_path_is_served_and_then_goes() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let opened = bind_at(&path).expect("a socket");
    assert_eq!(opened.to_string(), format!("unix:{}", path.display()));
    assert!(is_served(&path));
    drop(opened);
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[test]
fn a_socket_does_not_block_and_closes_on_exec() {
    let scratch = Scratch::new();
    let opened = bind_at(&scratch.join("a.sock")).expect("a socket");
    let Opened::Unix { listener, file, .. } = &opened else {
        panic!("{opened:?}")
    };
    assert_eq!(
        file.as_ref().expect("a file").path(),
        scratch.join("a.sock")
    );
    let flags = rustix::io::fcntl_getfd(listener.as_fd()).expect("flags");
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    let error = listener.accept().expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
}

#[test]
fn the_mode_is_the_one_that_was_asked_for() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    for wanted in [0o600, 0o660, 0o666, 0o777, 0] {
        let opened = bind(&path, Some(wanted), BACKLOG).expect("a socket");
        let mode = path
            .symlink_metadata()
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, wanted);
        drop(opened);
    }
}

#[test]
fn a_socket_that_is_served_is_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let first = bind_at(&path).expect("a socket");
    let expected = format!("unix:{}: Address already in use", path.display());
    assert_eq!(refused(&path), expected);
    assert!(is_served(&path));
    drop(first);
    bind_at(&path).expect("the path is free again");
}

#[test]
fn a_socket_whose_queue_is_full_is_served() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let socket = socket().expect("a socket");
    let address = SocketAddrUnix::new(&path).expect("an address");
    rustix::net::bind(&socket, &address).expect("bound");
    rustix::net::listen(&socket, 0).expect("listening");
    let _first = UnixStream::connect(&path).expect("the queue has room for one");
    assert!(refused(&path).ends_with("Address already in use"));
}

#[test]
fn a_socket_for_datagrams_is_served() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let datagrams = UnixDatagram::bind(&path).expect("a socket");
    assert!(refused(&path).ends_with("Address already in use"));
    drop(datagrams);
    bind_at(&path).expect("nobody has it open");
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    stale(&path);
    let opened = bind_at(&path).expect("a socket");
    assert!(is_served(&path));
    drop(opened);
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[test]
fn of_many_that_start_at_a_time_one_serves() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    for _ in 0..20 {
        stale(&path);
        let opened: Vec<_> = std::thread::scope(|scope| {
            let start = |_| scope.spawn(|| bind_at(&path));
            let started: Vec<_> = (0..8).map(start).collect();
            let ended = started
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            ended.collect()
        });
        assert!(is_served(&path));
        let (served, refused): (Vec<_>, Vec<_>) = opened.into_iter().partition(Result::is_ok);
        assert_eq!(served.len(), 1);
        for error in refused.into_iter().filter_map(Result::err) {
            assert!(matches!(error, SourceError::AddressInUse { .. }), "{error}");
        }
    }
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let scratch = Scratch::new();
    let (file, directory) = (scratch.join("file"), scratch.join("directory"));
    let (link, fifo) = (scratch.join("link"), scratch.join("fifo"));
    let (dangling, to_socket) = (scratch.join("dangling"), scratch.join("to-socket"));
    std::fs::write(&file, "precious").expect("written");
    std::fs::create_dir(&directory).expect("made");
    stale(&scratch.join("socket"));
    for (target, link) in [
        ("file", &link),
        ("nowhere", &dangling),
        ("socket", &to_socket),
    ] {
        std::os::unix::fs::symlink(target, link).expect("linked");
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        Mode::RWXU,
        0,
    )
    .expect("made");
    let before = scratch.contents();
    for (path, what) in [
        (&file, "a file"),
        (&directory, "a directory"),
        (&link, "a symbolic link"),
        (&dangling, "a symbolic link"),
        (&to_socket, "a symbolic link"),
        (&fifo, "a device or a pipe"),
    ] {
        let expected =
            format!("{path:?} is {what}, not a socket: remove it, or choose another path");
        assert_eq!(refused(path), expected);
    }
    assert_eq!(scratch.contents(), before);
    assert_eq!(std::fs::read_to_string(&file).expect("text"), "precious");
}

#[test]
fn a_path_has_an_end() {
    let scratch = Scratch::new();
    let room = name::MAX - scratch.path().as_os_str().len() - 1;
    bind_at(&scratch.join(&"x".repeat(room))).expect("the longest");
    let error = refused(&scratch.join(&"x".repeat(room + 1)));
    let (max, length) = (name::MAX, name::MAX + 1);
    let expected = format!("at most {max} bytes, and this has {length}: ");
    assert!(error.contains(&expected), "{error}");
    assert!(refused(Path::new("")).contains("the name is empty"));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let scratch = Scratch::new();
    let missing = scratch.join("missing");
    let expected = format!("cannot open the directory {missing:?}: No such file or directory");
    assert_eq!(refused(&missing.join("a.sock")), expected);
    let file = scratch.join("file");
    std::fs::write(&file, "").expect("written");
    let expected = format!("cannot open the directory {file:?}: Not a directory");
    assert_eq!(refused(&file.join("a.sock")), expected);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    // Not even root may write there.
    let path = PathBuf::from("/proc/self/a.sock");
    if Path::new("/proc/self").exists() {
        let error = refused(&path);
        assert!(
            error.starts_with("cannot bind unix:/proc/self/a.sock: "),
            "{error}"
        );
    }
}

/// Whoever may list a directory can lock it.
#[test]
fn who_locks_the_directory_holds_nobody_up() {
    let scratch = Scratch::new();
    let directory = std::fs::File::open(scratch.path()).expect("a directory");
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::flock(&directory, exclusive).expect("a lock");
    let opened = bind_at(&scratch.join("a.sock")).expect("a socket");
    drop(opened);
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[test]
fn a_path_that_another_process_is_about_to_take_is_named() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let lock = Lock::take(&path).expect("a lock");
    assert!(lock.is_some());
    assert_eq!(scratch.contents(), [".a.sock.lock"]);
    let expected = format!(
        "another process is about to listen on {path:?}, and has been for 2 seconds: it has locked {:?}",
        scratch.join(".a.sock.lock")
    );
    assert_eq!(refused(&path), expected);
    // Another path is not affected.
    drop(bind_at(&scratch.join("b.sock")).expect("a socket"));
    drop(lock);
    drop(bind_at(&path).expect("a socket"));
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[test]
fn a_lock_that_was_left_behind_is_no_lock() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    std::fs::write(scratch.join(".a.sock.lock"), "").expect("written");
    drop(bind_at(&path).expect("a socket"));
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

/// Whoever can write to the directory can create the lock file and lock it.
#[test]
fn a_lock_of_somebody_else_holds_nobody_up() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let theirs = scratch.join(".a.sock.lock");
    let file = std::fs::File::create(&theirs).expect("a file");
    let anybodys = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(&theirs, anybodys).expect("its mode");
    let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    rustix::fs::flock(&file, exclusive).expect("a lock");
    drop(bind_at(&path).expect("a socket"));
    assert_eq!(scratch.contents(), [".a.sock.lock"]);
}

/// A link replaces the file that was just created: the link's target keeps its mode.
#[test]
fn the_mode_of_no_other_file_is_set() {
    let scratch = Scratch::new();
    let (path, precious) = (scratch.join("a.sock"), scratch.join("precious"));
    std::fs::write(&precious, "").expect("written");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&precious, private).expect("its mode");
    let mode_of = |path: &Path| path.metadata().expect("it is there").permissions().mode();

    let _socket = UnixListener::bind(&path).expect("a socket");
    let made = Made::find(&path).expect("it is there");
    std::fs::rename(&path, scratch.join("moved")).expect("moved");
    std::os::unix::fs::symlink(&precious, &path).expect("a link");
    made.set_mode(Mode::from_raw_mode(0o666)).expect("set");
    assert_eq!(mode_of(&precious) & 0o777, 0o600);
    assert_eq!(mode_of(&scratch.join("moved")) & 0o777, 0o666);
    // Nor is the link taken for the file that was created.
    let error = Made::find(&path).err().expect("it is a link");
    assert!(error.to_string().contains("another file"), "{error}");
}

/// From the beginning, the file has no more permissions than it is to have.
#[cfg(target_os = "linux")]
#[test]
fn the_mode_is_right_when_the_file_is_made() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let socket = socket().expect("a socket");
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(0o600)).expect("its mode");
    let address = SocketAddrUnix::new(&path).expect("an address");
    rustix::net::bind(&socket, &address).expect("bound");
    let mode = path.metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_has_taken_the_place_of_a_stale_socket_stays() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    stale(&path);
    let Ok(FoundAtPath::Socket(identity)) = inspect(&path) else {
        panic!("a socket");
    };
    std::fs::rename(&path, scratch.join("moved")).expect("moved");
    std::fs::write(&path, "precious").expect("written");
    remove(&path, identity).expect("nothing to be done");
    assert_eq!(std::fs::read_to_string(&path).expect("text"), "precious");
}

#[test]
fn a_path_of_any_bytes_is_one_line() {
    let scratch = Scratch::new();
    let path = scratch.join("it's\na sock");
    let opened = bind_at(&path).expect("a socket");
    assert!(opened.to_string().ends_with(r"/it's\na sock"), "{opened}");
    assert!(refused(&path).contains(r"it's\na sock"));
}

#[test]
fn the_file_of_somebody_else_stays() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let first = bind_at(&path).expect("a socket");
    std::fs::remove_file(&path).expect("removed");
    let second = bind_at(&path).expect("another socket");
    drop(first);
    assert!(is_served(&path));
    std::fs::remove_file(&path).expect("removed");
    std::fs::write(&path, "precious").expect("written");
    drop(second);
    assert_eq!(std::fs::read_to_string(&path).expect("text"), "precious");
}
