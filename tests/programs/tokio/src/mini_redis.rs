//! The server of mini-redis, on a runtime of one thread, and without a signal that ends it.

// For its `fcntl`.
use evconn_test_tokio as _;
use mini_redis::{DEFAULT_PORT, server};
use std::future::pending;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> mini_redis::Result<()> {
    let listener = TcpListener::bind(&format!("127.0.0.1:{DEFAULT_PORT}")).await?;
    server::run(listener, pending::<()>()).await
}
