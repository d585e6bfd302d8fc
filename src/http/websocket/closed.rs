//! How a WebSocket ended.

use std::fmt;

use actix::Message as ActixMessage;

use super::{CloseCode, message::Farewell};
use crate::fate::{ConnectionId, Lost};

/// The end of a WebSocket, and of its connection. As a message, the last that an [attached](super::WebSocket::attach) owner gets of it.
#[derive(Clone, Debug, PartialEq, Eq, ActixMessage)]
#[rtype(result = "()")]
pub struct Closed {
    /// Which connection.
    pub id: ConnectionId,
    /// The code of the peer's close frame: [`NO_STATUS`](CloseCode::NO_STATUS) if it had none, [`ABNORMAL`](CloseCode::ABNORMAL) if there was no close frame.
    pub code: CloseCode,
    /// The reason of the peer's close frame.
    pub reason: String,
    /// Whether both sides have sent a close frame. `false`: messages may be missing, in either direction.
    pub clean: bool,
    /// How the connection ended: after a clean close it may still have been cut short, and says so here.
    pub lost: Lost,
}

impl Closed {
    pub(super) fn new(id: ConnectionId, theirs: Option<Farewell>, ours: bool, lost: Lost) -> Self {
        let clean = ours && theirs.is_some();
        let (code, reason) = match theirs {
            Some(Farewell { code, reason }) => (code, reason.to_string()),
            None => (CloseCode::ABNORMAL, String::new()),
        };
        Closed { id, code, reason, clean, lost }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "closed with {}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, " ({:?})", self.reason)?;
        }
        write!(f, "; {}", self.lost)
    }
}
