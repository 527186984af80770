//! Scripts: how a listener is made, what is done to it and to its clients, and how it ends.
//!
//! A script reads as one, an operation a line: it is what a failed test shows.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const LONGEST: usize = 30;

#[derive(Clone)]
pub struct Script {
    pub setup: Setup,
    pub operations: Vec<Operation>,
    pub ending: Ending,
}

/// What the listener is made with, both times that it is: by `bind` and by `from-sockets`.
#[derive(Clone)]
pub struct Setup {
    pub place: Place,
    pub enabled: bool,
    pub callback: Option<u64>,
    /// How many connections are held at most, if accept is deferred.
    pub max_held: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ipv4,
    Ipv6,
    DualStack,
}

impl Place {
    /// The address of each socket.
    pub fn addresses(self) -> Vec<IpAddr> {
        let (ipv4, ipv6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
        match self {
            Self::Ipv4 => vec![ipv4],
            Self::Ipv6 => vec![ipv6],
            Self::DualStack => vec![ipv6, ipv4],
        }
    }
}

/// One thing that is done. `state` is not among them: it is asked for after each one.
///
/// Clients are numbered in the order in which they connect.
#[derive(Clone, Copy)]
pub enum Operation {
    Enable,
    Disable,
    SetCallback(Option<u64>),
    SetErrorCallback(Option<u64>),
    Connects { client: usize, socket: usize },
    Resets { client: usize },
    Sends { client: usize },
    EndsItsSide { client: usize },
    NextEvents { max: u32 },
    WaitEvents { max: u32, timeout: Timeout },
    Subscribe,
    Stats,
    Retry,
    TakeApartAndPutTogether,
    LocalAddresses,
}

#[derive(Clone, Copy, Debug)]
pub enum Timeout {
    Milliseconds(u64),
    /// None, if the model is sure that the wait ends, and else 1 ms.
    IfSafeNone,
}

/// What comes after the operations.
#[derive(Clone, Copy)]
pub enum Ending {
    /// It is enabled, and everybody who waits must be delivered.
    Drained,
    /// It is dropped, and whoever waits must see an end.
    Dropped,
    /// Its first socket breaks, and it must stop.
    Broken,
}

/// All scripts; those that listen on an IPv6 address only where there is one.
pub fn scripts(has_ipv6: bool) -> impl Strategy<Value = Script> {
    let operations = vec(operation(), 1..=LONGEST);
    (setup(has_ipv6), operations, ending()).prop_map(|(setup, operations, ending)| Script {
        operations: name_clients(&setup, operations),
        setup,
        ending,
    })
}

fn setup(has_ipv6: bool) -> impl Strategy<Value = Setup> {
    let place = if has_ipv6 {
        prop_oneof![Just(Place::Ipv4), Just(Place::Ipv6), Just(Place::DualStack)].boxed()
    } else {
        Just(Place::Ipv4).boxed()
    };
    let max_held = option::weighted(0.3, 1..=3_u32);
    (place, any::<bool>(), callback(), max_held).prop_map(|(place, enabled, callback, max_held)| {
        Setup {
            place,
            enabled,
            callback,
            max_held,
        }
    })
}

fn callback() -> impl Strategy<Value = Option<u64>> {
    option::weighted(0.7, 1..100_u64)
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        8 => Just(Ending::Drained),
        1 => Just(Ending::Dropped),
        1 => Just(Ending::Broken),
    ]
}

/// Operations in which a client is any number: `name_clients` makes it one that there is.
fn operation() -> impl Strategy<Value = Operation> {
    let client = || 0..LONGEST;
    let max = || 0..=4_u32;
    prop_oneof![
        3 => Just(Operation::Enable),
        2 => Just(Operation::Disable),
        3 => callback().prop_map(Operation::SetCallback),
        1 => callback().prop_map(Operation::SetErrorCallback),
        8 => (client(), 0..2_usize).prop_map(|(client, socket)| Operation::Connects { client, socket }),
        3 => client().prop_map(|client| Operation::Resets { client }),
        3 => client().prop_map(|client| Operation::Sends { client }),
        2 => client().prop_map(|client| Operation::EndsItsSide { client }),
        5 => max().prop_map(|max| Operation::NextEvents { max }),
        4 => (max(), timeout()).prop_map(|(max, timeout)| Operation::WaitEvents { max, timeout }),
        2 => Just(Operation::Subscribe),
        1 => Just(Operation::Stats),
        1 => Just(Operation::Retry),
        1 => Just(Operation::TakeApartAndPutTogether),
        1 => Just(Operation::LocalAddresses),
    ]
}

