//! What is told about the end: [`Lost`], its [`Reason`] and [`CloseProof`], and the [`Ledger`] of a stop.
//!
//! Plain data. With the feature `serde` (on by default) `Lost` and `Ledger` serialize to the JSON that the examples print.

mod ledger;
mod lost;
mod proxy;
mod reason;
#[cfg(feature = "serde")]
mod serialize;

pub use ledger::{Ledger, Row, Totals, Verdict};
pub use lost::{CloseProof, ConnectionId, Lost, Peer, Role};
pub use proxy::{ProxyFailure, ProxyLeg};
pub use reason::{Attempt, DialFailure, HandshakeFailure, Reason, TlsAlert};
