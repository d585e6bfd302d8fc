//! The pool, played with numbers for connections and names for those who wait.

use std::{collections::BTreeSet, time::Duration};

use super::*;

type Acts = Vec<Act<u32, &'static str>>;

struct Stage {
    pool: Pool<u32, &'static str>,
    now: Instant,
    acts: Acts,
}

fn key(host: &str) -> Key {
    Key::of(&format!("https://{host}").parse().unwrap(), None, None, super::super::via::Via::Direct).unwrap()
}

impl Stage {
    fn new(total: usize, per_host: usize) -> Self {
        let limits = Limits { total, per_host, idle: Duration::from_secs(10), ..Limits::default() };
        Stage { pool: Pool::new(limits), now: Instant::now(), acts: Vec::new() }
    }

    fn checkout(&mut self, host: &str, who: &'static str) -> Checkout<u32> {
        self.pool.checkout(&key(host), self.now, |_| true, || who, &mut self.acts)
    }

    /// Asks, and is told to dial.
    fn dial(&mut self, host: &str, who: &'static str) -> PlaceId {
        match self.checkout(host, who) {
            Checkout::Waiting { dial: Some(place), .. } => place,
            other => panic!("{who}: {other:?}"),
        }
    }

    /// Asks, and has to wait.
    fn wait(&mut self, host: &str, who: &'static str) -> WaiterId {
        match self.checkout(host, who) {
            Checkout::Waiting { dial: None, waiter } => waiter,
            other => panic!("{who}: {other:?}"),
        }
    }

    fn dialed(&mut self, place: PlaceId, connection: u32) -> Acts {
        self.pool.dialed(place, connection, None, self.now, &mut self.acts);
        std::mem::take(&mut self.acts)
    }

    fn returned(&mut self, place: PlaceId) -> Acts {
        self.pool.returned(place, self.now, &mut self.acts);
        std::mem::take(&mut self.acts)
    }

    fn gone(&mut self, place: PlaceId) -> Acts {
        self.pool.gone(place, &mut self.acts);
        std::mem::take(&mut self.acts)
    }
}

#[tokio::test]
async fn the_first_to_come_is_the_first_to_be_served() {
    let mut stage = Stage::new(1, 1);
    let place = stage.dial("a", "first");
    stage.wait("a", "second");
    stage.wait("a", "third");
    assert_eq!(stage.dialed(place, 7), [Act::Give("first", place, 7)]);
    assert_eq!(stage.returned(place), [Act::Give("second", place, 7)]);
    assert_eq!(stage.returned(place), [Act::Give("third", place, 7)]);
    assert_eq!(stage.returned(place), []);
    assert_eq!(stage.checkout("a", "fourth"), Checkout::Taken(place, 7));
}

#[tokio::test]
async fn whoever_falls_idle_first_serves_whoever_waits_for_a_dial() {
    let mut stage = Stage::new(2, 2);
    let one = stage.dial("a", "first");
    stage.dialed(one, 1);
    let two = stage.dial("a", "second");
    assert_eq!(stage.returned(one), [Act::Give("second", one, 1)], "before its dial is done");
    assert_eq!(stage.dialed(two, 2), [], "and what was dialled for it is idle");
    assert_eq!(stage.pool.counts(), (0, 1, 1, 0));
}

#[tokio::test]
async fn a_waiter_that_gives_up_leaves_its_dial_to_the_next() {
    let mut stage = Stage::new(1, 1);
    let Checkout::Waiting { waiter, dial: Some(place) } = stage.checkout("a", "gone") else { panic!() };
    stage.wait("a", "next");
    stage.pool.give_up(waiter);
    assert_eq!(stage.dialed(place, 1), [Act::Give("next", place, 1)]);
}

#[tokio::test]
async fn the_place_of_a_failed_dial_goes_to_the_next_in_the_line_of_all_hosts() {
    let mut stage = Stage::new(1, 1);
    let place = stage.dial("a", "first");
    stage.wait("b", "second");
    stage.wait("a", "third");
    assert_eq!(stage.pool.dial_failed(place, &mut stage.acts), Some("first"));
    assert!(matches!(stage.acts[..], [Act::Dial(_, ref host)] if *host == key("b")), "{:?}", stage.acts);
}

