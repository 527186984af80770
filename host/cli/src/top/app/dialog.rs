//! A question before something is changed, and the answer to it.

use crate::top::client::Change;
use crate::top::model::Connection;

pub struct Dialog {
    pub question: String,
    pub detail: &'static str,
    pub change: Change,
    pub stage: Stage,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Stage {
    Asking,
    Waiting,
    Answered { is_done: bool, text: String },
}

impl Dialog {
    pub fn reset(connection: &Connection) -> Self {
        let &Connection {
            number,
            worker,
            ref peer,
            ..
        } = connection;
        Self::new(
            format!("Reset connection {number} of {peer}?"),
            "Its peer gets a reset, and what its service is doing for it ends.",
            Change::Reset { number, worker },
        )
    }

    pub fn drain() -> Self {
        Self::new(
            "Drain and end the server?".to_owned(),
            "It accepts no more connections, lets open ones finish within the grace period, and then ends. This \
             cannot be undone.",
            Change::Drain { service: None },
        )
    }

    /// Drains one of several services.
    pub fn drain_service(name: &str) -> Self {
        Self::new(
            format!("Drain the service {name}?"),
            "It accepts no more connections, and lets open ones finish within its grace period. A reload of the \
             configuration starts it again.",
            Change::Drain {
                service: Some(name.to_owned()),
            },
        )
    }

    pub fn reload() -> Self {
        Self::new(
            "Reload?".to_owned(),
            "Components and certificates are read again, for new connections, and so is the configuration, if there \
             is one. What cannot be used is not: the old one stays.",
            Change::Reload,
        )
    }

    fn new(question: String, detail: &'static str, change: Change) -> Self {
        Self {
            question,
            detail,
            change,
            stage: Stage::Asking,
        }
    }
}
