//! `listener.wasm`, driven directly and composed with programs, on the host's own sockets.

#[path = "listener/component.rs"]
mod component;
#[path = "listener/composed.rs"]
mod composed;
#[path = "listener/instance.rs"]
mod instance;
#[path = "listener/linked/own.rs"]
mod linked;
#[path = "listener/misuse.rs"]
mod misuse;
#[path = "listener/model/mod.rs"]
mod model;
#[path = "sdk/mod.rs"]
mod sdk;
#[path = "listener/semantics/mod.rs"]
mod semantics;
