//! What follows for a connection from what happens to it: as its link and its pump do it, by the same decisions.

use std::{sync::LazyLock, time::Duration};

use super::{
    child::{Child, Seen, Task},
    fault::Fault,
    happens::Happens::{self, *},
    state::at,
};
use crate::{
    connection::life::{Drain, Taken},
    fate::{CloseProof, DialFailure, HandshakeFailure, Lost, Peer, Reason, Role},
    lifecycle::{Event, Phase},
    ticket::Orders,
};

impl Child {
    /// Lets it happen, at this tick. When it was the end: the account of it, with which the ticket is to be spent.
    pub(super) fn happen(&mut self, what: Happens, now: u8, fault: Option<Fault>) -> Option<Lost> {
        if what.is_upset() || (what == TimesOut && self.life.phase == Phase::Open) {
            self.upsets = self.upsets.saturating_sub(1);
        }
        match what {
            SeesKill => {
                let linger_over = self.linger_is_over(now);
                return Some(self.end(fault, &Taken::Killed { linger_over }));
            }
            Panics => return Some(self.end(fault, &Taken::Panicked(Reason::Panicked(String::new())))),
            ThreadLost => return Some(self.end(fault, &Taken::TornDown)),
            Hangs => self.task = Task::Hanging,
            ComesRound => self.task = Task::Running,
            Obeys => {
                if self.life.half_closed && self.measures {
                    self.lingers_since = now;
                }
                self.obey();
            }
            SaysCloseNotify => {
                self.seen.we_notified = true;
                self.lingers_since = if self.measures { now } else { 0 };
                let flushed = self.life.flushed();
                self.life.on(flushed);
                if let Some(event) = self.life.peer_was_first() {
                    self.life.on(event);
                }
                self.notice_unwrapped(fault);
            }
            Dialed => drop(self.life.on(Event::Dialed)),
            Secured => {
                self.life.on(Event::Secured);
                match self.life.opens() || fault == Some(Fault::ConnectsAgain) {
                    true => self.tell(|seen| seen.connected += 1),
                    false => self.tell(|seen| seen.secured += 1),
                }
            }
            DialFails => self.fail(Reason::DialFailed(DialFailure::Connect { attempts: Vec::new() })),
            HandshakeFails => self.fail(Reason::HandshakeFailed(HandshakeFailure::Tls(String::new()))),
            Reset => self.fail(Reason::Reset),
            Data => {
                self.seen.data = true;
                if self.life.phase == Phase::Open || self.delivers_late || self.life.unwraps {
                    self.tell(|_| ());
                    // The protocol answers.
                    self.answer();
                }
            }
            PeerReads => self.owes = false,
            PeerCloses => {
                self.seen.peer_notified = true;
                self.peer_ended(true);
                self.notice_unwrapped(fault);
            }
            PeerFin => self.peer_ended(fault == Some(Fault::FinIsClean)),
            TimesOut => {
                let event = self.life.timed_out(self.owes || self.waits);
                self.life.on(event);
            }
            AppCloses => {
                self.lingers_since = if self.measures { now } else { 0 };
                self.close(None);
            }
            GivenUp => self.abort(Reason::Cancelled),
            AppHalfCloses => {
                if let Some(event) = self.life.half_close() {
                    self.delivers_late = true;
                    self.life.on(event);
                }
            }
            AppSecures => {
                if let Some(event) = self.life.secure() {
                    self.life.on(event);
                }
            }
            AppUnwraps | AppUnwrapsAndWrites => {
                if let Some(event) = self.life.unwrap() {
                    self.waits = what == AppUnwrapsAndWrites;
                    self.life.on(event);
                }
            }
            AppAborts => self.abort(Reason::Aborted),
            OwnerDies => self.owner_gone = true,
        }
        (self.life.phase == Phase::Lost).then(|| self.end(fault, &Taken::TornDown))
    }

    /// As `Link::linger_until`, as far as a stop decides it.
    pub(super) fn linger_is_over(&self, now: u8) -> bool {
        let own = self.orders.linger.filter(|_| self.measures).map(|linger| at(self.lingers_since) + linger);
        let until = [self.kill_at, own].into_iter().flatten().min();
        until.is_some_and(|until| until <= at(now))
    }

