//! A program of Python's asyncio, which makes itself a pair of sockets when it starts.

use super::page::{HERE, TEMPORARY, shell};
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{connect, exchange, tool};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// Without arguments, it sleeps a little. With an address, it answers one connection there.
const PROGRAM: &str = r#"
import asyncio
import sys
from wit_world import exports


async def main(arguments):
    await asyncio.sleep(0.01)
    print("slept", flush=True)
    if len(arguments) < 2:
        return
    done = asyncio.get_running_loop().create_future()

    async def answer(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        done.set_result(None)

    server = await asyncio.start_server(answer, arguments[1], 0)
    host, port = server.sockets[0].getsockname()[:2]
    print(f"{host}:{port}", flush=True)
    await done
    server.close()


class Run(exports.Run):
    def run(self):
        asyncio.run(main(sys.argv))
"#;

const BUILD: &str = "evconn wit -o wit
componentize-py -d wit -w wasi:cli/command componentize app -o app.wasm";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asyncio_runs() {
    let mut version = Command::new("componentize-py");
    if tool::run(version.arg("--version"), b"").is_none() {
        return;
    }
    let scratch = Scratch::new();
    for directory in [HERE, TEMPORARY] {
        std::fs::create_dir(scratch.join(directory)).expect("a directory");
    }
    std::fs::write(scratch.join(HERE).join("app.py"), PROGRAM).expect("written");
    let output = shell(BUILD, &scratch).output().expect("the shell runs");
    assert!(output.status.success(), "{output:?}");

    // It is granted nothing. CPython is compiled first, which takes a while.
    let output = shell("exec evconn run app.wasm", &scratch).output();
    let output = output.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    // That takes longer than a second, which is told.
    let is_told = |line: &str| line.contains("this can take a while");
    assert!(said.lines().all(is_told), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "slept\n");

    let serve = "exec evconn run --listen 127.0.0.1:0 app.wasm 127.0.0.1";
    let evconn = Evconn::start_by(shell(serve, &scratch).stdin(Stdio::null()));
    assert_eq!(evconn.line(), "slept");
    let address: SocketAddr = evconn.line().parse().expect("its address");
    assert_eq!(
        exchange(connect(address).await, b"hello\n").await,
        b"hello\n"
    );
    let ended = evconn.wait();
    assert_eq!(ended.stderr, "");
    assert_eq!(ended.status.code(), Some(0));
}
