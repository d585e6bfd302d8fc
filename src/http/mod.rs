//! HTTP over supervised connections: hyper, driven inside the connection actor, so that one task, one mailbox and one ticket stand behind every connection.
//!
//! ```text
//!  Session -- pool, redirects, retries --+
//!                                        +--> Exchange --> Connection<HttpClient> --- hyper's client --+
//!  a user with a single connection ------+                                                             +-- Lent: the connection's own stream
//!  Listen --> HttpServer -- handler <-------------------  Connection<HttpServer> --- hyper's server --+
//! ```

mod body;
mod charset;
mod client;
#[cfg(feature = "hyper-util")]
mod connector;
#[cfg(feature = "cookies")]
mod cookies;
mod decode;
mod decoded;
#[cfg(feature = "_decode")]
mod decoder;
mod driven;
mod error;
mod exchange;
mod expect;
#[cfg(feature = "http2")]
mod http2;
mod incoming;
#[cfg(feature = "multipart")]
mod multipart;
mod onward;
#[cfg(feature = "hyper-util")]
mod pooled;
mod response;
mod server;
mod session;
mod timed;
#[cfg(feature = "hyper-util")]
mod turns;
mod upgrade;
mod versions;
mod watch;
#[cfg(feature = "websocket")]
pub mod websocket;

pub use body::{Body, BoxError};
pub use client::HttpClient;
#[cfg(feature = "hyper-util")]
pub use connector::{Connector, ConnectorError};
#[cfg(feature = "cookies")]
pub use cookies::{Cookie, CookieError, CookieJar};
pub(crate) use decode::accept_encoding;
#[cfg(fuzzing)]
pub use decode::decoded_for_fuzzing;
pub use decoded::{BodyEnd, DecodedBody};
pub use error::{Deadline, Error, ErrorKind, RedirectError};
pub use exchange::{Exchange, ExchangeError, NotProcessed};
#[cfg(feature = "http2")]
pub use http2::Http2Options;
pub use incoming::{BodyDeadline, BodyError, ResponseBody};
#[cfg(feature = "multipart")]
pub use multipart::{Field, Form, Multipart, MultipartError, MultipartLimits, Part};
#[cfg(feature = "hyper-util")]
pub use pooled::HttpStream;
pub(crate) use response::ResponseContext;
pub use response::{Response, StatusError};
pub use server::{FromFn, HttpServer, IntoResponse, RequestBody, Respond, ServerOptions, serve};
#[cfg(feature = "tower")]
pub use server::{Tower, serve_tower};
pub use session::{
    Fetch, Fetched, Hooks, Limits, Moment, PoolState, RequestBuilder, RequestId, Retry, Session, SessionActor,
    SessionBuilder, Timeouts,
};
pub use upgrade::{Upgradable, UpgradeError, Upgrading, upgrade};
pub use versions::{ALPN, Versions};
