//! Who has a connection, who waits for one, and what is to be dialled: pure, without lock, task or socket, and with the clock as a parameter.
//!
//! A *place* is one connection under the limits, from the decision to dial it until it bears no further exchange. One that is closing has no place, so a peer that is slow to close delays nobody.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound::{Excluded, Unbounded},
};

use tokio::time::Instant;

use super::{Limits, key::Key};

/// The number of a place: never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PlaceId(u64);

/// The number of a waiter, in the order of arrival over all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WaiterId(u64);

/// `C`: a connection. `W`: whoever waits for one.
#[derive(Debug)]
pub(super) struct Pool<C, W> {
    limits: Limits,
    hosts: HashMap<Key, Host<W>>,
    places: HashMap<PlaceId, Place<C>>,
    /// Everybody who waits, first come first.
    line: BTreeMap<WaiterId, Key>,
    next: u64,
}

#[derive(Debug)]
struct Host<W> {
    /// Places of this key.
    places: usize,
    dialing: usize,
    /// The one that fell idle last is the last, and the next to be taken: so those that are too many grow old and go.
    idle: Vec<PlaceId>,
    waiters: VecDeque<(WaiterId, W)>,
}

#[derive(Debug)]
struct Place<C> {
    key: Key,
    state: State<C>,
}

#[derive(Debug)]
enum State<C> {
    Dialing,
    Busy { connection: C, retire: Option<Instant> },
    Idle { connection: C, since: Instant, retire: Option<Instant> },
}

/// What a request for a connection comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checkout<C> {
    /// This one, which is now busy.
    Taken(PlaceId, C),
    /// The waiter is in the line. `dial`: a place was made for it.
    Waiting { waiter: WaiterId, dial: Option<PlaceId> },
}

/// What is to be done when the pool's lock is let go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act<C, W> {
    /// Give the connection, which is busy now, to whoever waited for it.
    Give(W, PlaceId, C),
    /// Dial for this place.
    Dial(PlaceId, Key),
    /// Close it.
    Close(C),
}

impl<C: Clone, W> Pool<C, W> {
    pub(super) fn new(limits: Limits) -> Self {
        Pool { limits, hosts: HashMap::new(), places: HashMap::new(), line: BTreeMap::new(), next: 0 }
    }

    /// Asks for a connection. `waiter` is called only when there is none at hand. `usable`: whether one that is idle can still bear an exchange.
    pub(super) fn checkout(
        &mut self,
        key: &Key,
        now: Instant,
        usable: impl Fn(&C) -> bool,
        waiter: impl FnOnce() -> W,
        acts: &mut Vec<Act<C, W>>,
    ) -> Checkout<C> {
        while let Some(id) = self.hosts.get_mut(key).and_then(|host| host.idle.pop()) {
            let Some(place) = self.places.get_mut(&id) else { continue };
            let State::Idle { connection, since, retire } = &place.state else { continue };
            if !self.limits.is_stale(*since, *retire, now) && usable(connection) {
                let (connection, retire) = (connection.clone(), *retire);
                place.state = State::Busy { connection: connection.clone(), retire };
                return Checkout::Taken(id, connection);
            }
            acts.push(Act::Close(connection.clone()));
            self.vacate(id);
        }
        let id = WaiterId(self.number());
        self.line.insert(id, key.clone());
        self.host(key).waiters.push_back((id, waiter()));
        let dial = self.make_place(key, acts);
        Checkout::Waiting { waiter: id, dial }
    }

    /// A waiter waits no longer. The place that was made for it stays: its connection is for the next.
    pub(super) fn give_up(&mut self, waiter: WaiterId) {
        if let Some(key) = self.line.remove(&waiter)
            && let Some(host) = self.hosts.get_mut(&key)
        {
            host.waiters.retain(|(id, _)| *id != waiter);
            self.tidy(&key);
        }
    }

    /// A place without a waiter: to have a connection before it is needed.
    pub(super) fn pre_warm(&mut self, key: &Key) -> Option<PlaceId> {
        self.has_room(key).then(|| self.new_place(key))
    }

