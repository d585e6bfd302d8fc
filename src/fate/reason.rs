//! Why a connection ended: one stable enum.

use std::{fmt, net::SocketAddr};

use super::ProxyFailure;
use crate::lifecycle::Phase;

/// Why a connection ended.
///
/// It is the *first* thing that ended it; how well the end went is told by [`CloseProof`](super::CloseProof). A reset that comes while we close gracefully for the
/// owner's sake leaves the reason [`OwnerGone`](Reason::OwnerGone) and a proof without the peer's close_notify.
///
/// The variants and their [codes](Reason::code) are stable: they are what an alert or a dashboard may be built on. New ones may come.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// We closed: everything was written, our close_notify went out and the peer answered with its own.
    Closed,
    /// The peer closed with close_notify, and nothing that it was owed is missing. We answered, unless it had closed the socket as well: the proof says so.
    ClosedByPeer,
    /// We closed and everything was written, our close_notify with it, but the peer did not answer with its own: it was silent until the linger
    /// deadline, or ended the TCP connection. RFC 8446, section 6.1, lets it.
    Unanswered,
    /// The peer ended the TCP connection without close_notify: what was received may be cut short (RFC 8446, section 6.1).
    Truncated,
    /// The TCP connection was reset, by the peer or by something between.
    Reset,
    /// The application aborted it.
    Aborted,
    /// A stop's last deadline had passed, so the supervisor aborted it.
    Killed,
    /// Whoever asked for the connection, or a stop, gave it up before it was open; or before TLS that was [started](crate::StartTls) later was there.
    Cancelled,
    /// The deadline of this phase passed: [`Dialing`](Phase::Dialing), [`Handshaking`](Phase::Handshaking), [`Open`](Phase::Open)
    /// (the idle timeout; the connection was then closed gracefully) or [`Flushing`](Phase::Flushing) (the peer took nothing of what it was owed).
    TimedOut(Phase),
    /// The name could not be resolved, no address could be connected to, or the proxy gave no way.
    DialFailed(DialFailure),
    /// The TLS handshake failed.
    HandshakeFailed(HandshakeFailure),
    /// The peer sent a fatal alert after the handshake.
    Alert(TlsAlert),
    /// TLS failed after the handshake: a corrupt record, a record of another version, something that the library refused. Its own words.
    Tls(String),
    /// The operating system failed the socket, but not by a reset. Its own words.
    Io(String),
    /// The bytes did not fit the protocol, or the protocol was used wrongly. The protocol's own words.
    Protocol(String),
    /// The actor that owned the connection went away; the connection was then closed gracefully.
    OwnerGone,
    /// The protocol or a message handler panicked, with this message.
    Panicked(String),
    /// The thread or the runtime of the connection was torn down under it.
    Abandoned,
}

impl Reason {
    /// The reason in one stable word, as ledgers, metrics and `by_reason` have it.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Closed => "closed",
            Reason::ClosedByPeer => "closed_by_peer",
            Reason::Unanswered => "unanswered",
            Reason::Truncated => "truncated",
            Reason::Reset => "reset",
            Reason::Aborted => "aborted",
            Reason::Killed => "killed",
            Reason::Cancelled => "cancelled",
            Reason::TimedOut(Phase::Dialing) => "dial_timeout",
            Reason::TimedOut(Phase::Handshaking) => "handshake_timeout",
            Reason::TimedOut(Phase::Open) => "idle_timeout",
            Reason::TimedOut(_) => "flush_timeout",
            Reason::DialFailed(DialFailure::Proxy { failure: ProxyFailure::TimedOut(_), .. }) => "dial_timeout",
            Reason::DialFailed(_) => "dial_failed",
            Reason::HandshakeFailed(_) => "handshake_failed",
            Reason::Alert(_) => "alert",
            Reason::Tls(_) => "tls_error",
            Reason::Io(_) => "io_error",
            Reason::Protocol(_) => "protocol_error",
            Reason::OwnerGone => "owner_gone",
            Reason::Panicked(_) => "panicked",
            Reason::Abandoned => "abandoned",
        }
    }

    /// Whether the end was what somebody asked for: nothing failed, nothing was cut short. Such an end is logged quietly.
    pub fn is_expected(&self) -> bool {
        use Reason::*;
        matches!(self, Closed | ClosedByPeer | Unanswered | Aborted | Cancelled | OwnerGone | TimedOut(Phase::Open))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Closed => f.write_str("closed, and the peer answered"),
            Reason::ClosedByPeer => f.write_str("closed by the peer"),
            Reason::Unanswered => f.write_str("closed, but the peer did not answer our close_notify"),
            Reason::Truncated => f.write_str("truncated: the peer ended the connection without close_notify"),
            Reason::Reset => f.write_str("reset by the peer"),
            Reason::Aborted => f.write_str("aborted"),
            Reason::Killed => f.write_str("killed at the deadline of the stop"),
            Reason::Cancelled => f.write_str("cancelled before it was open"),
            Reason::TimedOut(Phase::Dialing) => f.write_str("timed out while dialing"),
            Reason::TimedOut(Phase::Handshaking) => f.write_str("timed out in the TLS handshake"),
            Reason::TimedOut(Phase::Open) => f.write_str("closed because it was idle"),
            Reason::TimedOut(_) => f.write_str("timed out because the peer took nothing of what it was owed"),
            Reason::DialFailed(failure) => write!(f, "could not connect: {failure}"),
            Reason::HandshakeFailed(failure) => write!(f, "the TLS handshake failed: {failure}"),
            Reason::Alert(alert) => write!(f, "the peer sent the fatal alert {alert}"),
            Reason::Tls(message) => write!(f, "TLS failed: {message}"),
            Reason::Io(message) => write!(f, "the socket failed: {message}"),
            Reason::Protocol(message) => write!(f, "protocol error: {message}"),
            Reason::OwnerGone => f.write_str("closed because its owner is gone"),
            Reason::Panicked(message) => write!(f, "a handler panicked: {message}"),
            Reason::Abandoned => f.write_str("abandoned: its thread or runtime was torn down"),
        }
    }
}

