//! What a read returns to its guest.

use super::Endpoint;
use super::buffers::Received;
use std::mem::MaybeUninit;
use std::sync::Arc;
// What `#[derive(Lower)]` is made with, too: there is no other way to the place in a guest's memory where
// a list is to be.
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext,
};
use wasmtime::component::{ComponentType, Lower};
use wasmtime::{ValRaw, map_maybe_uninit};

/// A `list<u8>`.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Bytes that were received.
    Received(Received),
    /// So many bytes, more than none, that the kernel has for this connection, and nobody else will
    /// receive. It writes them to the guest's memory itself, once the guest has said where.
    AtHand(Arc<Endpoint>, usize),
}

impl Incoming {
    /// Where it is in the guest's memory then, and how many bytes it is.
    fn store<T>(&self, cx: &mut LowerContext<'_, T>) -> wasmtime::Result<(usize, usize)> {
        match self {
            Self::Received(bytes) => {
                let at = cx.realloc(0, 0, 1, bytes.len())?;
                cx.as_slice_mut()[at..][..bytes.len()].copy_from_slice(bytes);
                Ok((at, bytes.len()))
            }
            Self::AtHand(endpoint, count) => {
                let at = cx.realloc(0, 0, 1, *count)?;
                let received = endpoint.receive_at_hand(&mut cx.as_slice_mut()[at..][..*count]);
                // It is less if the connection has failed since: the next read says so. The guest is to
                // give back as much as it thinks it has; of nothing, it would give back nothing.
                let at = match 0 < received && received < *count {
                    true => cx.realloc(at, *count, 1, received)?,
                    false => at,
                };
                Ok((at, received))
            }
        }
    }
}

impl Default for Incoming {
    fn default() -> Self {
        Self::Received(Received::default())
    }
}

// SAFETY: all of this is as for `[u8]`.
unsafe impl ComponentType for Incoming {
    type Lower = <[u8] as ComponentType>::Lower;
    const ABI: CanonicalAbiInfo = <[u8] as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        <[u8] as ComponentType>::typecheck(ty, types)
    }
}

// SAFETY: `dst` is written in full, the pair at `offset` is that of a list: see the canonical ABI,
// "Storing" and "Flat Lowering".
unsafe impl Lower for Incoming {
    fn linear_lower_to_flat<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        _ty: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> wasmtime::Result<()> {
        let (at, count) = self.store(cx)?;
        map_maybe_uninit!(dst[0]).write(ValRaw::i64(at as i64));
        map_maybe_uninit!(dst[1]).write(ValRaw::i64(count as i64));
        Ok(())
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        _ty: InterfaceType,
        offset: usize,
    ) -> wasmtime::Result<()> {
        let (at, count) = self.store(cx)?;
        *cx.get(offset) = u32::try_from(at)?.to_le_bytes();
        *cx.get(offset + 4) = u32::try_from(count)?.to_le_bytes();
        Ok(())
    }
}
