//! `wasi:io/poll`: wasmtime-wasi's pollables as they are, and those of sockets and timers in a cheaper way.
//!
//! What waits for a listener, or for a stream of a socket, is in the resource table as a
//! [`SocketPollable`], and is asked without an allocation: an instance that serves many connections asks
//! about all of them whenever it waits. A timer is in the table as its [`Deadline`].

use super::clocks::Deadline;
pub(crate) use super::socket_pollable::SocketPollable;
use crate::listen::{AnyListener, Waits};
use crate::socket::TcpSocket;
use crate::view::TcpView;
use futures_util::future::OptionFuture;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::task::coop;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceTable, ResourceTableError, ResourceType};
use wasmtime_wasi::p2::bindings::io::poll::{Host as _, HostPollable as _};
use wasmtime_wasi::p2::{DynPollable, subscribe};

/// Puts one into the table, as a child of the stream or the socket that it is about.
pub(crate) fn push<S: 'static>(
    table: &mut ResourceTable,
    of: &Resource<S>,
    pollable: SocketPollable,
) -> Result<Resource<DynPollable>, ResourceTableError> {
    let pollable = table.push_child(pollable, of)?;
    Ok(Resource::new_own(pollable.rep()))
}

/// Waits until some pollables are ready, and returns their indices in the list. A host that
/// waits for what a guest has subscribed to needs this rather than wasmtime-wasi's implementation for
/// [`ResourceTable`], which does not know the pollables of sockets.
///
/// # Errors
/// If the list is empty, or longer than the table may be, or one of them is not in the table.
pub async fn poll(
    table: &mut ResourceTable,
    pollables: Vec<Resource<DynPollable>>,
) -> wasmtime::Result<Vec<u32>> {
    check(table, &pollables)?;
    // However often it asks, other tasks get their time slice; but within one look all are asked.
    coop::consume_budget().await;
    let mut list = PollList::of(table, pollables)?;
    let ready = coop::unconstrained(list.poll(table)).await;
    for pollable in list.lent {
        table.drop(pollable)?;
    }
    ready
}

/// Checks that a list is neither empty nor longer than the table may be.
fn check(table: &ResourceTable, pollables: &[Resource<DynPollable>]) -> wasmtime::Result<()> {
    if pollables.is_empty() {
        wasmtime::bail!(
            "empty poll list: poll takes one pollable at least, and a program that has nothing to wait for does \
             not call it"
        );
    }
    if pollables.len() > table.max_capacity() {
        wasmtime::bail!(
            "poll takes {} pollables at most, as many as the guest may have handles, not {}",
            table.max_capacity(),
            pollables.len()
        );
    }
    Ok(())
}

/// The pollables of a list, with their places in it.
struct PollList {
    sockets: Vec<(u32, SocketPollable)>,
    timers: Vec<(u32, Deadline)>,
    others: Vec<Resource<DynPollable>>,
    /// The places of the others.
    places: Vec<u32>,
    /// Those of the others that are in the table for this list only.
    lent: Vec<Resource<DynPollable>>,
}

impl PollList {
    fn of(
        table: &mut ResourceTable,
        pollables: Vec<Resource<DynPollable>>,
    ) -> wasmtime::Result<Self> {
        let mut list = Self {
            sockets: Vec::with_capacity(pollables.len()),
            timers: Vec::new(),
            others: Vec::new(),
            places: Vec::new(),
            lent: Vec::new(),
        };
        for (place, pollable) in (0..).zip(pollables) {
            let other = match find(table, pollable)? {
                Found::Socket(pollable) => {
                    list.sockets.push((place, pollable));
                    continue;
                }
                Found::Timer(deadline) => {
                    list.timers.push((place, deadline));
                    continue;
                }
                Found::Other(pollable) => pollable,
                Found::Connect(pollable) => {
                    list.lent.push(Resource::new_own(pollable.rep()));
                    pollable
                }
            };
            list.others.push(other);
            list.places.push(place);
        }
        Ok(list)
    }

