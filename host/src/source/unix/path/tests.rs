use super::super::scratch::Scratch;
use super::*;
use crate::source::BACKLOG;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;

fn bind_at(path: &Path) -> Result<Opened, SourceError> {
    bind(path, None, BACKLOG)
}

/// What is said about a path that cannot be had: one line.
fn refused(path: &Path) -> String {
    let error = bind_at(path).expect_err("it is refused").to_string();
    assert!(!error.contains('\n'), "{error}");
    error
}

fn is_served(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

/// A socket that its process has left behind: it is closed, and its file is there.
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

#[test]
fn a_directory_that_another_program_locks_is_named() {
    let scratch = Scratch::new();
    let _lock = lock(scratch.path()).expect("a lock");
    let expected = format!(
        "the directory {:?} is locked by another program",
        scratch.path()
    );
    assert_eq!(refused(&scratch.join("a.sock")), expected);
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
