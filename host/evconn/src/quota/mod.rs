//! The limits of a server that consists of several processes: how many connections are open, how many of
//! each peer, and how many are accepted per second, counted exactly in a memory that they share.
//!
//! The processes trust each other, but not each other's health: any of them may be stopped or killed at any
//! instant, and what it had is counted until it is released. Who starts the processes, and notices that one
//! is gone, is decided elsewhere.

use crate::{Limits, Served};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// The limits of a server that consists of several processes, in a memory that they share.
#[derive(Clone)]
pub struct Quota;

/// A process that serves connections within a [`Quota`].
#[derive(Clone)]
pub struct Member;

impl Quota {
    /// Creates a quota.
    pub fn create(
        limits: &Limits,
        accept_rate: Option<NonZeroU32>,
        members: u16,
    ) -> io::Result<Self> {
        let _ = (limits, accept_rate, members);
        todo!()
    }

    /// Opens a quota in another process.
    pub fn open(memory: OwnedFd, bell: OwnedFd) -> io::Result<Self> {
        let _ = (memory, bell);
        todo!()
    }

    /// Returns the descriptors that another process needs to open the quota: its memory and its bell.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        todo!()
    }

    /// Joins as this member.
    pub fn join(&self, member: u16, capacity: usize) -> Member {
        let _ = (member, capacity);
        todo!()
    }

    /// Gives back what a member had whose process is gone.
    pub fn release(&self, member: u16) -> usize {
        let _ = member;
        todo!()
    }

    /// Returns how many connections are open.
    pub fn open_connections(&self) -> usize {
        todo!()
    }

    /// Returns how many connections of a member are open.
    pub fn connections_of(&self, member: u16) -> usize {
        let _ = member;
        todo!()
    }

    /// Returns what all members have served, past ones included.
    pub fn served(&self) -> Served {
        todo!()
    }

    /// Returns for how long no connection has been open: None while one is.
    pub fn idle_for(&self) -> Option<Duration> {
        todo!()
    }

    /// Returns a member that is stopped while the others wait for it.
    pub fn stuck(&self) -> Option<u16> {
        todo!()
    }
}