    /// The dial of this place has given a connection. `retire`: when it is too old for another exchange.
    pub(super) fn dialed(
        &mut self,
        id: PlaceId,
        connection: C,
        retire: Option<Instant>,
        now: Instant,
        acts: &mut Vec<Act<C, W>>,
    ) {
        let Some(place) = self.places.get_mut(&id).filter(|place| matches!(place.state, State::Dialing)) else {
            return acts.push(Act::Close(connection));
        };
        place.state = State::Busy { connection, retire };
        let key = place.key.clone();
        self.host(&key).dialing -= 1;
        self.returned(id, now, acts);
    }

    /// The dial of this place has failed: one waiter less has a place. Answers the one who is to be told, the first of those who wait for that key.
    pub(super) fn dial_failed(&mut self, id: PlaceId, acts: &mut Vec<Act<C, W>>) -> Option<W> {
        let key = match self.places.get(&id) {
            Some(Place { key, state: State::Dialing }) => key.clone(),
            _ => return None,
        };
        let told = self.hosts.get_mut(&key).and_then(|host| host.waiters.pop_front()).map(|(waiter, told)| {
            self.line.remove(&waiter);
            told
        });
        self.vacate(id);
        self.serve_line(acts);
        told
    }

    /// A busy connection can bear another exchange: it goes to the first who waits for its key, or is idle from now on.
    pub(super) fn returned(&mut self, id: PlaceId, now: Instant, acts: &mut Vec<Act<C, W>>) {
        let Some(place) = self.places.get_mut(&id) else { return };
        let State::Busy { connection, retire } = &place.state else { return };
        let (connection, retire, key) = (connection.clone(), *retire, place.key.clone());
        if self.limits.is_stale(now, retire, now) {
            acts.push(Act::Close(connection));
            self.vacate(id);
            return self.serve_line(acts);
        }
        let Some(host) = self.hosts.get_mut(&key) else { return };
        match host.waiters.pop_front() {
            Some((waiter, told)) => {
                self.line.remove(&waiter);
                acts.push(Act::Give(told, id, connection));
            }
            None => {
                host.idle.push(id);
                place.state = State::Idle { connection, since: now, retire };
                // Somebody may wait for another host, for want of room under the limit of all.
                self.serve_line(acts);
            }
        }
    }

    /// The connection of this place bears no further exchange.
    pub(super) fn gone(&mut self, id: PlaceId, acts: &mut Vec<Act<C, W>>) {
        if self.places.get(&id).is_some_and(|place| !matches!(place.state, State::Dialing)) {
            self.vacate(id);
            self.serve_line(acts);
        }
    }

    /// Takes out what has been idle or alive for too long.
    pub(super) fn sweep(&mut self, now: Instant, acts: &mut Vec<Act<C, W>>) {
        let stale = |place: &Place<C>| match &place.state {
            State::Idle { connection, since, retire } if self.limits.is_stale(*since, *retire, now) => {
                Some(connection.clone())
            }
            _ => None,
        };
        let swept: Vec<_> =
            self.places.iter().filter_map(|(id, place)| stale(place).map(|connection| (*id, connection))).collect();
        for (id, connection) in swept {
            acts.push(Act::Close(connection));
            self.vacate(id);
        }
        self.serve_line(acts);
    }

    /// Nobody waits any more, and nothing idle is kept: who waited is to be told, what was idle is to be closed.
    pub(super) fn close(&mut self, acts: &mut Vec<Act<C, W>>) -> Vec<W> {
        self.line.clear();
        let waiters = self.hosts.values_mut().flat_map(|host| host.waiters.drain(..)).map(|(_, waiter)| waiter);
        let waiters = waiters.collect();
        let idle: Vec<_> = self.places.iter().filter(|(_, place)| matches!(place.state, State::Idle { .. })).collect();
        let idle: Vec<_> = idle.into_iter().map(|(id, _)| *id).collect();
        for id in idle {
            if let Some(State::Idle { connection, .. }) = self.vacate(id) {
                acts.push(Act::Close(connection));
            }
        }
        self.hosts.retain(|_, host| host.places > 0);
        waiters
    }

