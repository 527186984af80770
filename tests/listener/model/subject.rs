//! The component and its clients, with one method for each operation.

use super::super::instance::{Event, Instance, Recovery, State, Stats};
use super::oracle::Report;
use super::script::{Place, Setup};
use anyhow::{Context, Result, bail, ensure};
use socket2::SockRef;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;
use wasmtime::component::ResourceAny;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// Far more than anything here takes, and not too long for shrinking.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Longer than any test: no held connection is closed for want of a byte.
const HELD_FOR: u64 = 3_600_000_000_000;

/// A listener, everything it has delivered, and everybody who has connected.
pub struct Subject {
    // They go first: a client that resets leaves no TIME_WAIT behind, one whose server has closed
    // before may.
    clients: Vec<Client>,
    instance: Instance,
    options: ResourceAny,
    listener: ResourceAny,
    /// Those of the sockets.
    pub addresses: Vec<SocketAddr>,
}

/// The client's side of a connection, until it resets.
struct Client(Option<TcpStream>);

impl Subject {
    pub async fn new(setup: &Setup) -> Result<Self> {
        let mut instance = Instance::new().await;
        // A script ends with what was delivered still open, or in the middle with an error.
        instance.may_leave_resources();
        let options = make_options(&mut instance, setup).await?;
        let address = SocketAddr::new(setup.place.addresses()[0], 0);
        let listener = instance.bind(address, Some(options)).await?;
        let mut subject = Self {
            clients: Vec::new(),
            instance,
            options,
            listener,
            addresses: Vec::new(),
        };
        subject.addresses = subject.local_addresses().await?;
        Ok(subject)
    }

    pub async fn enable(&mut self) -> Result<(), ErrorCode> {
        let (guest, store) = self.instance.listeners();
        let enabled = guest.call_enable(store, self.listener).await;
        enabled.expect("no trap")
    }

    pub async fn disable(&mut self) {
        self.instance.disable(self.listener).await;
    }

    pub async fn set_callback(&mut self, callback: Option<u64>) {
        self.instance.set_callback(self.listener, callback).await;
    }

    pub async fn set_error_callback(&mut self, callback: Option<u64>) {
        let (guest, store) = self.instance.listeners();
        let set = guest.call_set_error_callback(store, self.listener, callback);
        set.await.expect("no trap");
    }

    pub async fn retry(&mut self) {
        let (guest, store) = self.instance.listeners();
        let retried = guest.call_retry(store, self.listener).await;
        retried.expect("no trap");
    }

    pub async fn state(&mut self) -> State {
        self.instance.state(self.listener).await
    }

    pub async fn stats(&mut self) -> Stats {
        let (guest, store) = self.instance.listeners();
        let stats = guest.call_stats(store, self.listener).await;
        stats.expect("no trap")
    }

    pub async fn local_addresses(&mut self) -> Result<Vec<SocketAddr>> {
        let (guest, store) = self.instance.listeners();
        let addresses = guest.call_local_addresses(store, self.listener).await;
        let addresses = addresses.expect("no trap")?;
        Ok(addresses.into_iter().map(SocketAddr::from).collect())
    }

    pub async fn next_events(&mut self, max: u32) -> Result<Vec<Report>> {
        let (guest, store) = self.instance.listeners();
        let events = guest.call_next_events(store, self.listener, max).await;
        reports(events.expect("no trap"))
    }

    pub async fn wait_events(
        &mut self,
        max: u32,
        timeout: Option<Duration>,
    ) -> Result<Vec<Report>> {
        let timeout = timeout.map(|timeout| timeout.as_nanos() as u64);
        let (guest, store) = self.instance.listeners();
        let events = guest.call_wait_events(store, self.listener, max, timeout);
        let events = tokio::time::timeout(DEADLINE, events)
            .await
            .context("the wait does not end")?;
        reports(events.expect("no trap"))
    }

    /// Subscribe, wait until a pollable is ready or for `patience`, and unsubscribe. Returns how
    /// many pollables there were, and whether one was ready.
    pub async fn subscribe(&mut self, patience: Duration) -> (usize, bool) {
        let pollables = self.instance.subscribe(self.listener).await;
        let count = pollables.len();
        // An empty list must not be polled.
        let is_ready = count > 0 && {
            let ready = self.instance.poll(&pollables);
            tokio::time::timeout(patience, ready).await.is_ok()
        };
        self.instance.unsubscribe(pollables);
        (count, is_ready)
    }

