//! HTTP over supervised connections: hyper, driven inside the connection actor, so that one task, one mailbox and one ticket stand behind every connection.
//!
//! ```text
//!  Session -- pool, redirects, retries --+
//!                                        +--> Exchange --> Connection<HttpClient> --- hyper's client --+
//!  a user with a single connection ------+                                                             +-- Lent: the connection's own stream
//!  Listen --> HttpServer -- handler <-------------------  Connection<HttpServer> --- hyper's server --+
//! ```

mod body;
mod client;
#[cfg(feature = "hyper-util")]
mod connector;
mod exchange;
mod expect;
mod incoming;
#[cfg(feature = "hyper-util")]
mod pooled;
#[cfg(feature = "hyper-util")]
mod turns;

pub use body::{Body, BoxError};
pub use client::HttpClient;
#[cfg(feature = "hyper-util")]
pub use connector::{Connector, ConnectorError};
pub use exchange::{Exchange, ExchangeError};
pub use incoming::{BodyError, ResponseBody};
#[cfg(feature = "hyper-util")]
pub use pooled::HttpStream;
