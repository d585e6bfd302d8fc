//! The supervisor: admits, lists, drains, kills, and tells how everything ended. It never touches a byte, and its mailbox never waits.

mod admission;
pub(crate) mod course;
mod messages;
mod open;
mod plan;
mod progress;
mod stop;
mod workers;

use std::{
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle, StreamHandler};
use tokio::sync::broadcast;

pub(crate) use admission::{Admit, Newcomer};
pub use messages::{Adopt, Connect, Evict, Roll, Stop};
#[cfg(test)]
pub(crate) use plan::Schedule;
pub use plan::{Stage, StopPlan};
pub use progress::{Progress, Remaining, Subscribe, Subscription};

use crate::{
    dial::Resolver,
    ticket::{Books, Inbox, News, RollEntry},
};
use stop::Stopping;
use workers::Workers;

/// Admits connections and listeners, and acknowledges a [`Stop`] after the last of them has ended. It never restarts a child: what ended has ended, and is told.
///
/// It is not `actix::Supervisor`. Children run on its own thread unless it is given [`workers`](Supervisor::workers). It is started as any actor, or by [`run`](crate::run).
///
/// ```
/// # use std::time::Duration;
/// use exeunt::{StopPlan, Supervisor};
///
/// let supervisor = Supervisor::new()
///     .max_connections(10_000)
///     .stop_plan(StopPlan::new().drain(Duration::from_secs(20)));
/// let books = supervisor.books(); // readable also after everything was torn down
/// assert_eq!(books.outstanding(), 0);
/// ```
#[derive(Debug)]
pub struct Supervisor {
    books: Books,
    news: Option<Inbox>,
    progress: Option<broadcast::Sender<Progress>>,
    plan: StopPlan,
    resolver: Arc<dyn Resolver>,
    wanted_workers: usize,
    workers: Workers,
    listeners: Vec<(u64, Recipient<EndListening>)>,
    next_listener: u64,
    news_stream: Option<SpawnHandle>,
    stopping: Stopping,
}

impl Default for Supervisor {
    fn default() -> Self {
        Supervisor::new()
    }
}

impl Supervisor {
    /// No limit, no threads of its own, the default [`StopPlan`], the system's resolver.
    pub fn new() -> Self {
        let (books, news) = Books::new(usize::MAX);
        Supervisor {
            books,
            news: Some(news),
            progress: Some(broadcast::channel(Subscription::BUFFER).0),
            plan: StopPlan::default(),
            resolver: messages::system_resolver(),
            wanted_workers: 0,
            workers: Workers::default(),
            listeners: Vec::new(),
            next_listener: 0,
            news_stream: None,
            stopping: Stopping::default(),
        }
    }

    /// How many connections may be alive at a time. One more that is asked for is [refused](crate::Refusal::Limit); listeners leave it to the operating system's backlog until there is room.
    /// Default: no limit.
    pub fn max_connections(self, most: usize) -> Self {
        self.books.set_limit(most);
        self
    }

    /// So many threads for the connections, each placed on the one with the fewest, joined by the stop. Default 0: all on the supervisor's thread, where a message to a connection costs no
    /// wake-up of another core.
    pub fn workers(mut self, threads: usize) -> Self {
        self.wanted_workers = threads;
        self
    }

    /// The plan of a stop that brings none. Default: [`StopPlan::default`].
    pub fn stop_plan(mut self, plan: StopPlan) -> Self {
        self.plan = plan;
        self
    }

    /// Who resolves names. Default: the system.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }

    /// The account of the connections, which outlives the supervisor and its runtime.
    pub fn books(&self) -> Books {
        self.books.clone()
    }

    /// Takes a listener in, so that a stop ends it and waits for its socket to be closed. `start` is given its number, with which it tells the books of its end.
    pub(crate) fn take_listener<A>(&mut self, start: impl FnOnce(u64) -> Addr<A>) -> Addr<A>
    where
        A: Actor<Context = Context<A>> + Handler<EndListening>,
    {
        self.next_listener += 1;
        let listener = start(self.next_listener);
        self.listeners.push((self.next_listener, listener.clone().recipient()));
        listener
    }

    /// Whether a stop has begun.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.course.has_begun()
    }

    /// Tells the subscribers, if there are any.
    pub(crate) fn tell(&self, progress: impl FnOnce() -> Progress) {
        if let Some(sender) = self.progress.as_ref().filter(|sender| sender.receiver_count() > 0) {
            let _ = sender.send(progress());
        }
    }

    /// Looks at every connection: whether its owner went away without a trace, and whether it is idle and could give back its buffers.
    fn look(&mut self) {
        self.books.alive().iter().for_each(|entry| entry.look());
    }
}

/// Ends a listener: it closes its socket, then itself.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct EndListening;

/// How often the supervisor looks at its connections. actix tells nobody when an actor ends, so somebody has to look for owners that went away; and an idle connection need not have a timer of its
/// own to find out that it is idle.
const LOOK: Duration = Duration::from_secs(1);

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(mut news) = self.news.take() {
            let stream = futures_util::stream::poll_fn(move |cx: &mut TaskContext<'_>| -> Poll<Option<News>> {
                news.poll_next(cx).map(Some)
            });
            self.news_stream = Some(context.add_stream(stream));
        }
        if self.wanted_workers > 0 {
            match Workers::start(self.wanted_workers, &self.books) {
                Ok(workers) => self.workers = workers,
                Err(error) => tracing::error!(%error, "no worker threads: connections run on the supervisor's own"),
            }
        }
        self.stopping.looks = Some(context.run_interval(LOOK, |supervisor, _| supervisor.look()));
    }
}

impl StreamHandler<News> for Supervisor {
    fn handle(&mut self, news: News, context: &mut Self::Context) {
        match news {
            News::Connected(entry) => self.tell(|| Progress::Connected { id: entry.id, peer: entry.peer() }),
            News::Lost(lost) => {
                self.stopping.told += 1;
                self.tell(|| Progress::Lost(Arc::unwrap_or_clone(lost)));
            }
            News::ListenerEnded(ended) => self.listeners.retain(|(id, _)| *id != ended),
            News::ListenerStuck(words) => self.tell(|| Progress::ListenerStuck(words)),
            News::WorkerEnded => {}
        }
        self.acknowledge_when_done(context);
    }

    /// The default would stop the actor, and a supervisor answers a late `Stop` with its ledger.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Roll> for Supervisor {
    type Result = Vec<RollEntry>;

    fn handle(&mut self, _: Roll, _: &mut Self::Context) -> Self::Result {
        self.books.roll()
    }
}

impl Handler<Evict> for Supervisor {
    type Result = bool;

    fn handle(&mut self, evict: Evict, _: &mut Self::Context) -> bool {
        let entry = self.books.find(evict.id);
        if let Some(entry) = &entry {
            match evict.abort {
                true => entry.abort(),
                false => entry.order(|orders| orders.close = true),
            }
        }
        entry.is_some()
    }
}

impl Handler<Subscribe> for Supervisor {
    type Result = actix::MessageResult<Subscribe>;

    fn handle(&mut self, _: Subscribe, _: &mut Self::Context) -> Self::Result {
        let receiver = match &self.progress {
            Some(sender) => sender.subscribe(),
            // All is said: a stream that ends at once.
            None => broadcast::channel(1).1,
        };
        actix::MessageResult(Subscription::new(receiver))
    }
}
