//! Timers, and how a loop ends.

use crate::report::say;
use evconn_guest::{EventBase, Timer};
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_millis(10);
const NEVER: Duration = Duration::from_secs(3600);

fn ended(base: &EventBase) {
    say("ended", format_args!("{:?}", base.dispatch()));
}

/// By their time, and those of one time as they were set up.
pub fn in_order(_: IpAddr) {
    let base = EventBase::new();
    base.timer(LATER, |_| say("timer", "later"));
    base.timer(SOON, |base| {
        say("timer", "soon");
        base.timer(Duration::ZERO, |_| say("timer", "at once"));
    });
    base.timer(Duration::ZERO, |_| say("timer", "first"));
    base.timer(Duration::ZERO, |_| say("timer", "second"));
    ended(&base);
}

/// Before its time, by another one of the same turn, after its time, and by itself.
pub fn cancelled(_: IpAddr) {
    let base = EventBase::new();
    base.timer(NEVER, |_| say("timer", "never")).cancel();
    let place: Rc<RefCell<Option<Timer>>> = Rc::default();
    let other = Rc::clone(&place);
    let canceller = base.timer(Duration::ZERO, move |_| {
        say("timer", "cancels");
        let other = other.take().expect("it is there");
        other.cancel();
        assert!(!other.is_pending());
    });
    place.replace(Some(base.timer(Duration::ZERO, |_| say("timer", "never"))));
    assert!(canceller.is_pending());
    ended(&base);
    assert!(!canceller.is_pending());
    canceller.cancel();

    let itself = Rc::clone(&place);
    place.replace(Some(base.interval(Duration::ZERO, move |_| {
        say("timer", "itself");
        itself.take().expect("it is there").cancel();
    })));
    ended(&base);
}

pub fn repeated(_: IpAddr) {
    let base = EventBase::new();
    let mut left = 3;
    base.interval(Duration::from_millis(1), move |base| {
        say("tick", left);
        left -= 1;
        if left == 0 {
            base.loop_break();
        }
    });
    ended(&base);
}

/// One that is always due does not keep the others from theirs.
pub fn in_no_time(_: IpAddr) {
    let base = EventBase::new();
    let spinning = base.interval(Duration::ZERO, |_| {});
    base.timer(SOON, move |_| {
        say("timer", "soon");
        spinning.cancel();
    });
    ended(&base);
}

pub fn exit_after(_: IpAddr) {
    let base = EventBase::new();
    base.timer(NEVER, |_| say("timer", "never"));
    base.loop_exit(SOON);
    ended(&base);
    // Before the loop: the next one ends, after one turn.
    base.timer(Duration::ZERO, |_| say("timer", "once"));
    base.loop_exit(Duration::ZERO);
    ended(&base);
    // It is something to wait for.
    let other = EventBase::default();
    other.loop_exit(SOON);
    ended(&other);
}

pub fn nothing_left(_: IpAddr) {
    let base = EventBase::new();
    ended(&base);
    say("run_once", format_args!("{:?}", base.run_once()));
    say("run_ready", format_args!("{:?}", base.run_ready()));
}

pub fn one_turn(_: IpAddr) {
    let base = EventBase::new();
    base.timer(SOON, |_| say("timer", "soon"));
    say("run_ready", format_args!("{:?}", base.run_ready()));
    say("run_once", format_args!("{:?}", base.run_once()));
    say("run_once", format_args!("{:?}", base.run_once()));
}
