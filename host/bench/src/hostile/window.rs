//! One measurement of good connections: the messages that are due within some time.

use crate::sample::Latency;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

pub struct Window {
    begin: Instant,
    end: Instant,
    sent: u64,
    /// In nanoseconds.
    times: Vec<u32>,
    /// How late the client itself was.
    late: Vec<u32>,
}

/// What the good connections noticed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noticed {
    pub latency: Option<Latency>,
    /// The longest time of an answer, in microseconds.
    pub longest: f64,
    /// Messages, and how many of them were not answered.
    pub sent: u64,
    pub unanswered: u64,
    /// Connections that failed, and why the first one did.
    pub failed: u64,
    pub failure: Option<String>,
    /// How late the client was to send, which is part of the latency.
    pub late: Option<Latency>,
}

impl Noticed {
    /// Returns the figures of several measurements as one: latencies as their medians.
    pub fn of_rounds(rounds: &[Self]) -> Self {
        let sum = |part: fn(&Self) -> u64| rounds.iter().map(part).sum();
        Self {
            latency: Latency::median(rounds.iter().filter_map(|it| it.latency)),
            longest: rounds.iter().map(|it| it.longest).fold(0.0, f64::max),
            sent: sum(|it| it.sent),
            unanswered: sum(|it| it.unanswered),
            failed: sum(|it| it.failed),
            failure: rounds.iter().find_map(|it| it.failure.clone()),
            late: Latency::median(rounds.iter().filter_map(|it| it.late)),
        }
    }

    /// Returns how many messages and connections failed.
    pub fn errors(&self) -> u64 {
        self.unanswered + self.failed
    }
}

impl Window {
    pub fn new(begin: Instant, duration: Duration) -> Self {
        Self {
            begin,
            end: begin + duration,
            sent: 0,
            times: Vec::new(),
            late: Vec::new(),
        }
    }

    fn contains(&self, scheduled: Instant) -> bool {
        (self.begin..self.end).contains(&scheduled)
    }

    /// Records a message that was due at this time.
    pub fn sent(&mut self, scheduled: Instant) {
        if self.contains(scheduled) {
            self.sent += 1;
            self.late.push(nanoseconds(scheduled.elapsed()));
        }
    }

    pub fn answered(&mut self, scheduled: Instant, now: Instant) {
        if self.contains(scheduled) {
            self.times.push(nanoseconds(now - scheduled));
        }
    }

    /// Returns whether nothing more has to be waited for.
    pub fn is_complete(&self, now: Instant, patience: Duration) -> bool {
        let is_answered = self.times.len() as u64 == self.sent;
        now >= self.end && (is_answered || now >= self.end + patience)
    }

    pub fn result<'a>(self, failures: impl Iterator<Item = &'a str>) -> Noticed {
        let failures: Vec<_> = failures.collect();
        let longest = self.times.iter().max().copied().unwrap_or_default();
        Noticed {
            longest: f64::from(longest) / 1e3,
            sent: self.sent,
            unanswered: self.sent - self.times.len() as u64,
            latency: Latency::of(self.times),
            failed: failures.len() as u64,
            failure: failures.first().map(|&why| why.to_owned()),
            late: Latency::of(self.late),
        }
    }
}

/// Up to 4 s: what takes longer does not look better by it.
fn nanoseconds(time: Duration) -> u32 {
    u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)
}
