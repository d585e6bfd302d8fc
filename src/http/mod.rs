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
mod exchange;
mod expect;
mod incoming;
mod server;

pub use body::{Body, BoxError};
pub use client::HttpClient;
pub use exchange::{Exchange, ExchangeError};
pub use incoming::{BodyError, ResponseBody};
pub use server::{FromFn, HttpServer, IntoResponse, RequestBody, Respond, ServerOptions, serve};
#[cfg(feature = "tower")]
pub use server::{Tower, serve_tower};