    pub(super) fn set_limits(&mut self, limits: Limits, acts: &mut Vec<Act<C, W>>) {
        self.limits = limits;
        self.serve_line(acts);
    }

    /// Places that are dialling, busy and idle, and how many wait.
    pub(super) fn counts(&self) -> (usize, usize, usize, usize) {
        let idle = self.hosts.values().map(|host| host.idle.len()).sum();
        let dialing = self.hosts.values().map(|host| host.dialing).sum();
        (dialing, self.places.len() - idle - dialing, idle, self.line.len())
    }

    /// Makes places for those who wait, in their order, as far as the limits go. A waiter whose host is full is passed over, not waited for.
    fn serve_line(&mut self, acts: &mut Vec<Act<C, W>>) {
        let mut full: Vec<Key> = Vec::new();
        let mut after = WaiterId(0);
        while let Some((id, key)) = self.line.range((Excluded(after), Unbounded)).next() {
            after = *id;
            if full.contains(key) {
                continue;
            }
            let key = key.clone();
            match self.make_place(&key, acts) {
                Some(id) => acts.push(Act::Dial(id, key)),
                None if self.is_full() && !self.has_idle() => return,
                None => full.push(key),
            }
        }
    }

    /// A place for one who waits for `key` and has none coming, if there is room or an idle connection to another host can make it.
    fn make_place(&mut self, key: &Key, acts: &mut Vec<Act<C, W>>) -> Option<PlaceId> {
        let host = self.host(key);
        if host.dialing >= host.waiters.len() || host.places >= self.limits.per_host {
            return None;
        }
        if self.is_full() {
            acts.push(Act::Close(self.evict_oldest()?));
        }
        Some(self.new_place(key))
    }

    fn new_place(&mut self, key: &Key) -> PlaceId {
        let id = PlaceId(self.number());
        self.places.insert(id, Place { key: key.clone(), state: State::Dialing });
        let host = self.host(key);
        host.places += 1;
        host.dialing += 1;
        id
    }

    fn has_room(&mut self, key: &Key) -> bool {
        !self.is_full() && self.host(key).places < self.limits.per_host
    }

    fn is_full(&self) -> bool {
        self.places.len() >= self.limits.total
    }

    fn has_idle(&self) -> bool {
        self.hosts.values().any(|host| !host.idle.is_empty())
    }

    fn evict_oldest(&mut self) -> Option<C> {
        let since = |id: &PlaceId| match self.places.get(id).map(|place| &place.state) {
            Some(State::Idle { since, .. }) => Some((*since, *id)),
            _ => None,
        };
        let (_, oldest) = self.hosts.values().filter_map(|host| host.idle.first().and_then(since)).min()?;
        match self.vacate(oldest)? {
            State::Idle { connection, .. } => Some(connection),
            State::Dialing | State::Busy { .. } => None,
        }
    }

    fn vacate(&mut self, id: PlaceId) -> Option<State<C>> {
        let Place { key, state } = self.places.remove(&id)?;
        if let Some(host) = self.hosts.get_mut(&key) {
            host.places -= 1;
            host.dialing -= usize::from(matches!(state, State::Dialing));
            host.idle.retain(|idle| *idle != id);
        }
        self.tidy(&key);
        Some(state)
    }

    /// A host that nothing is known of any more is forgotten.
    fn tidy(&mut self, key: &Key) {
        if self.hosts.get(key).is_some_and(|host| host.places == 0 && host.waiters.is_empty()) {
            self.hosts.remove(key);
        }
    }

    fn host(&mut self, key: &Key) -> &mut Host<W> {
        self.hosts.entry(key.clone()).or_insert_with(|| Host {
            places: 0,
            dialing: 0,
            idle: Vec::new(),
            waiters: VecDeque::new(),
        })
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
