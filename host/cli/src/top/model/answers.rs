//! What a server answers, as `docs/admin.md` describes it. What is added to it later is ignored.

use super::{Families, Plain};
use serde::Deserialize;

/// What a server consists of.
#[derive(Debug, Default, Deserialize)]
pub struct Status {
    pub version: Plain,
    pub state: Plain,
    /// The process that answers.
    pub process: u32,
    /// In seconds.
    pub age: f64,
    pub services: Vec<ServiceStatus>,
}

#[derive(Debug, Default, Deserialize)]
pub struct ServiceStatus {
    /// `None` without a configuration.
    pub name: Option<Plain>,
    pub state: Plain,
    pub listeners: Vec<Plain>,
    pub workers: Vec<Worker>,
}

#[derive(Debug, Deserialize)]
pub struct Worker {
    pub number: u64,
    pub process: u32,
    /// The label `process` of its metrics.
    pub member: u16,
    /// In seconds.
    pub age: f64,
    pub state: Plain,
}

/// Open connections, as many as were asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Connections {
    pub open: u64,
    /// The numbers of workers that have not answered.
    pub missing: Vec<u64>,
    pub connections: Vec<Connection>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Connection {
    pub number: u64,
    pub service: Option<Plain>,
    pub peer: Plain,
    pub listener: Plain,
    /// In seconds.
    pub age: f64,
    pub received: u64,
    pub sent: u64,
    pub state: Plain,
    pub instance: Plain,
    pub worker: Option<u64>,
}

impl Connection {
    /// Returns whether it is the same one as it was at another time.
    pub fn is(&self, other: &Self) -> bool {
        (self.number, self.worker, &self.service) == (other.number, other.worker, &other.service)
    }
}

/// The last warnings and errors, the newest last.
#[derive(Debug, Default, Deserialize)]
pub struct Log {
    pub records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
pub struct Record {
    pub time: Plain,
    pub level: Plain,
    pub text: Plain,
}

/// All that was asked for at a time. A server that starts tells its status alone.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: Status,
    pub families: Option<Families>,
    pub log: Log,
    pub connections: Connections,
}

impl Answer {
    /// Returns the listeners of all services, and what there is of a service that has none: the rows of their table.
    pub fn listeners(&self) -> Vec<(&ServiceStatus, Option<&Plain>)> {
        let services = self.status.services.iter();
        let of_service = services.flat_map(|service| {
            let own = service.listeners.iter().map(Some);
            let none = service.listeners.is_empty().then_some(None);
            own.chain(none).map(move |listener| (service, listener))
        });
        of_service.collect()
    }

    /// Returns whether services have names, which are then shown.
    pub fn has_names(&self) -> bool {
        self.status
            .services
            .iter()
            .any(|service| service.name.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        let text = r#"{"version":"0.1.0","state":"ready","process":7,"age":1.5,"services":[
            {"name":null,"state":"ready","listeners":["[::]:1"],"workers":[
                {"number":1,"process":8,"member":0,"age":1.25,"state":"accepting","later":true}]}]}"#;
        let status: Status = serde_json::from_str(text).expect("a status");
        assert_eq!(&*status.services[0].listeners[0], "[::]:1");
        assert_eq!(status.services[0].workers[0].process, 8);
        assert!(status.services[0].name.is_none());
    }

    #[test]
    fn connections_are_read() {
        let text = r#"{"open":2,"missing":[3],"connections":[{"number":17,"service":"echo","peer":"a\u001bb",
            "listener":"[::]:1","age":2.5,"received":1,"sent":2,"state":"handling","instance":"own","worker":null}]}"#;
        let list: Connections = serde_json::from_str(text).expect("connections");
        assert_eq!((list.open, list.missing), (2, vec![3]));
        assert_eq!(&*list.connections[0].peer, "a\u{fffd}b");
        assert_eq!(list.connections[0].service.as_deref(), Some("echo"));
    }
}
