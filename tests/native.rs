//! `ListenSource::listen` opens the same sockets as the listener component, with the same names and the same
//! errors; and listeners in other processes accept from them.

use crate::names::without_the_family::refuse_ipv6;
use crate::names::{FEW_PORTS, HOSTS, WITHOUT_IPV6};
use crate::support::alone::{alone, prepared};
use crate::support::descriptors::{self, unchanged};
use crate::support::log::Log;
use crate::support::scratch::Scratch;
use crate::support::{ask, connect, has_ipv6, host, skip, within};
use evconn::sockets::{KeepAlive, TcpOptions};
use evconn::{Error, ErrorCode, ListenSource, Listening, Opened, PeerFilter, Server, Service};
use socket2::{SockRef, Socket};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::time::Duration;

const BACKLOG: NonZeroU32 = NonZeroU32::new(7).expect("not 0");

/// What listens on a source, each with its name and its addresses; or the error. A port that the system has
/// chosen is 0.
type Outcome = Result<Vec<(String, Vec<String>)>, String>;

fn source(text: &str) -> ListenSource {
    text.parse().expect("a source")
}

fn listen(text: &str, options: &TcpOptions) -> Result<Vec<Listening>, Error> {
    source(text).listen(options, BACKLOG)
}

fn service() -> Service {
    Service::new(host(), evconn::guests::ECHO).expect("a service")
}

/// What the library opens.
fn native(text: &str, options: &TcpOptions) -> Outcome {
    let listening = listen(text, options).map_err(|error| outcome(&error.to_string()))?;
    let names = listening.iter().map(|one| {
        let sockets = one
            .sockets
            .iter()
            .map(|socket| outcome(&socket.to_string()));
        (outcome(&one.name), sockets.collect())
    });
    Ok(names.collect())
}

/// What the listener component opens.
async fn component(text: &str, options: &TcpOptions) -> Outcome {
    let server = component_server(text, options).await;
    let server = server.map_err(|error| outcome(&error.to_string()))?;
    let mut found = Vec::new();
    for listener in server.listeners() {
        let name = outcome(listener.name());
        let addresses = match name.starts_with("unix:") {
            true => vec![name.clone()],
            false => listener
                .local_addrs()
                .iter()
                .map(|address| outcome(&address.to_string()))
                .collect(),
        };
        found.push((name, addresses));
    }
    close(&server).await;
    Ok(found)
}

async fn component_server(text: &str, options: &TcpOptions) -> Result<Server, Error> {
    let builder = Server::builder(&service())
        .tcp_options(options.clone())
        .backlog(BACKLOG.get());
    builder.listen(source(text)).bind().await
}

async fn close(server: &Server) {
    for listener in server.listeners() {
        listener.close();
        within("it is closed", listener.closed()).await;
    }
}

/// Replaces ports of five digits, as the system chooses them, by 0.
fn outcome(text: &str) -> String {
    let mut parts = text.split(':');
    let mut outcome = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (port, rest) = part.split_at(digits);
        let port = if digits == 5 { "0" } else { port };
        outcome = outcome + ":" + port + rest;
    }
    outcome
}

/// Both ways have to have this outcome.
async fn both(text: &str, expected: Outcome) {
    let options = TcpOptions::default();
    assert_eq!(native(text, &options), expected, "{text}: native");
    assert_eq!(component(text, &options).await, expected, "{text}");
}

async fn listens(text: &str, expected: &[(&str, &[&str])]) {
    let owned = |(name, addresses): &(&str, &[&str])| {
        let addresses = addresses.iter().map(|&address| address.to_owned());
        (str::to_owned(name), addresses.collect())
    };
    both(text, Ok(expected.iter().map(owned).collect())).await;
}

async fn fails(text: &str, expected: &str) {
    both(text, Err(outcome(expected))).await;
}

