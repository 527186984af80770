//! A macro that makes a service of an asynchronous function.

#[doc(hidden)]
pub use super::bindings::evconn::tcp::types::Connection as WitConnection;
use super::bindings::{wit_future, wit_stream};
use super::{Connection, ErrorCode, Reader, Writer};
use crate::Outcome;
use std::cell::Cell;
use std::rc::Rc;
use wit_bindgen_async::{FutureReader, FutureWriter, StreamReader};

type Ended = Result<(), ErrorCode>;

/// Makes a service of an `async` function: a component that exports `evconn:tcp/handler` of WASI 0.3.
///
/// The function takes a [`Connection`](crate::p3::Connection), and returns `()` or a `Result` whose error is written to
/// the host's log, and resets the connection. The crate type is `cdylib`. `evconn serve` runs the component.
///
/// ```no_run
/// use evconn_guest::p3::Connection;
/// use futures::{AsyncReadExt, AsyncWriteExt};
/// use std::io;
///
/// async fn serve(mut connection: Connection) -> io::Result<()> {
///     let mut name = String::new();
///     connection.read_to_string(&mut name).await?;
///     connection.write_all(format!("Hello, {name}!").as_bytes()).await
/// }
///
/// evconn_guest::p3_service!(serve);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! p3_service {
    ($serve:path) => {
        struct EvconnService;

        impl $crate::p3::bindings::exports::evconn::tcp::handler::Guest for EvconnService {
            async fn handle(
                connection: $crate::p3::service::WitConnection,
                received: $crate::p3::service::Received,
                ended: $crate::p3::service::HowEnded,
            ) -> ::core::result::Result<$crate::p3::service::Reply, $crate::p3::ErrorCode> {
                let given = (connection, received, ended);
                ::core::result::Result::Ok($crate::p3::service::serve($serve, given))
            }
        }

        $crate::p3::bindings::export_p3_handler!(
            EvconnService with_types_in $crate::p3::bindings
        );
    };
}

/// What the peer sends, and how that ends.
pub type Received = StreamReader<u8>;
/// See [`Received`].
pub type HowEnded = FutureReader<Ended>;
/// What the peer is sent, and how the connection ends.
pub type Reply = (StreamReader<u8>, FutureReader<Ended>);

/// Says how the connection ends, once.
#[derive(Clone)]
pub(super) struct Finish(Rc<Cell<Option<FutureWriter<Ended>>>>);

impl Finish {
    fn new(writer: FutureWriter<Ended>) -> Self {
        Self(Rc::new(Cell::new(Some(writer))))
    }

    /// Returns whether this is the first time.
    pub async fn end(&self, how: Ended) -> bool {
        let Some(writer) = self.0.take() else {
            return false;
        };
        // It fails if the connection is over.
        let _ = writer.write(how).await;
        true
    }
}

/// Begins to serve a connection.
pub fn serve<T: Outcome>(
    serve: impl AsyncFnOnce(Connection) -> T + 'static,
    (known, received, ended): (WitConnection, Received, HowEnded),
) -> Reply {
    crate::stdio::report_panics();
    let (writer, sent) = wit_stream::new();
    let (finish, finished) = wit_future::new(|| Ok(()));
    let finish = Finish::new(finish);
    let writer = Writer::new(writer).with_finish(finish.clone());
    let connection = Connection::new(known, Reader::new(received, ended), writer);
    super::spawn(async move {
        let outcome = serve(connection).await.into_result();
        let end = outcome.clone().map_err(|text| ErrorCode::Other(Some(text)));
        if let (false, Err(text)) = (finish.end(end).await, outcome) {
            // What was sent is complete: this is no failure of the connection.
            crate::eprintln!("{text}");
        }
    });
    (sent, finished)
}
