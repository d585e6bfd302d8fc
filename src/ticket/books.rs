//! The books: the register, shared by every thread, and the ticket that writes into it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::Instant,
};

use super::{
    entry::Entry,
    inbox::{Inbox, Outbox},
    register::{Fence, Refusal, Register},
    roll::RollEntry,
};
use crate::{
    fate::{ConnectionId, Ledger, Lost, Peer, Role},
    lifecycle::Phase,
};

/// What happened, for the supervisor to pass on. The books are already written when it is sent.
#[derive(Debug)]
pub(crate) enum News {
    Connected(Arc<Entry>),
    Lost(Arc<Lost>),
    ListenerEnded(u64),
    ListenerStuck(String),
    WorkerEnded,
}

/// The account of a supervisor's connections: a handle that outlives the supervisor, its threads and its runtime.
///
/// [`Supervisor::books`](crate::Supervisor::books) gives one before the start. After a system was stopped without asking (a bare
/// [`System::stop`](actix::System::stop) outside of [`run`](crate::run)), its ledger still says how every connection ended.
#[derive(Clone)]
pub struct Books {
    shared: Arc<Shared>,
}

struct Shared {
    register: Mutex<Register<Arc<Entry>>>,
    stop_began: Mutex<Option<Instant>>,
    news: Outbox,
    room: Notify,
}

impl Books {
    pub(crate) fn new(limit: usize) -> (Self, Inbox) {
        let (news, inbox) = Inbox::new();
        let shared = Shared {
            register: Mutex::new(Register::new(limit)),
            stop_began: Mutex::default(),
            news,
            room: Notify::new(),
        };
        (Books { shared: Arc::new(shared) }, inbox)
    }

    fn register(&self) -> MutexGuard<'_, Register<Arc<Entry>>> {
        // A panic inside the register would be a defect of ours; the count must go on being told all the same.
        self.shared.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mints a ticket, or says why not. `phase`: the phase that the connection begins in.
    pub(crate) fn admit(
        &self,
        role: Role,
        accepted: bool,
        secure: bool,
        peer: Peer,
        phase: Phase,
    ) -> Result<Ticket, Refusal> {
        let entry = |id| Arc::new(Entry::new(id, role, secure, peer, phase));
        let entry = self.register().admit(accepted, phase, entry)?.clone();
        Ok(Ticket { books: self.clone(), entry, load: None, _seat: None })
    }

    pub(crate) fn connected(&self, entry: &Arc<Entry>) {
        self.register().connected();
        self.tell(News::Connected(entry.clone()));
    }

    fn end(&self, lost: Arc<Lost>) {
        let first = self.register().end(&lost);
        if first {
            self.shared.room.notify_waiters();
            self.tell(News::Lost(lost));
        }
    }

    pub(crate) fn tell(&self, news: News) {
        self.shared.news.tell(news);
    }

    pub(crate) fn begin_stop(&self) {
        self.register().begin_stop(|entry| entry.phase());
        self.shared.stop_began.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    pub(crate) fn fence(&self) {
        self.register().close_fence(Fence::Closed);
        self.shared.room.notify_waiters();
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.register().fence() == Fence::Closed
    }

    pub(crate) fn has_room(&self) -> bool {
        self.register().has_room()
    }

    /// Keeps a place for a socket that was accepted, until the promise is dropped.
    pub(crate) fn promise(&self) -> Promise {
        self.register().promise();
        Promise(self.clone())
    }

    /// Resolves when a connection has ended or the fence has closed. Make it, then look whether there is room, then await it.
    pub(crate) fn room(&self) -> impl Future<Output = ()> + use<> {
        let shared = self.shared.clone();
        async move { shared.room.notified().await }
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.register().set_limit(limit);
    }

    /// Connections that were admitted and have not ended.
    pub fn outstanding(&self) -> usize {
        self.register().outstanding()
    }

    /// How many are outstanding, and how many have ended.
    pub(crate) fn count(&self) -> (usize, u64) {
        let register = self.register();
        (register.outstanding(), register.lost())
    }

    pub(crate) fn find(&self, id: ConnectionId) -> Option<Arc<Entry>> {
        self.register().find(id).cloned()
    }

    pub(crate) fn alive(&self) -> Vec<Arc<Entry>> {
        self.register().alive().cloned().collect()
    }

    /// Those that are alive, in the order of admission.
    pub fn roll(&self) -> Vec<RollEntry> {
        let mut roll: Vec<_> = self.alive().iter().map(|entry| entry.roll_entry()).collect();
        roll.sort_by_key(|entry| entry.id);
        roll
    }

    /// Ends what does not answer to a kill: its thread hangs in somebody's code. It keeps its socket until it comes back, and the row says `Abandoned`.
    pub(crate) fn write_off(&self) -> usize {
        let alive = self.alive();
        for entry in &alive {
            self.end(Arc::new(entry.lost_without_account()));
        }
        alive.len()
    }

    /// The account so far. A stop answers with it when nothing is outstanding; at any other time it is a snapshot.
    pub fn ledger(&self) -> Ledger {
        let (rows, totals) = self.register().account();
        let began = *self.shared.stop_began.lock().unwrap_or_else(PoisonError::into_inner);
        Ledger { rows, totals, elapsed: began.map(|began| began.elapsed()).unwrap_or_default() }
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").field("outstanding", &self.outstanding()).finish_non_exhaustive()
    }
}

/// A place for one that was accepted and is not admitted yet.
pub(crate) struct Promise(Books);

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.register().take_promise_back();
    }
}

/// The linear value that owes one `Lost`. It has no `Clone`, and its `Drop` pays.
#[derive(Debug)]
pub(crate) struct Ticket {
    books: Books,
    entry: Arc<Entry>,
    /// The count of the thread that the connection was placed on.
    load: Option<Arc<AtomicUsize>>,
    /// The place that a listener's own limit has lent.
    _seat: Option<OwnedSemaphorePermit>,
}

impl Ticket {
    pub(crate) fn take_seat(&mut self, seat: Option<OwnedSemaphorePermit>) {
        self._seat = seat;
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    pub(crate) fn books(&self) -> &Books {
        &self.books
    }

    /// Counts the connection on a thread for as long as it lives.
    pub(crate) fn place(&mut self, load: &Arc<AtomicUsize>) {
        load.fetch_add(1, Relaxed);
        self.load = Some(load.clone());
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(load) = &self.load {
            load.fetch_sub(1, Relaxed);
        }
        self.books.end(self.entry.account());
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("id", &self.id).field("phase", &self.phase()).finish_non_exhaustive()
    }
}