#[tokio::test]
async fn a_host_that_is_full_does_not_hold_up_the_others() {
    let mut stage = Stage::new(2, 1);
    let a = stage.dial("a", "first");
    stage.wait("a", "second");
    stage.dial("b", "third");
    stage.dialed(a, 1);
    assert!(matches!(stage.gone(a)[..], [Act::Dial(_, ref host)] if *host == key("a")));
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_another_host() {
    let mut stage = Stage::new(1, 1);
    let a = stage.dial("a", "first");
    stage.dialed(a, 1);
    stage.returned(a);
    stage.dial("b", "second");
    assert_eq!(stage.acts, [Act::Close(1)]);
}

#[tokio::test]
async fn what_is_stale_is_never_handed_out() {
    let mut stage = Stage::new(2, 2);
    let a = stage.dial("a", "first");
    stage.dialed(a, 1);
    stage.returned(a);
    stage.now += Duration::from_secs(10);
    stage.dial("a", "second");
    assert_eq!(stage.acts, [Act::Close(1)]);
    // One that says that it cannot bear another goes the same way.
    let mut stage = Stage::new(2, 2);
    let a = stage.dial("a", "first");
    stage.dialed(a, 1);
    stage.returned(a);
    let checkout = stage.pool.checkout(&key("a"), stage.now, |_| false, || "second", &mut stage.acts);
    assert!(matches!(checkout, Checkout::Waiting { dial: Some(_), .. }));
    assert_eq!(stage.acts, [Act::Close(1)]);
}

#[tokio::test]
async fn what_is_too_old_bears_no_other_exchange() {
    let mut stage = Stage::new(1, 1);
    let a = stage.dial("a", "first");
    stage.pool.dialed(a, 1, Some(stage.now + Duration::from_secs(5)), stage.now, &mut stage.acts);
    stage.wait("a", "second");
    stage.now += Duration::from_secs(5);
    stage.acts.clear();
    let acts = stage.returned(a);
    assert!(matches!(acts[..], [Act::Close(1), Act::Dial(..)]), "{acts:?}");
}

#[tokio::test]
async fn a_close_tells_who_waits_and_closes_what_is_idle() {
    let mut stage = Stage::new(2, 1);
    let a = stage.dial("a", "first");
    stage.dialed(a, 1);
    stage.returned(a);
    let b = stage.dial("b", "second");
    stage.dialed(b, 2);
    stage.wait("b", "third");
    assert_eq!(stage.pool.close(&mut stage.acts), ["third"]);
    assert_eq!(stage.acts, [Act::Close(1)]);
    assert_eq!(stage.pool.counts(), (0, 1, 0, 0));
}

/// Random plays: the limits hold, nobody is forgotten while there is room, nothing is handed out twice, and nothing is left at the end.
#[tokio::test]
async fn whatever_happens_the_books_of_the_pool_are_right() {
    const HOSTS: [&str; 3] = ["a", "b", "c"];
    for seed in 0..400 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let (total, per_host) = (dice.usize(1..5), dice.usize(1..4));
        let mut stage = Stage::new(total, per_host);
        let (mut dialing, mut busy, mut idle) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut waiters: Vec<WaiterId> = Vec::new();
        let mut served = 0;
        for step in 0..200_u32 {
            stage.now += Duration::from_secs(dice.u64(0..3));
            let pick = |set: &BTreeSet<PlaceId>, dice: &mut fastrand::Rng| {
                (!set.is_empty()).then(|| *set.iter().nth(dice.usize(0..set.len())).unwrap())
            };
            match dice.u8(0..8) {
                0..=2 => match stage.checkout(HOSTS[dice.usize(0..3)], "w") {
                    Checkout::Taken(place, _) => assert!(idle.remove(&place) && busy.insert(place), "seed {seed}"),
                    Checkout::Waiting { waiter, dial } => {
                        waiters.push(waiter);
                        dialing.extend(dial);
                    }
                },
                3 => {
                    if let Some(place) = pick(&dialing, &mut dice) {
                        dialing.remove(&place);
                        busy.insert(place);
                        stage.pool.dialed(place, step, None, stage.now, &mut stage.acts);
                        if !stage.acts.iter().any(|act| matches!(act, Act::Give(_, id, _) if *id == place)) {
                            busy.remove(&place);
                            idle.insert(place);
                        }
                    }
                }
                4 => {
                    if let Some(place) = pick(&dialing, &mut dice) {
                        dialing.remove(&place);
                        stage.pool.dial_failed(place, &mut stage.acts);
                    }
                }
                5 => {
                    if let Some(place) = pick(&busy, &mut dice) {
                        stage.pool.returned(place, stage.now, &mut stage.acts);
                        if !stage.acts.iter().any(|act| matches!(act, Act::Give(_, id, _) if *id == place)) {
                            busy.remove(&place);
                            idle.insert(place);
                        }
                    }
                }
                6 => {
                    let place = if dice.bool() { pick(&busy, &mut dice) } else { pick(&idle, &mut dice) };
                    if let Some(place) = place {
                        busy.remove(&place);
                        idle.remove(&place);
                        stage.pool.gone(place, &mut stage.acts);
                    }
                }
                _ => {
                    stage.pool.sweep(stage.now, &mut stage.acts);
                    if !waiters.is_empty() && dice.bool() {
                        stage.pool.give_up(waiters.swap_remove(dice.usize(0..waiters.len())));
                    }
                }
            }
            for act in std::mem::take(&mut stage.acts) {
                match act {
                    Act::Give(..) => served += 1,
                    Act::Dial(place, _) => assert!(dialing.insert(place), "seed {seed}: a place is dialled twice"),
                    Act::Close(_) => {}
                }
            }
            idle.retain(|place| stage.pool.places.contains_key(place));
            let counts = stage.pool.counts();
            assert_eq!(
                (counts.0, counts.1, counts.2),
                (dialing.len(), busy.len(), idle.len()),
                "seed {seed} step {step}"
            );
            assert!(stage.pool.places.len() <= total, "seed {seed}");
            for host in stage.pool.hosts.values() {
                assert!(host.places <= per_host, "seed {seed}");
                // Whoever waits has a dial under way, or there is no room for one.
                let all_in_use = stage.pool.is_full() && !stage.pool.has_idle();
                assert!(
                    host.waiters.len() <= host.dialing || host.places >= per_host || all_in_use,
                    "seed {seed} step {step}: somebody is forgotten: {:?}",
                    stage.pool
                );
            }
        }
        assert!(served > 0 || seed > 0);
        // All leave: nothing is kept of any host.
        let mut acts = Vec::new();
        stage.pool.close(&mut acts);
        for place in dialing {
            stage.pool.dial_failed(place, &mut acts);
        }
        for place in busy {
            stage.pool.gone(place, &mut acts);
        }
        assert_eq!((stage.pool.counts(), stage.pool.hosts.len()), ((0, 0, 0, 0), 0), "seed {seed}");
    }
}
