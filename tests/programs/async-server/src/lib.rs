//! A program of WASI 0.3 that does what its argument says, or what its clients say in a line: what `std-acts` and
//! `std-room` do in WASI 0.2, and what only one of 0.3 can do. Each client has a task of its own.

mod client;
mod files;
mod net;
mod print;
mod room;

mod bindings {
    wit_bindgen_async::generate!({
        inline: "
            package evconn:test;
            world program {
                include wasi:cli/command@0.3.0;
            }
        ",
        path: [
            "../../../wit/v0.3/deps/clocks.wit",
            "../../../wit/v0.3/deps/random.wit",
            "../../../wit/v0.3/deps/filesystem.wit",
            "../../../wit/v0.3/deps/sockets.wit",
            "../../../wit/v0.3/deps/cli.wit",
        ],
        world: "evconn:test/program",
        generate_all,
        runtime_path: "wit_bindgen_async::rt",
    });
}

use bindings::exports::wasi::cli::run::Guest;
use bindings::wasi::cli::environment::get_arguments;
use bindings::wasi::cli::exit::{exit, exit_with_code};
use bindings::wasi::clocks::monotonic_clock::wait_for;
use client::Client;
use futures_util::future::{Either, select};
use net::{Connection, Listener, echo, talks_to_itself};
use print::{print, print_error};
use room::Room;
use std::pin::pin;
use std::rc::Rc;

/// Where it listens.
const HERE: &str = "0.0.0.0:7000";

/// How often something is to be done from time to time, in nanoseconds.
const NOW_AND_THEN: u64 = 50_000_000;

struct Server;

impl Guest for Server {
    async fn run() -> Result<(), ()> {
        let arguments: Vec<_> = get_arguments().into_iter().skip(1).collect();
        let mut arguments = arguments.iter().map(String::as_str);
        let act = arguments.next().unwrap_or("serve");
        let argument = arguments.next().unwrap_or(HERE);
        match act {
            // Without an accept.
            "return" => Ok(()),
            "fail" => {
                print_error("it has failed").await;
                Err(())
            }
            "exit" => {
                print("it has to go").await;
                leave(argument)
            }
            "exit-with-code" => exit_with(argument),
            "panic" => panic!("it panics"),
            "sleep" => sleep().await,
            "spin" => spin(),
            "bind" => {
                let _listener = Listener::at(argument).await;
                sleep().await
            }
            "if-exists" => {
                if !files::exists(argument).await {
                    print_error(&format!("{argument} is missing")).await;
                    leave("4")
                }
                serve(HERE).await
            }
            "second" => {
                let _first = Listener::at(argument).await;
                serve("0.0.0.0:7001").await
            }
            "itself" => {
                print(talks_to_itself().await).await;
                serve(argument).await
            }
            // Listens when it is asked for a while.
            "late" => {
                wait_for(NOW_AND_THEN).await;
                serve(argument).await
            }
            "poll" => {
                wit_bindgen_async::spawn_local(do_something_now_and_then());
                serve(argument).await
            }
            "several" => {
                wit_bindgen_async::spawn_local(serve_for_ever("0.0.0.0:7001"));
                serve(argument).await
            }
            // Without a task that is `run`'s.
            "background" => {
                wit_bindgen_async::spawn_local(serve_for_ever(HERE));
                Ok(())
            }
            // One client, which is served when it has returned.
            "one" => {
                let mut listener = Listener::at(argument).await;
                let room = Room::new();
                let client = arrive(&room, &mut listener).await;
                wit_bindgen_async::spawn_local(async move {
                    client.serve().await;
                });
                Ok(())
            }
            "echo" | "pass-on" => {
                let mut listener = Listener::at(HERE).await;
                loop {
                    let socket = listener.accept().await;
                    let by_itself = act == "echo";
                    wit_bindgen_async::spawn_local(echo(socket, by_itself));
                }
            }
            // One after the other.
            "in-turn" => {
                let mut listener = Listener::at(argument).await;
                let room = Room::new();
                loop {
                    arrive(&room, &mut listener).await.serve().await;
                }
            }
            "serve" => serve(argument).await,
            other => panic!("what is {other}?"),
        }
    }
}

/// Serves until a client has it fail.
async fn serve(address: &str) -> Result<(), ()> {
    let mut listener = Listener::at(address).await;
    let room = Room::new();
    loop {
        let failed = pin!(room.failed());
        let arrives = pin!(arrive(&room, &mut listener));
        match select(failed, arrives).await {
            Either::Left(_) => return Err(()),
            Either::Right((client, _)) => {
                wit_bindgen_async::spawn_local(async move { client.serve().await });
            }
        }
    }
}

async fn serve_for_ever(address: &'static str) {
    // It does not return but with a failure.
    let _ = serve(address).await;
}

async fn arrive(room: &Rc<Room>, listener: &mut Listener) -> Client {
    let socket = listener.accept().await;
    let here = listener.address();
    Client::new(room, here, Connection::of(socket)).await
}

async fn do_something_now_and_then() {
    loop {
        wait_for(NOW_AND_THEN).await;
        print("it is time").await;
    }
}

async fn sleep() -> ! {
    loop {
        wait_for(u64::MAX).await;
    }
}

fn spin() -> ! {
    loop {
        std::hint::black_box(());
    }
}

/// Exits with what is left of a status: success or failure.
fn leave(status: &str) -> ! {
    match status {
        "0" => exit(Ok(())),
        _ => exit(Err(())),
    }
    unreachable!("it has exited")
}

fn exit_with(code: &str) -> ! {
    exit_with_code(code.parse().expect("a status"));
    unreachable!("it has exited")
}

bindings::export!(Server with_types_in bindings);