    /// As `Pump::obey`, in the same order.
    fn obey(&mut self) {
        let orders = self.orders;
        self.pending = false;
        self.kill_at = orders.kill_at.or(self.kill_at);
        if orders.owner_gone {
            self.close(Some(Reason::OwnerGone));
        }
        // A protocol that has something to finish may take its time, or close at once, which is the application's close.
        if orders.drain_until.is_some() && self.life.drain() == Drain::GiveUp {
            self.close(None);
        }
        if orders.close {
            self.close(None);
        }
    }

    fn close(&mut self, cause: Option<Reason>) {
        let event = self.life.close(cause, self.waits && !self.forgets_what_waits);
        self.life.on(event);
    }

    fn abort(&mut self, reason: Reason) {
        if let Some(event) = self.life.abort(reason) {
            self.life.on(event);
        }
    }

    fn fail(&mut self, reason: Reason) {
        let event = self.life.fail(reason, self.owes || self.waits);
        self.life.on(event);
    }

    fn peer_ended(&mut self, clean: bool) {
        let tells = (self.life.phase == Phase::Open || self.delivers_late || self.life.unwraps)
            && !(self.life.unwraps && clean);
        let event = self.life.peer_ended(clean, self.delivers_late);
        self.life.on(event);
        if tells {
            self.tell(|seen| seen.ends_of_stream += 1);
        }
    }

    /// The protocol answers: behind the TLS that is being ended, if it is.
    fn answer(&mut self) {
        match self.life.unwraps {
            true => self.waits |= !self.life.is_closing(),
            false => self.owes |= !self.life.is_closing(),
        }
    }

    /// As `Connection::notice_unwrapped`. There is TLS below, so that the rest of the life is as the model knows it.
    fn notice_unwrapped(&mut self, fault: Option<Fault>) {
        if !self.life.unwraps || self.life.phase != Phase::Open {
            return;
        }
        self.owes = std::mem::take(&mut self.waits);
        let proof = self.life.proof;
        let event = self.life.unwrapped(true);
        if fault == Some(Fault::KeepsProof) {
            self.life.proof = proof;
        }
        // What was said was said by the TLS that has ended.
        (self.seen.we_notified, self.seen.peer_notified, self.seen.ends_of_stream) = (false, false, 0);
        self.tell(|seen| seen.unwrapped += 1);
        if let Some(event) = event {
            self.life.on(event);
        }
    }

    fn tell(&mut self, what: impl FnOnce(&mut Seen)) {
        self.seen.after_lost |= self.seen.lost > 0;
        what(&mut self.seen);
    }

    /// The actor is dropped, with or without an end of its own before.
    fn end(&mut self, fault: Option<Fault>, taken: &Taken) -> Lost {
        if self.life.phase == Phase::Lost {
            self.finish(fault, taken);
        }
        let lost = self.finish(fault, taken);
        self.task = Task::Gone;
        // What only a living connection needs is put back, so that two that have ended alike are alike.
        (self.upsets, self.pending, self.orders, self.kill_at) = (0, false, Orders::default(), None);
        self.owner_gone = false;
        lost
    }

    /// As `Connection::finish`, once: the socket is closed, the account is left, the protocol is told.
    fn finish(&mut self, fault: Option<Fault>, taken: &Taken) -> Lost {
        if let Some(lost) = self.lost.clone().filter(|_| fault != Some(Fault::FinishesTwice)) {
            return lost;
        }
        let reason = self.life.last_reason(|| taken.clone());
        if reason == Reason::Abandoned && self.life.phase == Phase::Open && !self.owes {
            self.life.proof.close_notify_sent = true;
            self.seen.we_notified = true;
        }
        let lost = self.account(self.life.phase_of_end(), reason);
        self.lost = Some(lost.clone());
        self.tell(|seen| seen.lost += 1);
        lost
    }

    /// As `Entry::lost_without_account`.
    pub(super) fn written_off(&mut self) -> Lost {
        self.seen.written_off = true;
        let mut lost = self.account(self.life.phase, Reason::Abandoned);
        lost.proof = CloseProof::default();
        lost
    }

    fn account(&self, phase: Phase, reason: Reason) -> Lost {
        static PEER: LazyLock<Peer> = LazyLock::new(|| Peer::named("peer"));
        Lost {
            id: self.id,
            peer: PEER.clone(),
            role: if self.accepted { Role::Server } else { Role::Client },
            phase,
            reason,
            proof: self.life.proof,
            secure: true,
            bytes_in: 0,
            bytes_out: 0,
            bytes_unsent: (self.owes || self.waits).into(),
            age: Duration::ZERO,
        }
    }
}
