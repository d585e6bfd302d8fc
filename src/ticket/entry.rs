//! What the rest of the process may know of a living connection, and tell it, without its thread's help.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use super::roll::{RollEntry, WaitingFor};
use crate::{
    fate::{CloseProof, ConnectionId, Lost, Peer, Reason, Role},
    lifecycle::Phase,
};

/// Whether somebody is still there: the owner of a connection.
pub(crate) trait Liveness: Send + Sync {
    fn is_alive(&self) -> bool;
}

/// What the supervisor asks of a connection.
///
/// Not a message: the last address of a connection may be gone, and an actix mailbox whose last sender was dropped does not register its waker again, so a message sent
/// to it later (through a `WeakAddr`) may never be read. A word under a lock and a waker always arrive, cost nothing while nothing is asked, and need no address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Orders {
    /// Finish what you are doing, until then.
    pub drain_until: Option<Instant>,
    /// The linger that the stop allows at most.
    pub linger: Option<Duration>,
    /// When the kill is due.
    pub kill_at: Option<Instant>,
    /// Close now.
    pub close: bool,
    /// Your owner is gone.
    pub owner_gone: bool,
    /// You have been idle for a while: give back what you do not need.
    pub tidy: bool,
}

/// One living connection, seen from outside its thread.
pub(crate) struct Entry {
    pub(crate) id: ConnectionId,
    pub(crate) role: Role,
    /// Whether there is TLS, as its thread last said.
    secure: AtomicBool,
    name: Arc<str>,
    address: OnceLock<std::net::SocketAddr>,
    admitted: Instant,
    phase: AtomicU8,
    waiting_for: AtomicU8,
    /// Milliseconds after `admitted`.
    progress: AtomicU64,
    /// What `progress` was when the supervisor last looked, and whether it was told then to tidy up.
    seen: AtomicU64,
    tidied: AtomicBool,
    orders: Mutex<Orders>,
    orders_pending: AtomicBool,
    draining: AtomicBool,
    killed: AtomicBool,
    /// The application wants it ended so.
    aborted: AtomicBool,
    /// The child's task.
    waker: AtomicWaker,
    owner: Mutex<Option<Arc<dyn Liveness>>>,
    /// The message of a panic that took the actor.
    panic: OnceLock<String>,
    /// What the connection said of its own end; told by the ticket. Shared by all who tell it, and no room is kept for it before.
    lost: OnceLock<Arc<Lost>>,
}

