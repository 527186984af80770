//! `listener.wasm`, driven directly and composed with programs, on wasmtime-wasi's sockets: the same
//! tests.

#[path = "listener/component.rs"]
mod component;
#[path = "listener/composed.rs"]
mod composed;
#[path = "listener/instance.rs"]
mod instance;
#[path = "listener/linked/wasmtime.rs"]
mod linked;
#[path = "listener/misuse.rs"]
mod misuse;
#[path = "listener/model/mod.rs"]
mod model;
#[path = "sdk/mod.rs"]
mod sdk;
#[path = "listener/semantics/mod.rs"]
mod semantics;
