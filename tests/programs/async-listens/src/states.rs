//! Enabled, disabled, paused; and the end.

use crate::world::{World, accept, connections, has_event, line, local, options, outcome, yes};
use evconn_guest::p3::bindings::command::evconn::tcp::listener::State;
use futures::FutureExt;
use futures::future::join;
use std::pin::pin;

fn state(state: State) -> &'static str {
    match state {
        State::Accepting => "accepting",
        State::Disabled => "disabled",
        State::Paused => "paused",
        State::BackingOff(_) => "backing-off",
        State::Stopped(_) => "stopped",
    }
}

/// A call that waits is woken by `enable`.
pub async fn disabled(world: &World) {
    let options = options();
    options.set_enabled(false);
    let listener = world.listener(&options);
    line("state", state(listener.state()));
    let client = world.client(&listener).await;
    let mut call = pin!(listener.next_events(64));
    line("at once", yes(call.as_mut().now_or_never().is_some()));
    line("enable", outcome(&listener.enable()));
    let accepted = connections(call.await);
    line("later", yes(accepted[0].peer == client.address()));
    line("state", state(listener.state()));
}

/// A call that waits is woken by `set-callback`, and its event has the new callback.
pub async fn paused(world: &World) {
    let options = options();
    options.set_callback(None);
    let listener = world.listener(&options);
    line("state", state(listener.state()));
    let _client = world.client(&listener).await;
    let mut call = pin!(listener.next_events(64));
    line("at once", yes(call.as_mut().now_or_never().is_some()));
    listener.set_callback(Some(99));
    line("callback", connections(call.await)[0].callback);
    listener.set_callback(None);
    line("state", state(listener.state()));
}

/// What is called while another call waits applies to it.
pub async fn changes(world: &World) {
    let listener = world.listener(&options());
    let mut call = pin!(listener.next_events(64));
    line("at once", yes(call.as_mut().now_or_never().is_some()));
    listener.disable();
    let client = world.client(&listener).await;
    line("disabled", yes(call.as_mut().now_or_never().is_some()));
    listener.disable();
    line("enable", outcome(&listener.enable()));
    line("enable", outcome(&listener.enable()));
    line(
        "peer",
        yes(connections(call.await)[0].peer == client.address()),
    );
    listener.set_callback(Some(1));
    let (accepted, _client) = join(accept(&listener), world.client(&listener)).await;
    line("callback", accepted.callback);
    line("accepted", listener.stats().accepted);
}

/// Nobody can connect any more, who waits is gone, and who was delivered is not.
pub async fn dropped(world: &World) {
    let listener = world.listener(&options());
    let address = local(&listener).remove(0);
    let mut client = world.client(&listener).await;
    let accepted = accept(&listener).await;
    let waits = world.client(&listener).await;
    line("at once", yes(has_event(&world.listener(&options()))));
    drop(listener);
    line("connect", outcome(&world.connect(address).await));
    let (mut bytes, ended) = waits.socket.receive();
    line("a byte for who waits", yes(bytes.next().await.is_some()));
    drop(ended);
    client.send(b"x").await;
    let (mut bytes, _ended) = accepted.socket.receive();
    line(
        "a byte of who was delivered",
        yes(bytes.next().await == Some(b'x')),
    );
}
