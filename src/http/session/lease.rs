//! A connection of the pool, lent; and the wait for one.

use std::sync::Arc;

use super::{
    pool::{PlaceId, WaiterId},
    shared::{Client, Shared, lock},
};
use crate::http::watch::Nudge;

/// A place in the line, given up when this is dropped.
pub(super) struct Waiting<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) waiter: WaiterId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.shared.pool).give_up(self.waiter);
    }
}

/// A connection, lent for one exchange.
///
/// The connection says itself when it can bear the next. So an exchange that was answered, or that failed, needs nothing here; but one that was given up may never have reached the connection (actix takes
/// a message back whose answer nobody awaits), which then has nothing to say: dropped in that state, the lease asks it.
pub(super) struct Lease {
    shared: Arc<Shared>,
    place: PlaceId,
    pub(super) client: Arc<Client>,
    /// Whether the connection had served another before.
    pub(super) reused: bool,
    answered: bool,
}

impl Lease {
    pub(super) fn new(shared: &Arc<Shared>, place: PlaceId, client: Arc<Client>, reused: bool) -> Self {
        Lease { shared: shared.clone(), place, client, reused, answered: false }
    }

    /// The exchange was answered.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// The connection bears no further exchange, whatever it says.
    pub(super) fn spoiled(&mut self) {
        self.answered = true;
        self.shared.gone(self.place);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.answered {
            self.client.handle.do_send(Nudge);
            // One that has ended reads no message.
            if !self.client.is_usable() {
                self.shared.gone(self.place);
            }
        }
    }
}
