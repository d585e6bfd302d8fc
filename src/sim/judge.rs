//! The judge: what can be held against any application, whatever it does.

use std::{collections::BTreeMap, rc::Rc, time::Duration};

use super::{
    meeting::Meeting,
    world::{Troupe, World},
};
use crate::{ConnectionId, Lost, Phase, Progress, Reason, Verdict};

/// What timers may add to a stop: each is a millisecond coarse, and it has four stages.
const COARSE: Duration = Duration::from_millis(8);

/// Law 5: whether the reason of an end agrees with its proof and its counts.
pub fn agrees(lost: &Lost) -> bool {
    let (proof, unsent) = (lost.proof, lost.bytes_unsent);
    lost.phase != Phase::Lost
        && match &lost.reason {
            Reason::Closed => proof.close_notify_sent && proof.close_notify_received && unsent == 0,
            Reason::ClosedByPeer => proof.close_notify_received && unsent == 0,
            Reason::Unanswered => proof.close_notify_sent && !proof.close_notify_received && unsent == 0,
            Reason::Truncated => proof.fin_seen && !proof.close_notify_received,
            Reason::Cancelled => lost.phase < Phase::Open,
            _ => true,
        }
}

impl World {
    /// When everybody has left.
    pub(super) fn judge(&self) {
        for troupe in self.0.troupes.borrow().iter() {
            if !troupe.missed.get() {
                self.tellings(troupe);
            }
            self.stop_was_right(troupe);
            self.reasons(troupe);
        }
        self.bytes();
        for meeting in self.0.meetings.borrow().iter() {
            self.hold(meeting.socket.is_gone(), || {
                format!("a socket to {} is still open after every stop: somebody keeps it", meeting.name)
            });
        }
    }

    fn hold(&self, holds: bool, words: impl FnOnce() -> String) {
        if !holds {
            self.fail(words());
        }
    }

    /// Laws 1, 2 and 9: one end each, nothing after it, and as many as the books say.
    fn tellings(&self, troupe: &Troupe) {
        let mut seen: BTreeMap<ConnectionId, (u32, u32)> = BTreeMap::new();
        for (_, told) in troupe.told.borrow().iter() {
            match told {
                Progress::Connected { id, .. } => {
                    let (connected, lost) = seen.entry(*id).or_default();
                    *connected += 1;
                    self.hold(*connected == 1 && *lost == 0, || format!("law 2: connection {id} connected too often"));
                }
                Progress::Lost(end) => {
                    let (connected, lost) = seen.entry(end.id).or_default();
                    *lost += 1;
                    self.hold(*lost == 1, || format!("law 1: a second end: {end}"));
                    // In the handshake of a TLS that was started later, it was connected before.
                    let told = *connected == 1;
                    self.hold(told == (end.phase >= Phase::Open) || (told && end.phase == Phase::Handshaking), || {
                        format!("law 2: connected {connected} times, and {end}")
                    });
                    self.hold(agrees(end), || format!("law 5: {end}, with {:?}", end.proof));
                }
                _ => {}
            }
        }
        let totals = troupe.books.ledger().totals;
        let ended = seen.values().filter(|(_, lost)| *lost > 0).count() as u64;
        self.hold(ended == seen.len() as u64, || "law 1: a connection that was open never ended".to_owned());
        self.hold(ended == totals.lost && totals.lost == totals.admitted, || {
            format!("law 1: {ended} ends were told: {totals:?}")
        });
        self.hold(totals.lost == totals.by_reason.values().sum::<u64>(), || {
            format!("law 9: not each has a reason: {totals:?}")
        });
        self.hold(troupe.books.outstanding() == 0, || format!("law 1: {} are left", troupe.books.outstanding()));
    }

