//! The course of a stop: what it is time for, what is ordered, when it may be acknowledged. Pure, with the clock as a parameter, so that a model checker can drive it.

use tokio::time::Instant;

use super::plan::{Schedule, Stage, StopPlan};
use crate::ticket::Orders;

/// What a supervisor knows of its stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Course {
    schedule: Option<Schedule>,
    /// The last stage whose orders were given.
    stage: Option<Stage>,
    acknowledged: bool,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) stage: Stage,
    /// The stage was not there before: it is worth telling.
    pub(crate) is_new: bool,
    /// When to look again.
    pub(crate) next: Option<Instant>,
    pub(crate) schedule: Schedule,
}

impl Course {
    pub(crate) fn has_begun(&self) -> bool {
        self.schedule.is_some()
    }

    /// Somebody asks for a stop. The first one's plan, or `default`, makes the schedule; a later one's can only shorten it, and one without a plan joins what is under way. Whether it is
    /// the first.
    pub(crate) fn ask(&mut self, plan: Option<StopPlan>, default: StopPlan, now: Instant) -> bool {
        match &mut self.schedule {
            Some(schedule) => {
                plan.into_iter().for_each(|plan| schedule.shorten(plan, now));
                false
            }
            None => {
                self.schedule = Some(Schedule::new(plan.unwrap_or(default), now));
                true
            }
        }
    }

    /// What it is time for. `None`: there is no stop, or it was acknowledged.
    pub(crate) fn step(&mut self, now: Instant) -> Option<Step> {
        let schedule = self.schedule.filter(|_| !self.acknowledged)?;
        let stage = schedule.stage(now);
        let is_new = self.stage.replace(stage) != Some(stage);
        Some(Step { stage, is_new, next: schedule.next(now), schedule })
    }

    /// Whether all that a stop waits for is over, but for threads that are still to be joined. `untold`: ends that are written down and were not passed on yet.
    pub(crate) fn is_done(&self, fenced: bool, outstanding: usize, untold: u64, listeners: usize) -> bool {
        self.schedule.is_some() && !self.acknowledged && fenced && outstanding == 0 && untold == 0 && listeners == 0
    }

    /// The last word.
    pub(crate) fn acknowledge(&mut self) {
        self.acknowledged = true;
    }
}

#[cfg(test)]
impl Course {
    pub(crate) fn schedule(&self) -> Option<Schedule> {
        self.schedule
    }

    pub(crate) fn stage(&self) -> Option<Stage> {
        self.stage
    }

    pub(crate) fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }
}

impl Step {
    /// Whether nobody may be admitted any more.
    pub(crate) fn fences(&self) -> bool {
        self.stage >= Stage::Drain
    }

    /// Writes what the stage asks of a connection into its orders, each time and not only on a change: a second stop changes the moments, and an order given twice is an order given
    /// once.
    pub(crate) fn write_into(&self, orders: &mut Orders) {
        orders.drain_until = Some(self.schedule.linger_at);
        orders.linger = Some(self.schedule.linger);
        orders.kill_at = Some(self.schedule.kill_at);
        // Not taken back when somebody had asked for it: the connection may not have read its orders since.
        orders.close |= self.stage == Stage::Linger;
    }
}
