//! What a client and a server of HTTP/2 have in common: their options, the futures that hyper would spawn, who is to blame for an error.

mod address;
mod blame;
mod options;
mod stream;
mod tasks;

/// How many exchanges an HTTP/2 connection is taken to bear before its peer has said so: as many as RFC 9113 recommends to allow at least (section 6.5.2).
pub(super) const PRESUMED: usize = 100;

pub(super) use address::address;
pub(super) use blame::Blame;
pub use options::Http2Options;
pub(super) use stream::{OpenStreams, StreamGuard};
pub(super) use tasks::{Spawner, Tasks};