/// A test that runs in a process of its own.
fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(test);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses() {
    let _open = unchanged();
    listens("127.0.0.1:0", &[("127.0.0.1:0", &["127.0.0.1:0"])]).await;
    listens("tcp://127.0.0.2:0", &[("127.0.0.2:0", &["127.0.0.2:0"])]).await;
    if has_ipv6() {
        listens("[::1]:0", &[("[::1]:0", &["[::1]:0"])]).await;
        listens("[::]:0", &[("[::]:0", &["[::]:0"])]).await;
        listens("[::1%lo]:0", &[("[::1]:0", &["[::1]:0"])]).await;
        listens(":0", &[("[::]:0", &["[::]:0", "0.0.0.0:0"])]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_sockets() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let name = format!("unix:{}", scratch.join("a.sock").display());
    listens(&format!("{name},mode=600"), &[(&name, &[&name])]).await;
    let name = format!("unix:@evconn-native-{}", std::process::id());
    listens(&name, &[(&name, &[&name])]).await;
    assert_eq!(scratch.contents(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_that_cannot_be_bound() {
    let _open = unchanged();
    let not_here = "Cannot assign requested address";
    for (text, problem) in [
        ("192.0.2.1:0", not_here),
        ("[2001:db8::1]:0", not_here),
        ("[fe80::1%1]:0", not_here),
        // Compatible with IPv4, and deprecated.
        ("[::7f00:1]:0", "Invalid argument"),
    ] {
        fails(text, &format!("cannot listen on {text}: {problem}")).await;
    }
    for (text, problem) in [
        (
            "224.0.0.1:0",
            "it is for groups (multicast), and a connection has one peer",
        ),
        (
            "255.255.255.255:0",
            "it is for all (broadcast), and a connection has one peer",
        ),
        (
            "[::ffff:127.0.0.1]:0",
            "it stands for an IPv4 address: write 127.0.0.1:0",
        ),
    ] {
        fails(text, &format!("{text} cannot be listened on: {problem}")).await;
    }
    // There is no such interface.
    let (native, component) = (
        native("[fe80::1%99999]:0", &TcpOptions::default()),
        component("[fe80::1%99999]:0", &TcpOptions::default()).await,
    );
    assert!(native.is_err(), "{native:?}");
    assert_eq!(native, component);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_in_use_leave_nothing_open() {
    let _open = unchanged();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let in_use = "Address already in use";
    let text = format!("127.0.0.1:{port}");
    fails(&text, &format!("cannot listen on {text}: {in_use}")).await;
    let text = format!(":{port}");
    fails(
        &text,
        &format!("cannot listen on {}: {in_use}", source(&text)),
    )
    .await;
    // It was free for IPv6, and is again.
    let ipv6 = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    assert_eq!(descriptors::bound_to(ipv6), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_sockets_that_cannot_be_made() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let (file, free) = (scratch.join("file"), scratch.join("none/a.sock"));
    std::fs::write(&file, "").expect("written");
    let text = format!("unix:{}", file.display());
    let problem = "is a file, not a socket: remove it, or choose another path";
    fails(&text, &format!("{file:?} {problem}")).await;
    let long = format!("unix:/{}", "x".repeat(200));
    let served = scratch.join("a.sock");
    let _served = std::os::unix::net::UnixListener::bind(&served).expect("a socket");
    for text in [
        &format!("unix:{}", free.display()),
        &long,
        &format!("unix:{}", served.display()),
    ] {
        let native = native(text, &TcpOptions::default());
        assert!(native.is_err(), "{text}: {native:?}");
        assert_eq!(native, component(text, &TcpOptions::default()).await);
    }
    assert_eq!(scratch.contents(), ["a.sock", "file"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_passed_is_not_there() {
    let _open = unchanged();
    for text in ["fd:3", "systemd", "nobody.invalid:0"] {
        let native = native(text, &TcpOptions::default());
        assert!(native.is_err(), "{text}: {native:?}");
        assert_eq!(native, component(text, &TcpOptions::default()).await);
    }
}

#[test]
fn a_privileged_port() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.is_ok_and(|first| first.trim() == "0") {
        return skip("every port is unprivileged on this machine");
    }
    alone(concat!(module_path!(), "::a_privileged_port"), || {
        // Before the host exists, whose threads inherit it.
        let mut sets = capabilities(None).expect("what this thread may do");
        sets.effective.remove(CapabilitySet::NET_BIND_SERVICE);
        set_capabilities(None, sets).expect("less");
        block_on(async {
            let native = native("127.0.0.1:81", &TcpOptions::default());
            let expected = "cannot listen on 127.0.0.1:81: Permission denied: take a port";
            let error = native.clone().expect_err("denied");
            assert!(error.starts_with(expected), "{error}");
            assert_eq!(
                native,
                component("127.0.0.1:81", &TcpOptions::default()).await
            );
        });
    });
}

/// With the names of `HOSTS`.
fn with_names(script: &str) -> String {
    let hosts = HOSTS.replace('\n', "\\n");
    format!(
        "mount -t tmpfs none /mnt && printf '{hosts}' >/mnt/hosts && mount --bind /mnt/hosts /etc/hosts \
         && {script}"
    )
}

#[test]
fn names_with_several_addresses() {
    if !has_ipv6() {
        return;
    }
    let path = concat!(module_path!(), "::names_with_several_addresses");
    prepared(&with_names("ip link set lo up"), path, || {
        block_on(async {
            let two = [
                ("127.0.0.1:0", &["127.0.0.1:0"][..]),
                ("127.0.0.2:0", &["127.0.0.2:0"]),
            ];
            let listening = listen("two.test:0", &TcpOptions::default()).expect("both");
            let ports: Vec<_> = listening.iter().map(|one| port(&one.name)).collect();
            assert_eq!(ports.len(), 2);
            assert_eq!(ports[0], ports[1]);
            drop(listening);
            // In the order of the resolver, which is the same for both.
            let found = native("two.test:0", &TcpOptions::default());
            let mut sorted = found.clone().expect("both");
            sorted.sort();
            let names: Vec<_> = sorted.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, two.map(|(name, _)| name));
            both("two.test:0", found).await;
            both("both.test:0", native("both.test:0", &TcpOptions::default())).await;

            let elsewhere = "cannot listen on 192.0.2.1:0: Cannot assign requested address";
            let chosen = native("elsewhere.test:0", &TcpOptions::default());
            assert_eq!(chosen.clone().expect_err("another machine's"), elsewhere);
            assert_eq!(
                chosen,
                component("elsewhere.test:0", &TcpOptions::default()).await
            );

            let taken = TcpListener::bind("127.0.0.2:0").expect("a port");
            let address = taken.local_addr().expect("its address");
            let in_use = format!("cannot listen on {address}: Address already in use");
            fails(&format!("two.test:{}", address.port()), &in_use).await;
            let first = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port());
            assert_eq!(descriptors::bound_to(first), 0);
        });
    });
}

fn port(name: &str) -> u16 {
    name.parse::<SocketAddr>().expect("an address").port()
}

/// See `names::another_port_is_tried_if_one_is_in_use_on_another_address`.
#[test]
fn another_port_is_tried_if_one_is_in_use_on_another_address() {
    if !has_ipv6() {
        return;
    }
    let name = "::another_port_is_tried_if_one_is_in_use_on_another_address";
    let path = [module_path!(), name].concat();
    prepared(&with_names(FEW_PORTS), &path, || {
        let taken: Vec<_> = (40_001..40_100)
            .step_by(4)
            .map(|port| TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)).expect("free"))
            .collect();
        // With fewer attempts than ports that are taken, one of many would fail.
        for _ in 0..taken.len() {
            let two = listen("two.test:0", &TcpOptions::default()).expect("both");
            assert_eq!(port(&two[0].name), port(&two[1].name));
        }
        drop(taken);
        let _taken: Vec<_> = (40_001..40_100)
            .step_by(4)
            .map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).expect("free"))
            .collect();
        for _ in 0..25 {
            let both = listen(":0", &TcpOptions::default()).expect("both");
            let addresses: Vec<_> = both[0]
                .sockets
                .iter()
                .map(|one| port(&one.to_string()))
                .collect();
            assert_eq!(addresses[0], addresses[1]);
        }
    });
}

#[test]
fn an_address_of_ipv6_is_left_out_where_ipv6_is_off() {
    if !has_ipv6() {
        return;
    }
    let path = concat!(
        module_path!(),
        "::an_address_of_ipv6_is_left_out_where_ipv6_is_off"
    );
    prepared(&with_names(WITHOUT_IPV6), path, || {
        let log = Log::start();
        block_on(async {
            listens("both.test:0", &[("127.0.0.1:0", &["127.0.0.1:0"])]).await;
            let error = "cannot listen on [::1]:0: Cannot assign requested address";
            fails("[::1]:0", error).await;
        });
        said_twice(
            &log,
            "this machine has no IPv6 (Cannot assign requested address)",
        );
    });
}

#[test]
fn any_interface_is_that_of_ipv4_where_there_is_no_ipv6() {
    let path = concat!(
        module_path!(),
        "::any_interface_is_that_of_ipv4_where_there_is_no_ipv6"
    );
    alone(path, || {
        // Before the host exists, whose threads inherit it.
        refuse_ipv6();
        let log = Log::start();
        block_on(async {
            listens(":0", &[("0.0.0.0:0", &["0.0.0.0:0"])]).await;
            fails(
                "[::1]:0",
                "cannot listen on [::1]:0: Operation not supported",
            )
            .await;
        });
        said_twice(
            &log,
            "listening on IPv4 only: this machine has no IPv6 (Operation not supported)",
        );
    });
}

/// Once by the library, and once by the listener.
fn said_twice(log: &Log, note: &str) {
    let text = log.text();
    assert_eq!(text.matches(note).count(), 2, "{text}");
}

/// What the system knows of a socket.
fn settings(socket: &Socket) -> Vec<String> {
    let get = |name, value: &dyn std::fmt::Debug| format!("{name}: {value:?}");
    vec![
        get("nodelay", &socket.tcp_nodelay().expect("set")),
        get("keepalive", &socket.keepalive().expect("set")),
        get("time", &socket.tcp_keepalive_time().expect("set")),
        get("interval", &socket.tcp_keepalive_interval().expect("set")),
        get("retries", &socket.tcp_keepalive_retries().expect("set")),
        get("reuse_address", &socket.reuse_address().expect("set")),
        get("reuse_port", &socket.reuse_port().expect("set")),
        get("only_v6", &socket.only_v6().ok()),
        get("nonblocking", &socket.nonblocking().expect("set")),
        get("cloexec", &rustix::io::fcntl_getfd(socket).expect("set")),
        get("fast_open", &tcp_option(socket, libc::TCP_FASTOPEN)[0]),
        get(
            "defer_accept",
            &tcp_option(socket, libc::TCP_DEFER_ACCEPT)[0],
        ),
        // `tcpi_sacked` of a listening socket.
        get("backlog", &tcp_option(socket, libc::TCP_INFO)[7]),
    ]
}

/// An option of TCP, as numbers.
fn tcp_option(socket: &Socket, option: libc::c_int) -> [u32; 16] {
    let mut value = [0_u32; 16];
    let mut size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the descriptor is open; `value` is of this size and lives across the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw mut value).cast(),
            &raw mut size,
        )
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    value
}

fn settings_on(address: SocketAddr) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    descriptors::for_each(address, |socket| found.push(settings(&socket)));
    found
}