    /// Laws 6 and 9: in time, and with a row for each that was alive.
    fn stop_was_right(&self, troupe: &Troupe) {
        let told = troupe.told.borrow();
        let Some((done, ledger)) = &*troupe.acknowledged.borrow() else { return };
        let begun = told.iter().find_map(|(at, told)| match told {
            Progress::Stopping(remaining) => Some((*at, remaining.total())),
            _ => None,
        });
        let Some((begun, alive)) = begun.filter(|_| !troupe.missed.get()) else { return };
        self.hold(alive == ledger.rows.len(), || format!("law 9: {} rows, and alive were {alive}", ledger.rows.len()));
        self.hold(!matches!(ledger.verdict(), Verdict::Abandoned(_)), || {
            format!("law 6: the stop abandoned: {ledger}")
        });
        for (at, told) in told.iter() {
            let Progress::Lost(lost) = told else { continue };
            let rows = ledger.rows.iter().filter(|row| row.lost.id == lost.id);
            let (mut rows, same) = (rows.clone().count(), rows.clone().all(|row| row.lost == *lost));
            if *at == begun {
                rows = rows.max(1);
            }
            self.hold(same && rows == usize::from(*at >= begun), || format!("law 9: {rows} rows for: {lost}"));
        }
        let asked = troupe.asked.borrow();
        // A stop that the scenario asked for itself is not known.
        let Some((first, plan)) = asked.iter().find(|(at, _)| *at <= begun) else { return };
        let in_time = asked.iter().filter(|(at, _)| at <= done).map(|(at, plan)| *at + plan.budget()).min();
        self.hold(in_time.is_none_or(|due| *done <= due + COARSE), || {
            format!("law 6: a stop was due at {in_time:?} and acknowledged at {done:?}")
        });
        let fair = self.0.meetings.borrow().iter().all(|meeting| meeting.fair);
        let drain = plan.lame_duck.saturating_add(plan.drain);
        self.hold(!self.0.prompt.get() || !fair || plan.drain.is_zero() || *done < *first + drain, || {
            format!("the stop took all of its drain in fair weather: somebody does not heed it\n{ledger}")
        });
    }

    fn meetings_of(&self, name: &str) -> Vec<Rc<Meeting>> {
        self.0.meetings.borrow().iter().filter(|meeting| meeting.name == name).cloned().collect()
    }

    /// What only the application can be blamed for.
    fn reasons(&self, troupe: &Troupe) {
        for (_, told) in troupe.told.borrow().iter() {
            let Progress::Lost(lost) = told else { continue };
            let code = lost.reason.code();
            let meetings = self.meetings_of(&lost.peer.name);
            let fair = !meetings.is_empty() && meetings.iter().all(|meeting| meeting.fair);
            let ours = matches!(lost.reason, Reason::Protocol(_) | Reason::Panicked(_));
            // A deadline is the application's choice, and so is a stop that kills. A dial that was refused met nobody.
            let theirs = matches!(lost.reason, Reason::TimedOut(_) | Reason::Killed | Reason::DialFailed(_));
            let strange = !lost.reason.is_expected() && !theirs;
            let blamed = ours || (fair && strange);
            self.hold(!blamed || self.0.tolerated.borrow().contains(code), || match ours {
                true => format!("the application's own fault: {lost}"),
                false => format!("nothing was wrong with the network: {lost}"),
            });
        }
    }

    /// Laws 4 and 5 from the other end: a clean end is what the peer of a connection saw that sent as much, and nobody received more than was sent.
    ///
    /// Connections are told apart by name; those of one name are held against each other's peers together.
    fn bytes(&self) {
        let troupes = self.0.troupes.borrow();
        let mut names: BTreeMap<String, Vec<Lost>> = BTreeMap::new();
        for troupe in troupes.iter() {
            if troupe.missed.get() {
                return;
            }
            for (_, told) in troupe.told.borrow().iter() {
                if let Progress::Lost(lost) = told {
                    names.entry(lost.peer.name.to_string()).or_default().push(lost.clone());
                }
            }
        }
        for (name, ends) in names {
            let meetings = self.meetings_of(&name);
            if meetings.is_empty() {
                continue;
            }
            let sum = |of: fn(&Meeting) -> u64| meetings.iter().map(|meeting| of(meeting)).sum::<u64>();
            let (received, sent) = (sum(|meeting| meeting.received.get()), sum(|meeting| meeting.sent.get()));
            let (out, read) = ends.iter().fold((0, 0), |(out, read), end| (out + end.bytes_out, read + end.bytes_in));
            self.hold(received <= out, || format!("law 4: {name} received {received} bytes of {out}"));
            self.hold(read <= sent, || format!("law 4: {read} bytes were received from {name}, which sent {sent}"));
            let closes = meetings.iter().filter(|meeting| meeting.closes.get()).count();
            let told = ends.iter().filter(|end| end.proof.close_notify_received).count();
            self.hold(told <= closes, || {
                format!("law 5: {told} connections to {name} were closed by their peers, and {closes} peers did")
            });
            let mut closed: Vec<&Lost> = ends.iter().filter(|end| end.proof.close_notify_sent).collect();
            for meeting in meetings.iter().filter(|meeting| meeting.end.get() == Some(true)) {
                let place = closed.iter().position(|end| end.bytes_out == meeting.received.get());
                self.hold(place.is_some(), || {
                    format!("law 4: a clean end, and {name} received {} bytes: {ends:#?}", meeting.received.get())
                });
                place.map(|place| closed.swap_remove(place));
            }
        }
    }
}
