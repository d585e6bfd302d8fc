//! Who has a connection, who waits for one, and what is to be dialled: pure, without lock, task or socket, and with the clock as a parameter.
//!
//! A *place* is one connection under the limits, from the decision to dial it until it bears no further exchange. One that is closing has no place, so a peer that is slow to close delays nobody.
//! It bears `most` exchanges at a time: one on HTTP/1.1, as many as the peer allows on HTTP/2.
//!
//! ```text
//!            dialed                lent = most, or waited for
//!  Dialing ----------> idle ---> roomy ---> full        (idle: lent = 0; roomy: there is one that it could still bear)
//!                       ^--------- returned ----'
//! ```
//!
//! **The scout.** Whether a server speaks HTTP/2 is known when the first connection to it is open. Until then one is dialled and everybody waits for it, for a hundred dials would be ninety-nine too many; if it fails, or turns
//! out to be HTTP/1.1, the others are dialled side by side.

mod places;

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::time::Instant;

pub(super) use crate::http::watch::PlaceId;

use super::{Limits, hashed::BuildHashed, key::Key, known::Known};

/// The number of a waiter, in the order of arrival over all hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WaiterId(u64);

/// `C`: a connection. `W`: whoever waits for one.
#[derive(Debug)]
pub(super) struct Pool<C, W> {
    limits: Limits,
    hosts: HashMap<Key, Host<W>, BuildHashed>,
    places: HashMap<PlaceId, Place<C>, BuildHashed>,
    /// Everybody who waits, first come first.
    line: BTreeMap<WaiterId, Key>,
    known: Known,
    next: u64,
}

#[derive(Debug)]
struct Host<W> {
    /// Places of this key.
    places: usize,
    dialing: usize,
    /// The last dial has failed, so that nobody is to wait for another's.
    failing: bool,
    /// Bearing an exchange, and able to bear one more. The last is the next to be taken.
    roomy: VecDeque<PlaceId>,
    /// The one that fell idle last is the last, and the next to be taken: so those that are too many grow old and go.
    idle: VecDeque<PlaceId>,
    waiters: VecDeque<(WaiterId, W)>,
}

#[derive(Debug)]
struct Place<C> {
    key: Key,
    state: State<C>,
}

#[derive(Debug)]
enum State<C> {
    Dialing {
        most: usize,
        /// It bears no exchange: the peer has said so before anybody here knew the connection.
        gone: bool,
    },
    Open(Open<C>),
}

#[derive(Debug)]
struct Open<C> {
    connection: C,
    retire: Option<Instant>,
    /// How many exchanges it bears at a time.
    most: usize,
    lent: usize,
    /// When `lent` fell to nothing the last time.
    idle_since: Instant,
    /// Where it stands in its host's lists, so that nobody looks through thousands for what is not there.
    shelf: Shelf,
}

/// The list of a host that a place is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shelf {
    /// It can bear no exchange more, or is not sorted in yet.
    Neither,
    Roomy,
    Idle,
}

/// What a request for a connection comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Checkout<C> {
    /// This one, which bears one exchange more now.
    Taken(PlaceId, C),
    /// The waiter is in the line. `dial`: a place was made for it. `comes`: a dial that is under way is meant to serve it.
    Waiting { waiter: WaiterId, dial: Option<PlaceId>, comes: bool },
}

/// What is to be done when the pool's lock is let go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act<C, W> {
    /// Give the connection, which bears one exchange more now, to whoever waited for it.
    Give(W, PlaceId, C),
    /// Dial for this place.
    Dial(PlaceId, Key),
    /// Close it.
    Close(C),
}

impl<C: Clone, W> Pool<C, W> {
    pub(super) fn new(limits: Limits) -> Self {
        let known = Known::default();
        let (hosts, places) = (HashMap::default(), HashMap::default());
        Pool { limits, hosts, places, line: BTreeMap::new(), known, next: 0 }
    }

