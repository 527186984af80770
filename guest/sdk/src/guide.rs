#![doc = include_str!("../docs/guide.md")]
//!
//! Out of scope: complete programs, which are in `guest/examples`.
