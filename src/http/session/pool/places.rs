//! How places are made, filled and given up.

use std::{
    collections::VecDeque,
    ops::Bound::{Excluded, Unbounded},
};

use tokio::time::Instant;

use super::{Act, Host, Key, Place, PlaceId, Pool, Shelf, State, WaiterId};

/// Which part of its exchanges a connection may have left when the next one is dialled, so that nobody has to wait for that: an eighth, which is nothing where it bears fewer than eight.
const AHEAD: usize = 8;

impl<C: Clone, W> Pool<C, W> {
    /// Makes places for those who wait, in their order, as far as the limits go. A waiter whose host is full is passed over, not waited for.
    pub(super) fn serve_line(&mut self, acts: &mut Vec<Act<C, W>>) {
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
    pub(super) fn make_place(&mut self, key: &Key, acts: &mut Vec<Act<C, W>>) -> Option<PlaceId> {
        let coming = self.coming(key);
        let host = self.host(key);
        if coming >= host.waiters.len() || host.places >= self.limits.per_host {
            return None;
        }
        if self.is_full() {
            acts.push(Act::Close(self.evict_oldest()?));
        }
        Some(self.new_place(key))
    }

    /// How many exchanges the dials that are under way are going to bear.
    pub(super) fn coming(&mut self, key: &Key) -> usize {
        let expected = self.known.expected(key);
        let host = self.host(key);
        match expected {
            _ if host.failing => host.dialing,
            Some(most) => host.dialing.saturating_mul(most),
            None if host.dialing > 0 => usize::MAX,
            None => 0,
        }
    }

    /// The next connection is begun before this one is full, unless that would cost somebody else a connection.
    pub(super) fn dial_ahead(&mut self, id: PlaceId, key: &Key, acts: &mut Vec<Act<C, W>>) {
        let Some(Place { state: State::Open(open), .. }) = self.places.get(&id) else { return };
        let nearly_full = open.most >= AHEAD && open.most.saturating_sub(open.lent) <= open.most / AHEAD;
        if nearly_full && self.has_room(key) {
            let host = self.host(key);
            let others = host.dialing > 0 || !host.idle.is_empty() || host.roomy.iter().any(|roomy| *roomy != id);
            if !others {
                acts.push(Act::Dial(self.new_place(key), key.clone()));
            }
        }
    }

    /// One that can bear another exchange: what is in use before what is idle, so that what is too much grows old and goes.
    pub(super) fn at_hand(&self, key: &Key) -> Option<PlaceId> {
        let host = self.hosts.get(key)?;
        let bears_any = |id: &&PlaceId| matches!(self.places.get(id), Some(Place { state: State::Open(open), .. }) if open.most > 0);
        host.roomy.back().or_else(|| host.idle.iter().rfind(bears_any)).copied()
    }

    /// Gives what room this one has to those who wait for its key, and puts it where it belongs.
    pub(super) fn offer(&mut self, id: PlaceId, now: Instant, acts: &mut Vec<Act<C, W>>) {
        let Some(Place { key, state: State::Open(open) }) = self.places.get_mut(&id) else { return };
        let Some(host) = self.hosts.get_mut(key) else { return };
        while open.lent < open.most && open.retire.is_none_or(|retire| retire > now) {
            let Some((waiter, told)) = host.waiters.pop_front() else { break };
            self.line.remove(&waiter);
            open.lent += 1;
            acts.push(Act::Give(told, id, open.connection.clone()));
        }
        self.sort_in(id);
    }

    /// Puts a place among the idle, the roomy or neither.
    pub(super) fn sort_in(&mut self, id: PlaceId) {
        let Some(Place { key, state: State::Open(open) }) = self.places.get_mut(&id) else { return };
        let Some(host) = self.hosts.get_mut(key) else { return };
        let belongs = match open.lent {
            0 => Shelf::Idle,
            lent if lent < open.most => Shelf::Roomy,
            _ => Shelf::Neither,
        };
        let stood = std::mem::replace(&mut open.shelf, belongs);
        if stood == belongs {
            return;
        }
        if let Some(list) = host.shelf(stood)
            // What is taken stands at the end, or near it.
            && let Some(at) = list.iter().rposition(|other| *other == id)
        {
            list.remove(at);
        }
        if let Some(list) = host.shelf(belongs) {
            list.push_back(id);
        }
    }

    pub(super) fn new_place(&mut self, key: &Key) -> PlaceId {
        let id = PlaceId(self.number());
        let state = State::Dialing { most: 1, gone: false };
        self.places.insert(id, Place { key: key.clone(), state });
        let host = self.host(key);
        host.places += 1;
        host.dialing += 1;
        id
    }

    pub(super) fn has_room(&mut self, key: &Key) -> bool {
        !self.is_full() && self.host(key).places < self.limits.per_host
    }

    pub(super) fn is_full(&self) -> bool {
        self.places.len() >= self.limits.total
    }

    pub(super) fn has_idle(&self) -> bool {
        self.hosts.values().any(|host| !host.idle.is_empty())
    }

    pub(super) fn evict_oldest(&mut self) -> Option<C> {
        let since = |id: &PlaceId| match self.places.get(id).map(|place| &place.state) {
            Some(State::Open(open)) => Some((open.idle_since, *id)),
            _ => None,
        };
        let (_, oldest) = self.hosts.values().filter_map(|host| host.idle.front().and_then(since)).min()?;
        match self.vacate(oldest)? {
            State::Open(open) => Some(open.connection),
            State::Dialing { .. } => None,
        }
    }

    pub(super) fn vacate(&mut self, id: PlaceId) -> Option<State<C>> {
        let Place { key, state } = self.places.remove(&id)?;
        if let Some(host) = self.hosts.get_mut(&key) {
            host.places -= 1;
            host.dialing -= usize::from(matches!(state, State::Dialing { .. }));
            if let State::Open(open) = &state
                && let Some(list) = host.shelf(open.shelf)
                // What goes has mostly been there longest.
                && let Some(at) = list.iter().position(|other| *other == id)
            {
                list.remove(at);
            }
        }
        self.tidy(&key);
        Some(state)
    }

    /// A host that nothing is known of any more is forgotten.
    pub(super) fn tidy(&mut self, key: &Key) {
        if self.hosts.get(key).is_some_and(|host| host.places == 0 && host.waiters.is_empty()) {
            self.hosts.remove(key);
        }
    }

    pub(super) fn host(&mut self, key: &Key) -> &mut Host<W> {
        self.hosts.entry(key.clone()).or_insert_with(|| Host {
            places: 0,
            dialing: 0,
            failing: false,
            roomy: VecDeque::new(),
            idle: VecDeque::new(),
            waiters: VecDeque::new(),
        })
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

impl<W> Host<W> {
    fn shelf(&mut self, shelf: Shelf) -> Option<&mut VecDeque<PlaceId>> {
        match shelf {
            Shelf::Neither => None,
            Shelf::Roomy => Some(&mut self.roomy),
            Shelf::Idle => Some(&mut self.idle),
        }
    }
}
