//! What a read returns to its guest.

use crate::Endpoint;
use crate::connection::buffers::Received;
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
pub(crate) enum Incoming {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plain;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;
    use wasmtime::component::{Component, Linker};
    use wasmtime::{Engine, Store};

    /// Reads once, and says where and how much. What is read comes to 1024, or to where it is moved.
    const GUEST: &str = r#"(component
        (import "read" (func $read (result (list u8))))
        (core module $Memory
          (memory (export "memory") 1)
          (func (export "realloc") (param $at i32) (param $old i32) (param i32) (param $new i32) (result i32)
            REALLOC))
        (core instance $memory (instantiate $Memory))
        (alias core export $memory "memory" (core memory $bytes))
        (core func $lowered
          (canon lower (func $read) (memory $bytes) (realloc (func $memory "realloc"))))
        (core module $Program
          (import "" "read" (func $read (param i32)))
          (import "" "memory" (memory 1))
          (func (export "run") (result i32)
            (call $read (i32.const 16))
            (i32.const 16)))
        (core instance $program (instantiate $Program (with "" (instance
          (export "read" (func $lowered))
          (export "memory" (memory $bytes))))))
        (func (export "run") (result (list u8))
          (canon lift (core func $program "run") (memory $bytes))))"#;

    const TO_1024: &str = "(i32.const 1024)";

    /// Another place for the rest, which is copied there.
    const MOVES: &str = "(if (result i32) (local.get $old)
          (then
            (memory.copy (i32.const 9000) (local.get $at) (local.get $new))
            (i32.const 9000))
          (else (i32.const 1024)))";

    /// So many bytes have come, of which the guest's read is told another number.
    fn come(sent: &[u8], said: usize) -> Incoming {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let mut peer = TcpStream::connect(address).expect("connected");
        let (stream, address) = listener.accept().expect("accepted");
        peer.write_all(sent).expect("sent");
        drop(peer);
        let timeout = Some(Duration::from_secs(60));
        stream.set_read_timeout(timeout).expect("set");
        let mut all = vec![0; sent.len() + 1];
        while stream.peek(&mut all).expect("in time") < sent.len() {}
        stream.set_nonblocking(true).expect("set");
        let endpoint = Endpoint::new(Plain::tcp(stream), address);
        Incoming::AtHand(Arc::new(endpoint), said)
    }

    /// What such a guest reads.
    async fn read(realloc: &str, incoming: Incoming) -> wasmtime::Result<Vec<u8>> {
        let engine = Engine::default();
        let guest = wat::parse_str(GUEST.replace("REALLOC", realloc)).expect("a component");
        let guest = Component::new(&engine, guest).expect("it compiles");
        let mut linker = Linker::new(&engine);
        let mut store = Store::new(&engine, Some(incoming));
        let read = |mut store: wasmtime::StoreContextMut<'_, Option<Incoming>>, ()| {
            Ok((store.data_mut().take().expect("it reads once"),))
        };
        linker.root().func_wrap("read", read).expect("linked");
        let guest = linker.instantiate_async(&mut store, &guest).await;
        let guest = guest.expect("an instance");
        let run = guest.get_typed_func::<(), (Vec<u8>,)>(&mut store, "run");
        let (bytes,) = run.expect("it runs").call_async(&mut store, ()).await?;
        Ok(bytes)
    }

    /// Why the guest came to nothing.
    async fn fault(realloc: &str, said: usize) -> String {
        let fault = read(realloc, come(b"hello", said)).await;
        format!("{:?}", fault.expect_err("a fault"))
    }

    #[tokio::test]
    async fn what_is_at_hand_comes_to_where_the_guest_says() {
        let grows = "(drop (memory.grow (i32.const 1))) (i32.const 65536)";
        for realloc in [TO_1024, grows] {
            let read = read(realloc, come(b"hello", 5)).await;
            assert_eq!(read.expect("bytes"), b"hello");
        }
    }

    #[tokio::test]
    async fn fewer_bytes_than_were_said_are_what_the_guest_is_to_give_back() {
        for realloc in [TO_1024, MOVES] {
            let read = read(realloc, come(b"hello", 50)).await;
            assert_eq!(read.expect("bytes"), b"hello");
        }
        assert_eq!(read(TO_1024, come(b"", 50)).await.expect("none"), b"");
    }

    #[tokio::test]
    async fn a_guest_without_a_place_for_them_traps() {
        assert!(fault("unreachable", 5).await.contains("unreachable"));
        let beyond = "beyond end of memory";
        assert!(fault("(i32.const 65532)", 5).await.contains(beyond));
        assert!(fault("(i32.const -1)", 5).await.contains(beyond));
        assert!(fault(TO_1024, 1 << 20).await.contains(beyond));
    }

    #[tokio::test]
    async fn a_guest_without_a_place_for_the_rest_traps() {
        let only_once = "(if (local.get $old) (then unreachable)) (i32.const 1024)";
        assert!(fault(only_once, 50).await.contains("unreachable"));
        let far =
            "(if (result i32) (local.get $old) (then (i32.const -1)) (else (i32.const 1024)))";
        assert!(fault(far, 50).await.contains("beyond end of memory"));
    }
}
