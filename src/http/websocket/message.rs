//! What is said over a WebSocket.

use std::{fmt, ops::Deref};

use bytes::Bytes;
use tungstenite::{Utf8Bytes, protocol::frame::coding::CloseCode as LibraryCode};

/// A message, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(Text),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// Text.
    pub fn text(text: impl Into<Text>) -> Self {
        Message::Text(text.into())
    }

    /// Bytes.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Message::Binary(bytes.into())
    }

    /// Its bytes, of whichever kind it is.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }

    pub(super) fn into_library(self) -> tungstenite::Message {
        match self {
            Message::Text(Text(text)) => tungstenite::Message::Text(text),
            Message::Binary(bytes) => tungstenite::Message::Binary(bytes),
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Message::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message::text(text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Message::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message::binary(bytes)
    }
}

/// Text that costs nothing to clone: it derefs to `str`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text(pub(super) Utf8Bytes);

impl Text {
    /// Its bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0.into()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text(text.into())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Why a WebSocket was closed, as a number: RFC 6455, section 7.4.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    /// What it was for is done.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// A server that stops, a page that is left. It is what a drain says.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL: CloseCode = CloseCode(1002);
    /// Data of a kind that is not accepted.
    pub const UNSUPPORTED: CloseCode = CloseCode(1003);
    /// The close frame had no code. Never sent.
    pub const NO_STATUS: CloseCode = CloseCode(1005);
    /// There was no close frame. Never sent.
    pub const ABNORMAL: CloseCode = CloseCode(1006);
    /// Text that is no UTF-8.
    pub const INVALID: CloseCode = CloseCode(1007);
    /// Against a rule of the application's.
    pub const POLICY: CloseCode = CloseCode(1008);
    /// A message larger than is accepted.
    pub const TOO_LARGE: CloseCode = CloseCode(1009);
    /// The server did not grant an extension that the client needs.
    pub const EXTENSION: CloseCode = CloseCode(1010);
    /// A failure of the server's.
    pub const INTERNAL: CloseCode = CloseCode(1011);

    /// This number. An application's own codes are from 4000 to 4999, a library's or framework's from 3000 to 3999.
    pub const fn new(code: u16) -> Self {
        CloseCode(code)
    }

    /// The number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether it may stand in a close frame.
    pub fn is_sendable(self) -> bool {
        LibraryCode::from(self.0).is_allowed()
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            CloseCode::NORMAL => "normal",
            CloseCode::GOING_AWAY => "going away",
            CloseCode::PROTOCOL => "protocol error",
            CloseCode::UNSUPPORTED => "unsupported data",
            CloseCode::NO_STATUS => "no status",
            CloseCode::ABNORMAL => "no close frame",
            CloseCode::INVALID => "invalid payload",
            CloseCode::POLICY => "policy violation",
            CloseCode::TOO_LARGE => "message too large",
            CloseCode::EXTENSION => "extension needed",
            CloseCode::INTERNAL => "internal error",
            CloseCode(code) => return write!(f, "{code}"),
        };
        write!(f, "{} {name}", self.0)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

/// A code and a reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) code: CloseCode,
    pub(super) reason: Text,
}

/// What a close frame has room for beside the code: a control frame holds 125 bytes (RFC 6455, section 5.5).
const LONGEST_REASON: usize = 123;

impl Farewell {
    pub(super) fn new(code: CloseCode, reason: &str) -> Self {
        let mut end = reason.len().min(LONGEST_REASON);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Farewell { code, reason: reason[..end].into() }
    }

    /// As it came; `None`: a frame without a code.
    pub(super) fn of_library(frame: Option<tungstenite::protocol::CloseFrame>) -> Self {
        match frame {
            Some(frame) => Farewell { code: CloseCode(frame.code.into()), reason: Text(frame.reason) },
            None => Farewell { code: CloseCode::NO_STATUS, reason: "".into() },
        }
    }

    /// As it is sent: a code that may not be is left out, with its reason, which cannot stand alone.
    pub(super) fn into_library(self) -> Option<tungstenite::protocol::CloseFrame> {
        let Farewell { code, reason } = self;
        code.is_sendable().then(|| tungstenite::protocol::CloseFrame { code: code.0.into(), reason: reason.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_sent_is_not() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, u16::MAX] {
            assert_eq!(Farewell::new(CloseCode::new(code), "why").into_library(), None, "{code}");
        }
        for code in [1000, 1001, 1011, 3000, 4999] {
            let frame = Farewell::new(CloseCode::new(code), "why").into_library().unwrap();
            assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, "why"));
        }
    }

    #[test]
    fn a_reason_that_is_too_long_is_cut_between_characters() {
        let frame = Farewell::new(CloseCode::NORMAL, &"ä".repeat(100)).into_library().unwrap();
        assert_eq!(frame.reason.as_str(), "ä".repeat(61));
    }
}
