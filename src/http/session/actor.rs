//! The session as an actor: it dials, sweeps, is asked by messages, and closes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, ResponseFuture};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::{
    Fetch, Session,
    config::Timeouts,
    key::Key,
    pool::PlaceId,
    shared::{Shared, lock},
    via::Via,
    watcher::Watcher,
};
use crate::{
    connection::ConnectError,
    fate::Ledger,
    http::{Error, ErrorKind, HttpClient, Response},
    supervisor::{
        Connect, Stage, Stop, StopPlan,
        course::{Course, Step},
    },
};

/// A session as an actor, for those who speak in messages: it understands [`Fetch`] and [`Stop`].
///
/// `Stop` closes the session alone: requests under way are finished within the plan's drain, new ones are refused, idle connections close at once; it is answered, after the last `Lost` of the session's own
/// connections, with their ledger. A lame duck makes no sense here, and counts as drain.
pub struct SessionActor {
    shared: Arc<Shared>,
    dials: Dials,
    closing: Arc<Closing>,
    /// `Some` from the first `Stop` on.
    done: Option<watch::Receiver<Option<Arc<Ledger>>>>,
}

type Dials = HashMap<PlaceId, JoinHandle<()>>;

/// What the actor tells the task that sees the connections off.
#[derive(Default)]
struct Closing {
    course: Mutex<Course>,
    /// The course was changed: what was ordered is to be ordered again.
    asked: AtomicBool,
}

/// How often the pool is looked over for what has been idle for too long. A request never gets a connection that is stale; this only sees to it that stale ones go.
const LOOK: Duration = Duration::from_secs(1);

impl SessionActor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        SessionActor { shared, dials: HashMap::new(), closing: Arc::default(), done: None }
    }
}

impl Actor for SessionActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(LOOK, |session, _| {
            session.dials.retain(|_, dial| !dial.is_finished());
            session.shared.sweep();
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.shared.close();
    }
}

/// Asks for a connection for this place.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Dial {
    pub(super) place: PlaceId,
    pub(super) key: Key,
    pub(super) timeouts: Timeouts,
}

impl Handler<Dial> for SessionActor {
    type Result = ();

    fn handle(&mut self, Dial { place, key, timeouts }: Dial, _: &mut Self::Context) {
        if self.shared.is_closed() {
            return self.shared.failed(place, Error::new(ErrorKind::Closed));
        }
        let shared = self.shared.clone();
        let asked = shared.supervisor.send(connect(&shared, place, &key, timeouts));
        let dial = actix_rt::spawn(async move {
            match asked.await {
                Ok(answer) => shared.dialed(place, answer),
                // The supervisor is gone: nothing will be admitted any more.
                Err(_) => shared.dialed(place, Err(ConnectError::Refused(crate::ticket::Refusal::Stopping))),
            }
        });
        self.dials.insert(place, dial);
    }
}

fn connect(shared: &Arc<Shared>, place: PlaceId, key: &Key, timeouts: Timeouts) -> Connect<HttpClient> {
    let protocol = HttpClient::new().versions(key.versions());
    #[cfg(feature = "http2")]
    let protocol = protocol.http2(shared.config.http2.clone()).presumes(lock(&shared.pool).presumed(key));
    let protocol = protocol.watched_by(Arc::new(Watcher::new(shared, place, key.clone())));
    let mut connect = match (key.via(), key.forwarding_proxy()) {
        (_, Some(proxy)) => Connect::to_proxy(proxy, protocol),
        #[cfg(unix)]
        (Via::Unix(path), _) if key.is_secure() => Connect::unix(path, key.host(), protocol),
        #[cfg(unix)]
        (Via::Unix(path), _) => Connect::plain_unix(path, protocol),
        _ if key.is_secure() => Connect::to(key.target(), protocol),
        _ => Connect::plain(key.target(), protocol),
    };
    if key.is_secure() {
        connect = connect.alpn(key.versions().offers());
        if let Some(tls) = key.tls().or(shared.config.tls.as_ref()) {
            connect = connect.tls(tls);
        }
    }
    if let (Via::Proxy(proxy) | Via::Tunnel(proxy), None) = (key.via(), key.forwarding_proxy()) {
        connect = connect.proxy(proxy);
    }
    if let Some(name) = key.server_name() {
        connect = connect.server_name(name);
    }
    if let Some(resolver) = &shared.config.resolver {
        connect = connect.resolver(resolver.clone());
    }
    connect
        .dial(shared.config.dial.clone())
        .dial_timeout(timeouts.dial)
        .handshake_timeout(timeouts.handshake)
        .linger(shared.config.linger)
}

