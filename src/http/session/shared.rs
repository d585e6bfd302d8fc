//! What a session's handle, its actor and its connections share: the pool under a lock that is held for no longer than it takes to look.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use actix::{Addr, WeakAddr};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    account::Account,
    actor::{Dial, SessionActor},
    config::{Config, Timeouts},
    defaults::Defaults,
    hooks::{Hooks, Moment},
    key::Key,
    lease::{Lease, Waiting},
    pool::{Act, Checkout, PlaceId, Pool},
};
use crate::{
    connection::{ConnectError, Handle},
    fate::ConnectionId,
    http::{Error, ErrorKind, HttpClient, watch::Retire},
    lifecycle::Phase,
    supervisor::Supervisor,
};

pub(super) struct Shared {
    pub(super) config: Config,
    /// The configuration's headers, as requests are given them.
    pub(super) defaults: Defaults,
    pub(super) supervisor: Addr<Supervisor>,
    pub(super) pool: Mutex<Pool<Arc<Client>, Waiter>>,
    pub(super) account: Mutex<Account>,
    /// An end was written into the account, or a close was asked for.
    pub(super) changed: Notify,
    closed: AtomicBool,
    actor: OnceLock<WeakAddr<SessionActor>>,
    requests: AtomicU64,
    pub(super) last_key: Mutex<Option<Key>>,
    #[cfg(feature = "digest")]
    pub(super) challenges: super::digest::Challenges,
}

/// Whoever waits for a connection.
type Waiter = oneshot::Sender<Result<Lease, Error>>;

/// What is to be done when the pool's lock is let go.
type Acts = Vec<Act<Arc<Client>, Waiter>>;

/// A connection of the pool. Its address is cloned but once: each clone would be two allocations.
pub(super) struct Client {
    pub(super) handle: Handle<HttpClient>,
    /// It has been lent before.
    used: AtomicBool,
}

impl Client {
    pub(super) fn is_usable(&self) -> bool {
        self.handle.phase() == Phase::Open && !self.handle.entry().is_draining()
    }
}

