//! Why there was no way through a proxy.

use std::fmt;

use super::{DialFailure, HandshakeFailure};

/// Why a proxy gave no way to the peer. What goes wrong behind the proxy, once it has given one, is told as with any other connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyFailure {
    /// The proxy itself could not be connected to.
    Dial(Box<DialFailure>),
    /// The TLS handshake with the proxy failed.
    Handshake(HandshakeFailure),
    /// It answered that it will not, or cannot.
    Refused {
        /// The status of an HTTP proxy; a SOCKS proxy has none.
        status: Option<u16>,
        /// What that means, and what to do about it.
        message: String,
    },
    /// It answered what no such proxy answers.
    Protocol(String),
    /// It ended the connection before its answer was whole.
    Eof,
    /// The connection to it was reset before its answer was whole.
    Reset,
    /// The operating system failed the socket, but not by a reset. Its own words.
    Io(String),
    /// The deadline of the dial passed on this leg. Its code is that of every deadline of a dial, `dial_timeout`.
    TimedOut(ProxyLeg),
}

/// How far the way through a proxy had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProxyLeg {
    /// Resolving its name and connecting to it.
    Dial,
    /// The TLS handshake with it.
    Handshake,
    /// It was asked for the tunnel, and its answer was awaited.
    Tunnel,
}

impl fmt::Display for ProxyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyFailure::Dial(failure) => write!(f, "it could not be reached: {failure}"),
            ProxyFailure::Handshake(failure) => write!(f, "the TLS handshake with it failed: {failure}"),
            ProxyFailure::Refused { message, .. } => f.write_str(message),
            ProxyFailure::Protocol(message) => write!(f, "it did not answer as a proxy does: {message}"),
            ProxyFailure::Eof => f.write_str("it ended the connection before it had answered"),
            ProxyFailure::Reset => f.write_str("the connection to it was reset before it had answered"),
            ProxyFailure::Io(message) => write!(f, "the socket to it failed: {message}"),
            ProxyFailure::TimedOut(leg) => write!(f, "the deadline of the dial passed {leg}"),
        }
    }
}

impl fmt::Display for ProxyLeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProxyLeg::Dial => "while it was being connected to",
            ProxyLeg::Handshake => "in the TLS handshake with it",
            ProxyLeg::Tunnel => "while its answer was awaited",
        })
    }
}