fn many_options() -> TcpOptions {
    let mut options = TcpOptions::default();
    options.nodelay = false;
    options.keep_alive = Some(KeepAlive {
        idle: Duration::from_secs(77),
        interval: Duration::from_secs(7),
        count: 3,
    });
    options.reuse_port = true;
    options.fast_open = Some(5);
    options.defer_accept = Some(Duration::from_secs(3));
    options.ipv6_only = false;
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_have_the_same_options() {
    let _open = unchanged();
    let sources = match has_ipv6() {
        true => &["127.0.0.1:0", "[::1]:0"][..],
        false => &["127.0.0.1:0"],
    };
    for (options, text) in [TcpOptions::default(), many_options()]
        .iter()
        .flat_map(|options| sources.iter().map(move |text| (options, text)))
    {
        let listening = listen(text, options).expect("one");
        let address = listening[0].name.parse().expect("an address");
        let native = settings_on(address);
        assert_eq!(native.len(), 1);
        assert!(native[0].contains(&"backlog: 7".to_owned()), "{native:?}");
        drop(listening);
        let server = component_server(text, options).await.expect("one");
        let component = settings_on(server.listeners()[0].local_addr());
        assert_eq!(native, component, "{text}");
        close(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_shared_if_both_want_to() {
    let _open = unchanged();
    let mut options = TcpOptions::default();
    options.reuse_port = true;
    let first = listen("127.0.0.1:0", &options).expect("one");
    let again = listen(&first[0].name, &options).expect("another one");
    assert_eq!(first[0].name, again[0].name);
    let error = listen(&first[0].name, &TcpOptions::default()).expect_err("it does not share");
    assert!(
        matches!(
            error,
            Error::Listen {
                code: ErrorCode::AddressInUse,
                ..
            }
        ),
        "{error}"
    );
}

/// A socket as another process gets it.
fn passed_on(opened: &Opened) -> Opened {
    let socket = opened.socket().expect("it listens");
    let copy = socket.try_clone_to_owned().expect("another descriptor");
    Opened::from_fd(copy).expect("a listening socket")
}

/// An inherited socket gets the options, and keeps its accept queue.
#[test]
fn inherited_sockets() {
    alone(concat!(module_path!(), "::inherited_sockets"), || {
        // SAFETY: in this process, nothing but this test has descriptors that are not close-on-exec.
        unsafe { evconn::claim_inherited_descriptors() };
        let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        let before = settings_on(address);
        let inherit = || {
            let inherited = rustix::io::dup(&socket).expect("another descriptor");
            format!("fd:{}", inherited.into_raw_fd())
        };
        let mut options = many_options();
        let listening = listen(&inherit(), &options).expect("one");
        assert_eq!(listening[0].name, address.to_string());
        assert_eq!(listening[0].sockets.len(), 1);
        assert!(matches!(
            listening[0].sockets[..],
            [Opened::Tcp { shared: true, .. }]
        ));
        let native = settings_on(address);
        assert_ne!(native[0], before[0]);
        assert_eq!(native[0].last(), before[0].last(), "the backlog");
        drop(listening);
        block_on(async {
            let server = component_server(&inherit(), &options).await.expect("one");
            assert_eq!(settings_on(address), native);
            close(&server).await;
            // Keep-alive times have whole seconds, at least one.
            options.keep_alive = options.keep_alive.map(|keep_alive| KeepAlive {
                idle: Duration::ZERO,
                ..keep_alive
            });
            let error = Err("cannot accept from the socket: Invalid argument".to_owned());
            assert_eq!(self::native(&inherit(), &options), error);
            assert_eq!(component(&inherit(), &options).await, error);
        });
        assert_eq!(descriptors::bound_to(address), 1, "the test's own");
    });
}

/// A server as a process has it that is given sockets: with its options, its peer filter, its drain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_given_both_sockets_of_a_dual_stack_listener() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let mut options = TcpOptions::default();
    options.keep_alive = many_options().keep_alive;
    let mut listening = listen(":0", &options).expect("one");
    let one = listening.remove(0);
    let sockets = one
        .sockets
        .iter()
        .map(|socket| passed_on(socket).shared(false));
    let filter = PeerFilter::default().deny("::1").expect("a network");
    let builder = Server::builder(&service())
        .tcp_options(options)
        .peers(filter);
    let builder = sockets.fold(builder, |builder, socket| builder.listen_on(socket));
    drop(one);
    let server = builder.bind().await.expect("a server");
    let ports: Vec<_> = server
        .listeners()
        .iter()
        .map(|one| one.local_addr())
        .collect();
    assert_eq!(ports.len(), 2);
    let listeners = server.listeners().to_vec();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let task = tokio::spawn(server.run(evconn::Shutdown::on(stopped)));

    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), ports[0].port());
    let mut peer = connect(address).await;
    assert_eq!(ask(&mut peer, "hello\n").await, "hello\n");
    let mut keep_alive = Vec::new();
    descriptors::for_each(address, |socket| {
        keep_alive.push(SockRef::from(&*socket).tcp_keepalive_time().expect("set"))
    });
    assert_eq!(keep_alive, [Duration::from_secs(77)], "the connection's");
    // That one is reset, whether or not it has connected by then.
    let address = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), ports[0].port());
    if let Ok(mut denied) = within("an answer", tokio::net::TcpStream::connect(address)).await {
        let read = tokio::io::AsyncReadExt::read_u8(&mut denied);
        within("a reset", read).await.expect_err("it is denied");
    }
    drop(peer);
    drop(stop);
    let served = within("it ends", task)
        .await
        .expect("no panic")
        .expect("served");
    assert_eq!((served.connections, served.refused), (2, 1));
    for listener in listeners {
        assert_eq!(descriptors::bound_to(listener.local_addr()), 0);
    }
}
