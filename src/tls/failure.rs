//! What went wrong with a stream, told apart by who is to blame.

use std::io;

use openssl::{
    error::ErrorStack,
    ssl::{self, SslRef},
};

use super::compat;
use crate::fate::{HandshakeFailure, Reason, TlsAlert};

/// Why a stream failed after the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StreamFailure {
    /// The TCP connection was reset, or the peer no longer takes what we write.
    Reset,
    /// The peer sent a fatal alert.
    Alert(TlsAlert),
    /// TLS itself failed. The library's own words.
    Tls(String),
    /// The socket failed, but not by a reset. The operating system's own words.
    Io(String),
}

impl StreamFailure {
    pub(crate) fn of_socket(error: &io::Error) -> StreamFailure {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        match error.kind() {
            ConnectionReset | ConnectionAborted | BrokenPipe => StreamFailure::Reset,
            _ => StreamFailure::Io(error.to_string()),
        }
    }

    /// `socket` is what the gate remembers: it outweighs whatever the library made of it.
    pub(crate) fn of_io(error: &io::Error, socket: Option<&StreamFailure>) -> StreamFailure {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<ssl::Error>()) {
            Some(error) => StreamFailure::of_ssl(error, socket),
            None => socket.cloned().unwrap_or_else(|| StreamFailure::of_socket(error)),
        }
    }

    pub(crate) fn of_ssl(error: &ssl::Error, socket: Option<&StreamFailure>) -> StreamFailure {
        if let Some(alert) = error.ssl_error().and_then(alert_in) {
            return StreamFailure::Alert(alert);
        }
        if let Some(failure) = socket {
            return failure.clone();
        }
        StreamFailure::Tls(match error.ssl_error() {
            Some(stack) if !stack.errors().is_empty() => words(stack),
            _ => error.to_string(),
        })
    }
}

impl From<StreamFailure> for Reason {
    fn from(failure: StreamFailure) -> Reason {
        match failure {
            StreamFailure::Reset => Reason::Reset,
            StreamFailure::Alert(alert) => Reason::Alert(alert),
            StreamFailure::Tls(message) => Reason::Tls(message),
            StreamFailure::Io(message) => Reason::Io(message),
        }
    }
}

impl From<&HandshakeFailure> for StreamFailure {
    fn from(failure: &HandshakeFailure) -> StreamFailure {
        match failure {
            HandshakeFailure::Alert(alert) => StreamFailure::Alert(*alert),
            HandshakeFailure::Reset => StreamFailure::Reset,
            HandshakeFailure::Io(message) => StreamFailure::Io(message.clone()),
            other => StreamFailure::Tls(other.to_string()),
        }
    }
}

/// The peer's alert comes before our own verdict: a client that accepts any certificate still carries a verify error.
pub(crate) fn of_handshake(
    error: &ssl::Error,
    ssl: &SslRef,
    socket: Option<&StreamFailure>,
    pinned: bool,
) -> HandshakeFailure {
    let refused = error.ssl_error().is_some_and(|stack| has_reason(stack, compat::CERTIFICATE_VERIFY_FAILED));
    match StreamFailure::of_ssl(error, socket) {
        StreamFailure::Alert(alert) => HandshakeFailure::Alert(alert),
        _ if refused => {
            let verdict = ssl.verify_result();
            HandshakeFailure::Certificate {
                code: verdict.as_raw(),
                message: if pinned { PIN_MISMATCH.to_owned() } else { verdict.error_string().to_owned() },
            }
        }
        StreamFailure::Reset => HandshakeFailure::Reset,
        StreamFailure::Io(message) => HandshakeFailure::Io(message),
        StreamFailure::Tls(message) => HandshakeFailure::Tls(message),
    }
}

pub(crate) const PIN_MISMATCH: &str = "its SHA-256 fingerprint is not the pinned one";

/// A received alert is reported as the reason 1000 + its number, on OpenSSL and AWS-LC alike.
fn alert_in(stack: &ErrorStack) -> Option<TlsAlert> {
    const OFFSET: i32 = 1000;
    ssl_reasons(stack).find_map(|reason| u8::try_from(reason.checked_sub(OFFSET)?).ok()).map(TlsAlert)
}

fn has_reason(stack: &ErrorStack, wanted: i32) -> bool {
    ssl_reasons(stack).any(|reason| reason == wanted)
}

/// Reason codes mean something only together with the library that they come from.
fn ssl_reasons(stack: &ErrorStack) -> impl Iterator<Item = i32> + '_ {
    stack.errors().iter().filter(|error| error.library_code() == compat::ERR_LIB_SSL).map(|error| error.reason_code())
}

/// What the library says, without its file names and numbers.
pub(crate) fn words(stack: &ErrorStack) -> String {
    let mut said: Vec<String> = Vec::new();
    for error in stack.errors() {
        let reason = match (error.reason(), error.data()) {
            (Some(reason), Some(data)) if !data.is_empty() => format!("{reason} ({data})"),
            (Some(reason), _) => reason.to_owned(),
            (None, _) => error.to_string(),
        };
        if !said.contains(&reason) {
            said.push(reason);
        }
    }
    if said.is_empty() { "the TLS library gives no reason".to_owned() } else { said.join("; ") }
}
