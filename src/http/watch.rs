//! What a connection says to the pool that it is of, and is asked by it.

use std::{fmt, sync::Arc};

use actix::{Handler, Message};

use super::HttpClient;
use crate::{
    connection::{Connection, Milestones},
    fate::Lost,
    ticket::Entry,
};

/// Whoever wants to know when a connection can bear another exchange: a pool. Called from the connection's own poll.
pub(super) trait Watch: Send + Sync {
    /// It is open; `since`: when it came how far.
    fn opened(&self, entry: &Arc<Entry>, since: &Milestones);
    /// It bears so many exchanges at a time, as far as is known by now. Not told: one.
    #[cfg(feature = "http2")]
    fn bears(&self, most: usize);
    /// Nothing is under way: the next exchange would begin at once. Told for exchanges whose [`Slot`] was settled.
    fn idle(&self);
    /// It bears no further exchange.
    fn leaving(&self);
    /// It has ended.
    fn lost(&self, lost: &Lost);
}

/// The room for one exchange on a connection, which shares the fate of its request: given back when this is dropped, wherever that is. With a message that actix took back unread, with a request that was not sent, or, on
/// HTTP/2, with the exchange.
pub(super) struct Slot {
    /// `None`: it was settled.
    pool: Option<Arc<dyn Places>>,
    place: PlaceId,
}

/// The number of a place in a pool: never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PlaceId(pub(super) u64);

/// A pool, as a [`Slot`] sees it.
pub(super) trait Places: Send + Sync {
    /// There is room for one exchange more.
    fn returned(self: Arc<Self>, place: PlaceId);
}

impl Slot {
    pub(super) fn new(pool: Arc<dyn Places>, place: PlaceId) -> Self {
        Slot { pool: Some(pool), place }
    }

    /// It is not to be given back by this: on HTTP/1.1 the connection itself says when it can bear the next exchange, by [`Watch::idle`].
    pub(super) fn settle(mut self) {
        self.pool = None;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.returned(self.place);
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

/// Asks a connection to bear no further exchange and to close when those that it bears are done.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Retire;

impl Handler<Retire> for Connection<HttpClient> {
    type Result = ();

    fn handle(&mut self, _: Retire, context: &mut Self::Context) {
        let (client, mut io) = self.parts(context);
        client.retire(&mut io);
    }
}