    /// Returns the places of those that are ready, once there are some.
    async fn poll(&mut self, table: &mut ResourceTable) -> wasmtime::Result<Vec<u32>> {
        let Self {
            sockets,
            timers,
            others,
            places,
            ..
        } = self;
        let until = timers.iter().map(|(_, timer)| *timer).reduce(Deadline::min);
        let waits = match others.is_empty() {
            true => waits_for_connections(sockets.iter().map(|(_, pollable)| pollable), until),
            false => None,
        };
        let mut expires = pin!(OptionFuture::from(until.map(Deadline::over)));
        let others = std::mem::take(others);
        let others = (!others.is_empty()).then(|| table.poll(others));
        let mut others = pin!(OptionFuture::from(others));
        poll_fn(|cx| {
            if let Some(error) = waits.as_ref().and_then(Waits::end) {
                return Poll::Ready(Err(error));
            }
            let is_ready = |(place, pollable): &(u32, SocketPollable)| {
                pollable.poll_ready(cx).is_ready().then_some(*place)
            };
            let mut ready: Vec<u32> = sockets.iter().filter_map(is_ready).collect();
            if !timers.is_empty() && expires.as_mut().poll(cx).is_ready() {
                let expired = timers.iter().filter(|(_, timer)| timer.is_over());
                ready.extend(expired.map(|(place, _)| *place));
            }
            if !places.is_empty()
                && let Poll::Ready(Some(result)) = others.as_mut().poll(cx)
            {
                match result {
                    Ok(indices) => {
                        ready.extend(indices.iter().map(|index| places[*index as usize]));
                    }
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            match ready.is_empty() {
                true => Poll::Pending,
                false => Poll::Ready(Ok(ready)),
            }
        })
        .await
    }
}

/// Records, if what is waited for is connections from the host and nothing else, or that until it is time, that this is
/// so. What a guest has to say to itself does not count: nobody says it while the guest waits.
fn waits_for_connections<'a>(
    mut pollables: impl Iterator<Item = &'a SocketPollable>,
    until: Option<Deadline>,
) -> Option<Waits<'a>> {
    let mut incoming = None;
    let only = pollables.all(|pollable| {
        incoming = incoming.or(pollable.incoming());
        pollable.incoming().is_some() || pollable.is_for_itself()
    });
    incoming.filter(|_| only).map(|incoming| match until {
        Some(_) => incoming.wait_for_a_time(),
        None => incoming.wait(),
    })
}

/// Waits until it is ready.
pub async fn block(
    table: &mut ResourceTable,
    pollable: Resource<DynPollable>,
) -> wasmtime::Result<()> {
    coop::consume_budget().await;
    match find(table, pollable)? {
        Found::Socket(pollable) => {
            let waits = waits_for_connections(std::iter::once(&pollable), None);
            poll_fn(|cx| match waits.as_ref().and_then(Waits::end) {
                Some(error) => Poll::Ready(Err(error)),
                None => pollable.poll_ready(cx).map(Ok),
            })
            .await
        }
        Found::Timer(deadline) => {
            deadline.over().await;
            Ok(())
        }
        Found::Other(pollable) => table.block(pollable).await,
        Found::Connect(pollable) => {
            let lent = Resource::new_own(pollable.rep());
            table.block(pollable).await?;
            table.drop(lent)
        }
    }
}

/// Whether it is ready.
pub async fn ready(
    table: &mut ResourceTable,
    pollable: Resource<DynPollable>,
) -> wasmtime::Result<bool> {
    match find(table, pollable)? {
        Found::Socket(pollable) => {
            coop::consume_budget().await;
            let look = poll_fn(|cx| Poll::Ready(pollable.poll_ready(cx).is_ready()));
            Ok(coop::unconstrained(look).await)
        }
        Found::Timer(deadline) => {
            coop::consume_budget().await;
            Ok(deadline.is_over())
        }
        Found::Other(pollable) => table.ready(pollable).await,
        Found::Connect(pollable) => {
            let lent = Resource::new_own(pollable.rep());
            let is_ready = table.ready(pollable).await;
            table.drop(lent)?;
            is_ready
        }
    }
}

