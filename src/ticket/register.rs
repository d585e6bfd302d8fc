//! Who was admitted and who has ended: pure, without clock, lock or channel, so that a model checker can drive it.

use std::{collections::BTreeMap, fmt};

use crate::{
    fate::{ConnectionId, Lost, Row, Totals},
    lifecycle::Phase,
};

/// Why a connection was not admitted. No ticket was minted, so no `Lost` follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A stop has begun.
    Stopping,
    /// As many connections as the supervisor allows are alive.
    Limit(usize),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Stopping => f.write_str("refused: the supervisor is stopping"),
            Refusal::Limit(limit) => write!(f, "refused: {limit} connections are alive, which is the limit"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Who may still come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fence {
    /// Everybody, up to the limit.
    Open,
    /// Only what a listener accepts: the lame duck of a stop.
    AcceptedOnly,
    /// Nobody. There is no way back.
    Closed,
}

/// The register: `T` is what is kept of one that is alive. A map in order, and not by hash, so that two registers with the same history are the same value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Register<T> {
    admitted: u64,
    alive: BTreeMap<ConnectionId, Alive<T>>,
    /// Places promised to sockets that were accepted and are not admitted yet.
    promised: usize,
    limit: usize,
    fence: Fence,
    /// `Some` from the beginning of a stop.
    rows: Option<Vec<Row>>,
    totals: Totals,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Alive<T> {
    entry: T,
    phase_at_stop: Option<Phase>,
}

impl<T> Register<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Register {
            admitted: 0,
            alive: BTreeMap::new(),
            promised: 0,
            limit,
            fence: Fence::Open,
            rows: None,
            totals: Totals::default(),
        }
    }

    /// Admits one more, or says why not. `accepted`: it comes from a listener. `phase`: the phase that it begins in.
    pub(crate) fn admit(
        &mut self,
        accepted: bool,
        phase: Phase,
        entry: impl FnOnce(ConnectionId) -> T,
    ) -> Result<&T, Refusal> {
        let refusal = match self.fence {
            Fence::Closed => Some(Refusal::Stopping),
            Fence::AcceptedOnly if !accepted => Some(Refusal::Stopping),
            _ if !self.has_room() => Some(Refusal::Limit(self.limit)),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.totals.refused += 1;
            return Err(refusal);
        }
        self.admitted += 1;
        let id = ConnectionId(self.admitted);
        let phase_at_stop = self.rows.is_some().then_some(phase);
        let alive = Alive { entry: entry(id), phase_at_stop };
        Ok(&self.alive.entry(id).or_insert(alive).entry)
    }

    /// One of those admitted has completed its handshake.
    pub(crate) fn connected(&mut self) {
        self.totals.connected += 1;
    }

    /// Writes an end down. `false`, and nothing changes, when that one is not alive: it has ended before.
    pub(crate) fn end(&mut self, lost: &Lost) -> bool {
        let Some(alive) = self.alive.remove(&lost.id) else { return false };
        self.totals.count(&lost.reason);
        if let (Some(rows), Some(phase_at_stop)) = (&mut self.rows, alive.phase_at_stop) {
            rows.push(Row { phase_at_stop, lost: lost.clone() });
        }
        true
    }

    /// A stop begins: from here on each end has a row. `phase` tells the phase of an entry.
    pub(crate) fn begin_stop(&mut self, phase: impl Fn(&T) -> Phase) {
        if self.rows.is_none() {
            self.rows = Some(Vec::with_capacity(self.alive.len()));
            for alive in self.alive.values_mut() {
                alive.phase_at_stop = Some(phase(&alive.entry));
            }
            self.close_fence(Fence::AcceptedOnly);
        }
    }

    /// Moves the fence, only ever towards closed.
    pub(crate) fn close_fence(&mut self, to: Fence) {
        if self.fence == Fence::Open || to == Fence::Closed {
            self.fence = to;
        }
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    pub(crate) fn has_room(&self) -> bool {
        self.alive.len() + self.promised < self.limit
    }

    /// Counts one more that will be asked for, until it is taken back: right before it is admitted.
    pub(crate) fn promise(&mut self) {
        self.promised += 1;
    }

    pub(crate) fn take_promise_back(&mut self) {
        self.promised -= 1;
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Tickets minted and not spent.
    pub(crate) fn outstanding(&self) -> usize {
        self.alive.len()
    }

    /// Tickets spent.
    pub(crate) fn lost(&self) -> u64 {
        self.totals.lost
    }

    pub(crate) fn find(&self, id: ConnectionId) -> Option<&T> {
        self.alive.get(&id).map(|alive| &alive.entry)
    }

    /// Those that are alive, in the order of admission.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &T> {
        self.alive.values().map(|alive| &alive.entry)
    }

    /// The rows so far, in the order of admission, and the totals.
    pub(crate) fn account(&self) -> (Vec<Row>, Totals) {
        let mut rows = self.rows.clone().unwrap_or_default();
        rows.sort_by_key(|row| row.lost.id);
        let totals = Totals { admitted: self.admitted, ..self.totals.clone() };
        (rows, totals)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fate::{CloseProof, Peer, Reason, Role};

    fn lost(id: ConnectionId) -> Lost {
        Lost {
            id,
            peer: Peer::named("peer"),
            role: Role::Client,
            phase: Phase::Open,
            reason: Reason::Closed,
            proof: CloseProof::default(),
            secure: true,
            bytes_in: 0,
            bytes_out: 0,
            bytes_unsent: 0,
            age: Duration::ZERO,
        }
    }

    fn admit(register: &mut Register<ConnectionId>) -> Result<ConnectionId, Refusal> {
        register.admit(false, Phase::Dialing, |id| id).copied()
    }

    /// Law 1: an end is counted once, however often it is told.
    #[test]
    fn a_second_end_of_the_same_connection_changes_nothing() {
        let mut register = Register::new(10);
        let id = admit(&mut register).unwrap();
        assert!(register.end(&lost(id)));
        assert!(!register.end(&lost(id)));
        assert_eq!((register.outstanding(), register.account().1.lost), (0, 1));
    }

    /// Law 6: after the fence nobody is admitted, and the refusal says why.
    #[test]
    fn the_fence_only_ever_closes() {
        let mut register: Register<ConnectionId> = Register::new(10);
        register.begin_stop(|_| Phase::Open);
        assert_eq!(admit(&mut register), Err(Refusal::Stopping));
        assert!(register.admit(true, Phase::Handshaking, |id| id).is_ok(), "a lame duck accepts");
        register.close_fence(Fence::Closed);
        register.close_fence(Fence::AcceptedOnly);
        assert_eq!(register.admit(true, Phase::Handshaking, |id| id).copied(), Err(Refusal::Stopping));
        assert_eq!(register.account().1.refused, 2);
    }

    /// Law 9: a row for each that was alive when the stop began, and only a count of those before.
    #[test]
    fn the_past_is_counted_and_not_kept() {
        let mut register = Register::new(10);
        let (before, alive) = (admit(&mut register).unwrap(), admit(&mut register).unwrap());
        register.end(&lost(before));
        register.begin_stop(|_| Phase::Flushing);
        register.end(&lost(alive));
        let (rows, totals) = register.account();
        assert_eq!(
            rows.iter().map(|row| (row.lost.id, row.phase_at_stop)).collect::<Vec<_>>(),
            [(alive, Phase::Flushing)]
        );
        assert_eq!((totals.admitted, totals.lost, totals.by_reason["closed"]), (2, 2, 2));
    }

    #[test]
    fn a_limit_refuses_and_makes_room_again() {
        let mut register = Register::new(1);
        let id = admit(&mut register).unwrap();
        assert_eq!(admit(&mut register), Err(Refusal::Limit(1)));
        register.end(&lost(id));
        assert!(admit(&mut register).is_ok());
    }
}
