//! `wasi:random` of wasmtime-wasi, with a limit for each call: a larger request traps, and the trap names the limit.

use super::InstanceState;
use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::random::{insecure, random};
use wasmtime_wasi::random::WasiRandomCtx;

/// The most bytes for each call: more would take so long that other guests are delayed.
pub(super) const MOST: u64 = 256 << 10;

struct Bounded<'a>(&'a mut WasiRandomCtx);

struct Random;

impl HasData for Random {
    type Data<'a> = Bounded<'a>;
}

/// Replaces wasmtime-wasi's interfaces in a linker.
pub(crate) fn add_random_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    random::add_to_linker::<_, Random>(linker, bounded)?;
    insecure::add_to_linker::<_, Random>(linker, bounded)?;
    linker.allow_shadowing(false);
    Ok(())
}

fn bounded(state: &mut InstanceState) -> Bounded<'_> {
    Bounded(state.ctx().ctx.random())
}

impl random::Host for Bounded<'_> {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        check("get-random-bytes", len)?;
        random::Host::get_random_bytes(self.0, len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        random::Host::get_random_u64(self.0)
    }
}

impl insecure::Host for Bounded<'_> {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        check("get-insecure-random-bytes", len)?;
        insecure::Host::get_insecure_random_bytes(self.0, len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        insecure::Host::get_insecure_random_u64(self.0)
    }
}

fn check(function: &str, len: u64) -> wasmtime::Result<()> {
    match len > MOST {
        true => wasmtime::bail!(
            "{function} gives {MOST} bytes at most, not {len}: call it several times"
        ),
        false => Ok(()),
    }
}
