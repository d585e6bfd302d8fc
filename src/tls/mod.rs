//! TLS: configuration, the stream, its close recipe, and resumption. The only room that names openssl.
//!
//! ```text
//!  ClientTlsBuilder --build--> ClientTls --+                       +-- Socket (TCP, another TlsStream, or anything that is a Duplex)
//!                                          +--> TlsStream -- Gate -+
//!  ServerTlsBuilder --build--> ServerTls --+    reads, writes,     hides the FIN from the library,
//!                                               close_notify,      holds ours back until it is asked for
//!                                               and only then FIN
//! ```
//!
//! What is not here: no timer, no task, no buffer of application bytes, and nothing that waits. Whoever owns a stream polls it and sets the deadlines.

#[cfg(feature = "sim")]
mod bare;
mod client;
mod compat;
mod error;
mod failure;
mod gate;
mod generate;
mod info;
mod keylog;
mod name;
mod nested;
mod options;
mod pem;
mod plain;
#[cfg(feature = "sim")]
mod quiet;
mod resume;
mod server;
mod socket;
mod stream;
#[cfg(test)]
mod tests;

#[cfg(feature = "sim")]
pub(crate) use bare::{BareStream, BareTls};
pub use client::{ClientTls, ClientTlsBuilder};
#[cfg(feature = "sim")]
pub(crate) use compat::Awkward;
pub use error::TlsConfigError;
pub(crate) use failure::StreamFailure;
pub use generate::{SelfSigned, self_signed};
pub use info::{Certificate, TlsInfo};
pub use nested::Nested;
pub use options::TlsVersion;
pub(crate) use options::alpn_wire;
pub(crate) use plain::PlainStream;
#[cfg(feature = "sim")]
pub use quiet::Quiet;
pub use server::{ServerTls, ServerTlsBuilder};
pub use socket::{Duplex, Socket};
pub(crate) use stream::{Beginning, RECORD, ReadEvent, TlsStream};
