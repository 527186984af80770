//! Every call in every state: the table of `wit/SEMANTICS.md`, on the real component.
//!
//! The test of a cell is named after it, `semantics::STATE::CALL`. Here is what each call must do in
//! each state; how a listener gets into a state is in `case.rs`.

mod case;

use super::instance::State as WitState;
use case::{CALLBACK, Case, State};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

macro_rules! in_every_state {
    ($($call:ident),* $(,)?) => {
        in_every_state!(@state accepting, Accepting, [$($call),*]);
        in_every_state!(@state backing_off, BackingOff, [$($call),*]);
        in_every_state!(@state paused, Paused, [$($call),*]);
        in_every_state!(@state disabled, Disabled, [$($call),*]);
        in_every_state!(@state stopped, Stopped, [$($call),*]);
    };
    (@state $module:ident, $state:ident, [$($call:ident),*]) => {
        mod $module {
            $(
                #[test]
                fn $call() {
                    let name = concat!(module_path!(), "::", stringify!($call));
                    super::case::run(name, super::State::$state, super::$call);
                }
            )*
        }
    };
}

in_every_state!(
    enable,
    disable,
    set_callback,
    clear_callback,
    set_error_callback,
    state,
    local_addresses,
    next_events,
    wait_events,
    subscribe,
    retry,
    stats,
    into_sockets,
    drop_listener,
);

async fn enable(mut case: Case) {
    let result = case.enable().await;
    match case.state {
        State::Stopped => assert_eq!(result, Err(ErrorCode::InvalidState)),
        _ => assert_eq!(result, Ok(())),
    }
    case.expect(match case.state {
        State::Disabled => State::Accepting,
        unchanged => unchanged,
    })
    .await;
}

async fn disable(mut case: Case) {
    case.disable().await;
    case.expect(match case.state {
        State::Stopped => State::Stopped,
        _ => State::Disabled,
    })
    .await;
}

/// It replaces the callback, resumes what was paused, and enables nothing.
async fn set_callback(mut case: Case) {
    const OTHER: u64 = 9;
    case.set_callback(Some(OTHER)).await;
    case.expect(match case.state {
        State::Paused => State::Accepting,
        unchanged => unchanged,
    })
    .await;
    if matches!(case.state, State::Accepting | State::Paused) {
        assert_eq!(case.wait_events(None).await, [Ok(OTHER)]);
    }
}

async fn clear_callback(mut case: Case) {
    case.set_callback(None).await;
    case.expect(match case.state {
        State::Accepting | State::BackingOff => State::Paused,
        unchanged => unchanged,
    })
    .await;
    // In a disabled listener it is stored: enabling pauses it.
    if case.state == State::Disabled {
        case.enable().await.expect("enabled");
        case.expect(State::Paused).await;
    }
}

/// The next error goes to it.
async fn set_error_callback(mut case: Case) {
    const OTHER: u64 = 10;
    case.set_error_callback(Some(OTHER)).await;
    case.expect(case.state).await;
    match case.state {
        State::Stopped => assert_eq!(case.wait_events(None).await, []),
        State::BackingOff => assert_eq!(case.wait_events(None).await, [Err(OTHER)]),
        State::Accepting | State::Paused | State::Disabled => {
            case.set_callback(Some(CALLBACK)).await;
            case.enable().await.expect("enabled");
            assert_eq!(case.wait_events(None).await, [Ok(CALLBACK)]);
            case.break_it();
            assert_eq!(case.wait_events(None).await, [Err(OTHER)]);
        }
    }
}

async fn state(mut case: Case) {
    match (case.state, case.wit_state().await) {
        (State::Accepting, WitState::Accepting)
        | (State::Paused, WitState::Paused)
        | (State::Disabled, WitState::Disabled) => {}
        (State::BackingOff, WitState::BackingOff(left)) => {
            assert!((1..=640_000_000).contains(&left), "{left} ns");
        }
        (State::Stopped, WitState::Stopped(code)) => {
            assert_eq!(code, ErrorCode::InvalidArgument);
        }
        (expected, _) => panic!("it is not {expected:?}"),
    }
}

async fn local_addresses(mut case: Case) {
    // After a shutdown the kernel still knows the address, but not the port.
    if case.state != State::Stopped {
        assert_eq!(case.local_address().await, case.address);
    }
    case.expect(case.state).await;
}