/// A lock that a panic elsewhere has poisoned still guards whole values: nothing in the critical sections can panic half way but for want of memory.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(super) fn new(mut config: Config, supervisor: Addr<Supervisor>) -> Arc<Self> {
        Arc::new(Shared {
            defaults: Defaults::new(std::mem::take(&mut config.headers)),
            pool: Mutex::new(Pool::new(config.limits)),
            config,
            supervisor,
            account: Mutex::default(),
            changed: Notify::new(),
            closed: AtomicBool::new(false),
            actor: OnceLock::new(),
            requests: AtomicU64::new(0),
            last_key: Mutex::default(),
            #[cfg(feature = "digest")]
            challenges: super::digest::Challenges::default(),
        })
    }

    pub(super) fn set_actor(&self, actor: &Addr<SessionActor>) {
        let _ = self.actor.set(actor.downgrade());
    }

    pub(super) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Relaxed) + 1
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    pub(super) fn hooks(&self, tell: impl FnOnce(&dyn Hooks)) {
        if let Some(hooks) = &self.config.hooks {
            tell(&**hooks);
        }
    }

    /// A connection: one that is idle, or the first that falls idle or is open, in the order of those who ask.
    pub(super) async fn checkout(self: &Arc<Self>, key: &Key, timeouts: &Timeouts) -> Result<Lease, Error> {
        let mut acts = Vec::new();
        let mut waiting = None;
        let now = Instant::now();
        let checkout = {
            let mut pool = lock(&self.pool);
            // Looked at under the lock, so that a close finds all who wait.
            if self.is_closed() {
                return Err(Error::new(ErrorKind::Closed));
            }
            let waiter = || {
                let (sender, receiver) = oneshot::channel();
                waiting = Some(receiver);
                sender
            };
            pool.checkout(key, now, |client| client.is_usable(), waiter, &mut acts)
        };
        self.act(acts);
        let (waiter, dial, comes) = match checkout {
            Checkout::Taken(place, client) => {
                client.used.store(true, Relaxed);
                return Ok(Lease::new(self, place, client, true));
            }
            Checkout::Waiting { waiter, dial, comes } => (waiter, dial, comes),
        };
        let _waiting = Waiting { shared: self, waiter };
        if let Some(place) = dial {
            self.dial(place, key.clone(), *timeouts);
        }
        let Some(receiver) = waiting else { return Err(Error::new(ErrorKind::Closed)) };
        let lease = async { receiver.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Closed))) };
        match timeouts.pool.filter(|_| !comes) {
            None => lease.await,
            Some(after) => tokio::time::timeout(after, lease)
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorKind::TimedOut { what: crate::http::Deadline::Pool, after }))),
        }
    }

    /// Makes connections that nobody has asked for yet, as far as the limits go. How many were begun.
    pub(super) fn pre_warm(self: &Arc<Self>, key: &Key, connections: usize) -> usize {
        for begun in 0..connections {
            let place = if self.is_closed() { None } else { lock(&self.pool).pre_warm(key) };
            let Some(place) = place else { return begun };
            self.dial(place, key.clone(), self.config.timeouts);
        }
        connections
    }

    fn dial(self: &Arc<Self>, place: PlaceId, key: Key, timeouts: Timeouts) {
        match self.actor.get().and_then(WeakAddr::upgrade) {
            Some(actor) => actor.do_send(Dial { place, key, timeouts }),
            None => self.failed(place, Error::new(ErrorKind::Closed)),
        }
    }

    /// The answer to a dial.
    pub(super) fn dialed(self: &Arc<Self>, place: PlaceId, answer: Result<Handle<HttpClient>, ConnectError>) {
        let handle = match answer {
            Ok(handle) => handle,
            Err(error) => return self.failed(place, Error::of_connect(error)),
        };
        let client = Arc::new(Client { handle, used: AtomicBool::new(false) });
        let now = Instant::now();
        self.in_pool(|pool, acts| {
            pool.dialed(place, client.clone(), self.config.limits.retire(now), now, acts);
            // It may have said that it is leaving while it was nobody's yet.
            if !client.is_usable() || self.is_closed() {
                pool.gone(place, acts);
                acts.push(Act::Close(client.clone()));
            }
        });
    }

    pub(super) fn failed(self: &Arc<Self>, place: PlaceId, error: Error) {
        let mut told = None;
        self.in_pool(|pool, acts| told = pool.dial_failed(place, acts));
        if let Some(told) = told {
            // Whoever has given up in this moment does not want to know.
            let _ = told.send(Err(error));
        }
    }

    pub(super) fn returned(self: &Arc<Self>, place: PlaceId) {
        let now = Instant::now();
        self.in_pool(|pool, acts| {
            pool.returned(place, now, acts);
            if self.is_closed() {
                pool.close(acts);
            }
        });
    }

    #[cfg(feature = "http2")]
    pub(super) fn bears(self: &Arc<Self>, place: PlaceId, most: usize) {
        let now = Instant::now();
        self.in_pool(|pool, acts| pool.bears(place, most, now, acts));
    }

    pub(super) fn gone(self: &Arc<Self>, place: PlaceId) {
        self.in_pool(|pool, acts| pool.gone(place, acts));
    }

    pub(super) fn sweep(self: &Arc<Self>) {
        let now = Instant::now();
        self.in_pool(|pool, acts| pool.sweep(now, acts));
    }

    pub(super) fn set_limits(self: &Arc<Self>, limits: super::Limits) {
        self.in_pool(|pool, acts| pool.set_limits(limits, acts));
    }

    pub(super) fn counts(&self) -> (usize, usize, usize, usize) {
        lock(&self.pool).counts()
    }

    /// No further request: who waits is told, what is idle is closed. What is under way goes on.
    pub(super) fn close(self: &Arc<Self>) {
        let mut waiters = Vec::new();
        self.in_pool(|pool, acts| {
            self.closed.store(true, Relaxed);
            waiters = pool.close(acts);
        });
        for waiter in waiters {
            let _ = waiter.send(Err(Error::new(ErrorKind::Closed)));
        }
    }

    fn in_pool(self: &Arc<Self>, change: impl FnOnce(&mut Pool<Arc<Client>, Waiter>, &mut Acts)) {
        let mut acts = Vec::new();
        change(&mut lock(&self.pool), &mut acts);
        self.act(acts);
    }

    fn act(self: &Arc<Self>, acts: Acts) {
        for act in acts {
            match act {
                Act::Give(waiter, place, client) => {
                    let reused = client.used.swap(true, Relaxed);
                    // If the waiter is gone, the lease comes back with the error, and its drop gives the place back.
                    let _ = waiter.send(Ok(Lease::new(self, place, client, reused)));
                }
                Act::Dial(place, key) => self.dial(place, key, self.config.timeouts),
                Act::Close(client) => client.handle.do_send(Retire),
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dialing, busy, idle, waiting) = self.counts();
        f.debug_struct("Session")
            .field("dialing", &dialing)
            .field("busy", &busy)
            .field("idle", &idle)
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}

/// The moment of a request, for its hooks.
pub(super) fn moment<'a>(
    request: super::RequestId,
    method: &'a http::Method,
    uri: &'a http::Uri,
    attempt: u32,
    connection: Option<ConnectionId>,
) -> Moment<'a> {
    Moment { request, method, uri, attempt, connection, at: Instant::now() }
}
