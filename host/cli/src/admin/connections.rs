//! The list of open connections.

use super::parameters::{parameters, unexpected};
use evconn::{ConnectionState, ConnectionStatus, ServerHandle};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// Maximum number of connections in an answer: it has to fit into a message between processes.
const MAX_LIMIT: usize = 10_000;

/// Which connections are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    pub limit: usize,
    pub sort: Sort,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sort {
    /// The oldest.
    Age,
    /// What has received most.
    Received,
    /// What has sent most.
    Sent,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            limit: 1000,
            sort: Sort::Age,
        }
    }
}

impl Query {
    /// Parses the part of a URL after the question mark.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        for (name, value) in parameters(text) {
            match name {
                "limit" => query.limit = parse_limit(value)?,
                "sort" => query.sort = parse_sort(value)?,
                _ => return Err(unexpected(name, "limit=N or sort=NAME")),
            }
        }
        Ok(query)
    }
}

fn parse_limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
        .ok_or_else(|| format!("limit={text}: expected a number from 1 to {MAX_LIMIT}"))
}

fn parse_sort(text: &str) -> Result<Sort, String> {
    match text {
        "age" => Ok(Sort::Age),
        "received" => Ok(Sort::Received),
        "sent" => Ok(Sort::Sent),
        _ => Err(format!("sort={text}: expected age, received or sent")),
    }
}

/// Open connections, as many as were asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct List {
    /// How many connections are open in all processes that have answered.
    open: usize,
    /// The numbers of the workers that have not answered in time.
    missing: Vec<u64>,
    connections: Vec<Row>,
}

/// A connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    number: u64,
    /// The name of the service, if there are several.
    service: Option<String>,
    peer: String,
    listener: String,
    /// In seconds.
    age: f64,
    /// In bytes.
    received: u64,
    sent: u64,
    state: String,
    /// Whether it has an instance: `own`, `shared` or `none`.
    instance: String,
    /// The number of the worker, if there are several processes.
    worker: Option<u64>,
}

impl List {
    /// Returns those of a process.
    pub fn of(server: &ServerHandle, query: &Query) -> Self {
        let mut all = server.connections();
        let open = all.len();
        all.sort_unstable_by_key(|status| Reverse(rank(query.sort, status)));
        all.truncate(query.limit);
        Self {
            open,
            missing: Vec::new(),
            connections: all.iter().map(Row::of).collect(),
        }
    }

    /// Says which worker has them.
    pub fn of_worker(mut self, worker: u64) -> Self {
        for row in &mut self.connections {
            row.worker = Some(worker);
        }
        self
    }

    /// Says which service they are of.
    pub fn of_service(mut self, service: Option<String>) -> Self {
        for row in &mut self.connections {
            row.service.clone_from(&service);
        }
        self
    }

    /// Adds those of another list.
    pub fn add(&mut self, list: Self) {
        self.open += list.open;
        self.missing.extend(list.missing);
        self.connections.extend(list.connections);
    }

    /// Names a worker that has not answered.
    pub fn add_missing(&mut self, worker: u64) {
        self.missing.push(worker);
    }

    /// Leaves those that were asked for, in order.
    pub fn fit(mut self, query: &Query) -> Self {
        self.connections.sort_by(|a, b| match query.sort {
            Sort::Age => b.age.total_cmp(&a.age),
            Sort::Received => b.received.cmp(&a.received),
            Sort::Sent => b.sent.cmp(&a.sent),
        });
        self.connections.truncate(query.limit);
        self
    }
}

fn rank(sort: Sort, status: &ConnectionStatus) -> u128 {
    match sort {
        Sort::Age => status.age.as_nanos(),
        Sort::Received => status.received.into(),
        Sort::Sent => status.sent.into(),
    }
}

impl Row {
    fn of(status: &ConnectionStatus) -> Self {
        let (state, instance) = match status.state {
            ConnectionState::Sharing => ("handling".to_owned(), "shared"),
            ConnectionState::Handling => (status.state.to_string(), "own"),
            state => (state.to_string(), "none"),
        };
        Self {
            number: status.number,
            service: None,
            peer: status.peer.to_string(),
            listener: status.listener.to_string(),
            age: status.age.as_secs_f64(),
            received: status.received,
            sent: status.sent,
            state,
            instance: instance.to_owned(),
            worker: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_how_many_and_which_first() {
        let query = |limit, sort| Ok(Query { limit, sort });
        assert_eq!(Query::parse(""), Ok(Query::default()));
        assert_eq!(Query::parse("limit=7"), query(7, Sort::Age));
        assert_eq!(
            Query::parse("sort=sent&limit=10000"),
            query(10_000, Sort::Sent)
        );
        for wrong in [
            "limit=0",
            "limit=10001",
            "limit=x",
            "sort=peer",
            "all",
            "x=1",
        ] {
            let problem = Query::parse(wrong).expect_err(wrong);
            assert!(problem.contains("expected"), "{problem}");
        }
    }

    #[test]
    fn the_lists_of_workers_are_one_list() {
        let row = |number, sent| Row {
            number,
            service: None,
            peer: String::new(),
            listener: String::new(),
            age: 0.0,
            received: 0,
            sent,
            state: String::new(),
            instance: String::new(),
            worker: None,
        };
        let of = |connections: Vec<Row>| List {
            open: 10,
            missing: Vec::new(),
            connections,
        };
        let mut all = List::default();
        all.add(of(vec![row(1, 5), row(2, 1)]).of_worker(1));
        all.add(of(vec![row(3, 9), row(4, 3)]).of_worker(3));
        all.add_missing(2);
        let query = Query {
            limit: 3,
            sort: Sort::Sent,
        };
        let all = all.fit(&query);
        let rows = all.connections.iter();
        let rows: Vec<_> = rows.map(|row| (row.number, row.worker)).collect();
        assert_eq!(rows, [(3, Some(3)), (1, Some(1)), (4, Some(3))]);
        assert_eq!((all.open, all.missing), (20, vec![2]));
    }
}