/// Takes a pollable out of the table, whatever it waits for.
///
/// # Errors
/// If it is not there.
pub fn delete_pollable(
    table: &mut ResourceTable,
    pollable: Resource<DynPollable>,
) -> wasmtime::Result<()> {
    let index = pollable.rep();
    let any = table.get_any_mut(index)?;
    if any.is::<SocketPollable>() {
        table.delete(Resource::<SocketPollable>::new_own(index))?;
    } else if any.is::<Deadline>() {
        table.delete(Resource::<Deadline>::new_own(index))?;
    } else {
        table.drop(pollable)?;
    }
    Ok(())
}

/// What a pollable in the table is.
enum Found {
    Socket(SocketPollable),
    Timer(Deadline),
    /// One of wasmtime-wasi's.
    Other(Resource<DynPollable>),
    /// One of wasmtime-wasi's for a socket that connects, to be dropped after use.
    Connect(Resource<DynPollable>),
}

fn find(table: &mut ResourceTable, pollable: Resource<DynPollable>) -> wasmtime::Result<Found> {
    let any = table.get_any_mut(pollable.rep())?;
    let socket = match any.downcast_ref::<SocketPollable>() {
        Some(SocketPollable::Socket(index)) => Resource::<TcpSocket>::new_borrow(*index),
        Some(pollable) => return Ok(Found::Socket(pollable.clone())),
        None => {
            let timer = any.downcast_ref::<Deadline>();
            return Ok(timer.map_or(Found::Other(pollable), |timer| Found::Timer(*timer)));
        }
    };
    Ok(match table.get(&socket)? {
        connecting if connecting.is_connecting() => Found::Connect(subscribe(table, socket)?),
        other => Found::Socket(match other.listener() {
            Some(AnyListener::Virtual(listener)) => SocketPollable::Virtual(Arc::clone(listener)),
            Some(AnyListener::System(listener)) => SocketPollable::Listener(Arc::clone(listener)),
            // It is ready, as the WIT documents have it.
            None => SocketPollable::Revoked,
        }),
    })
}

