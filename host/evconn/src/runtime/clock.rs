//! The clock that counts the time slices of guests. It rests while no connection is served: a server that waits
//! costs nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, Builder, Thread};
use std::time::Duration;
use wasmtime::EngineWeak;

/// A clock, which runs until this is dropped.
pub(crate) struct Clock {
    shared: Arc<Shared>,
    thread: Thread,
}

#[derive(Default)]
struct Shared {
    /// How many connections are being served.
    served: AtomicUsize,
    has_ended: AtomicBool,
}

/// The clock does not rest while one of these exists.
pub(crate) struct Ticking(Arc<Shared>);

impl Clock {
    /// Starts a thread that counts slices of this length: spinning guests may occupy all others.
    pub fn start(engine: EngineWeak, slice: Duration) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let thread = Builder::new()
            .name("evconn-clock".to_owned())
            .spawn(move || run(&of_thread, &engine, slice))?;
        let thread = thread.thread().clone();
        Ok(Self { shared, thread })
    }

    /// Keeps the clock going.
    pub fn ticking(&self) -> Ticking {
        // The thread looks at the number after it was woken.
        if self.shared.served.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Ticking(Arc::clone(&self.shared))
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.served.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

fn run(shared: &Shared, engine: &EngineWeak, slice: Duration) {
    while !shared.has_ended.load(Ordering::Acquire) {
        if shared.served.load(Ordering::Acquire) == 0 {
            // It may return at any time.
            thread::park();
            continue;
        }
        if let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
        }
        thread::sleep(slice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use wasmtime::{Config, Engine, Instance, Module, Store};

    /// Returns whether a guest that spins is interrupted.
    fn interrupts(engine: &Engine) -> bool {
        let binary = wat::parse_str(r#"(module (func (export "spin") (loop br 0)))"#);
        let module = Module::new(engine, binary.expect("a module"));
        let module = module.expect("a module");
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1);
        let instance = Instance::new(&mut store, &module, &[]).expect("an instance");
        let spin = instance.get_typed_func::<(), ()>(&mut store, "spin");
        spin.expect("exported").call(&mut store, ()).is_err()
    }

    #[test]
    fn it_ticks_again_after_a_rest() {
        let mut config = Config::new();
        config.epoch_interruption(true);
        let engine = Engine::new(&config).expect("an engine");
        let slice = Duration::from_millis(1);
        let clock = Clock::start(engine.weak(), slice).expect("a thread");
        for _ in 0..3 {
            let ticking = clock.ticking();
            assert!(interrupts(&engine));
            drop(ticking);
            // Long enough for it to rest in some of the rounds.
            let rest = Instant::now();
            while rest.elapsed() < 3 * slice {
                thread::yield_now();
            }
        }
    }
}
