//! What is measured: a table each.

use super::act::Act;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Good connections beside hostile ones that do this.
    Act(Act),
    Handshakes,
    Hoards,
    Instances,
    Log,
}

impl Case {
    /// Returns all of them, in the order in which they are measured.
    pub fn all() -> impl Iterator<Item = Self> {
        let acts = Act::ALL.iter().copied().map(Self::Act);
        acts.chain([Self::Handshakes, Self::Hoards, Self::Instances, Self::Log])
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Act(act) => act.name,
            Self::Handshakes => "handshakes",
            Self::Hoards => "hoards",
            Self::Instances => "instances",
            Self::Log => "log",
        }
    }

    pub const fn about(self) -> &'static str {
        match self {
            Self::Act(act) => act.about,
            Self::Handshakes => {
                "1,000 TLS handshakes a second beside good TLS connections, on evconn and on a native server"
            }
            Self::Hoards => "what the server has for one connection at most",
            Self::Instances => "more connections than the machine has memory mappings for",
            Self::Log => "what one client makes the server log",
        }
    }

    pub fn of(name: &str) -> Result<Self, String> {
        Self::all()
            .find(|case| case.name() == name)
            .ok_or_else(|| "there is no such act; --list names all".to_owned())
    }
}
