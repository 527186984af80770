use futures_util::future::BoxFuture;
use std::io; use std::net::IpAddr;
pub trait Resolver: std::fmt::Debug + Send + Sync {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}
pub async fn resolve_name(name: &str) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|address| address.ip()).collect())
}
