use std::{cell::RefCell, collections::HashMap, future};

use tokio::time::{Instant, sleep};

use super::*;

const DELAY: Duration = Duration::from_millis(250);

/// What becomes of an attempt, and after how many milliseconds.
#[derive(Clone, Copy)]
enum Fate {
    Connects(u64),
    Fails(u64),
    Silent,
}
use Fate::*;

/// A network of our own: it knows what becomes of each address, and writes down who was tried when, and who was let go.
struct Network {
    fates: HashMap<SocketAddr, Fate>,
    start: Instant,
    tried: RefCell<Vec<(u64, SocketAddr)>>,
    dropped: RefCell<Vec<SocketAddr>>,
}

/// Stands for the descriptor of an attempt.
struct Descriptor<'n>(&'n Network, SocketAddr);

impl Drop for Descriptor<'_> {
    fn drop(&mut self) {
        self.0.dropped.borrow_mut().push(self.1);
    }
}

impl Network {
    fn new(fates: &[(&str, Fate)]) -> (Self, Vec<SocketAddr>) {
        let fates: Vec<_> = fates.iter().map(|&(text, fate)| (address(text), fate)).collect();
        let addresses = fates.iter().map(|&(address, _)| address).collect();
        let network = Network {
            fates: fates.into_iter().collect(),
            start: Instant::now(),
            tried: RefCell::default(),
            dropped: RefCell::default(),
        };
        (network, addresses)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Descriptor<'_>> {
        self.tried.borrow_mut().push((self.now(), address));
        let descriptor = Descriptor(self, address);
        match self.fates[&address] {
            Connects(after) => sleep(Duration::from_millis(after)).await,
            Fails(after) => {
                sleep(Duration::from_millis(after)).await;
                return Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("{address} said no")));
            }
            Silent => future::pending().await,
        }
        Ok(descriptor)
    }

    async fn race(&self, addresses: &[SocketAddr]) -> Result<Descriptor<'_>, Vec<Attempt>> {
        race(addresses, DELAY, |address| self.connect(address)).await
    }

    fn tried(&self) -> Vec<(u64, String)> {
        self.tried.borrow().iter().map(|(at, address)| (*at, address.ip().to_string())).collect()
    }
}

fn address(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), 443)
}

fn times(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|&(at, ip)| (at, ip.to_owned())).collect()
}

#[test]
fn families_alternate_and_the_first_address_leads() {
    for (given, order) in [
        (&[][..], &[][..]),
        (&["::1"], &["::1"]),
        (&["::1", "::2", "::3", "1.0.0.1", "1.0.0.2"], &["::1", "1.0.0.1", "::2", "1.0.0.2", "::3"]),
        (&["1.0.0.1", "1.0.0.2", "1.0.0.3", "::1"], &["1.0.0.1", "::1", "1.0.0.2", "1.0.0.3"]),
        (&["1.0.0.1", "::1", "::2"], &["1.0.0.1", "::1", "::2"]),
        (&["1.0.0.1", "1.0.0.2"], &["1.0.0.1", "1.0.0.2"]),
    ] {
        let given: Vec<_> = given.iter().map(|text| address(text)).collect();
        let order: Vec<_> = order.iter().map(|text| address(text)).collect();
        assert_eq!(interleave(&given), order, "{given:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_starts_after_the_delay_and_the_first_to_connect_wins() {
    let (network, addresses) = Network::new(&[
        ("::1", Silent),
        ("::2", Silent),
        ("1.0.0.1", Silent),
        ("1.0.0.2", Connects(30)),
        ("::3", Silent),
    ]);
    let winner = network.race(&addresses).await.unwrap_or_else(|attempts| panic!("{attempts:?}"));
    assert_eq!(winner.1, address("1.0.0.2"));
    assert_eq!(network.now(), 780);
    assert_eq!(network.tried(), times(&[(0, "::1"), (250, "1.0.0.1"), (500, "::2"), (750, "1.0.0.2")]));
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_may_still_win_and_the_losers_are_dropped_before_the_race_returns() {
    let (network, addresses) = Network::new(&[("::1", Connects(600)), ("::2", Silent), ("1.0.0.1", Silent)]);
    let winner = network.race(&addresses).await.unwrap_or_else(|attempts| panic!("{attempts:?}"));
    assert_eq!((winner.1, network.now()), (address("::1"), 600));
    let mut dropped = network.dropped.borrow().clone();
    dropped.sort();
    assert_eq!(dropped, [address("1.0.0.1"), address("::2")], "each loser once, the winner not");
    drop(winner);
    assert_eq!(network.dropped.borrow().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_starts_at_once_when_any_fails() {
    // The first fails after the second has started: the third does not wait for the second's delay, and the fourth waits a whole one from there.
    let (network, addresses) =
        Network::new(&[("1.0.0.1", Fails(300)), ("1.0.0.2", Silent), ("1.0.0.3", Silent), ("1.0.0.4", Connects(0))]);
    let winner = network.race(&addresses).await.unwrap_or_else(|attempts| panic!("{attempts:?}"));
    assert_eq!(winner.1, address("1.0.0.4"));
    assert_eq!(network.tried(), times(&[(0, "1.0.0.1"), (250, "1.0.0.2"), (300, "1.0.0.3"), (550, "1.0.0.4")]));
}

#[tokio::test(start_paused = true)]
async fn all_errors_are_told_in_the_order_of_failure() {
    let (network, addresses) = Network::new(&[("::1", Fails(700)), ("::2", Fails(0)), ("1.0.0.1", Fails(20))]);
    let attempts = network.race(&addresses).await.err().expect("none connects");
    let told: Vec<_> = attempts.iter().map(|attempt| (attempt.address, attempt.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (address("1.0.0.1"), "1.0.0.1:443 said no"),
            (address("::2"), "[::2]:443 said no"),
            (address("::1"), "[::1]:443 said no"),
        ]
    );
    assert!(attempts.iter().all(|attempt| attempt.kind == io::ErrorKind::ConnectionRefused));
    assert_eq!(network.now(), 700);
    assert_eq!(network.dropped.borrow().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_race_drops_every_attempt() {
    let (network, addresses) = Network::new(&[("::1", Silent), ("1.0.0.1", Silent), ("::2", Silent)]);
    assert!(timeout(Duration::from_millis(400), network.race(&addresses)).await.is_err());
    assert_eq!(network.tried.borrow().len(), 2);
    assert_eq!(network.dropped.borrow().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_delay_is_under_ten_milliseconds_and_none_is_too_long() {
    let (network, addresses) = Network::new(&[("1.0.0.1", Silent), ("1.0.0.2", Connects(0))]);
    let winner = race(&addresses, Duration::ZERO, |address| network.connect(address)).await;
    assert!(winner.is_ok());
    assert_eq!(network.tried(), times(&[(0, "1.0.0.1"), (10, "1.0.0.2")]));

    let (network, addresses) = Network::new(&[("1.0.0.1", Fails(5)), ("1.0.0.2", Connects(0))]);
    assert!(race(&addresses, Duration::MAX, |address| network.connect(address)).await.is_ok());
    assert_eq!(network.tried(), times(&[(0, "1.0.0.1"), (5, "1.0.0.2")]));
}

#[tokio::test]
async fn no_address_is_no_attempt() {
    let attempts = race(&[], DELAY, |_| future::ready(Ok(()))).await;
    assert_eq!(attempts, Err(Vec::new()));
}
