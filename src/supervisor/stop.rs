//! The stop: the fence, the stages, the acknowledgement.

use std::{collections::BTreeMap, sync::Arc};

use actix::{AsyncContext, Context, Handler, ResponseFuture, SpawnHandle};
use tokio::{sync::watch, time::Instant};

use super::{
    Progress, Remaining, Stage, Stop, Supervisor,
    course::{Course, Step},
};
use crate::fate::Ledger;

/// What a supervisor knows of its stop.
#[derive(Debug)]
pub(super) struct Stopping {
    pub(super) course: Course,
    timer: Option<SpawnHandle>,
    pub(super) looks: Option<SpawnHandle>,
    /// How many `Lost` were passed on: the acknowledgement, after which nothing is, waits for the last.
    pub(super) told: u64,
    ledger: watch::Sender<Option<Arc<Ledger>>>,
}

impl Default for Stopping {
    fn default() -> Self {
        Stopping { course: Course::default(), timer: None, looks: None, told: 0, ledger: watch::Sender::new(None) }
    }
}

impl Handler<Stop> for Supervisor {
    type Result = ResponseFuture<Arc<Ledger>>;

    fn handle(&mut self, stop: Stop, context: &mut Self::Context) -> Self::Result {
        if self.stopping.course.ask(stop.plan, self.plan, Instant::now()) {
            // From this line on nobody is admitted but by a listener in its lame duck; the mailbox makes it a before and an after.
            self.books.begin_stop();
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
        let now = Instant::now();
        let Some(step) = self.stopping.course.step(now) else { return };
        if step.fences() {
            self.fence();
        }
        self.order(&step);
        if step.is_new {
            self.tell(|| Progress::Stopping(self.remaining(step.stage)));
        }
        if let Some(next) = step.next {
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

    fn order(&mut self, step: &Step) {
        match step.stage {
            Stage::LameDuck => {}
            Stage::Drain | Stage::Linger => {
                self.books.alive().iter().for_each(|entry| entry.order(|orders| step.write_into(orders)));
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
        // Asked after each end, of which there are thousands.
        if !self.stopping.course.has_begun() {
            return;
        }
        let (outstanding, lost) = self.books.count();
        let untold = lost.saturating_sub(self.stopping.told);
        if !self.stopping.course.is_done(self.books.is_fenced(), outstanding, untold, self.listeners.len()) {
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
        self.stopping.course.acknowledge();
        let ledger = Arc::new(self.books.ledger());
        self.tell(|| Progress::Stopped(ledger.clone()));
        // The last subscriber's stream ends, and with the sender all that was kept for them.
        self.progress = None;
        self.stopping.ledger.send_replace(Some(ledger));
    }
}
