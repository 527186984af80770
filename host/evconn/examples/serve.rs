//! Serves any component that exports `evconn:tcp/handler`:
//! `cargo run --release --example serve -- APP.wasm 127.0.0.1:9876`

use evconn::{Host, Limits, Listener, Service, Shutdown};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let arguments: Vec<String> = std::env::args().collect();
    let [_, component, address] = &arguments[..] else {
        anyhow::bail!("it takes a component and an address: APP.wasm 127.0.0.1:9876");
    };
    let host = Host::new()?;
    let service = Service::new(&host, &std::fs::read(component)?)?;
    let listener = Listener::bind(&host, address.parse()?).await?;
    println!("Listening on {}", listener.local_addr());
    evconn::serve(
        listener,
        service,
        Limits::default(),
        Shutdown::on_signals()?,
    )
    .await?;
    Ok(())
}
