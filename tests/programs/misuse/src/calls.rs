//! Every call, twice where that means anything, in every state.
//!
//! For `backing-off` and `stopped`, the store makes each accept fail with the code that leads there.

use crate::bindings::evconn::tcp::listener::{Event, Listener, Recovery, State};
use crate::net::{connect, is_free, listen};
use crate::report::{self, count, outcome};

const MILLISECOND: u64 = 1_000_000;

/// A call, or two, and what came of it.
type Call = fn(&Listener) -> String;

const CALLS: [(&str, Call); 12] = [
    ("enable twice", |listener| {
        let (first, second) = (listener.enable(), listener.enable());
        format!("{} {}", outcome(&first), outcome(&second))
    }),
    ("disable twice", |listener| twice(|| listener.disable())),
    ("retry twice", |listener| twice(|| listener.retry())),
    ("set-callback some twice", |listener| {
        twice(|| listener.set_callback(Some(2)))
    }),
    ("set-callback none twice", |listener| {
        twice(|| listener.set_callback(None))
    }),
    ("set-error-callback none twice", |listener| {
        twice(|| listener.set_error_callback(None))
    }),
    ("next-events of 0", |listener| {
        count(listener.next_events(0))
    }),
    ("wait-events of 0", |listener| {
        count(listener.wait_events(0, None))
    }),
    ("next-events", |listener| {
        count(listener.next_events(u32::MAX))
    }),
    ("wait-events for 1 ms", |listener| {
        count(listener.wait_events(1, Some(MILLISECOND)))
    }),
    ("subscribe", |listener| {
        format!("{} pollables", listener.subscribe().len())
    }),
    ("local-addresses and stats", |listener| {
        listener.stats();
        outcome(&listener.local_addresses()).to_owned()
    }),
];

/// Make each call on a listener of its own, that is in that state, and see where it leads.
pub fn in_state(state: &str) {
    for (name, call) in CALLS {
        let (listener, address) = listen();
        lead_into(&listener, state);
        assert_eq!(report::state(&listener), state);
        let came_of_it = call(&listener);
        let then = report::state(&listener);
        drop(listener);
        report::line(name, &format!("{came_of_it}, {then}, {}", is_free(address)));
    }
    if matches!(state, "disabled" | "paused" | "stopped") {
        wait_for_nothing(state);
    }
}

/// Without a timeout, a wait that nothing can end is none, although a peer waits.
fn wait_for_nothing(state: &str) {
    let (listener, address) = listen();
    lead_into(&listener, state);
    let _peer = connect(address);
    let events = listener.wait_events(1, None);
    report::line("wait-events without end", &count(events));
    report::line("next-events with a peer", &count(listener.next_events(1)));
}

fn lead_into(listener: &Listener, state: &str) {
    match state {
        "accepting" => {}
        "disabled" => listener.disable(),
        "paused" => listener.set_callback(None),
        "backing-off" => back_off(listener),
        "stopped" => drop(listener.next_events(1)),
        _ => panic!("there is no state {state:?}"),
    }
}

/// Into a step of 1 s, the longest, which is not over by itself before the test is.
fn back_off(listener: &Listener) {
    const LONGEST: u64 = 1_000 * MILLISECOND;
    listener.set_error_callback(Some(3));
    let mut step = 0;
    while step < LONGEST {
        listener.retry();
        for event in listener.wait_events(1, Some(MILLISECOND)) {
            if let Event::Error(error) = event
                && let Recovery::Retrying(length) = error.recovery
            {
                step = length;
            }
        }
    }
    // The last `retry` is then long enough ago for the next one to have an effect.
    listener.wait_events(1, Some(5 * MILLISECOND));
    assert!(matches!(listener.state(), State::BackingOff(_)));
}

fn twice(call: impl Fn()) -> String {
    call();
    call();
    "done".to_owned()
}
