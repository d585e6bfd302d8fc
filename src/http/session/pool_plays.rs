//! Random plays of the pool, with servers of which some turn out to speak HTTP/2.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::http::Versions;

/// A connection as its play knows it.
#[derive(Clone, Copy, Debug, Default)]
struct Bearing {
    most: usize,
    lent: usize,
}

struct Play {
    dice: fastrand::Rng,
    pool: Pool<u32, ()>,
    now: Instant,
    acts: Vec<Act<u32, ()>>,
    hosts: Vec<Key>,
    dialing: BTreeMap<PlaceId, Key>,
    open: BTreeMap<PlaceId, Bearing>,
    waiters: Vec<WaiterId>,
    limits: Limits,
    served: usize,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let limits = Limits {
            total: dice.usize(1..5),
            per_host: dice.usize(1..4),
            idle: Duration::from_secs(10),
            ..Limits::default()
        };
        let key = |name: &str, versions| {
            Key::of(&format!("https://{name}").parse().unwrap(), None, None, super::super::via::Via::Direct, versions)
        };
        let hosts = [
            key("one", Versions::Http1),
            key("two", Versions::Auto),
            key("three", Versions::Auto),
            #[cfg(feature = "http2")]
            key("four", Versions::Http2),
        ];
        Play {
            dice,
            pool: Pool::new(limits),
            now: Instant::now(),
            acts: Vec::new(),
            hosts: hosts.into_iter().map(Result::unwrap).collect(),
            dialing: BTreeMap::new(),
            open: BTreeMap::new(),
            waiters: Vec::new(),
            limits,
            served: 0,
        }
    }

    fn pick(&mut self, which: impl Fn(&Bearing) -> bool) -> Option<PlaceId> {
        let fit: Vec<_> = self.open.iter().filter(|(_, bearing)| which(bearing)).map(|(id, _)| *id).collect();
        (!fit.is_empty()).then(|| fit[self.dice.usize(0..fit.len())])
    }

    fn pick_dialing(&mut self) -> Option<PlaceId> {
        let places: Vec<_> = self.dialing.keys().copied().collect();
        (!places.is_empty()).then(|| places[self.dice.usize(0..places.len())])
    }

    fn act(&mut self) {
        match self.dice.u8(0..10) {
            0..=2 => {
                let host = self.hosts[self.dice.usize(0..self.hosts.len())].clone();
                match self.pool.checkout(&host, self.now, |_| true, || (), &mut self.acts) {
                    Checkout::Taken(place, _) => self.lend(place),
                    Checkout::Waiting { waiter, dial, .. } => {
                        self.waiters.push(waiter);
                        self.dialing.extend(dial.map(|place| (place, host)));
                    }
                }
            }
            3 => {
                if let Some(place) = self.pick_dialing() {
                    let host = self.dialing.remove(&place).unwrap();
                    let most = if host.may_multiplex() { self.dice.usize(1..20) } else { 1 };
                    #[cfg(feature = "http2")]
                    self.pool.bears(place, most, self.now, &mut self.acts);
                    self.open.insert(place, Bearing { most, lent: 0 });
                    self.pool.dialed(place, 0, None, self.now, &mut self.acts);
                }
            }
            4 => {
                if let Some(place) = self.pick_dialing() {
                    self.dialing.remove(&place);
                    self.pool.dial_failed(place, &mut self.acts);
                }
            }
            5 | 6 => {
                if let Some(place) = self.pick(|bearing| bearing.lent > 0) {
                    self.open.get_mut(&place).unwrap().lent -= 1;
                    self.pool.returned(place, self.now, &mut self.acts);
                }
            }
            7 => {
                if let Some(place) = self.pick(|_| true) {
                    self.open.remove(&place);
                    self.pool.gone(place, &mut self.acts);
                }
            }
            #[cfg(feature = "http2")]
            8 => {
                if let Some(place) = self.pick(|bearing| bearing.most > 1) {
                    let most = self.dice.usize(0..20);
                    self.open.get_mut(&place).unwrap().most = most;
                    self.pool.bears(place, most, self.now, &mut self.acts);
                }
            }
            _ => {
                self.pool.sweep(self.now, &mut self.acts);
                if !self.waiters.is_empty() && self.dice.bool() {
                    let waiter = self.waiters.swap_remove(self.dice.usize(0..self.waiters.len()));
                    self.pool.give_up(waiter);
                }
            }
        }
        for act in std::mem::take(&mut self.acts) {
            match act {
                Act::Give((), place, _) => {
                    self.served += 1;
                    self.lend(place);
                }
                Act::Dial(place, key) => assert!(self.dialing.insert(place, key).is_none(), "a place is dialled twice"),
                Act::Close(_) => {}
            }
        }
        self.open.retain(|place, _| self.pool.places.contains_key(place));
    }

    fn lend(&mut self, place: PlaceId) {
        let bearing = self.open.get_mut(&place).expect("it is not open");
        bearing.lent += 1;
        assert!(bearing.lent <= bearing.most, "it bears no more: {bearing:?}");
    }

    fn assert_right(&mut self) {
        let idle = self.open.values().filter(|bearing| bearing.lent == 0).count();
        let (dialing, busy) = (self.dialing.len(), self.open.len() - idle);
        let counts = self.pool.counts();
        assert_eq!((counts.0, counts.1, counts.2), (dialing, busy, idle));
        assert!(self.pool.places.len() <= self.limits.total);
        for key in self.hosts.clone() {
            let coming = self.pool.coming(&key);
            let host = self.pool.host(&key);
            assert!(host.places <= self.limits.per_host);
            assert!(host.waiters.is_empty() || host.roomy.is_empty(), "there is room, and somebody waits");
            // Whoever waits has a dial under way, or there is no room for one.
            let (waiters, places) = (host.waiters.len(), host.places);
            let all_in_use = self.pool.is_full() && !self.pool.has_idle();
            assert!(
                waiters <= coming || places >= self.limits.per_host || all_in_use,
                "somebody is forgotten: {:?}",
                self.pool
            );
            self.pool.tidy(&key);
        }
    }
}

/// The limits hold, nobody is forgotten while there is room, no connection is given more than it bears, and nothing is left at the end.
#[tokio::test]
async fn whatever_happens_the_books_of_the_pool_are_right() {
    let mut served = 0;
    for seed in 0..400 {
        let mut play = Play::new(seed);
        for step in 0..200 {
            play.now += Duration::from_secs(play.dice.u64(0..3));
            let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                play.act();
                play.assert_right();
            }));
            assert!(judged.is_ok(), "seed {seed}, step {step}");
        }
        served += play.served;
        // All leave: nothing is kept of any host.
        let mut acts = Vec::new();
        play.pool.close(&mut acts);
        for place in play.dialing.into_keys() {
            play.pool.dial_failed(place, &mut acts);
        }
        for place in play.open.into_keys() {
            play.pool.gone(place, &mut acts);
        }
        assert_eq!((play.pool.counts(), play.pool.hosts.len()), ((0, 0, 0, 0), 0), "seed {seed}");
    }
    assert!(served > 1000, "{served}");
}
