//! What the fuzz targets share: the runtime, certificates, sockets, a witness of the laws, and the last scene of every play.
//!
//! A panic anywhere in the library is a finding, also one that the library would have caught: libFuzzer's hook aborts before the unwinding.

// The file, and not the feature `sim`, which would turn tokio's `test-util` on.
#[path = "../../src/tls/quiet.rs"]
mod quiet;
pub mod stage;
pub mod talk;
pub mod web;
