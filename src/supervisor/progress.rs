//! Progress: a stream that anyone can subscribe to.

use std::{
    fmt,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix::Message;
use futures_util::Stream;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::ReusableBoxFuture;

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

/// The [`Progress`] of a supervisor, from when it was subscribed to: a [`Stream`], or [`next`](Subscription::next) by hand.
///
/// A subscriber that is slow never slows a connection: when it is [`BUFFER`](Subscription::BUFFER) events behind, it misses the oldest, and is told how many.
#[derive(Debug)]
pub struct Subscription(ReusableBoxFuture<'static, Received>);

type Received = (Result<Progress, RecvError>, broadcast::Receiver<Progress>);

async fn receive(mut receiver: broadcast::Receiver<Progress>) -> Received {
    (receiver.recv().await, receiver)
}

impl Subscription {
    /// How many events are kept for a subscriber.
    pub const BUFFER: usize = 4096;

    pub(super) fn new(receiver: broadcast::Receiver<Progress>) -> Self {
        Subscription(ReusableBoxFuture::new(receive(receiver)))
    }

    /// The next event. `Err(n)`: `n` were missed. `None`: the supervisor is gone, or has acknowledged its stop and said all.
    pub async fn next(&mut self) -> Option<Result<Progress, u64>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for Subscription {
    type Item = Result<Progress, u64>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let (received, receiver) = ready!(self.0.poll(cx));
        self.0.set(receive(receiver));
        Poll::Ready(match received {
            Ok(progress) => Some(Ok(progress)),
            Err(RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(RecvError::Closed) => None,
        })
    }
}
