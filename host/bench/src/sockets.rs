//! Which connections a process has.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

/// Returns the peers of a process's connections over IPv4.
pub fn peers(process: u32) -> Result<BTreeSet<SocketAddr>> {
    let own = inodes(process)?;
    let table = fs::read_to_string("/proc/net/tcp").context("/proc/net/tcp")?;
    let connections = table.lines().skip(1).filter_map(connection);
    let own = connections.filter(|(_, inode)| own.contains(inode));
    Ok(own.map(|(peer, _)| peer).collect())
}

/// Returns the numbers of a process's sockets.
fn inodes(process: u32) -> Result<BTreeSet<u64>> {
    let directory = format!("/proc/{process}/fd");
    let mut inodes = BTreeSet::new();
    for entry in fs::read_dir(&directory).context(directory)? {
        // A descriptor that was closed in the meantime has no target.
        let target = fs::read_link(entry?.path()).unwrap_or_default();
        let name = target.to_string_lossy();
        let inode = name
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'));
        inodes.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
    }
    Ok(inodes)
}

/// Returns the peer and the socket's number of a line, such as
/// `0: 0100007F:2694 0200007F:C350 01 00000000:00000000 00:00000000 00000000 0 0 4711 …`.
fn connection(line: &str) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_whitespace();
    let (address, port) = fields.nth(2)?.split_once(':')?;
    // As it is in memory: in network order.
    let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
    let port = u16::from_str_radix(port, 16).ok()?;
    let inode = fields.nth(6)?.parse().ok()?;
    Some(((Ipv4Addr::from(address), port).into(), inode))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_peer_of_a_connection_is_found_by_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let client = TcpStream::connect(address).expect("a connection");
        let (server, peer) = listener.accept().expect("the connection");
        let peers = super::peers(std::process::id()).expect("they are listed");
        assert!(peers.contains(&peer), "{peers:?}");
        assert!(peers.contains(&address), "{peers:?}");
        drop((client, server));
    }
}
