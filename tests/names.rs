//! Listening on the name of a host, and on machines that have IPv4 only. On the command.
//!
//! The names are in a hosts file of the command's own, for which it gets namespaces of its own.

use crate::support::descriptors::unchanged;
use crate::support::process::{EVCONN, Ended, Evconn};
use crate::support::scratch::Scratch;
use crate::support::{has_ipv6, skip};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The names of the tests.
pub const HOSTS: &str = "\
127.0.0.1 both.test two.test
::1 both.test
127.0.0.2 two.test
127.0.0.1 both.test
192.0.2.1 elsewhere.test
127.0.0.1 elsewhere.test
";

/// Where the command runs.
#[derive(Clone, Copy, PartialEq)]
enum World {
    /// With this machine's network.
    Ours,
    /// With a loopback interface of its own, and what this script of the shell sets up.
    ItsOwn(&'static str),
}

struct Names {
    scratch: Scratch,
    world: World,
}

impl Names {
    /// None, if that is not possible here.
    fn new(world: World) -> Option<Self> {
        let names = Self {
            scratch: Scratch::new(),
            world,
        };
        std::fs::write(names.hosts(), HOSTS).expect("written");
        let output = names.command("true").output();
        if output.is_ok_and(|output| output.status.success()) {
            return Some(names);
        }
        skip("there are no namespaces here, or no `unshare`, `mount` and `ip`");
        None
    }

    fn hosts(&self) -> PathBuf {
        self.scratch.join("hosts")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]);
        let prepare = match self.world {
            World::Ours => "true",
            World::ItsOwn(prepare) => {
                command.arg("--net");
                prepare
            }
        };
        let script = format!(r#"mount --bind "$0" /etc/hosts && {prepare} && exec "$@""#);
        command.args(["sh", "-c", &script]).arg(self.hosts());
        command.arg(program).stdin(Stdio::null());
        command
    }

    fn listen(&self, sources: &[&str]) -> Evconn {
        let mut command = self.command(EVCONN);
        command.arg("echo");
        for source in sources {
            command.args(["--listen", source]);
        }
        Evconn::start_by(&mut command)
    }
}

fn stop(evconn: Evconn) -> String {
    evconn.signal(Signal::TERM);
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, "", "no more addresses");
    ended.stderr
}

/// It is to end with one line on standard error, which is returned.
fn refused(ended: Ended) -> String {
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    ended.stderr.trim_end().to_owned()
}

/// Where it listens, in the order of the addresses.
fn addresses(evconn: &Evconn, count: usize) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = (0..count).map(|_| evconn.address()).collect();
    addresses.sort();
    addresses
}

fn ask(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream
        .set_read_timeout(Some(crate::support::DEADLINE))
        .expect("a timeout");
    stream.write_all(b"hello\n").expect("sent");
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"hello\n");
}

#[test]
fn every_address_of_a_name_is_served_once_and_on_one_port() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let Some(names) = Names::new(World::Ours) else {
        return;
    };
    for (name, expected) in [
        ("both.test:0", ["127.0.0.1", "::1"]),
        ("two.test:0", ["127.0.0.1", "127.0.0.2"]),
    ] {
        let evconn = names.listen(&[name]);
        let addresses = addresses(&evconn, 2);
        let ips: Vec<_> = addresses.iter().map(|a| a.ip().to_string()).collect();
        assert_eq!(ips, expected);
        assert_eq!(addresses[0].port(), addresses[1].port());
        assert_ne!(addresses[0].port(), 0);
        addresses.into_iter().for_each(ask);
        stop(evconn);
    }
}

#[test]
fn an_address_that_is_in_use_is_named_and_nothing_is_left_of_the_others() {
    let _open = unchanged();
    let Some(names) = Names::new(World::Ours) else {
        return;
    };
    let taken = TcpListener::bind("127.0.0.2:0").expect("a socket");
    let address = taken.local_addr().expect("its address");
    let port = address.port();
    let said = refused(names.listen(&[&format!("two.test:{port}")]).wait());
    let expected =
        format!("Couldn't create listener: cannot listen on {address}: Address already in use");
    assert_eq!(said, expected);
}

#[test]
fn an_address_of_another_machine_is_named() {
    let _open = unchanged();
    let Some(names) = Names::new(World::Ours) else {
        return;
    };
    let said = refused(names.listen(&["elsewhere.test:0"]).wait());
    assert!(said.contains("192.0.2.1:"), "{said}");
    assert!(
        said.ends_with(": Cannot assign requested address"),
        "{said}"
    );
}

#[test]
fn a_name_that_stands_for_nothing_is_one_line_on_stderr() {
    let _open = unchanged();
    // No such name can be registered (RFC 2606).
    let ended = Evconn::run(&["echo", "--listen", "nobody.invalid:0"]);
    let said = refused(ended);
    assert!(
        said.starts_with("Couldn't create listener: \"nobody.invalid\" has no address: "),
        "{said}"
    );
}