/// Why no socket could be connected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DialFailure {
    /// The resolver failed, or knows no address for the name.
    Resolve {
        /// The name that was asked for.
        host: String,
        /// The resolver's own words.
        message: String,
    },
    /// Every address was tried and failed.
    Connect {
        /// Each address with the operating system's own words, in the order in which they failed.
        attempts: Vec<Attempt>,
    },
    /// The Unix-domain socket could not be connected to.
    Unix {
        /// The path of the socket.
        path: String,
        /// What kind of error it was.
        kind: std::io::ErrorKind,
        /// The operating system's own words.
        message: String,
    },
    /// There was no way through the proxy.
    Proxy {
        /// The proxy, without the user and the password.
        proxy: String,
        /// Why, and on which leg.
        failure: ProxyFailure,
    },
}

/// One address that could not be connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The address.
    pub address: SocketAddr,
    /// What kind of error it was.
    pub kind: std::io::ErrorKind,
    /// The operating system's own words.
    pub message: String,
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialFailure::Resolve { host, message } => write!(f, "the name {host:?} could not be resolved: {message}"),
            DialFailure::Connect { attempts } => {
                for (n, attempt) in attempts.iter().enumerate() {
                    if n > 0 {
                        f.write_str("; ")?;
                    }
                    write!(f, "{}: {}", attempt.address, attempt.message)?;
                }
                Ok(())
            }
            DialFailure::Unix { path, message, .. } => write!(f, "the socket {path}: {message}"),
            DialFailure::Proxy { proxy, failure } => write!(f, "by the proxy {proxy}: {failure}"),
        }
    }
}

/// Why a TLS handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// We did not accept the peer's certificate.
    Certificate {
        /// OpenSSL's verify error (`X509_V_ERR_*`, see `man 1 openssl-verification-options`).
        code: i32,
        /// The verify error in words.
        message: String,
    },
    /// The peer sent a fatal alert.
    Alert(TlsAlert),
    /// The peer ended the TCP connection inside the handshake.
    Eof,
    /// The TCP connection was reset inside the handshake.
    Reset,
    /// What the peer sent is not a TLS handshake that we can take. The library's own words.
    Tls(String),
    /// The operating system failed the socket, but not by a reset. Its own words.
    Io(String),
}

impl fmt::Display for HandshakeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeFailure::Certificate { code, message } => {
                write!(f, "the peer's certificate was not accepted: {message} (verify error {code})")
            }
            HandshakeFailure::Alert(alert) => write!(f, "the peer sent the fatal alert {alert}"),
            HandshakeFailure::Eof => f.write_str("the peer ended the connection inside the handshake"),
            HandshakeFailure::Reset => f.write_str("the connection was reset inside the handshake"),
            HandshakeFailure::Tls(message) => f.write_str(message),
            HandshakeFailure::Io(message) => write!(f, "the socket failed: {message}"),
        }
    }
}

/// A TLS alert, by its number (RFC 8446, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TlsAlert(pub u8);

impl TlsAlert {
    /// The name that RFC 8446 (or, for the older numbers, RFC 5246) gives it.
    pub fn name(self) -> &'static str {
        match self.0 {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            120 => "no_application_protocol",
            _ => "unknown",
        }
    }
}

impl fmt::Display for TlsAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}