/// Defines the interface's functions, or replace them.
pub(crate) fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("wasi:io/poll@0.2.12")?;
    interface.resource(
        "pollable",
        ResourceType::host::<DynPollable>(),
        |mut store: StoreContextMut<'_, T>, index| {
            delete_pollable(store.data_mut().tcp().table, Resource::new_own(index))
        },
    )?;
    interface.func_wrap_async(
        "poll",
        |mut store: StoreContextMut<'_, T>, (pollables,): (Vec<Resource<DynPollable>>,)| {
            Box::new(async move {
                let table = store.data_mut().tcp().table;
                Ok((poll(table, pollables).await?,))
            })
        },
    )?;
    interface.func_wrap_async(
        "[method]pollable.ready",
        |mut store: StoreContextMut<'_, T>, (pollable,): (Resource<DynPollable>,)| {
            Box::new(async move {
                let table = store.data_mut().tcp().table;
                Ok((ready(table, pollable).await?,))
            })
        },
    )?;
    interface.func_wrap_async(
        "[method]pollable.block",
        |mut store: StoreContextMut<'_, T>, (pollable,): (Resource<DynPollable>,)| {
            Box::new(async move {
                let table = store.data_mut().tcp().table;
                block(table, pollable).await
            })
        },
    )
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::connection::Endpoint;
    use crate::listen::Incoming;
    use crate::sys;
    use crate::transport::Plain;
    use std::net::{Ipv4Addr, SocketAddr};

    const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

    #[tokio::test]
    async fn a_guest_that_waits_for_connections_can_be_ended() {
        let incoming = Incoming::new();
        let listener = incoming.bind(ADDRESS).expect("a port").listen();
        let mut table = ResourceTable::new();
        let listener = SocketPollable::Virtual(Arc::new(listener));
        let pollable = table.push(listener).expect("room").rep();
        let mut waits = Box::pin(block(&mut table, Resource::new_borrow(pollable)));
        assert!(futures_util::poll!(&mut waits).is_pending());
        incoming.end(wasmtime::Error::msg("not needed"));
        let error = waits.await.expect_err("its end");
        assert_eq!(error.to_string(), "not needed");
        let list = vec![Resource::new_borrow(pollable)];
        let mut waits = pin!(poll(&mut table, list));
        assert!(futures_util::poll!(&mut waits).is_pending(), "only once");
        incoming.end(wasmtime::Error::msg("not needed"));
        assert!(waits.await.is_err());
    }

    #[tokio::test]
    async fn a_guest_waits_for_connections_and_for_nothing_else() {
        let incoming = Incoming::new();
        let listener = incoming.bind(ADDRESS).expect("a port").listen();
        let listener = SocketPollable::Virtual(Arc::new(listener));
        let (one, other) = sys::pair().expect("a pair");
        let own = Arc::new(Endpoint::own(Plain::unix(one), ADDRESS));
        let (input, output) = (
            SocketPollable::Input(Arc::clone(&own)),
            SocketPollable::Output(own),
        );
        let waits = |list: &[&SocketPollable]| {
            let waits = waits_for_connections(list.iter().copied(), None);
            assert_eq!(waits.is_some(), incoming.is_awaited());
            waits.is_some()
        };
        assert!(waits(&[&listener]) && waits(&[&listener, &listener]));
        // Nobody else sends to itself.
        assert!(waits(&[&input, &listener]));
        assert!(!waits(&[]) && !waits(&[&input]) && !waits(&[&listener, &output]));
        assert!(!waits(&[&listener, &SocketPollable::Revoked]));
        sys::send(&other, b"x").expect("sent");
        assert!(!waits(&[&input, &listener]));
        let (stranger, _peer) = sys::pair().expect("a pair");
        let stranger = Endpoint::new(Plain::unix(stranger), ADDRESS);
        assert!(!waits(&[
            &listener,
            &SocketPollable::Input(Arc::new(stranger))
        ]));
    }

    #[tokio::test]
    async fn a_guest_that_waits_up_to_a_time_may_have_something_to_do_then() {
        let incoming = Incoming::new();
        let listener = incoming.bind(ADDRESS).expect("a port").listen();
        let listener = Arc::new(listener);
        let list = [SocketPollable::Virtual(Arc::clone(&listener))];
        let wait = |until| waits_for_connections(list.iter(), until).expect("a listening socket");
        for _ in 0..2 {
            let waits = wait(Some(Deadline::Past));
            assert!(!incoming.is_awaited());
            drop(waits);
            let waits = wait(Some(Deadline::Past));
            assert!(incoming.is_awaited() && incoming.has_timeout());
            drop(waits);
            let (socket, _peer) = sys::pair().expect("a pair");
            incoming.push(Arc::new(Endpoint::new(Plain::unix(socket), ADDRESS)));
            assert!(listener.accept().is_some());
        }
        let waits = wait(None);
        assert!(incoming.is_awaited() && !incoming.has_timeout());
        drop(waits);
        let _waits = wait(Some(Deadline::Never));
        assert!(!incoming.is_awaited());
    }

    #[tokio::test]
    async fn the_end_of_what_a_guest_has_said_to_itself_is_something() {
        let incoming = Incoming::new();
        let listener = incoming.bind(ADDRESS).expect("a port").listen();
        let listener = SocketPollable::Virtual(Arc::new(listener));
        let (one, other) = sys::pair().expect("a pair");
        let own = Arc::new(Endpoint::own(Plain::unix(one), ADDRESS));
        drop(other);
        let list = [SocketPollable::Input(own), listener];
        assert!(waits_for_connections(list.iter(), None).is_none());
    }
}
