//! The stop: the fence, the stages, the acknowledgement.

use std::{collections::BTreeMap, sync::Arc};

use actix::{AsyncContext, Context, Handler, ResponseFuture, SpawnHandle};
use tokio::{sync::watch, time::Instant};

use super::{Progress, Remaining, Stage, Stop, Supervisor, plan::Schedule};
use crate::fate::Ledger;

/// What a supervisor knows of its stop.
#[derive(Debug)]
pub(super) struct Stopping {
    schedule: Option<Schedule>,
    /// The last stage whose orders were given.
    stage: Option<Stage>,
    timer: Option<SpawnHandle>,
    pub(super) looks: Option<SpawnHandle>,
    ledger: watch::Sender<Option<Arc<Ledger>>>,
}

impl Default for Stopping {
    fn default() -> Self {
        Stopping { schedule: None, stage: None, timer: None, looks: None, ledger: watch::Sender::new(None) }
    }
}

impl Stopping {
    pub(super) fn has_begun(&self) -> bool {
        self.schedule.is_some()
    }
}

impl Handler<Stop> for Supervisor {
    type Result = ResponseFuture<Arc<Ledger>>;

    fn handle(&mut self, stop: Stop, context: &mut Self::Context) -> Self::Result {
        let now = Instant::now();
        let plan = stop.plan.unwrap_or(self.plan);
        match &mut self.stopping.schedule {
            // A stop without a plan joins the one that is under way.
            Some(schedule) => stop.plan.into_iter().for_each(|plan| schedule.shorten(plan, now)),
            None => {
                // From this line on nobody is admitted but by a listener in its lame duck; the mailbox makes it a before and an after.
                self.books.begin_stop();
                self.stopping.schedule = Some(Schedule::new(plan, now));
            }
        }
        self.advance(context);
        let mut acknowledged = self.stopping.ledger.subscribe();
        let books = self.books.clone();
        Box::pin(async move {
            match acknowledged.wait_for(Option::is_some).await {
                Ok(ledger) => ledger.clone().unwrap_or_default(),
                // The supervisor was torn down in its stop: what the books say is all there is to say.
                Err(_) => Arc::new(books.ledger()),
            }
        })
    }
}

impl Supervisor {
    /// Gives the orders of the stage that it is time for, and sets the timer for the next.
    fn advance(&mut self, context: &mut Context<Self>) {
        if let Some(timer) = self.stopping.timer.take() {
            context.cancel_future(timer);
        }
        let Some(schedule) = self.stopping.schedule else { return };
        if self.stopping.ledger.borrow().is_some() {
            return;
        }
        let now = Instant::now();
        let stage = schedule.stage(now);
        if stage >= Stage::Drain {
            self.fence();
        }
        // Each time, not only on a change: a second stop changes the moments, and an order given twice is an order given once.
        self.order(stage, &schedule);
        if self.stopping.stage.replace(stage) != Some(stage) {
            self.tell(Progress::Stopping(self.remaining(stage)));
        }
        if let Some(next) = schedule.next(now) {
            let timer = context.run_later(next - now, |supervisor, context| {
                supervisor.stopping.timer = None;
                supervisor.advance(context);
            });
            self.stopping.timer = Some(timer);
        }
        self.acknowledge_when_done(context);
    }

    /// Nothing is admitted any more, and the listeners close their sockets.
    fn fence(&mut self) {
        if !self.books.is_fenced() {
            self.books.fence();
            for (_, listener) in &self.listeners {
                listener.do_send(super::EndListening);
            }
        }
    }

    fn order(&mut self, stage: Stage, schedule: &Schedule) {
        match stage {
            Stage::LameDuck => {}
            Stage::Drain | Stage::Linger => {
                for entry in self.books.alive() {
                    entry.order(|orders| {
                        orders.drain_until = Some(schedule.linger_at);
                        orders.linger = Some(schedule.linger);
                        orders.kill_at = Some(schedule.kill_at);
                        orders.close = stage == Stage::Linger;
                    });
                }
            }
            Stage::Kill => self.books.alive().iter().for_each(|entry| entry.kill()),
            Stage::WriteOff => {
                let written_off = self.books.write_off();
                tracing::error!(written_off, "connections did not answer to the kill: their threads hang");
                self.workers.dismiss();
                // What does not end now is left to the operating system.
                self.workers.forget();
                self.listeners.clear();
            }
        }
    }

    fn remaining(&self, stage: Stage) -> Remaining {
        let mut remaining = BTreeMap::new();
        for entry in self.books.alive() {
            *remaining.entry(entry.phase()).or_insert(0) += 1;
        }
        Remaining { stage, remaining: remaining.into_iter().collect() }
    }

    /// Acknowledges the stop when nothing is outstanding: tickets, then the telling of their ends, then listeners, then threads.
    pub(super) fn acknowledge_when_done(&mut self, context: &mut Context<Self>) {
        let fenced = self.stopping.schedule.is_some() && self.books.is_fenced();
        if !fenced || self.books.outstanding() > 0 || !self.listeners.is_empty() || self.progress.is_none() {
            return;
        }
        // Many end at one moment, the moment of a deadline; the news of each is on its way to us.
        if self.told < self.books.ended() {
            return;
        }
        self.workers.dismiss();
        if !self.workers.join_ended() {
            return;
        }
        // With these gone, the supervisor ends when its last address does.
        let handles = [self.stopping.timer.take(), self.stopping.looks.take(), self.news_stream.take()];
        for handle in handles.into_iter().flatten() {
            context.cancel_future(handle);
        }
        let ledger = Arc::new(self.books.ledger());
        self.tell(Progress::Stopped(ledger.clone()));
        // The last subscriber's stream ends, and with the sender all that was kept for them.
        self.progress = None;
        self.stopping.ledger.send_replace(Some(ledger));
    }
}