async fn next_events(mut case: Case) {
    match case.state {
        // Nobody says how soon a peer that waits can be taken: `wait-events` waits for that.
        State::Accepting => assert_eq!(case.wait_events(None).await, [Ok(CALLBACK)]),
        _ => assert_eq!(case.next_events(8).await, []),
    }
    assert_eq!(case.next_events(0).await, []);
    case.expect(case.state).await;
}

async fn wait_events(mut case: Case) {
    const MILLISECOND: u64 = 1_000_000;
    match case.state {
        State::Accepting => assert_eq!(case.wait_events(None).await, [Ok(CALLBACK)]),
        State::BackingOff => {
            assert_eq!(case.wait_events(Some(MILLISECOND)).await, []);
            // The step ends, and the next attempt fails as well.
            assert_eq!(case.wait_events(None).await, [Err(CALLBACK)]);
        }
        State::Paused | State::Disabled | State::Stopped => {
            assert_eq!(case.wait_events(None).await, []);
            assert_eq!(case.wait_events(Some(MILLISECOND)).await, []);
        }
    }
    case.expect(case.state).await;
}

async fn subscribe(mut case: Case) {
    let count = case.subscribe().await;
    assert_eq!(
        count,
        match case.state {
            State::Accepting | State::BackingOff => 1,
            State::Paused | State::Disabled | State::Stopped => 0,
        }
    );
    case.expect(case.state).await;
}

async fn retry(mut case: Case) {
    case.retry().await;
    case.expect(match case.state {
        State::BackingOff => State::Accepting,
        unchanged => unchanged,
    })
    .await;
    let retries = u64::from(case.state == State::BackingOff);
    assert_eq!(case.stats().await.retries, retries);
}

async fn stats(mut case: Case) {
    let stats = case.stats().await;
    assert_eq!(
        (stats.accepted, stats.aborted, stats.peer_errors),
        (0, 0, 0)
    );
    assert_eq!((stats.held, stats.timed_out, stats.retries), (0, 0, 0));
    let fatal = u64::from(case.state == State::Stopped);
    assert_eq!(stats.fatal_errors, fatal);
    assert_eq!(stats.resource_errors, stats.backoff_steps);
    assert_eq!(stats.backoff_steps > 0, case.state == State::BackingOff);
    case.expect(case.state).await;
}

/// The peer that waits stays with the socket, whatever the listener was doing.
async fn into_sockets(case: Case) {
    let state = case.state;
    let mut again = case.take_apart_and_put_together().await;
    if state == State::Stopped {
        return;
    }
    again.set_callback(Some(CALLBACK)).await;
    match state {
        // There are still no descriptors.
        State::BackingOff => again.expect(State::Accepting).await,
        _ => assert_eq!(again.wait_events(None).await, [Ok(CALLBACK)]),
    }
}

async fn drop_listener(case: Case) {
    let address = case.address;
    case.drop().await;
    assert_eq!(crate::support::descriptors::bound_to(address), 0);
}

/// A step goes on, and can be ended, while the listener is disabled or paused.
#[test]
fn retry_ends_a_step_while_disabled_and_while_paused() {
    let name = concat!(
        module_path!(),
        "::retry_ends_a_step_while_disabled_and_while_paused"
    );
    case::run(name, State::BackingOff, |mut case| async move {
        case.disable().await;
        case.retry().await;
        assert_eq!(case.stats().await.retries, 1);
        case.enable().await.expect("enabled");
        case.expect(State::Accepting).await;

        assert_eq!(case.wait_events(None).await, [Err(CALLBACK)]);
        case.expect(State::BackingOff).await;
        case.set_callback(None).await;
        case.wait_out_the_retry_limit().await;
        case.retry().await;
        assert_eq!(case.stats().await.retries, 2);
        case.set_callback(Some(CALLBACK)).await;
        case.expect(State::Accepting).await;
    });
}

/// The second one is too soon to have an effect.
#[test]
fn retry_has_an_effect_at_most_once_in_5_ms() {
    let name = concat!(module_path!(), "::retry_has_an_effect_at_most_once_in_5_ms");
    case::run(name, State::BackingOff, |mut case| async move {
        case.retry().await;
        // The attempt after it fails; a retry right after that one is too soon, unless the machine
        // took its time. So many cannot all be late.
        let mut ignored = 0;
        for _ in 0..20 {
            case.wait_events(None).await;
            case.wait_out_the_retry_limit().await;
            case.retry().await;
            case.wait_events(None).await;
            let before = case.stats().await.retries;
            case.retry().await;
            ignored += u64::from(case.stats().await.retries == before);
            if ignored > 0 {
                return;
            }
        }
        panic!("each of 40 retries had an effect");
    });
}
