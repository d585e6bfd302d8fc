//! Why a connection was not had.

use std::fmt;

use crate::{dial::TargetError, fate::Lost, ticket::Refusal, tls::TlsConfigError};

/// Why there is no connection, by who is to blame.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The caller's: this is not a peer. Nothing was admitted.
    Target(TargetError),
    /// The caller's: the TLS configuration cannot be used. Nothing was admitted.
    Tls(TlsConfigError),
    /// Ours: the supervisor is stopping or full. Nothing was admitted.
    Refused(Refusal),
    /// The network's or the peer's: it was admitted and ended before it was open. Its reason says why, and it is in the ledger.
    Lost(Box<Lost>),
}

impl ConnectError {
    /// How the connection ended, if it was admitted.
    pub fn lost(&self) -> Option<&Lost> {
        match self {
            ConnectError::Lost(lost) => Some(lost),
            _ => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Target(error) => error.fmt(f),
            ConnectError::Tls(error) => error.fmt(f),
            ConnectError::Refused(refusal) => refusal.fmt(f),
            ConnectError::Lost(lost) => write!(f, "{}: {}", lost.peer, lost.reason),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConnectError::Target(error) => Some(error),
            ConnectError::Tls(error) => Some(error),
            ConnectError::Refused(refusal) => Some(refusal),
            ConnectError::Lost(_) => None,
        }
    }
}

impl From<TargetError> for ConnectError {
    fn from(error: TargetError) -> Self {
        ConnectError::Target(error)
    }
}

impl From<TlsConfigError> for ConnectError {
    fn from(error: TlsConfigError) -> Self {
        ConnectError::Tls(error)
    }
}

impl From<Refusal> for ConnectError {
    fn from(refusal: Refusal) -> Self {
        ConnectError::Refused(refusal)
    }
}
