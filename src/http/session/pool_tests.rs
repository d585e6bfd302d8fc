//! The pool, played with numbers for connections and names for those who wait.

use std::time::Duration;

use super::*;
use crate::http::Versions;

type Acts = Vec<Act<u32, &'static str>>;

struct Stage {
    pool: Pool<u32, &'static str>,
    now: Instant,
    acts: Acts,
}

/// Where no HTTP/2 is to be expected.
fn key(host: &str) -> Key {
    Key::of(&format!("https://{host}").parse().unwrap(), None, None, super::super::via::Via::Direct, Versions::Http1)
        .unwrap()
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
            Checkout::Waiting { dial: None, waiter, .. } => waiter,
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
    let Checkout::Waiting { waiter, dial: Some(place), .. } = stage.checkout("a", "gone") else { panic!() };
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

/// Where HTTP/2 may turn out to be spoken.
#[cfg(feature = "http2")]
mod http2 {
    use super::*;

    fn maybe(host: &str) -> Key {
        Key::of(
            &format!("https://{host}").parse().unwrap(),
            None,
            None,
            super::super::super::via::Via::Direct,
            Versions::Auto,
        )
        .unwrap()
    }

    impl Stage {
        fn ask(&mut self, host: &str, who: &'static str) -> Checkout<u32> {
            self.pool.checkout(&maybe(host), self.now, |_| true, || who, &mut self.acts)
        }

        /// The first connection, after so many have asked for one.
        fn scout(&mut self, askers: usize) -> PlaceId {
            let Checkout::Waiting { dial: Some(place), .. } = self.ask("a", "w") else { panic!("it is not dialled") };
            for _ in 1..askers {
                assert!(matches!(self.ask("a", "w"), Checkout::Waiting { dial: None, comes: true, .. }));
            }
            place
        }

        fn bears(&mut self, place: PlaceId, most: usize) -> Acts {
            self.pool.bears(place, most, self.now, &mut self.acts);
            std::mem::take(&mut self.acts)
        }
    }

    fn gives(acts: &Acts) -> usize {
        acts.iter().filter(|act| matches!(act, Act::Give(..))).count()
    }

    fn dials(acts: &Acts) -> usize {
        acts.iter().filter(|act| matches!(act, Act::Dial(..))).count()
    }

    #[tokio::test]
    async fn one_is_dialled_for_all_and_serves_all() {
        let mut stage = Stage::new(10, 10);
        let place = stage.scout(50);
        stage.bears(place, 100);
        let acts = stage.dialed(place, 1);
        assert_eq!((gives(&acts), dials(&acts)), (50, 0));
        assert_eq!(stage.pool.counts(), (0, 1, 0, 0));
    }

    #[tokio::test]
    async fn when_it_turns_out_otherwise_the_others_are_dialled_side_by_side() {
        let mut stage = Stage::new(10, 10);
        let place = stage.scout(5);
        let acts = stage.dialed(place, 1);
        assert_eq!((gives(&acts), dials(&acts)), (1, 4));
        // And that is remembered, also when nothing is left of the host.
        let mut acts = Vec::new();
        stage.pool.gone(place, &mut acts);
        assert!(matches!(stage.ask("a", "w"), Checkout::Waiting { dial: Some(_), .. }));
    }

    #[tokio::test]
    async fn a_scout_that_fails_costs_one_its_connection_and_the_others_no_second_wait() {
        let mut stage = Stage::new(10, 10);
        let place = stage.scout(5);
        assert_eq!(stage.pool.dial_failed(place, &mut stage.acts), Some("w"));
        assert_eq!(dials(&stage.acts), 4);
    }

    #[tokio::test]
    async fn the_next_is_dialled_before_the_first_is_full() {
        let mut stage = Stage::new(10, 10);
        let place = stage.scout(1);
        stage.bears(place, 16);
        stage.dialed(place, 1);
        for _ in 0..12 {
            assert!(matches!(stage.ask("a", "w"), Checkout::Taken(..)));
            assert_eq!(dials(&stage.acts), 0);
        }
        // There is room for two more.
        assert!(matches!(stage.ask("a", "w"), Checkout::Taken(..)));
        assert_eq!(dials(&stage.acts), 1);
        let Some(Act::Dial(next, _)) = stage.acts.pop() else { panic!() };
        for _ in 0..2 {
            assert!(matches!(stage.ask("a", "w"), Checkout::Taken(..)));
        }
        assert_eq!(stage.acts, [], "one is under way");
        assert!(matches!(stage.ask("a", "w"), Checkout::Waiting { dial: None, comes: true, .. }));
        stage.bears(next, 16);
        assert_eq!(gives(&stage.dialed(next, 2)), 1);
    }

    #[tokio::test]
    async fn a_limit_that_falls_is_kept_from_then_on_and_one_that_rises_serves_who_waits() {
        let mut stage = Stage::new(1, 1);
        let place = stage.scout(4);
        stage.bears(place, 4);
        assert_eq!(gives(&stage.dialed(place, 1)), 4);
        stage.bears(place, 2);
        assert!(matches!(stage.ask("a", "w"), Checkout::Waiting { .. }));
        for _ in 0..2 {
            assert_eq!(stage.returned(place), [], "it still bears as many as it may");
        }
        assert_eq!(gives(&stage.returned(place)), 1);
        assert!(matches!(stage.ask("a", "w"), Checkout::Waiting { .. }));
        assert_eq!(gives(&stage.bears(place, 3)), 1);
    }

    /// A server that allows no stream at all is asked nothing, and closed like any other.
    #[tokio::test]
    async fn what_bears_nothing_is_given_nothing() {
        let mut stage = Stage::new(1, 1);
        let place = stage.scout(1);
        stage.bears(place, 0);
        assert_eq!(stage.dialed(place, 1), []);
        assert_eq!(stage.pool.counts(), (0, 0, 1, 1));
        assert_eq!(stage.pool.close(&mut stage.acts), ["w"]);
        assert_eq!(stage.acts, [Act::Close(1)]);
    }

    #[tokio::test]
    async fn one_that_went_before_it_was_known_is_closed_and_replaced() {
        let mut stage = Stage::new(1, 1);
        let place = stage.scout(1);
        stage.bears(place, 100);
        stage.gone(place);
        let acts = stage.dialed(place, 1);
        assert!(matches!(acts[..], [Act::Close(1), Act::Dial(..)]), "{acts:?}");
    }
}