pub const FEW_PORTS: &str =
    "ip link set lo up && echo 40000 40099 >/proc/sys/net/ipv4/ip_local_port_range";

/// The system chooses among a hundred ports, and begins with the odd ones. Half of those are taken.
#[test]
fn another_port_is_tried_if_one_is_in_use_on_another_address() {
    let _open = unchanged();
    let Some(names) = Names::new(World::ItsOwn(FEW_PORTS)) else {
        return;
    };
    let taken: Vec<u16> = (40_001..40_100).step_by(4).collect();
    let mut sources: Vec<_> = taken
        .iter()
        .map(|port| format!("127.0.0.2:{port}"))
        .collect();
    sources.push("two.test:0".to_owned());
    let sources: Vec<_> = sources.iter().map(String::as_str).collect();
    let evconn = names.listen(&sources);
    let second: IpAddr = Ipv4Addr::new(127, 0, 0, 2).into();
    for port in &taken {
        assert_eq!(evconn.address(), SocketAddr::new(second, *port));
    }
    let both = addresses(&evconn, 2);
    assert_eq!(both[0].port(), both[1].port());
    assert!(!taken.contains(&both[0].port()), "{both:?}");
    stop(evconn);
}

pub const WITHOUT_IPV6: &str =
    "ip link set lo up && echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6";

#[test]
fn an_address_of_ipv6_is_left_out_where_ipv6_is_off() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let Some(names) = Names::new(World::ItsOwn(WITHOUT_IPV6)) else {
        return;
    };
    let evconn = names.listen(&["both.test:0"]);
    let ip = evconn.address().ip();
    assert_eq!(ip, Ipv4Addr::LOCALHOST);
    let log = stop(evconn);
    let note = "not listening on [::1]:";
    assert!(log.contains(note), "{log}");
    assert!(
        log.contains("this machine has no IPv6 (Cannot assign"),
        "{log}"
    );

    let said = refused(names.listen(&["[::1]:0"]).wait());
    assert!(said.ends_with("Cannot assign requested address"), "{said}");
}

/// As systemd's `RestrictAddressFamilies=` has it, and a kernel that was started without IPv6.
#[cfg(target_os = "linux")]
pub mod without_the_family {
    use super::*;

    /// Runs the command on a thread that can make no sockets of IPv6: what it starts cannot either.
    fn listen(names: &Names, source: &str) -> Evconn {
        let start = || {
            refuse_ipv6();
            names.listen(&[source])
        };
        std::thread::scope(|scope| scope.spawn(start).join().expect("no panic"))
    }

    /// `socket(AF_INET6, …)` fails with EAFNOSUPPORT on this thread from now on.
    pub fn refuse_ipv6() {
        const NUMBER: u32 = 0;
        // The lower half of the first argument.
        const FAMILY: u32 = if cfg!(target_endian = "little") {
            16
        } else {
            20
        };
        let step = |code: u32, if_so, if_not, value| libc::sock_filter {
            code: code as u16,
            jt: if_so,
            jf: if_not,
            k: value,
        };
        let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        let is = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        let answer = libc::BPF_RET | libc::BPF_K;
        let refuse = libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32;
        let mut steps = [
            step(load, 0, 0, NUMBER),
            step(is, 0, 3, libc::SYS_socket as u32),
            step(load, 0, 0, FAMILY),
            step(is, 0, 1, libc::AF_INET6 as u32),
            step(answer, 0, 0, refuse),
            step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog {
            len: steps.len() as u16,
            filter: steps.as_mut_ptr(),
        };
        // SAFETY: these change what this thread may do, and touch no memory but the program, which
        // lives across the call.
        let results = unsafe {
            [
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
                libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const program,
                ),
            ]
        };
        assert_eq!(results, [0, 0], "{}", std::io::Error::last_os_error());
    }

    #[test]
    fn any_interface_is_that_of_ipv4_and_it_is_said() {
        let _open = unchanged();
        let Some(names) = Names::new(World::Ours) else {
            return;
        };
        let evconn = listen(&names, ":0");
        let address = evconn.address();
        assert_eq!(address.ip(), Ipv4Addr::UNSPECIFIED);
        ask(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()));
        let log = stop(evconn);
        assert!(
            log.contains(
                "listening on IPv4 only: this machine has no IPv6 (Operation not supported)"
            ),
            "{log}"
        );
    }

    #[test]
    fn a_name_is_its_addresses_of_ipv4_and_it_is_said() {
        let _open = unchanged();
        let Some(names) = Names::new(World::Ours) else {
            return;
        };
        let evconn = listen(&names, "both.test:0");
        let address = evconn.address();
        assert_eq!(address.ip(), Ipv4Addr::LOCALHOST);
        ask(address);
        let log = stop(evconn);
        assert!(log.contains("not listening on [::1]:"), "{log}");
    }
}
