//! All clients of an instance.

use crate::net::{Connection, Output, send};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

#[derive(Default)]
pub struct Room {
    /// How many were there.
    came: Cell<usize>,
    /// Those who are, with their numbers.
    clients: RefCell<Vec<(usize, Output)>>,
    has_failed: Cell<bool>,
    waits: RefCell<Option<Waker>>,
}

impl Room {
    pub fn new() -> Rc<Self> {
        Rc::default()
    }

    /// Returns which one the client is.
    pub fn enter(&self, connection: &Connection) -> usize {
        let number = self.came.get() + 1;
        self.came.set(number);
        let output = Rc::clone(&connection.output);
        self.clients.borrow_mut().push((number, output));
        number
    }

    pub fn leave(&self, number: usize) {
        self.clients
            .borrow_mut()
            .retain(|(other, _)| *other != number);
    }

    /// Sends a line to all.
    pub async fn tell(&self, text: &str) {
        let clients = self.clients.borrow().clone();
        for (_, output) in clients {
            send(&output, format!("{text}\n").into_bytes()).await;
        }
    }

    /// Has the program fail.
    pub fn fail(&self) {
        self.has_failed.set(true);
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }

    pub async fn failed(&self) {
        poll_fn(|cx| match self.has_failed.get() {
            true => Poll::Ready(()),
            false => {
                self.waits.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}
