#![doc = include_str!("../docs/guide.md")]
//!
//! Where it ends: the programs that it is about are in `guest/examples`.
