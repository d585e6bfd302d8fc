//! WebSocket (RFC 6455) over connections that were upgraded, as client and server: the same ticket, the same ledger, and a close frame before each close_notify.
//!
//! ```text
//!  Session::websocket -- 101 --+                        +-- Stream + Sink, or an actor's messages
//!                              +--> SupervisedStream --> WebSocket
//!  WebSocketUpgrade::accept ---+                        +-- close frames, pings, limits, the drain
//! ```
//!
//! The frames are tungstenite's. It has no `permessage-deflate` (RFC 7692), so that is neither offered nor granted. An idle WebSocket holds 4 KiB of the library's.
//!
//! A [`WebSocket`] is a stream and a sink; [`WebSocket::attach`] makes an actor's messages of it. Either way there is one [`Closed`], with the code that the peer gave and the [`Lost`](crate::Lost) of the connection. In a stop, a drain
//! says 1001 and waits for the peer's close frame as long as the connection would linger; then the connection closes as every other.

mod actor;
mod alive;
mod client;
mod closed;
mod error;
mod frames;
mod message;
mod metered;
mod options;
mod server;
mod socket;

use http::{HeaderMap, HeaderName};

pub use actor::{Opened, Received, SocketHandle};
pub use client::{WebSocketBuilder, WebSocketConnectError};
pub use closed::Closed;
pub use error::WebSocketError;
pub use message::{CloseCode, Message, Text};
pub use options::WebSocketOptions;
pub use server::{Accepting, NotWebSocket, WebSocketUpgrade};
pub use socket::WebSocket;

/// Whether a header lists this, in whatever case.
fn names(headers: &HeaderMap, name: HeaderName, what: &str) -> bool {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(|listed| listed.trim().eq_ignore_ascii_case(what)))
}