    /// Takes the listener apart, and puts it together again, the sockets in the other order.
    pub async fn take_apart_and_put_together(&mut self) -> Result<()> {
        let mut sockets = self.instance.take_apart(self.listener).await;
        ensure!(sockets.len() == self.addresses.len(), "{}", sockets.len());
        sockets.reverse();
        let (guest, store) = self.instance.listeners();
        let listener = guest.call_from_sockets(store, &sockets, Some(self.options));
        self.listener = listener.await.expect("no trap")?;
        Ok(())
    }

    pub async fn drop_listener(&mut self) {
        let dropped = self.listener.resource_drop_async(&mut self.instance.store);
        dropped.await.expect("no trap");
    }
}

/// The clients.
impl Subject {
    /// Connect, and return the client's address.
    pub fn connect(&mut self, socket: usize) -> Result<SocketAddr> {
        let stream = TcpStream::connect(self.addresses[socket]).context("connecting")?;
        // However it is closed, it resets: thousands of connections in TIME_WAIT would use up the
        // ports of the machine.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        stream.set_nonblocking(true)?;
        let address = stream.local_addr()?;
        self.clients.push(Client(Some(stream)));
        Ok(address)
    }

    pub fn reset(&mut self, client: usize) {
        self.clients[client].0 = None;
    }

    /// Sends a byte. Fails if the connection was closed.
    pub fn send(&mut self, client: usize) -> Result<()> {
        let mut stream = self.stream(client)?;
        stream.write_all(b"x").context("sending a byte")
    }

    pub fn end_its_side(&mut self, client: usize) -> Result<()> {
        let stream = self.stream(client)?;
        stream.shutdown(Shutdown::Write).context("ending its side")
    }

    /// Returns whether a client has seen the end of its connection, which it has not reset.
    pub fn has_ended(&self, client: usize) -> Result<bool> {
        match self.stream(client)?.peek(&mut [0]) {
            Ok(0) => Ok(true),
            Ok(_) => bail!("client {client} is sent something"),
            Err(error) => Ok(error.kind() != ErrorKind::WouldBlock),
        }
    }

    /// Waits until a client sees the end of its connection.
    pub fn wait_for_end(&self, client: usize) -> Result<()> {
        let mut stream = self.stream(client)?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        match stream.read(&mut [0]) {
            Ok(0) => Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
            other => bail!("client {client} does not see an end: {other:?}"),
        }
    }

    fn stream(&self, client: usize) -> Result<&TcpStream> {
        let stream = self.clients[client].0.as_ref();
        stream.with_context(|| format!("client {client} has reset"))
    }
}

async fn make_options(instance: &mut Instance, setup: &Setup) -> Result<ResourceAny> {
    let options = instance.new_options().await;
    let (guest, store) = instance.options();
    let is_pair = setup.place == Place::DualStack;
    guest
        .call_set_enabled(&mut *store, options, setup.enabled)
        .await?;
    guest
        .call_set_callback(&mut *store, options, setup.callback)
        .await?;
    guest
        .call_set_dual_stack(&mut *store, options, is_pair)
        .await?;
    if let Some(max_held) = setup.max_held {
        guest
            .call_set_deferred_accept(&mut *store, options, max_held, HELD_FOR)
            .await??;
    }
    Ok(options)
}

/// What the events tell. The connections stay open until the store is dropped.
fn reports(events: Vec<Event>) -> Result<Vec<Report>> {
    let report = |event| match event {
        Event::Connection(event) => Ok(Report::Connection {
            callback: event.callback,
            peer: event.connection.peer_address.into(),
        }),
        Event::Error(event) => match event.recovery {
            Recovery::Stopped => Ok(Report::Stopped {
                callback: event.callback,
                code: event.code,
            }),
            Recovery::Retrying(step) => bail!("{:?}, retrying in {step} ns", event.code),
        },
    };
    events.into_iter().map(report).collect()
}
