//! An instance whose handler serves several connections, at a time or in turn: each in a call of its own.

use super::held::{Held, TakenAway};
use super::{AsyncHandler, Rest, call, take_moving};
use crate::service::state::InstanceState;
use crate::sockets::Endpoint;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use wasmtime::Store;
use wasmtime::component::{Accessor, AccessorTask};

/// A connection that an instance is given.
pub(in crate::service) struct Supplied {
    pub endpoint: Arc<Endpoint>,
    /// Its number in the log.
    pub number: u64,
    /// Kept for as long as the guest has something of it.
    pub task: Arc<dyn Any + Send + Sync>,
    /// Told how the handler has ended it: with the text of its error, if it has failed; or with what is left, if the host
    /// does that alone.
    pub end: Box<dyn FnOnce(Result<Option<Rest>, String>) + Send>,
    /// Ready when the connection is taken away before that.
    pub cut: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Where an instance gets its connections from.
pub(in crate::service) trait Supply: Send + Sync {
    /// Returns the next one. Whoever adds one wakes the task of the instance.
    fn next(&self) -> Option<Supplied>;

    /// Notes whether the guest has no task that has not exited.
    fn set_idle(&self, is_idle: bool);
}

/// Has a handler serve what is supplied, until its instance fails, or `is_over` says that it is not needed any more:
/// this is asked after each poll, with whether the guest waits for something.
pub(in crate::service) async fn serve_several(
    store: &mut Store<InstanceState>,
    handler: &Arc<AsyncHandler>,
    supply: &dyn Supply,
    mut is_over: impl FnMut(&mut Context<'_>, bool) -> bool,
) -> wasmtime::Result<Result<(), String>> {
    let run = store.run_concurrent(async |accessor| {
        poll_fn(|cx| {
            while let Some(supplied) = supply.next() {
                let handler = Arc::clone(handler);
                if let Err(error) = accessor.spawn(Call { handler, supplied }) {
                    return Poll::Ready(error);
                }
            }
            let is_idle = accessor.poll_no_interesting_tasks(cx).is_ready();
            supply.set_idle(is_idle);
            Poll::Pending
        })
        .await
    });
    let mut run = pin!(run);
    poll_fn(|cx| {
        let ended = run.as_mut().poll(cx);
        let is_over = is_over(cx, ended.is_pending());
        match ended {
            Poll::Ready(Ok(error) | Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if is_over => Poll::Ready(Ok(Ok(()))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The call of a handler for one of several connections.
struct Call {
    handler: Arc<AsyncHandler>,
    supplied: Supplied,
}

impl AccessorTask<InstanceState> for Call {
    async fn run(self, accessor: &Accessor<InstanceState>) -> wasmtime::Result<()> {
        let Supplied {
            endpoint,
            number,
            task,
            end,
            cut,
        } = self.supplied;
        // What the guest keeps of the connection has ended with it.
        let held = TakenAway(Held::of_task(&endpoint, task));
        let served = pin!(serve(accessor, &self.handler, &endpoint, held, number));
        match select(served, cut).await {
            Either::Left((served, _)) => end(served?),
            // Its task goes on: it is ended with its store only.
            Either::Right(((), _)) => {}
        }
        Ok(())
    }
}

/// Has a handler serve a connection until that has ended, or the host can do the rest alone, which this returns.
async fn serve(
    accessor: &Accessor<InstanceState>,
    handler: &AsyncHandler,
    endpoint: &Arc<Endpoint>,
    held: TakenAway,
    number: u64,
) -> wasmtime::Result<Result<Option<Rest>, String>> {
    let mut rest = match call(accessor, handler, endpoint, &held.0, number).await? {
        Ok(rest) => rest,
        Err(text) => return Ok(Err(text)),
    };
    rest.add(take_moving(accessor, Some(endpoint)));
    let concluded = poll_fn(|cx| match rest.poll_unpin(cx) {
        Poll::Pending if rest.is_alone() => Poll::Ready(None),
        concluded => concluded.map(Some),
    });
    if let Some(concluded) = concluded.await {
        return Ok(concluded.map(|()| None));
    }
    let account = accessor.with(|mut store| store.get().account_of_one());
    rest.take_over_from(held, &account);
    Ok(Ok(Some(rest)))
}
