//! A connection of the pool, lent; and the wait for one.

use std::sync::Arc;

use super::{
    pool::{PlaceId, WaiterId},
    shared::{Client, Shared, lock},
};
use crate::http::watch::{Places, Slot};

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

/// A connection, lent for one exchange: the room for it is given back with the [`Slot`].
pub(super) struct Lease {
    shared: Arc<Shared>,
    place: PlaceId,
    pub(super) client: Arc<Client>,
    /// Whether the connection had served another before.
    pub(super) reused: bool,
    /// Goes with the request.
    pub(super) slot: Option<Slot>,
}

impl Places for Shared {
    fn returned(self: Arc<Self>, place: PlaceId) {
        Shared::returned(&self, place);
    }
}

impl Lease {
    pub(super) fn new(shared: &Arc<Shared>, place: PlaceId, client: Arc<Client>, reused: bool) -> Self {
        let slot = Slot::new(shared.clone(), place);
        Lease { shared: shared.clone(), place, client, reused, slot: Some(slot) }
    }

    /// The connection bears no further exchange, whatever it says.
    pub(super) fn spoiled(&self) {
        self.shared.gone(self.place);
    }
}
