//! The cache around a resolver that counts, on a paused clock.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use futures_util::future::join_all;
use tokio::time::{advance, sleep};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Answers after a second: what it was given, in that order, and at last its own number of the asking.
#[derive(Clone, Default)]
struct Slow {
    asked: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    answers: Arc<Mutex<VecDeque<io::Result<Resolved>>>>,
}

impl Slow {
    fn then(self, answer: io::Result<Resolved>) -> Self {
        self.answers.lock().unwrap().push_back(answer);
        self
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }
}

fn address(last: usize) -> SocketAddr {
    ([192, 0, 2, last as u8], 443).into()
}

fn resolved(last: usize, ttl: Option<Duration>) -> io::Result<Resolved> {
    Ok(Resolved { addresses: vec![address(last)], ttl })
}

fn fails() -> io::Result<Resolved> {
    Err(io::Error::new(io::ErrorKind::NotFound, "nobody knows"))
}

impl Resolver for Slow {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let answer = self.lookup(host, port);
        async move { Ok(answer.await?.addresses) }.boxed()
    }

    fn lookup(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Resolved>> {
        let number = self.asked.fetch_add(1, Relaxed) + 1;
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or_else(|| resolved(number, None));
        let done = self.done.clone();
        async move {
            sleep(SECOND).await;
            done.fetch_add(1, Relaxed);
            answer
        }
        .boxed()
    }
}

async fn ask(resolver: &CachedResolver, host: &str) -> Result<SocketAddr, String> {
    resolver.resolve(host, 443).await.map(|addresses| addresses[0]).map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_good_for_its_own_time_or_the_fixed_one() {
    let slow = Slow::default()
        .then(resolved(1, Some(5 * SECOND)))
        .then(resolved(2, None))
        .then(resolved(3, Some(60 * SECOND)));
    let resolver = CachedResolver::new(slow.clone()).ttl(10 * SECOND).longest_ttl(20 * SECOND);
    for (good, number) in [(5, 1), (10, 2), (20, 3)] {
        assert_eq!(ask(&resolver, "a.example").await, Ok(address(number)));
        let began = Instant::now();
        advance(good * SECOND - Duration::from_millis(2)).await;
        // In any spelling, and at once.
        assert_eq!(ask(&resolver, "A.Example.").await, Ok(address(number)));
        assert!(began.elapsed() < good * SECOND);
        assert_eq!(slow.asked(), number);
        advance(Duration::from_millis(2)).await;
    }
    assert_eq!(ask(&resolver, "a.example").await, Ok(address(4)));
    resolver.forget();
    assert_eq!(resolver.remembered(), 0);
    assert_eq!(ask(&resolver, "a.example").await, Ok(address(5)));
}

#[tokio::test(start_paused = true)]
async fn many_who_ask_at_once_are_one_look_up() {
    let slow = Slow::default();
    let resolver = CachedResolver::new(slow.clone());
    let began = Instant::now();
    let answers = join_all((0..100).map(|_| ask(&resolver, "a.example"))).await;
    assert!(answers.iter().all(|answer| *answer == Ok(address(1))));
    assert_eq!((slow.asked(), began.elapsed().as_secs()), (1, 1));
    // Another name, and another port, are another look-up.
    ask(&resolver, "b.example").await.unwrap();
    resolver.resolve("a.example", 80).await.unwrap();
    assert_eq!(slow.asked(), 3);
    // An address is none.
    assert_eq!(ask(&resolver, "192.0.2.9").await, Ok(address(9)));
    assert_eq!(slow.asked(), 3);
}

/// The one who asked first gives up: the look-up goes on for the others. When the last has given up, so does it, and nothing is left of it.
#[tokio::test(start_paused = true)]
async fn who_gives_up_keeps_nobody_waiting() {
    let slow = Slow::default();
    let resolver = CachedResolver::new(slow.clone());
    let (mut first, mut second) = (Box::pin(ask(&resolver, "a.example")), Box::pin(ask(&resolver, "a.example")));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    drop(first);
    assert_eq!(second.await, Ok(address(1)));
    assert_eq!(slow.asked(), 1);

    let mut only = Box::pin(ask(&resolver, "b.example"));
    assert!((&mut only).now_or_never().is_none());
    assert_eq!(resolver.memory().flights.len(), 1);
    drop(only);
    assert_eq!(resolver.memory().flights.len(), 0);
    sleep(2 * SECOND).await;
    assert_eq!((slow.asked(), slow.done.load(Relaxed), resolver.remembered()), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_for_a_moment() {
    let slow = Slow::default().then(fails()).then(Ok(Resolved::default()));
    let resolver = CachedResolver::new(slow.clone());
    for _ in 0..2 {
        let error = resolver.resolve("a.example", 443).await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (io::ErrorKind::NotFound, "nobody knows"));
    }
    assert_eq!(slow.asked(), 1);
    advance(SECOND).await;
    // An empty answer is a failure, too.
    for _ in 0..2 {
        assert!(resolver.resolve("a.example", 443).await.unwrap().is_empty());
    }
    assert_eq!(slow.asked(), 2);
    advance(SECOND).await;
    assert_eq!(ask(&resolver, "a.example").await, Ok(address(3)));
}

/// What is stale blocks nobody: it is given at once while it is asked for anew, once; if that fails it stands, and goes when its time is over.
#[tokio::test(start_paused = true)]
async fn what_is_stale_blocks_nobody() {
    let slow = Slow::default().then(resolved(1, Some(SECOND))).then(resolved(2, Some(SECOND))).then(fails());
    let resolver = CachedResolver::new(slow.clone()).stale(10 * SECOND);
    assert_eq!(ask(&resolver, "a.example").await, Ok(address(1)));
    advance(SECOND).await;
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(ask(&resolver, "a.example").await, Ok(address(1)));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    sleep(SECOND + Duration::from_millis(1)).await;
    assert_eq!(slow.asked(), 2);
    assert_eq!(ask(&resolver, "a.example").await, Ok(address(2)));
    advance(SECOND).await;
    assert_eq!(ask(&resolver, "a.example").await, Ok(address(2)));
    sleep(SECOND + Duration::from_millis(1)).await;
    // The third failed: the second stands, and is not asked for again at once.
    assert_eq!((ask(&resolver, "a.example").await, slow.asked()), (Ok(address(2)), 3));
    advance(12 * SECOND).await;
    assert_eq!(ask(&resolver, "a.example").await, Ok(address(4)));
}

#[tokio::test(start_paused = true)]
async fn no_more_names_than_so_many() {
    let resolver = CachedResolver::new(Slow::default()).most_names(2);
    for name in ["a", "b", "c", "d"] {
        ask(&resolver, name).await.unwrap();
        assert!(resolver.remembered() <= 2);
    }
    let none = CachedResolver::new(Slow::default()).most_names(0);
    ask(&none, "a").await.unwrap();
    assert_eq!(none.remembered(), 0);
}
