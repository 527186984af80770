//! Tests of the rules of `wit/SEMANTICS.md` that need no socket.

use super::*;
use crate::{LONGEST_STEP, SHORTEST_STEP};
use wasi::sockets::network::ErrorCode;

const CALLBACK: Callback = 7;
const ERROR_CALLBACK: Callback = 8;

fn machine() -> Machine<ErrorCode> {
    Machine::new(Settings {
        enabled: true,
        callback: Some(CALLBACK),
        error_callback: Some(ERROR_CALLBACK),
    })
}

#[test]
fn accepts_when_enabled_with_a_callback() {
    assert_eq!(machine().state(0), State::Accepting);
}

#[test]
fn enable_and_disable_are_idempotent() {
    let mut machine = machine();
    machine.disable();
    machine.disable();
    assert_eq!(machine.state(0), State::Disabled);
    machine.enable().unwrap();
    machine.enable().unwrap();
    assert_eq!(machine.state(0), State::Accepting);
}

#[test]
fn without_a_callback_it_pauses_and_a_new_one_resumes() {
    let mut machine = machine();
    machine.set_callback(None);
    assert_eq!(machine.state(0), State::Paused);
    machine.set_callback(Some(9));
    assert_eq!(machine.state(0), State::Accepting);
    assert_eq!(machine.delivers_to(), Some(9));
}

#[test]
fn set_callback_does_not_enable() {
    let mut machine = machine();
    machine.disable();
    machine.set_callback(Some(9));
    assert_eq!(machine.state(0), State::Disabled);
}

#[test]
fn a_peer_error_is_counted_and_nothing_else() {
    let mut machine = machine();
    assert_eq!(machine.failed(ErrorCode::ConnectionAborted, 0), None);
    assert_eq!(machine.state(0), State::Accepting);
    assert_eq!(machine.stats().peer_errors, 1);
}

#[test]
fn a_resource_error_backs_off_and_is_reported_once_a_step() {
    let mut machine = machine();
    let report = machine.failed(ErrorCode::NewSocketLimit, 0).unwrap();
    assert_eq!(report.callback, ERROR_CALLBACK);
    assert_eq!(report.code, ErrorCode::NewSocketLimit);
    assert_eq!(report.recovery, Recovery::Retrying(SHORTEST_STEP));
    assert_eq!(machine.state(0), State::BackingOff(SHORTEST_STEP));
    assert_eq!(machine.state(SHORTEST_STEP), State::Accepting);

    let report = machine
        .failed(ErrorCode::NewSocketLimit, SHORTEST_STEP)
        .unwrap();
    assert_eq!(report.recovery, Recovery::Retrying(2 * SHORTEST_STEP));
    assert_eq!(machine.stats().backoff_steps, 2);
}

#[test]
fn no_step_is_longer_than_a_second() {
    let mut machine = machine();
    for _ in 0..20 {
        machine.failed(ErrorCode::Unknown, 0);
    }
    assert_eq!(machine.state(0), State::BackingOff(LONGEST_STEP));
}

#[test]
fn a_delivery_resets_the_backoff() {
    let mut machine = machine();
    machine.failed(ErrorCode::Unknown, 0);
    machine.failed(ErrorCode::Unknown, SHORTEST_STEP);
    machine.accepted();
    machine.delivered();
    let report = machine.failed(ErrorCode::Unknown, LONGEST_STEP).unwrap();
    assert_eq!(report.recovery, Recovery::Retrying(SHORTEST_STEP));
    assert_eq!(machine.stats().accepted, 1);
}

#[test]
fn without_an_error_callback_errors_are_counted_and_backed_off() {
    let mut machine = machine();
    machine.set_error_callback(None);
    assert_eq!(machine.failed(ErrorCode::Unknown, 0), None);
    assert_eq!(machine.state(0), State::BackingOff(SHORTEST_STEP));
    assert_eq!(machine.stats().resource_errors, 1);
}

#[test]
fn retry_ends_a_backoff_and_is_counted() {
    let mut machine = machine();
    machine.retry(0);
    assert_eq!(machine.stats().retries, 0, "there was nothing to end");
    machine.failed(ErrorCode::Unknown, 0);
    machine.retry(1);
    assert_eq!(machine.state(1), State::Accepting);
    assert_eq!(machine.stats().retries, 1);
}

#[test]
fn disabled_and_paused_hide_a_backoff_which_goes_on() {
    let mut machine = machine();
    machine.failed(ErrorCode::Unknown, 0);
    machine.disable();
    assert_eq!(machine.state(0), State::Disabled);
    machine.enable().unwrap();
    assert_eq!(machine.state(1), State::BackingOff(SHORTEST_STEP - 1));
    machine.set_callback(None);
    assert_eq!(machine.state(1), State::Paused);
}

#[test]
fn a_fatal_error_stops_for_good() {
    let mut machine = machine();
    let report = machine.failed(ErrorCode::InvalidState, 0).unwrap();
    assert_eq!(report.recovery, Recovery::Stopped);
    assert_eq!(machine.state(0), State::Stopped(ErrorCode::InvalidState));
    assert_eq!(machine.enable(), Err(ErrorCode::InvalidState));
    machine.disable();
    machine.set_callback(None);
    machine.retry(0);
    assert_eq!(machine.state(0), State::Stopped(ErrorCode::InvalidState));
    assert_eq!(machine.stats().fatal_errors, 1);
}

#[test]
fn a_fatal_error_shows_in_the_state_without_an_error_callback() {
    let mut machine = machine();
    machine.set_error_callback(None);
    assert_eq!(machine.failed(ErrorCode::InvalidArgument, 0), None);
    assert_eq!(machine.state(0), State::Stopped(ErrorCode::InvalidArgument));
}

#[test]
fn only_when_it_is_on_does_it_deliver() {
    let mut machine = machine();
    assert_eq!(machine.delivers_to(), Some(CALLBACK));
    machine.failed(ErrorCode::Unknown, 0);
    assert_eq!(machine.delivers_to(), Some(CALLBACK), "backing off");
    machine.disable();
    assert_eq!(machine.delivers_to(), None, "disabled");
    machine.enable().unwrap();
    machine.set_callback(None);
    assert_eq!(machine.delivers_to(), None, "paused");
    machine.set_callback(Some(9));
    machine.failed(ErrorCode::InvalidState, 0);
    assert_eq!(machine.delivers_to(), None, "stopped");
}
