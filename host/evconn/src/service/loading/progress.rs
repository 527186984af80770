//! Logs that a component is being compiled, if that takes long.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Compiling that takes longer than this is logged.
const LONG: Duration = Duration::from_secs(1);

/// Does the work. Logs that `name` is being compiled if that takes longer than a second.
pub(super) fn logged<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let tell = || tracing::info!("compiling {name}: this can take a while");
    meanwhile(LONG, tell, work)
}

/// Does the work. If it takes longer than `time`, calls `tell` on another thread, once.
fn meanwhile<T>(time: Duration, tell: impl FnOnce() + Send, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        let wait = move || {
            if is_done.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                tell();
            }
        };
        // If no thread can be started, nothing is logged.
        let _waiting = thread::Builder::new().spawn_scoped(scope, wait);
        let result = work();
        drop(done);
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn long_work_is_told_while_it_goes_on() {
        let (told, is_told) = channel();
        let tell = move || told.send(()).expect("somebody waits");
        let work = || is_told.recv_timeout(Duration::from_secs(60));
        meanwhile(Duration::from_millis(1), tell, work).expect("it was told");
    }

    #[test]
    fn short_work_is_not() {
        let told = AtomicBool::new(false);
        let tell = || told.store(true, Ordering::Relaxed);
        let result = meanwhile(Duration::from_secs(60), tell, || 7);
        assert_eq!((result, told.into_inner()), (7, false));
    }
}
