//! Sessions through real sockets, with rustls as the client and certificates made on the spot.

mod client;
mod config;
mod handshakes;
mod resumption;
mod sessions;
