//! The steps of the supervisor, as its actor takes them, by the same decisions.

use std::time::Duration;

use super::{
    Cast,
    child::Child,
    fault::Fault,
    happens::Happens,
    state::{Ask, Listener, News, State, Thread, at},
};
use crate::{
    fate::{ConnectionId, Lost},
    lifecycle::Phase,
    supervisor::{Schedule, Stage, StopPlan, course::Course},
    ticket::Fence,
};

fn plan((lame_duck, drain, linger): (u8, u8, u8)) -> StopPlan {
    let seconds = |n: u8| Duration::from_secs(n.into());
    StopPlan { lame_duck: seconds(lame_duck), drain: seconds(drain), linger: seconds(linger) }
}

impl State {
    /// A message of the supervisor's mailbox.
    pub(super) fn handle(&mut self, cast: &Cast) {
        match self.inbox.remove(0) {
            Ask::Connect => self.admit(cast, false),
            Ask::Admit => self.admit(cast, true),
            Ask::Evict(n) => {
                let id = ConnectionId(u64::from(n) + 1);
                if self.register.find(id).is_some() {
                    let child = self.child(id);
                    child.orders.close = true;
                    child.pending = true;
                    child.seen.evicted = true;
                }
            }
            Ask::Stop(asked) => {
                let before = self.course.schedule();
                if before.is_some() {
                    self.truth.second_stop = self.stage();
                    self.truth.stop_after_all = self.is_over();
                }
                if cast.fault == Some(Fault::SecondStopExtends) && !self.is_over() {
                    self.course = Course::default();
                }
                let first = self.course.ask(asked.map(plan), plan(cast.plan), at(self.now));
                if first && cast.fault != Some(Fault::BeginsLate) {
                    self.begin_stop();
                }
                if first {
                    self.truth.rows_due = self.register.outstanding() as u8;
                }
                self.truth.moved_later |= moved_later(before, self.course.schedule());
                self.advance(cast);
            }
        }
    }

    fn begin_stop(&mut self) {
        let children = &self.children;
        self.register.begin_stop(|id| children[id.0 as usize - 1].life.phase);
    }

    fn admit(&mut self, cast: &Cast, accepted: bool) {
        let phase = if accepted || !cast.dials { Phase::Handshaking } else { Phase::Dialing };
        let passes = accepted || cast.fault == Some(Fault::AskedPassesAsAccepted);
        let stopping = self.course.has_begun();
        let drained = self.stage() >= Some(Stage::Drain);
        match self.register.admit(passes, phase, |id| id).copied() {
            Ok(id) => {
                self.truth.admitted_late |= drained || (stopping && !accepted);
                self.truth.rows_due += u8::from(stopping);
                let mut child = Child::new(id, accepted, phase, cast.upsets);
                child.measures = cast.eager;
                child.forgets_what_waits = cast.fault == Some(Fault::ForgetsWhatWaits);
                child.seen.in_lame_duck = stopping;
                self.children.push(child);
            }
            Err(_) if accepted => self.truth.refused_accepted = true,
            Err(_) => self.truth.refused_asked = self.stage(),
        }
    }

    /// As `Supervisor::advance`.
    pub(super) fn advance(&mut self, cast: &Cast) {
        self.timer = None;
        let Some(step) = self.course.step(at(self.now)) else { return };
        if step.fences() {
            if cast.fault == Some(Fault::BeginsLate) {
                self.begin_stop();
            }
            self.fence(cast);
        }
        let alive: Vec<_> = self.register.alive().copied().collect();
        match step.stage {
            Stage::LameDuck => {}
            Stage::Drain | Stage::Linger => {
                for id in alive {
                    let child = self.child(id);
                    step.write_into(&mut child.orders);
                    if cast.fault == Some(Fault::OrdersForget) {
                        child.orders.close = step.stage == Stage::Linger;
                    }
                    child.pending = true;
                    // A connection here reads that there is a drain, not until when, and its lingers have no length.
                    if !child.measures {
                        (child.orders.drain_until, child.orders.linger) = (Some(at(0)), None);
                    }
                }
            }
            Stage::Kill => alive.into_iter().for_each(|id| self.child(id).killed = true),
            Stage::WriteOff if cast.fault == Some(Fault::NeverWritesOff) => {}
            Stage::WriteOff => {
                for id in alive {
                    let lost = self.child(id).written_off();
                    self.spend(cast, &lost);
                }
                self.thread = Thread::Forgotten;
                self.listeners = 0;
            }
        }
        self.timer = step.next;
        self.acknowledge_when_done(cast);
    }

    fn fence(&mut self, cast: &Cast) {
        if self.register.fence() != Fence::Closed {
            let to = if cast.fault == Some(Fault::FenceStaysAjar) { Fence::AcceptedOnly } else { Fence::Closed };
            self.register.close_fence(to);
            if self.listener == Listener::Accepting && cast.fault != Some(Fault::FenceStaysAjar) {
                self.listener = Listener::Told;
            }
        }
    }

    /// As `Supervisor::acknowledge_when_done`.
    fn acknowledge_when_done(&mut self, cast: &Cast) {
        let early = usize::from(cast.fault == Some(Fault::AcknowledgesEarly));
        let listeners = if cast.fault == Some(Fault::ForgetsListeners) { 0 } else { self.listeners };
        let fenced = self.register.fence() == Fence::Closed;
        let untold = match cast.fault {
            Some(Fault::AcknowledgesUntold) => 0,
            _ => self.register.lost().saturating_sub(self.told),
        };
        if !self.course.is_done(fenced, self.register.outstanding().saturating_sub(early), untold, listeners) {
            return;
        }
        if self.thread == Thread::Running {
            self.thread = Thread::Dismissed;
        }
        if matches!(self.thread, Thread::Joined | Thread::Forgotten) || early > 0 {
            self.timer = None;
            self.course.acknowledge();
            self.truth.untold = self.news.contains(&News::Lost);
        }
    }

    pub(super) fn hear(&mut self, cast: &Cast) {
        match self.news.remove(0) {
            News::Lost => self.told += 1,
            News::ListenerEnded => self.listeners = 0,
            News::WorkerEnded => {}
        }
        self.acknowledge_when_done(cast);
    }

    pub(super) fn look(&mut self) {
        self.looks = false;
        let alive: Vec<_> = self.register.alive().copied().collect();
        for id in alive {
            let child = self.child(id);
            if child.owner_gone && !child.orders.owner_gone {
                child.orders.owner_gone = true;
                child.pending = true;
            }
        }
    }

    /// The thread's last value is gone: it may be joined.
    pub(super) fn thread_ends(&mut self) {
        self.thread = Thread::Joined;
        self.news.push(News::WorkerEnded);
    }

    pub(super) fn child_acts(&mut self, cast: &Cast, n: u8, what: Happens) {
        let child = &mut self.children[usize::from(n)];
        if let Some(lost) = child.happen(what, self.now, cast.fault) {
            self.spend(cast, &lost);
        }
    }

    /// As the drop of a ticket.
    fn spend(&mut self, cast: &Cast, lost: &Lost) {
        let first = self.register.end(lost);
        if first || cast.fault == Some(Fault::TellsAgain) {
            self.child(lost.id).seen.told += 1;
            if cast.fault != Some(Fault::KeepsNews) && !self.is_over() {
                self.news.push(News::Lost);
            }
        }
    }
}

fn moved_later(before: Option<Schedule>, after: Option<Schedule>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    after.drain_at > before.drain_at
        || after.linger_at > before.linger_at
        || after.kill_at > before.kill_at
        || after.linger > before.linger
}
