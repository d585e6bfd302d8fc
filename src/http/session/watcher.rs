//! The pool's eye on its connections.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{
    key::Key,
    pool::PlaceId,
    shared::{Shared, lock},
};
use crate::{connection::Milestones, fate::Lost, http::watch::Watch, ticket::Entry};

/// The pool's eye on one of its connections.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    place: PlaceId,
    host: Key,
    lost: AtomicBool,
}

impl Watcher {
    pub(super) fn new(shared: &Arc<Shared>, place: PlaceId, host: Key) -> Self {
        lock(&shared.account).asked(place);
        Watcher { shared: shared.clone(), place, host, lost: AtomicBool::new(false) }
    }
}

impl Watch for Watcher {
    fn opened(&self, entry: &Arc<Entry>, since: &Milestones) {
        lock(&self.shared.account).connected(self.place, entry.clone());
        self.shared.hooks(|hooks| {
            let host = self.host.target();
            if let Some(at) = since.resolved {
                hooks.resolved(entry.id, &host, at);
            }
            if let Some(at) = since.dialed {
                hooks.dialled(entry.id, &host, at);
            }
            if self.host.is_secure()
                && let Some(at) = since.secured
            {
                hooks.handshaken(entry.id, &host, at);
            }
        });
    }

    #[cfg(feature = "http2")]
    fn bears(&self, most: usize) {
        self.shared.bears(self.place, most);
    }

    fn idle(&self) {
        self.shared.returned(self.place);
    }

    fn leaving(&self) {
        self.shared.gone(self.place);
    }

    fn lost(&self, lost: &Lost) {
        self.lost.store(true, Relaxed);
        self.shared.gone(self.place);
        lock(&self.shared.account).lost(self.place, lost);
        self.shared.hooks(|hooks| hooks.lost(lost));
        self.shared.changed.notify_one();
    }
}

impl Drop for Watcher {
    /// Every connection that was admitted is told to be lost. What goes without it was not admitted.
    fn drop(&mut self) {
        if !self.lost.load(Relaxed) {
            lock(&self.shared.account).refused(self.place);
            self.shared.changed.notify_one();
        }
    }
}
