//! A program of WASI 0.3 with the listener, and a function for each case. It is composed with `async-listener.wasm`, is
//! its own client, and prints what the test compares. What must not happen is a panic.

mod deferred;
mod events;
mod library;
mod options;
mod sockets;
mod states;
mod world;

use world::World;

/// Runs the case of this name.
async fn run(arguments: Vec<String>) -> Result<(), String> {
    let [name, ip, ..] = &arguments[..] else {
        return Err("expected the name of a case, and an IP address".to_owned());
    };
    let world = World::new(ip.parse().map_err(|_| "not an IP address")?);
    match &name[..] {
        "events::batches" => events::batches(&world).await,
        "events::a_wait" => events::a_wait(&world).await,
        "events::nothing_is_asked_for" => events::nothing_is_asked_for(&world).await,
        "events::a_wait_that_is_cancelled" => events::a_wait_that_is_cancelled(&world).await,
        "events::several_calls" => events::several_calls(&world).await,
        "events::errors" => events::errors(&world).await,
        "events::errors_that_nobody_wants" => events::errors_that_nobody_wants(&world).await,
        "states::disabled" => states::disabled(&world).await,
        "states::paused" => states::paused(&world).await,
        "states::changes" => states::changes(&world).await,
        "states::dropped" => states::dropped(&world).await,
        "options::invalid" => options::invalid(&world).await,
        "options::dual_stack" => options::dual_stack(&world).await,
        "sockets::bound" => sockets::bound(&world).await,
        "sockets::there_and_back" => sockets::there_and_back(&world).await,
        "sockets::refused" => sockets::refused(&world).await,
        "deferred::bytes" => deferred::bytes(&world).await,
        "deferred::ended" => deferred::ended(&world).await,
        "deferred::full" => deferred::full(&world).await,
        "deferred::too_late" => deferred::too_late(&world).await,
        "library::echo" => library::echo(&world).await,
        "library::told" => library::told(&world).await,
        "library::control" => library::control(&world).await,
        other => return Err(format!("no case {other}")),
    }
    Ok(())
}

evconn_guest::p3_command!(run);
