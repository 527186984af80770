//! `evconn top`: what the admin endpoint of a server says, on a terminal.
//!
//! [`model`] has what the server has told, [`app`] what is shown of it and what keys do, [`view`] draws; the
//! [`client`] asks, and [`terminal`] has the loop. Where it ends: it is a client like any other, and knows nothing of
//! the server but what [`docs/admin.md`] describes.
//!
//! [`docs/admin.md`]: https://github.com/evconn/evconn/blob/main/docs/admin.md

mod address;
mod app;
mod client;
mod model;
mod poll;
mod snapshot;
mod terminal;
mod view;

pub use address::Address;

use anyhow::anyhow;
use app::App;
use client::Client;
use model::Sort;
use std::io;
use std::time::Duration;

/// Asks once. Returns what there is to see, as text.
///
/// # Errors
/// If the server does not answer.
pub async fn once(address: Address) -> anyhow::Result<String> {
    let (_, app) = begin(address, Duration::ZERO).await?;
    Ok(snapshot::snapshot(&app))
}

/// Shows a server on the terminal, until the user quits.
///
/// # Errors
/// If the server does not answer at first, or the terminal cannot be used. The terminal is restored then.
pub async fn show(address: Address, interval: Duration) -> anyhow::Result<()> {
    let (client, app) = begin(address, interval).await?;
    terminal::show(client, app).await
}

async fn begin(address: Address, interval: Duration) -> anyhow::Result<(Client, App)> {
    let name = address.to_string();
    let client = Client::new(address);
    let first = client.read(Sort::default()).await;
    let first = first.map_err(|error| match error.is::<io::Error>() {
        true => anyhow!("{name}: {error:#}: is it the address of a server's --admin?"),
        false => error.context(name.clone()),
    })?;
    Ok((client, App::new(name, interval, first)))
}
