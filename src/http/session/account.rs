//! The account of a session's own connections: who is alive, how the others ended.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::time::Instant;

use super::pool::PlaceId;
use crate::{
    fate::{Ledger, Lost, Row, Totals},
    lifecycle::Phase,
    ticket::Entry,
};

/// The past is counted and not kept; from the beginning of the close on, each end has a row.
#[derive(Default)]
pub(super) struct Account {
    alive: HashMap<PlaceId, Alive>,
    totals: Totals,
    closing: Option<(Instant, BTreeMap<crate::ConnectionId, Row>)>,
}

struct Alive {
    /// Known once it is open.
    entry: Option<Arc<Entry>>,
    phase_at_stop: Option<Phase>,
}

impl Account {
    /// A connection is asked for.
    pub(super) fn asked(&mut self, place: PlaceId) {
        self.totals.admitted += 1;
        self.alive.insert(place, Alive { entry: None, phase_at_stop: None });
    }

    /// It was not admitted.
    pub(super) fn refused(&mut self, place: PlaceId) {
        if self.alive.remove(&place).is_some() {
            self.totals.admitted -= 1;
            self.totals.refused += 1;
        }
    }

    /// It is open.
    pub(super) fn connected(&mut self, place: PlaceId, entry: Arc<Entry>) {
        if let Some(alive) = self.alive.get_mut(&place) {
            self.totals.connected += 1;
            alive.entry = Some(entry);
        }
    }

    /// It has ended.
    pub(super) fn lost(&mut self, place: PlaceId, lost: &Lost) {
        let Some(alive) = self.alive.remove(&place) else { return };
        self.totals.count(&lost.reason);
        if let Some((_, rows)) = &mut self.closing {
            // One that was never open was, when the close began, where it ended: the close ended it.
            let phase_at_stop = alive.phase_at_stop.unwrap_or(lost.phase);
            rows.insert(lost.id, Row { phase_at_stop, lost: lost.clone() });
        }
    }

    pub(super) fn begin_close(&mut self, now: Instant) {
        if self.closing.is_none() {
            for alive in self.alive.values_mut() {
                alive.phase_at_stop = alive.entry.as_ref().map(|entry| entry.phase());
            }
            self.closing = Some((now, BTreeMap::new()));
        }
    }

    /// Those that are open or closing.
    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        self.alive.values().filter_map(|alive| alive.entry.clone()).collect()
    }

    pub(super) fn outstanding(&self) -> usize {
        self.alive.len()
    }

    /// Gives up on those that do not answer to the kill.
    pub(super) fn write_off(&mut self) {
        let left: Vec<_> = self.alive.iter().map(|(place, alive)| (*place, alive.entry.clone())).collect();
        for (place, entry) in left {
            match entry {
                Some(entry) => self.lost(place, &entry.lost_without_account()),
                None => self.refused(place),
            }
        }
    }

    pub(super) fn ledger(&self, now: Instant) -> Ledger {
        let (elapsed, rows) = match &self.closing {
            Some((began, rows)) => (now - *began, rows.values().cloned().collect()),
            None => Default::default(),
        };
        Ledger { rows, totals: self.totals.clone(), elapsed }
    }
}
