//! The guests of the tests and the examples, as components: a constant for each folder in
//! `guest/examples` and `tests/programs`, and another one for the path of its file.
//!
//! The build script makes them, and the two components that are shipped ([`shipped`]).

pub mod shipped;

include!(concat!(env!("OUT_DIR"), "/components.rs"));