fn timeout() -> impl Strategy<Value = Timeout> {
    prop_oneof![
        Just(Timeout::Milliseconds(0)),
        (1..=3_u64).prop_map(Timeout::Milliseconds),
        Just(Timeout::IfSafeNone),
    ]
}

/// Number the clients as they connect, let the others be of those that can still do something, and
/// leave out what nobody can do.
fn name_clients(setup: &Setup, operations: Vec<Operation>) -> Vec<Operation> {
    let sockets = setup.place.addresses().len();
    let mut connected = 0;
    // Who can reset, and who can send.
    let (mut open, mut talking) = (Vec::new(), Vec::new());
    let choose = |from: &[usize], number: usize| from.get(number % from.len().max(1)).copied();
    let name = |operation| {
        Some(match operation {
            Operation::Connects { socket, .. } => {
                let client = connected;
                connected += 1;
                open.push(client);
                talking.push(client);
                let socket = socket % sockets;
                Operation::Connects { client, socket }
            }
            Operation::Resets { client } => {
                let client = choose(&open, client)?;
                open.retain(|&other| other != client);
                talking.retain(|&other| other != client);
                Operation::Resets { client }
            }
            Operation::Sends { client } => Operation::Sends {
                client: choose(&talking, client)?,
            },
            Operation::EndsItsSide { client } => {
                let client = choose(&talking, client)?;
                talking.retain(|&other| other != client);
                Operation::EndsItsSide { client }
            }
            other => other,
        })
    };
    operations.into_iter().filter_map(name).collect()
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.setup)?;
        for (number, operation) in self.operations.iter().enumerate() {
            writeln!(f, "{:3}. {operation:?}", number + 1)?;
        }
        write!(f, "end. {:?}", self.ending)
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let enabled = if self.enabled { "enabled" } else { "disabled" };
        let callback = or_none(self.callback);
        let addresses = self.place.addresses();
        write!(
            f,
            "a listener on {addresses:?}, {enabled}, callback {callback}"
        )?;
        match self.max_held {
            None => Ok(()),
            Some(max_held) => write!(f, ", accept deferred with max-held {max_held}"),
        }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Enable => write!(f, "enable"),
            Self::Disable => write!(f, "disable"),
            Self::SetCallback(callback) => write!(f, "set-callback {}", or_none(callback)),
            Self::SetErrorCallback(callback) => {
                write!(f, "set-error-callback {}", or_none(callback))
            }
            Self::Connects { client, socket } => {
                write!(f, "client {client} connects to socket {socket}")
            }
            Self::Resets { client } => write!(f, "client {client} resets"),
            Self::Sends { client } => write!(f, "client {client} sends a byte"),
            Self::EndsItsSide { client } => write!(f, "client {client} ends its side"),
            Self::NextEvents { max } => write!(f, "next-events {max}"),
            Self::WaitEvents { max, timeout } => match timeout {
                Timeout::Milliseconds(timeout) => write!(f, "wait-events {max} for {timeout} ms"),
                Timeout::IfSafeNone => write!(f, "wait-events {max}"),
            },
            Self::Subscribe => write!(f, "subscribe, poll and drop"),
            Self::Stats => write!(f, "stats"),
            Self::Retry => write!(f, "retry"),
            Self::TakeApartAndPutTogether => write!(f, "into-sockets and from-sockets"),
            Self::LocalAddresses => write!(f, "local-addresses"),
        }
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drained => "everybody sends, the listener is turned on and drained",
            Self::Dropped => "the listener is dropped",
            Self::Broken => "everybody sends, socket 0 breaks, the listener is turned on",
        })
    }
}

fn or_none(value: Option<u64>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
