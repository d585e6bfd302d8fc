//! The plan of a stop: pure, with the clock as a parameter.

use std::time::Duration;

use tokio::time::Instant;

/// How long each part of a stop may take. A stop ends as soon as nothing is alive; these only bound it.
///
/// ```text
///  Stop      lame duck          drain               linger            kill
///   |---- still accepting ----|---- finish ----|---- close_notify ----|  at once
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StopPlan {
    /// Listeners still accept, while a balancer learns that we are going. What the application asks for is refused already. Default 0.
    pub lame_duck: Duration,
    /// Nothing new is admitted; each connection finishes what it is doing, as its protocol sees it, and closes. Default 30 s.
    pub drain: Duration,
    /// What has not closed by then is closed, and so long may a close take. It also caps the linger of those that close during the drain. Default 5 s.
    pub linger: Duration,
}

impl Default for StopPlan {
    fn default() -> Self {
        StopPlan { lame_duck: Duration::ZERO, drain: Duration::from_secs(30), linger: Duration::from_secs(5) }
    }
}

impl StopPlan {
    /// The default: no lame duck, 30 s to drain, 5 s to linger.
    pub fn new() -> Self {
        StopPlan::default()
    }

    /// Kill at once: no drain and no linger.
    pub fn now() -> Self {
        StopPlan { lame_duck: Duration::ZERO, drain: Duration::ZERO, linger: Duration::ZERO }
    }

    /// How long listeners still accept.
    pub fn lame_duck(mut self, lame_duck: Duration) -> Self {
        self.lame_duck = lame_duck;
        self
    }

    /// How long connections may take to finish what they are doing.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// How long closing may take.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// All of it together: a stop is acknowledged by then, plus the time that closing sockets takes.
    pub fn budget(&self) -> Duration {
        self.lame_duck.saturating_add(self.drain).saturating_add(self.linger)
    }
}

/// Where a stop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Stage {
    /// Listeners still accept.
    LameDuck,
    /// Connections finish what they are doing.
    Drain,
    /// Connections were told to close, and close.
    Linger,
    /// The deadline has passed: what is left is aborted.
    Kill,
    /// What did not even answer to the kill is written off: its thread hangs.
    WriteOff,
}

/// A plan with its moments. Each may only move towards now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Schedule {
    pub(crate) began: Instant,
    pub(crate) drain_at: Instant,
    pub(crate) linger_at: Instant,
    pub(crate) kill_at: Instant,
    pub(crate) linger: Duration,
}

/// How long a child's thread may take to come round to a kill before it is written off. Chosen arbitrarily: far longer than any poll should take, and short beside the default of 35 s.
const WRITE_OFF_AFTER: Duration = Duration::from_secs(2);

impl Schedule {
    pub(super) fn new(plan: StopPlan, now: Instant) -> Self {
        let drain_at = later(now, plan.lame_duck);
        let linger_at = later(drain_at, plan.drain);
        Schedule { began: now, drain_at, linger_at, kill_at: later(linger_at, plan.linger), linger: plan.linger }
    }

    /// Takes a second plan in: every moment the nearer of the two.
    pub(super) fn shorten(&mut self, plan: StopPlan, now: Instant) {
        let other = Schedule::new(plan, now);
        self.drain_at = self.drain_at.min(other.drain_at);
        self.linger_at = self.linger_at.min(other.linger_at);
        self.kill_at = self.kill_at.min(other.kill_at);
        self.linger = self.linger.min(other.linger);
    }

    pub(super) fn stage(&self, now: Instant) -> Stage {
        match now {
            _ if now >= later(self.kill_at, WRITE_OFF_AFTER) => Stage::WriteOff,
            _ if now >= self.kill_at => Stage::Kill,
            _ if now >= self.linger_at => Stage::Linger,
            _ if now >= self.drain_at => Stage::Drain,
            _ => Stage::LameDuck,
        }
    }

    /// When the stage changes next.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        match self.stage(now) {
            Stage::LameDuck => Some(self.drain_at),
            Stage::Drain => Some(self.linger_at),
            Stage::Linger => Some(self.kill_at),
            Stage::Kill => Some(later(self.kill_at, WRITE_OFF_AFTER)),
            Stage::WriteOff => None,
        }
    }
}

/// An instant so much later; one so far that the clock cannot say it is a year away, which is never for a stop.
fn later(now: Instant, by: Duration) -> Instant {
    // Where not even a year fits behind it, it is never itself.
    now.checked_add(by).or_else(|| now.checked_add(Duration::from_secs(365 * 24 * 3600))).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan(lame_duck: u32, drain: u32, linger: u32) -> StopPlan {
        StopPlan { lame_duck: SECOND * lame_duck, drain: SECOND * drain, linger: SECOND * linger }
    }

    #[test]
    fn the_stages_follow_each_other() {
        let now = Instant::now();
        let schedule = Schedule::new(plan(1, 2, 3), now);
        for (after, stage) in [
            (0, Stage::LameDuck),
            (1, Stage::Drain),
            (3, Stage::Linger),
            (6, Stage::Kill),
            (7, Stage::Kill),
            (8, Stage::WriteOff),
        ] {
            let at = now + SECOND * after;
            assert_eq!(schedule.stage(at), stage, "after {after} s");
            assert!(schedule.next(at).is_none_or(|next| next > at), "a stage that is over would spin");
        }
    }

    /// Law 6: a second stop may only shorten the first.
    #[test]
    fn a_second_plan_only_brings_moments_nearer() {
        let now = Instant::now();
        for first in [plan(0, 0, 0), plan(1, 5, 2), plan(9, 9, 9)] {
            for second in [plan(0, 0, 0), plan(0, 30, 5), plan(3, 1, 8), plan(u32::MAX, 1, 1)] {
                let before = Schedule::new(first, now);
                let mut after = before;
                after.shorten(second, now + SECOND);
                assert!(after.drain_at <= before.drain_at);
                assert!(after.linger_at <= before.linger_at);
                assert!(after.kill_at <= before.kill_at);
                assert!(after.kill_at <= now + SECOND + second.budget());
            }
        }
    }

    #[test]
    fn an_endless_plan_is_no_panic() {
        let endless = StopPlan { lame_duck: Duration::MAX, drain: Duration::MAX, linger: Duration::MAX };
        // The second one ends a month before the clock does.
        let nearly = StopPlan { lame_duck: Duration::from_secs(i64::MAX as u64 - 30 * 24 * 3600), ..endless };
        for plan in [endless, nearly] {
            assert_eq!(Schedule::new(plan, Instant::now()).stage(Instant::now()), Stage::LameDuck);
        }
        assert_eq!(endless.budget(), Duration::MAX);
    }
}
