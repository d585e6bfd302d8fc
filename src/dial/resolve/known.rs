//! What is known of names, and for how long. Pure: the clock is a parameter.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, time::Duration};

use tokio::time::Instant;

/// Answers by name, of which no more than `most` are kept.
#[derive(Debug)]
pub(super) struct Known<K, V> {
    entries: HashMap<K, Entry<V>>,
    most: usize,
    /// How many times something was looked for: the order of use.
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    fresh_until: Instant,
    /// Until then it is better than nothing.
    usable_until: Instant,
    used: u64,
}

/// What is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Knowledge<V> {
    Fresh(V),
    /// Its time has passed, and not the time for which it may be used nevertheless.
    Stale(V),
    Nothing,
}

impl<K: Hash + Eq + Clone, V: Clone> Known<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Known { entries: HashMap::new(), most, uses: 0 }
    }

    pub(super) fn look<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, now: Instant) -> Knowledge<V>
    where
        K: Borrow<Q>,
    {
        self.uses += 1;
        let Some(entry) = self.entries.get_mut(key) else { return Knowledge::Nothing };
        entry.used = self.uses;
        if now < entry.fresh_until {
            Knowledge::Fresh(entry.value.clone())
        } else if now < entry.usable_until {
            Knowledge::Stale(entry.value.clone())
        } else {
            self.entries.remove(key);
            Knowledge::Nothing
        }
    }

    /// Remembers this for `fresh`, and then for `stale` more. Room for it is made by what can be used no longer, or else by what was not used for longest.
    pub(super) fn learn(&mut self, key: K, value: V, fresh: Duration, stale: Duration, now: Instant) {
        // What the clock cannot say is as good as never, and so is a year.
        let after = |from: Instant, time: Duration| from.checked_add(time).unwrap_or(from + YEAR);
        let fresh_until = after(now, fresh);
        let usable_until = after(fresh_until, stale);
        if usable_until <= now || self.most == 0 {
            self.entries.remove(&key);
            return;
        }
        if !self.entries.contains_key(&key) && self.entries.len() >= self.most {
            self.entries.retain(|_, entry| now < entry.usable_until);
            if self.entries.len() >= self.most
                && let Some(oldest) =
                    self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone())
            {
                self.entries.remove(&oldest);
            }
        }
        self.uses += 1;
        self.entries.insert(key, Entry { value, fresh_until, usable_until, used: self.uses });
    }

    /// What is stale may be given for so long without being asked for anew.
    pub(super) fn put_off<Q: Hash + Eq + ?Sized>(&mut self, key: &Q, by: Duration, now: Instant)
    where
        K: Borrow<Q>,
    {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.fresh_until = now.checked_add(by).unwrap_or(entry.usable_until).min(entry.usable_until);
        }
    }

    pub(super) fn forget(&mut self) {
        self.entries.clear();
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn fresh_then_stale_then_nothing() {
        let (mut known, now) = (Known::<&str, u32>::new(8), Instant::now());
        known.learn("a", 1, 2 * SECOND, 3 * SECOND, now);
        assert_eq!(known.look("a", now), Knowledge::Fresh(1));
        assert_eq!(known.look("a", now + SECOND), Knowledge::Fresh(1));
        assert_eq!(known.look("a", now + 2 * SECOND), Knowledge::Stale(1));
        assert_eq!(known.look("a", now + 5 * SECOND), Knowledge::Nothing);
        assert_eq!(known.len(), 0);
        known.learn("b", 2, Duration::ZERO, Duration::ZERO, now);
        assert_eq!((known.look("b", now), known.len()), (Knowledge::Nothing, 0));
        known.learn("c", 3, Duration::MAX, Duration::MAX, now);
        assert_eq!(known.look("c", now + SECOND), Knowledge::Fresh(3));
    }

    #[test]
    fn no_more_than_so_many_and_the_least_used_goes_first() {
        let (mut known, now) = (Known::<u32, u32>::new(3), Instant::now());
        for name in 0..3 {
            known.learn(name, name, 10 * SECOND, Duration::ZERO, now);
        }
        assert_eq!(known.look(&0, now), Knowledge::Fresh(0));
        known.learn(3, 3, 10 * SECOND, Duration::ZERO, now);
        assert_eq!(known.look(&1, now), Knowledge::Nothing);
        assert_eq!(known.look(&0, now), Knowledge::Fresh(0));
        // Whose time has passed goes before what was used long ago.
        known.learn(0, 0, SECOND, Duration::ZERO, now);
        known.learn(4, 4, 10 * SECOND, Duration::ZERO, now + 2 * SECOND);
        for (name, there) in [(0, false), (2, true), (3, true), (4, true)] {
            assert_eq!(known.look(&name, now + 2 * SECOND) != Knowledge::Nothing, there, "{name}");
        }
        assert_eq!(Known::<u32, u32>::new(0).len(), 0);
    }
}