/// A lock that a panic elsewhere has poisoned still guards plain data: nothing is half-written, as every critical section here is a plain store.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entry {
    pub(crate) fn new(id: ConnectionId, role: Role, secure: bool, peer: Peer, phase: Phase) -> Self {
        Entry {
            id,
            role,
            secure: AtomicBool::new(secure),
            name: peer.name,
            address: peer.address.map(OnceLock::from).unwrap_or_default(),
            admitted: Instant::now(),
            phase: AtomicU8::new(phase as u8),
            waiting_for: AtomicU8::new(
                if phase == Phase::Dialing { WaitingFor::Connect } else { WaitingFor::Handshake } as u8,
            ),
            progress: AtomicU64::new(0),
            seen: AtomicU64::new(u64::MAX),
            tidied: AtomicBool::new(false),
            orders: Mutex::default(),
            orders_pending: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            owner: Mutex::default(),
            panic: OnceLock::new(),
            lost: OnceLock::new(),
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        Peer { name: self.name.clone(), address: self.address.get().copied() }
    }

    pub(crate) fn set_address(&self, address: std::net::SocketAddr) {
        let _ = self.address.set(address);
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure.load(Relaxed)
    }

    pub(crate) fn set_secure(&self, secure: bool) {
        self.secure.store(secure, Relaxed);
    }

    pub(crate) fn phase(&self) -> Phase {
        Phase::from_u8(self.phase.load(Relaxed))
    }

    pub(crate) fn set_phase(&self, phase: Phase, now: Instant) {
        self.phase.store(phase as u8, Relaxed);
        self.progressed(now);
    }

    pub(crate) fn progressed(&self, now: Instant) {
        let since = now.duration_since(self.admitted);
        // Not `as_millis`, which reckons with 128 bits: this is done at every read and write.
        let millis = since.as_secs().saturating_mul(1000).saturating_add(since.subsec_millis().into());
        self.progress.store(millis, Relaxed);
    }

    pub(crate) fn set_waiting_for(&self, what: WaitingFor) {
        self.waiting_for.store(what as u8, Relaxed);
    }

    /// When it was admitted.
    pub(crate) fn admitted(&self) -> Instant {
        self.admitted
    }

    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.admitted)
    }

    pub(crate) fn roll_entry(&self) -> RollEntry {
        let age = self.age(Instant::now());
        let waiting = usize::from(self.waiting_for.load(Relaxed));
        RollEntry {
            id: self.id,
            peer: self.peer(),
            role: self.role,
            phase: self.phase(),
            age,
            since_progress: age.saturating_sub(Duration::from_millis(self.progress.load(Relaxed))),
            waiting_for: WaitingFor::ALL.get(waiting).copied().unwrap_or(WaitingFor::Peer),
        }
    }

    /// Changes the orders and wakes the child.
    pub(crate) fn order(&self, change: impl FnOnce(&mut Orders)) {
        let mut orders = lock(&self.orders);
        change(&mut orders);
        self.draining.store(orders.drain_until.is_some(), Relaxed);
        drop(orders);
        self.orders_pending.store(true, SeqCst);
        self.waker.wake();
    }

    /// The orders, when there are new ones.
    pub(crate) fn take_orders(&self) -> Option<Orders> {
        // The load alone on the hot path: a swap would write to a shared line in every poll.
        (self.orders_pending.load(Relaxed) && self.orders_pending.swap(false, SeqCst)).then(|| {
            let mut orders = lock(&self.orders);
            let now = *orders;
            orders.tidy = false;
            now
        })
    }

    /// Whether a drain was ordered, obeyed yet or not.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Ends the child at its next poll, whatever its mailbox or its handlers are doing.
    pub(crate) fn kill(&self) {
        self.killed.store(true, SeqCst);
        self.waker.wake();
    }

    /// As a kill, for the application.
    pub(crate) fn abort(&self) {
        self.aborted.store(true, SeqCst);
        self.waker.wake();
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Relaxed)
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Relaxed)
    }

    pub(crate) fn register_waker(&self, waker: &std::task::Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn set_owner(&self, owner: Arc<dyn Liveness>) {
        *lock(&self.owner) = Some(owner);
    }

    /// Whether there is an owner and it is gone.
    pub(crate) fn owner_is_gone(&self) -> bool {
        lock(&self.owner).as_ref().is_some_and(|owner| !owner.is_alive())
    }

    /// The supervisor's look, once a second: an open connection that has moved nothing since the last one is told once to tidy up.
    pub(crate) fn look(&self) {
        let progress = self.progress.load(Relaxed);
        if self.seen.swap(progress, Relaxed) != progress {
            self.tidied.store(false, Relaxed);
        } else if self.phase() == Phase::Open && !self.tidied.swap(true, Relaxed) {
            self.order(|orders| orders.tidy = true);
        }
        if self.owner_is_gone() {
            self.order(|orders| orders.owner_gone = true);
        }
    }

    pub(crate) fn set_panic(&self, message: String) {
        let _ = self.panic.set(message);
    }

    /// The reason when nothing else gave one: a panic, or a teardown.
    pub(crate) fn fallback_reason(&self) -> Reason {
        match self.panic.get() {
            Some(message) => Reason::Panicked(message.clone()),
            None => Reason::Abandoned,
        }
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.panic.get().is_some()
    }

    /// The connection's own account of its end; the first one stands.
    pub(crate) fn leave(&self, lost: Arc<Lost>) {
        let _ = self.lost.set(lost);
    }

    /// How it ended, once it has.
    pub(crate) fn lost(&self) -> Option<&Lost> {
        self.lost.get().map(Arc::as_ref)
    }

    /// What is told of its end: its own account, or one in its place.
    pub(super) fn account(&self) -> Arc<Lost> {
        self.lost.get().cloned().unwrap_or_else(|| Arc::new(self.lost_without_account()))
    }

    /// The end of one that could not give an account itself: its thread is gone, or does not answer.
    pub(crate) fn lost_without_account(&self) -> Lost {
        Lost {
            id: self.id,
            peer: self.peer(),
            role: self.role,
            phase: match self.phase() {
                Phase::Lost => Phase::Lingering,
                phase => phase,
            },
            reason: self.fallback_reason(),
            proof: CloseProof::default(),
            secure: self.is_secure(),
            bytes_in: 0,
            bytes_out: 0,
            bytes_unsent: 0,
            age: self.age(Instant::now()),
        }
    }
}
