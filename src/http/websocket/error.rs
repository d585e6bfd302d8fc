//! Why a WebSocket failed.

use std::{fmt, time::Duration};

use tungstenite::{
    Error,
    error::{CapacityError, ProtocolError},
};

use super::{CloseCode, message::Farewell};
use crate::connection::StreamError;

/// Why nothing more comes of a WebSocket, or why nothing more can be sent. It stands once, before the end; what then became of the connection is in [`Closed`](super::Closed).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebSocketError {
    /// The network's, the peer's or ours: the connection ended without a close frame, as this says. A truncation names itself here.
    Connection(StreamError),
    /// The peer's: it ended the connection as it should, and without a close frame.
    NoCloseFrame,
    /// The peer's: it broke the protocol, and was told so by [`PROTOCOL`](CloseCode::PROTOCOL). In the words of the frame library.
    Protocol(String),
    /// The peer's: it sent text that is no UTF-8, and was told so by [`INVALID`](CloseCode::INVALID).
    NotText,
    /// The peer's: a message or a frame is larger than is [allowed](super::WebSocketOptions), and it was told so by [`TOO_LARGE`](CloseCode::TOO_LARGE).
    TooLarge {
        /// How large it is, as far as it has come.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The peer's or the network's: it did not answer a ping within this time.
    PingUnanswered(Duration),
    /// Nothing more can be sent: the close has begun, on either side.
    Closing,
}

impl WebSocketError {
    pub(super) fn of_library(error: Error) -> Self {
        match error {
            Error::Io(error) => {
                let error = StreamError::of(&error).cloned();
                WebSocketError::Connection(error.unwrap_or(StreamError::Closing { cause: None }))
            }
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => WebSocketError::NoCloseFrame,
            Error::Protocol(ProtocolError::SendAfterClosing) | Error::AlreadyClosed | Error::ConnectionClosed => {
                WebSocketError::Closing
            }
            Error::Utf8(_) => WebSocketError::NotText,
            Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                WebSocketError::TooLarge { size, limit: max_size }
            }
            error => WebSocketError::Protocol(error.to_string()),
        }
    }

    /// What the peer is told of it, if it is told.
    pub(super) fn farewell(&self) -> Option<Farewell> {
        let code = match self {
            WebSocketError::Protocol(_) => CloseCode::PROTOCOL,
            WebSocketError::NotText => CloseCode::INVALID,
            WebSocketError::TooLarge { .. } => CloseCode::TOO_LARGE,
            _ => return None,
        };
        Some(Farewell::new(code, &self.to_string()))
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebSocketError::Connection(error) => write!(f, "the WebSocket ended without a close frame: {error}"),
            WebSocketError::NoCloseFrame => f.write_str("the peer ended the WebSocket without a close frame"),
            WebSocketError::Protocol(words) => write!(f, "the peer broke the WebSocket protocol: {words}"),
            WebSocketError::NotText => f.write_str("the peer sent text that is not UTF-8"),
            WebSocketError::TooLarge { size, limit } => {
                write!(f, "a message of {size} bytes is too large: the limit is {limit}")
            }
            WebSocketError::PingUnanswered(within) => write!(f, "the peer did not answer a ping within {within:?}"),
            WebSocketError::Closing => f.write_str("the WebSocket is closing: nothing more can be sent"),
        }
    }
}

impl std::error::Error for WebSocketError {}
