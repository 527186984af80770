//! A server that takes its port as an argument, and does not report when it is ready.

use crate::support::{tool::Tool, within};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Returns a free port. Another process could take it in the meantime.
pub fn free_port() -> u16 {
    crate::support::free_port().port()
}

/// A process that is ended with its test, together with its children.
pub struct Program {
    tool: Tool,
    port: u16,
    output: PathBuf,
}

impl Program {
    /// Starts a command that listens on that port. What it prints goes to a file.
    pub fn start(command: &mut Command, port: u16, output: PathBuf) -> Self {
        let file = File::create(&output).expect("a file");
        let same = file.try_clone().expect("a descriptor");
        command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(same);
        let tool = Tool::start(command).expect("it is installed");
        // The command holds the file until here.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self { tool, port, output }
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Connect, as soon as it listens.
    pub async fn connect(&mut self) -> TcpStream {
        self.connect_from(Ipv4Addr::LOCALHOST).await
    }

    /// The same, as another peer.
    pub async fn connect_from(&mut self, peer: Ipv4Addr) -> TcpStream {
        within("it listens", async {
            loop {
                let socket = TcpSocket::new_v4().expect("a socket");
                socket.bind((peer, 0).into()).expect("its own address");
                match socket.connect(self.address()).await {
                    Ok(stream) => return stream,
                    Err(_) => self.is_running(),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    /// Connects to a program that echoes, as soon as it does.
    ///
    /// Being connected is not enough on every runtime: jco listens as soon as the program binds, and
    /// resets peers that connect before the program itself listens.
    pub async fn connect_to_echo(&mut self) -> TcpStream {
        within("it echoes", async {
            loop {
                let mut stream = self.connect().await;
                if echoes_one_byte(&mut stream).await.is_ok() {
                    return stream;
                }
                self.is_running();
            }
        })
        .await
    }

    fn is_running(&mut self) {
        if let Some(status) = self.tool.child().try_wait().expect("a status") {
            let said = std::fs::read(&self.output).expect("what it printed");
            panic!("it ended: {status}\n{}", String::from_utf8_lossy(&said));
        }
    }
}

async fn echoes_one_byte(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"?").await?;
    stream.read_u8().await.map(|byte| assert_eq!(byte, b'?'))
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is no error.
        let _ = kill_process_group(Pid::from_child(self.tool.child()), Signal::KILL);
    }
}
