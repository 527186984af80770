//! A service of WASI 0.3 that does what its peer's first line says, so that the tests can have every kind of handler
//! with one component.

mod bytes;
mod ends;
mod harm;
mod pass;
mod told;

wit_bindgen::generate!({ path: "../../../wit/v0.3", world: "evconn:tcp/service", generate_all });

use bytes::{copy, line, number};
use evconn::tcp::types::{Connection, ErrorCode};
use exports::evconn::tcp::handler::Guest;
use pass::pass;
use wasi::clocks::monotonic_clock::wait_for;
use wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamWriter};

type Ended = Result<(), ErrorCode>;
type Returned = Result<(StreamReader<u8>, FutureReader<Ended>), ErrorCode>;

/// What an act works on.
struct Stage {
    connection: Connection,
    received: StreamReader<u8>,
    ended: FutureReader<Ended>,
    sender: StreamWriter<u8>,
    finish: FutureWriter<Ended>,
}

struct Acts;

impl Guest for Acts {
    async fn handle(
        connection: Connection,
        mut received: StreamReader<u8>,
        ended: FutureReader<Ended>,
    ) -> Returned {
        let line = line(&mut received).await;
        let (act, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let (received, ended) = match pass(act, argument, received, ended).await {
            Ok(returned) => return returned,
            Err(given) => given,
        };
        match act {
            "fail" => return Err(ErrorCode::Other(Some(argument.to_owned()))),
            "fail-with-code" => return Err(ErrorCode::Timeout),
            "trap" => std::process::abort(),
            "spin" => harm::spin(),
            "never-return" => wait_for(u64::MAX).await,
            _ => {}
        }
        let (sender, sent) = wit_stream::new();
        let (finish, finished) = wit_future::new(|| Ok(()));
        let stage = Stage {
            connection,
            received,
            ended,
            sender,
            finish,
        };
        wit_bindgen::spawn(perform(stage, act.to_owned(), argument.to_owned()));
        Ok((sent, finished))
    }
}

async fn perform(stage: Stage, act: String, argument: String) {
    match act.as_str() {
        "echo" => ends::echo(stage).await,
        "addresses" => told::addresses(stage).await,
        "tls" => told::tls(stage).await,
        "number" => told::number(stage).await,
        "count" => told::count(stage).await,
        "ended" => ends::ended(stage).await,
        "burst" => ends::burst(stage, number(&argument), Ok(())).await,
        "burst-and-fail" => {
            let why = ErrorCode::Other(Some("it is too much".to_owned()));
            ends::burst(stage, number(&argument), Err(why)).await;
        }
        "burst-and-trap" => {
            ends::write(stage, number(&argument)).await;
            std::process::abort();
        }
        "fail-first" => ends::fail_first(stage).await,
        "send-no-more" => ends::send_no_more(stage).await,
        "read-no-more" => ends::read_no_more(stage).await,
        "go-on" => ends::go_on(stage).await,
        "write-until-closed" => ends::write_until_closed(stage).await,
        "sleep" => ends::sleep(stage, number(&argument)).await,
        "spin-later" => harm::spin(),
        "spin-afterwards" => {
            ends::burst(stage, 0, Ok(())).await;
            harm::spin();
        }
        "trap-later" => std::process::abort(),
        "leak" => harm::leak(stage, number(&argument)).await,
        "grow" => harm::grow(stage, number(&argument)).await,
        "hold" => harm::hold(stage).await,
        "print" => bytes::print(&argument).await,
        other => {
            let mut stage = stage;
            bytes::say(&mut stage.sender, &format!("there is no act {other:?}")).await;
            copy(stage.received, stage.sender).await;
        }
    }
}

export!(Acts);