impl Handler<Fetch> for SessionActor {
    type Result = ResponseFuture<Result<Response, Error>>;

    fn handle(&mut self, fetch: Fetch, context: &mut Self::Context) -> Self::Result {
        let session = Session::again(self.shared.clone(), context.address());
        let reply_to = fetch.reply_to.clone();
        Box::pin(async move {
            let result = session.fetch(fetch).await;
            match reply_to {
                None => result,
                Some((recipient, tag)) => {
                    recipient.do_send(super::Fetched { tag, result });
                    // Whoever names a recipient has asked by `do_send`; one who awaits this, too, is told where the answer went.
                    Err(Error::request("the answer went to the recipient that was named"))
                }
            }
        })
    }
}

/// The last handle is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Released;

impl Handler<Released> for SessionActor {
    type Result = ();

    fn handle(&mut self, _: Released, context: &mut Self::Context) {
        context.stop();
    }
}

impl Handler<Stop> for SessionActor {
    type Result = ResponseFuture<Arc<Ledger>>;

    fn handle(&mut self, stop: Stop, _: &mut Self::Context) -> Self::Result {
        lock(&self.closing.course).ask(stop.into_plan(), StopPlan::default(), Instant::now());
        self.closing.asked.store(true, Relaxed);
        self.shared.changed.notify_one();
        let mut done =
            self.done.get_or_insert_with(|| begin_close(&self.shared, &self.closing, &mut self.dials)).clone();
        let shared = self.shared.clone();
        Box::pin(async move {
            match done.wait_for(Option::is_some).await {
                Ok(ledger) => ledger.clone().unwrap_or_default(),
                Err(_) => Arc::new(lock(&shared.account).ledger(Instant::now())),
            }
        })
    }
}

fn begin_close(
    shared: &Arc<Shared>,
    closing: &Arc<Closing>,
    dials: &mut Dials,
) -> watch::Receiver<Option<Arc<Ledger>>> {
    lock(&shared.account).begin_close(Instant::now());
    shared.close();
    // What is not open yet is given up: its connection notices that nobody waits for it, and is lost as cancelled.
    for (place, dial) in dials.drain() {
        dial.abort();
        shared.failed(place, Error::new(ErrorKind::Closed));
    }
    let (ledger, done) = watch::channel(None);
    let (shared, closing) = (shared.clone(), closing.clone());
    actix_rt::spawn(async move {
        see_off(&shared, &closing).await;
        ledger.send_replace(Some(Arc::new(lock(&shared.account).ledger(Instant::now()))));
    });
    done
}

/// Orders what the course says, until nothing is outstanding.
async fn see_off(shared: &Shared, closing: &Closing) {
    loop {
        let asked = closing.asked.swap(false, Relaxed);
        let Some(step) = lock(&closing.course).step(Instant::now()) else { return };
        if step.is_new || asked {
            order(shared, &step);
        }
        if lock(&shared.account).outstanding() == 0 {
            return;
        }
        let changed = shared.changed.notified();
        match step.next {
            // Which of the two it was, the next turn sees.
            Some(next) => drop(timeout_at(next, changed).await),
            None => changed.await,
        }
    }
}

fn order(shared: &Shared, step: &Step) {
    let mut account = lock(&shared.account);
    match step.stage {
        Stage::LameDuck | Stage::Drain | Stage::Linger => {
            account.entries().iter().for_each(|entry| entry.order(|orders| step.write_into(orders)));
        }
        Stage::Kill => account.entries().iter().for_each(|entry| entry.kill()),
        Stage::WriteOff => account.write_off(),
    }
}
