//! Which servers speak HTTP/2, as far as is remembered.

use std::collections::HashMap;

use super::{hashed::BuildHashed, key::Key};
#[cfg(feature = "http2")]
use crate::http::http2::PRESUMED;

/// How many exchanges a connection to a server bore the last time. Bounded, and outlives a server's last connection: else each idle timeout would cost the next burst a scout.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Key, usize, BuildHashed>);

/// How many servers are remembered. Chosen arbitrarily; a session that speaks to more of them begins anew.
const SERVERS: usize = 1024;

impl Known {
    pub(super) fn learn(&mut self, key: &Key, most: usize) {
        if !key.may_multiplex() {
            return;
        }
        if self.0.len() >= SERVERS && !self.0.contains_key(key) {
            self.0.clear();
        }
        match self.0.get_mut(key) {
            Some(known) => *known = most,
            None => drop(self.0.insert(key.clone(), most)),
        }
    }

    /// How many exchanges the next connection to it will bear. `None`: that has to be found out.
    pub(super) fn expected(&self, key: &Key) -> Option<usize> {
        match self.0.get(key) {
            // What bears nothing now may bear something when it is dialled again.
            Some(most) => Some((*most).max(1)),
            None if !key.may_multiplex() => Some(1),
            #[cfg(feature = "http2")]
            None if key.is_http2() => Some(PRESUMED),
            None => None,
        }
    }

    /// How many it is taken to bear if it turns out to be HTTP/2.
    #[cfg(feature = "http2")]
    pub(super) fn presumed(&self, key: &Key) -> usize {
        self.0.get(key).copied().filter(|most| *most > 1).unwrap_or(PRESUMED)
    }
}
