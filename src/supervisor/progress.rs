//! Progress: a stream that anyone can subscribe to.

use std::fmt;

use actix::Message;
use tokio::sync::broadcast;

use super::Stage;
use crate::{
    fate::{ConnectionId, Ledger, Lost, Peer},
    lifecycle::Phase,
};

/// Something that happened under a supervisor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Progress {
    /// A connection completed its handshake.
    Connected {
        /// Which.
        id: ConnectionId,
        /// To whom.
        peer: Peer,
    },
    /// A connection ended.
    Lost(Lost),
    /// A listener cannot accept (say, the process is out of file descriptors) and tries again in a while. In the operating system's words.
    ListenerStuck(String),
    /// A stop has begun, or has come to its next stage.
    Stopping(Remaining),
    /// A stop is acknowledged.
    Stopped(std::sync::Arc<Ledger>),
}

/// How far a stop is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Remaining {
    /// Its stage.
    pub stage: Stage,
    /// How many connections are alive, by phase.
    pub remaining: Vec<(Phase, usize)>,
}

impl Remaining {
    /// How many are alive.
    pub fn total(&self) -> usize {
        self.remaining.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections remain", self.total())?;
        for (n, (phase, count)) in self.remaining.iter().enumerate() {
            write!(f, "{}{count} {phase}", if n == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

/// Asks a supervisor for its [`Progress`] from now on.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Subscription")]
pub struct Subscribe;

/// The [`Progress`] of a supervisor, from when it was subscribed to.
///
/// A subscriber that is slow never slows a connection: when it is [`BUFFER`](Subscription::BUFFER) events behind, it misses the oldest, and is told how many.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Progress>);

impl Subscription {
    /// How many events are kept for a subscriber.
    pub const BUFFER: usize = 4096;

    pub(super) fn new(receiver: broadcast::Receiver<Progress>) -> Self {
        Subscription(receiver)
    }

    /// The next event. `Err(n)`: `n` were missed. `None`: the supervisor is gone, or has acknowledged its stop and said all.
    pub async fn next(&mut self) -> Option<Result<Progress, u64>> {
        match self.0.recv().await {
            Ok(progress) => Some(Ok(progress)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