    /// Asks for a connection. `waiter` is called only when there is none at hand. `usable`: whether one that is there can still bear an exchange.
    pub(super) fn checkout(
        &mut self,
        key: &Key,
        now: Instant,
        usable: impl Fn(&C) -> bool,
        waiter: impl FnOnce() -> W,
        acts: &mut Vec<Act<C, W>>,
    ) -> Checkout<C> {
        while let Some(id) = self.at_hand(key) {
            let Some(Place { state: State::Open(open), .. }) = self.places.get_mut(&id) else { break };
            let idle_since = if open.lent == 0 { open.idle_since } else { now };
            if self.limits.is_stale(idle_since, open.retire, now) || !usable(&open.connection) {
                // What it still bears is finished all the same.
                acts.push(Act::Close(open.connection.clone()));
                self.vacate(id);
                continue;
            }
            open.lent += 1;
            let connection = open.connection.clone();
            self.sort_in(id);
            self.dial_ahead(id, key, acts);
            return Checkout::Taken(id, connection);
        }
        let id = WaiterId(self.number());
        self.line.insert(id, key.clone());
        self.host(key).waiters.push_back((id, waiter()));
        let before = acts.len();
        let dial = self.make_place(key, acts);
        if acts.len() > before {
            // What was closed for it may have been the only connection of others who wait, if its peer lets it bear nothing.
            self.serve_line(acts);
        }
        let comes = self.coming(key) >= self.host(key).waiters.len();
        Checkout::Waiting { waiter: id, dial, comes }
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
        let Some(Place { key, state }) = self.places.get_mut(&id) else { return acts.push(Act::Close(connection)) };
        let State::Dialing { most, gone } = *state else { return acts.push(Act::Close(connection)) };
        *state = State::Open(Open {
            connection: connection.clone(),
            retire,
            most,
            lent: 0,
            idle_since: now,
            shelf: Shelf::Neither,
        });
        let key = key.clone();
        self.known.learn(&key, most);
        let host = self.host(&key);
        host.dialing -= 1;
        host.failing = false;
        if gone {
            acts.push(Act::Close(connection));
            self.vacate(id);
        } else {
            self.offer(id, now, acts);
        }
        // For whom there is no room on it, or who waits for another host.
        self.serve_line(acts);
    }

    /// The dial of this place has failed: one waiter less has a place. Answers the one who is to be told, the first of those who wait for that key.
    pub(super) fn dial_failed(&mut self, id: PlaceId, acts: &mut Vec<Act<C, W>>) -> Option<W> {
        let key = match self.places.get(&id) {
            Some(Place { key, state: State::Dialing { .. } }) => key.clone(),
            _ => return None,
        };
        let told = self.hosts.get_mut(&key).and_then(|host| host.waiters.pop_front()).map(|(waiter, told)| {
            self.line.remove(&waiter);
            told
        });
        self.vacate(id);
        if let Some(host) = self.hosts.get_mut(&key) {
            host.failing = true;
        }
        self.serve_line(acts);
        told
    }

    /// The connection of this place bears so many exchanges at a time, as far as is known by now.
    #[cfg(feature = "http2")]
    pub(super) fn bears(&mut self, id: PlaceId, most: usize, now: Instant, acts: &mut Vec<Act<C, W>>) {
        match self.places.get_mut(&id) {
            Some(Place { state: State::Dialing { most: known, .. }, .. }) => *known = most,
            Some(Place { state: State::Open(open), key }) => {
                open.most = most;
                self.known.learn(key, most);
                self.offer(id, now, acts);
                self.serve_line(acts);
            }
            None => {}
        }
    }

    /// A connection can bear another exchange, because one has ended: it goes to the first who waits for its key.
    pub(super) fn returned(&mut self, id: PlaceId, now: Instant, acts: &mut Vec<Act<C, W>>) {
        let Some(Place { state: State::Open(open), .. }) = self.places.get_mut(&id) else { return };
        // A connection of HTTP/1.1 may say twice that it is idle.
        if open.lent == 0 {
            return;
        }
        open.lent -= 1;
        open.idle_since = now;
        if self.limits.is_stale(now, open.retire, now) {
            acts.push(Act::Close(open.connection.clone()));
            self.vacate(id);
        } else {
            let is_idle = open.lent == 0;
            self.offer(id, now, acts);
            if !is_idle {
                return;
            }
        }
        // Somebody may wait for another host, for want of room under the limit of all.
        self.serve_line(acts);
    }

    /// The connection of this place bears no further exchange.
    pub(super) fn gone(&mut self, id: PlaceId, acts: &mut Vec<Act<C, W>>) {
        match self.places.get_mut(&id).map(|place| &mut place.state) {
            Some(State::Open(_)) => {
                self.vacate(id);
                self.serve_line(acts);
            }
            Some(State::Dialing { gone, .. }) => *gone = true,
            None => {}
        }
    }

    /// Takes out what has been idle or alive for too long.
    pub(super) fn sweep(&mut self, now: Instant, acts: &mut Vec<Act<C, W>>) {
        let stale = |place: &Place<C>| match &place.state {
            State::Open(open) if open.lent == 0 && self.limits.is_stale(open.idle_since, open.retire, now) => {
                Some(open.connection.clone())
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
        let idle: Vec<_> = self.hosts.values().flat_map(|host| &host.idle).copied().collect();
        for id in idle {
            if let Some(State::Open(open)) = self.vacate(id) {
                acts.push(Act::Close(open.connection));
            }
        }
        self.hosts.retain(|_, host| host.places > 0);
        waiters
    }

    /// How many exchanges a connection to this host is taken to bear if it turns out to be HTTP/2.
    #[cfg(feature = "http2")]
    pub(super) fn presumed(&self, key: &Key) -> usize {
        self.known.presumed(key)
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
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "pool_plays.rs"]
mod plays;
