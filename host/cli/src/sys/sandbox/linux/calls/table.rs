//! The list of the system calls that a worker may make, with their purposes and arguments. docs/sandbox.md contains
//! the same list: a test compares them.

#![allow(
    clippy::unnecessary_cast,
    reason = "the C libraries differ in the types of these constants"
)]

use super::Needs;
use libc::*;

/// Calls for one purpose.
pub struct Group {
    /// The same text as in the documentation.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for the test of the documentation")
    )]
    pub purpose: &'static str,
    pub needed: fn(&Needs) -> bool,
    pub calls: &'static [Call],
}

pub struct Call {
    /// The name of the constant of its number.
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "for the test of the documentation")
    )]
    pub name: &'static str,
    pub number: c_long,
    /// Conditions, all of which hold. Without any, all arguments are allowed.
    pub only: &'static [Condition],
}

/// A condition of an argument.
pub struct Condition {
    pub argument: u8,
    pub value: Value,
}

pub enum Value {
    /// An `int` with one of these values.
    OneOf(&'static [u64]),
    /// These bits are set.
    Has(u64),
    /// None of these bits is set. If these are all bits, it is zero.
    HasNot(u64),
    ThisProcess,
}

const fn one_of(argument: u8, values: &'static [u64]) -> Condition {
    let value = Value::OneOf(values);
    Condition { argument, value }
}

const fn has(argument: u8, bits: c_int) -> Condition {
    let value = Value::Has(bits as u64);
    Condition { argument, value }
}

const fn has_not(argument: u8, bits: c_int) -> Condition {
    let value = Value::HasNot(bits as u64);
    Condition { argument, value }
}

const fn zero(argument: u8) -> Condition {
    let value = Value::HasNot(u64::MAX);
    Condition { argument, value }
}

const fn this_process(argument: u8) -> Condition {
    let value = Value::ThisProcess;
    Condition { argument, value }
}

/// Calls, each by the name of its number, and with conditions for its arguments in parentheses.
macro_rules! calls {
    ($($name:ident $(($($condition:expr),+))?,)*) => {
        &[$(Call { name: stringify!($name), number: $name, only: &[$($($condition),+)?] }),*]
    };
}

/// Values of an `int`.
macro_rules! ints {
    ($($value:expr),*) => {
        &[$($value as u64),*]
    };
}

/// Linux 6.7: which pages were written (`_IOWR('f', 16, struct pm_scan_arg)` of linux/fs.h).
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// The levels of the options of sockets: their own, and those of TCP, UDP and IP.
const LEVELS: &[u64] = ints![
    SOL_SOCKET,
    IPPROTO_TCP,
    IPPROTO_UDP,
    IPPROTO_IP,
    IPPROTO_IPV6
];

/// Requests to sockets and pipes, and whether something is a terminal.
const IOCTL: &[u64] = ints![FIONBIO, FIONREAD, FIOCLEX, TIOCOUTQ, TCGETS];

/// Flags, duplicates, and the seals of memory that is passed as a descriptor.
const FCNTL: &[u64] = ints![
    F_GETFD,
    F_SETFD,
    F_GETFL,
    F_SETFL,
    F_DUPFD_CLOEXEC,
    F_ADD_SEALS,
    F_GET_SEALS
];

/// The length of an address that is no more than its family. connect(2) refuses it, except for AF_UNSPEC, which ends the
/// connection of a TCP socket.
const FAMILY_ALONE: &[u64] = &[size_of::<sa_family_t>() as u64];

pub const GROUPS: &[Group] = &[
    Group {
        purpose: "Open sockets: listening sockets, connections, the control socket",
        needed: always,
        calls: calls![
            SYS_read,
            SYS_readv,
            SYS_write,
            SYS_writev,
            SYS_recvfrom,
            SYS_recvmsg,
            SYS_recvmmsg,
            SYS_sendto,
            SYS_sendmsg,
            SYS_sendmmsg,
            SYS_accept4,
            SYS_shutdown,
            SYS_connect(one_of(2, FAMILY_ALONE)),
            SYS_getsockname,
            SYS_getpeername,
            SYS_getsockopt(one_of(1, LEVELS)),
            SYS_setsockopt(one_of(1, LEVELS)),
            SYS_socketpair(one_of(0, ints![AF_UNIX])),
            SYS_ioctl(one_of(1, IOCTL)),
            SYS_fcntl(one_of(1, FCNTL)),
            SYS_dup,
            SYS_close,
        ],
    },
    Group {
        purpose: "Handshakes in progress while a listener drains",
        needed: always,
        calls: calls![SYS_socket(
            one_of(0, ints![AF_NETLINK]),
            one_of(2, ints![NETLINK_SOCK_DIAG])
        ),],
    },
    Group {
        purpose: "Waiting for events",
        needed: always,
        calls: calls![
            SYS_epoll_create1,
            SYS_epoll_ctl,
            SYS_epoll_pwait,
            SYS_epoll_pwait2,
            SYS_eventfd2,
            SYS_ppoll,
            SYS_pselect6,
            SYS_pipe2,
            SYS_restart_syscall,
        ],
    },
    Group {
        purpose: "Memory of the process and of instances",
        needed: always,
        calls: calls![
            SYS_brk,
            SYS_mmap(has_not(2, PROT_EXEC)),
            SYS_mprotect(has_not(2, PROT_EXEC)),
            SYS_mremap,
            SYS_munmap,
            SYS_madvise,
            SYS_memfd_create,
            SYS_ioctl(one_of(1, ints![PAGEMAP_SCAN])),
        ],
    },
    Group {
        purpose: "Threads",
        needed: always,
        calls: calls![
            SYS_clone(has(0, CLONE_THREAD)),
            // Answered as by a kernel without it, by another filter.
            SYS_clone3,
            SYS_exit,
            SYS_exit_group,
            SYS_futex,
            SYS_membarrier,
            SYS_rseq,
            SYS_set_robust_list,
            SYS_set_tid_address,
            SYS_gettid,
            SYS_getcpu,
            SYS_sched_getaffinity,
            SYS_sched_getattr,
            SYS_sched_setattr(one_of(0, ints![0])),
            SYS_sched_yield,
            SYS_getpriority,
            SYS_setpriority(one_of(0, ints![PRIO_PROCESS]), one_of(1, ints![0])),
            SYS_prctl(one_of(0, ints![PR_SET_NAME, PR_GET_NAME, PR_SET_VMA])),
        ],
    },
    Group {
        purpose: "Signals: traps of guests, and the process's own abort",
        needed: always,
        calls: calls![
            SYS_rt_sigaction,
            SYS_rt_sigprocmask,
            SYS_rt_sigreturn,
            SYS_sigaltstack,
            SYS_tgkill(this_process(0)),
        ],
    },
    Group {
        purpose: "Clocks, random numbers, facts about the process",
        needed: always,
        calls: calls![
            SYS_clock_getres,
            SYS_clock_gettime,
            SYS_clock_nanosleep,
            SYS_nanosleep,
            SYS_gettimeofday,
            SYS_getrandom,
            SYS_getpid,
            SYS_getppid,
            SYS_getuid,
            SYS_geteuid,
            SYS_getgid,
            SYS_getegid,
            SYS_getrusage,
            SYS_prlimit64(one_of(0, ints![0]), zero(2)),
            SYS_sysinfo,
            SYS_uname,
        ],
    },
    Group {
        purpose: "Open files",
        needed: always,
        calls: calls![
            SYS_fstat,
            SYS_newfstatat(has(3, AT_EMPTY_PATH)),
            SYS_statx(has(2, AT_EMPTY_PATH)),
            SYS_lseek,
            SYS_pread64,
            SYS_preadv,
            SYS_preadv2,
            SYS_pwrite64,
            SYS_pwritev,
            SYS_pwritev2,
            SYS_ftruncate,
        ],
    },
    // Old calls, which C libraries still use there.
    #[cfg(target_arch = "x86_64")]
    Group {
        purpose: "x86_64: waiting",
        needed: always,
        calls: calls![SYS_epoll_wait, SYS_poll, SYS_select, SYS_pipe, SYS_time,],
    },
    Group {
        purpose: "Granted directories",
        needed: opens,
        calls: calls![
            SYS_openat,
            SYS_openat2,
            SYS_newfstatat,
            SYS_statx,
            SYS_statfs,
            SYS_fstatfs,
            SYS_faccessat,
            SYS_faccessat2,
            SYS_readlinkat,
            SYS_getdents64,
            SYS_fadvise64,
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Group {
        purpose: "x86_64: granted directories",
        needed: opens,
        calls: calls![SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink,],
    },
    Group {
        purpose: "Writable granted directories",
        needed: writes,
        calls: calls![
            SYS_mkdirat,
            SYS_unlinkat,
            SYS_renameat,
            SYS_renameat2,
            SYS_linkat,
            SYS_symlinkat,
            SYS_utimensat,
            SYS_fsync,
            SYS_fdatasync,
        ],
    },
    #[cfg(target_arch = "x86_64")]
    Group {
        purpose: "x86_64: writable granted directories",
        needed: writes,
        calls: calls![
            SYS_mkdir,
            SYS_rmdir,
            SYS_unlink,
            SYS_rename,
            SYS_link,
            SYS_symlink,
        ],
    },
    Group {
        purpose: "Granted network",
        needed: connects,
        calls: calls![
            SYS_socket(one_of(0, ints![AF_INET, AF_INET6])),
            SYS_bind,
            SYS_connect,
            SYS_listen,
        ],
    },
];

fn always(_: &Needs) -> bool {
    true
}

fn opens(needs: &Needs) -> bool {
    !needs.directories.is_empty()
}

fn writes(needs: &Needs) -> bool {
    needs.directories.iter().any(|directory| directory.writable)
}

fn connects(needs: &Needs) -> bool {
    needs.network
}
