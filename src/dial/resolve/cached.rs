//! A resolver that remembers.

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{self, BoxFuture, FutureExt, Shared, WeakShared};
use tokio::time::Instant;

use super::{
    Resolved, Resolver, key,
    known::{Knowledge, Known},
    literal,
};

/// Remembers what another resolver has answered, for as long as that says or for a fixed time, and asks it no more than once at a time for the same name, however many connections want it.
///
/// A clone shares what is known. Give the same one to everybody who should: [`Supervisor::resolver`](crate::Supervisor::resolver), `http::SessionBuilder::resolver`.
///
/// ```
/// use std::time::Duration;
/// use exeunt::{CachedResolver, Supervisor, SystemResolver};
///
/// let resolver = CachedResolver::new(SystemResolver).ttl(Duration::from_secs(10));
/// let supervisor = Supervisor::new().resolver(resolver.clone());
/// # let _ = supervisor;
/// ```
#[derive(Clone)]
pub struct CachedResolver(Arc<Inner>);

struct Inner {
    of: Arc<dyn Resolver>,
    times: Times,
    memory: Mutex<Memory>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    ttl: Duration,
    longest: Duration,
    negative: Duration,
    stale: Duration,
}

/// A name in lower case, and the port, for a resolver may know ports of its own.
type Key = (String, u16);

type Answer = Result<Arc<[SocketAddr]>, Failure>;

type Flight = BoxFuture<'static, Answer>;

struct Memory {
    known: Known<Key, Answer>,
    /// Look-ups under way, each with its number.
    flights: HashMap<Key, (u64, WeakShared<Flight>)>,
    flown: u64,
}

/// An error that can be told more than once.
#[derive(Clone, Debug)]
struct Failure {
    kind: io::ErrorKind,
    words: Arc<str>,
}

impl CachedResolver {
    /// Remembers the answers of this one.
    pub fn new(of: impl Resolver) -> Self {
        let minute = Duration::from_secs(60);
        let times = Times { ttl: minute / 2, longest: 60 * minute, negative: minute / 60, stale: Duration::ZERO };
        CachedResolver::with(Arc::new(of), times, 1024)
    }

    fn with(of: Arc<dyn Resolver>, times: Times, most: usize) -> Self {
        let memory = Memory { known: Known::new(most), flights: HashMap::new(), flown: 0 };
        CachedResolver(Arc::new(Inner { of, times, memory: Mutex::new(memory) }))
    }

    fn timed(self, change: impl FnOnce(&mut Times)) -> Self {
        let mut times = self.0.times;
        change(&mut times);
        let most = self.memory().known.most();
        CachedResolver::with(self.0.of.clone(), times, most)
    }

    /// How long an answer is good whose resolver does not say. Default 30 s. Zero: it is not kept.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.timed(|times| times.ttl = ttl)
    }

    /// How long an answer is good at most, whatever its resolver says. Default 1 hour.
    pub fn longest_ttl(self, longest: Duration) -> Self {
        self.timed(|times| times.longest = longest)
    }

    /// How long a failure is remembered, so that a name that is not there is not asked for again and again. Default 1 s.
    pub fn negative_ttl(self, negative: Duration) -> Self {
        self.timed(|times| times.negative = negative)
    }

    /// For how long after its time an answer is still given (RFC 8767): at once, and the name is asked for anew meanwhile, by a task of its own on the thread's runtime, which ends with the answer or with the
    /// runtime. If that fails, the old answer stands. Default zero: what has passed is never given.
    pub fn stale(self, stale: Duration) -> Self {
        self.timed(|times| times.stale = stale)
    }

    /// How many names are remembered, those that failed included. Default 1024. For more, that which was not used for longest is forgotten.
    pub fn most_names(self, most: usize) -> Self {
        CachedResolver::with(self.0.of.clone(), self.0.times, most)
    }

    /// Forgets everything that is known. What is being asked for goes on.
    pub fn forget(&self) {
        self.memory().known.forget();
    }

    /// How many names are remembered, those included whose time has passed and that nobody has asked for since.
    pub fn remembered(&self) -> usize {
        self.memory().known.len()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory()
    }

    /// The look-up of this name that is under way, or a new one; and whether it is new.
    fn flight(&self, key: Key) -> (Shared<Flight>, bool) {
        let mut memory = self.memory();
        if let Some(flight) = memory.flights.get(&key).and_then(|(_, flight)| flight.upgrade()) {
            return (flight, false);
        }
        memory.flown += 1;
        let landing = Landing { inner: self.0.clone(), key: key.clone(), number: memory.flown };
        let flight = landing.fly().boxed().shared();
        // Just made, it is not done.
        if let Some(weak) = flight.downgrade() {
            let number = memory.flown;
            memory.flights.insert(key, (number, weak));
        }
        (flight, true)
    }

    fn answer(&self, host: &str, port: u16) -> BoxFuture<'static, Answer> {
        let key = (key(host), port);
        let knowledge = self.memory().known.look(&key, Instant::now());
        match knowledge {
            Knowledge::Fresh(answer) => future::ready(answer).boxed(),
            Knowledge::Stale(answer) => {
                if let Ok(runtime) = tokio::runtime::Handle::try_current()
                    && let (flight, true) = self.flight(key)
                {
                    runtime.spawn(flight);
                }
                future::ready(answer).boxed()
            }
            Knowledge::Nothing => self.flight(key).0.boxed(),
        }
    }
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing in the critical sections can panic half way.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look-up leaves behind, when it is done and when it is given up by the last who wanted it.
struct Landing {
    inner: Arc<Inner>,
    key: Key,
    number: u64,
}

impl Landing {
    async fn fly(self) -> Answer {
        let Inner { of, times, .. } = &*self.inner;
        let (host, port) = &self.key;
        let answer = of.lookup(host, *port).await;
        let (answer, fresh, stale) = match answer {
            // Told in the same way as a name that is not found, and as long remembered.
            Ok(resolved) if resolved.addresses.is_empty() => (Ok([].into()), times.negative, Duration::ZERO),
            Ok(Resolved { addresses, ttl }) => {
                (Ok(addresses.into()), ttl.unwrap_or(times.ttl).min(times.longest), times.stale)
            }
            Err(error) => {
                let failure = Failure { kind: error.kind(), words: error.to_string().into() };
                (Err(failure), times.negative, Duration::ZERO)
            }
        };
        let now = Instant::now();
        let mut memory = self.inner.memory();
        let old = memory.known.look(&self.key, now);
        // A failure does not take the place of an answer that is still to be given; nothing is asked again for as long as a failure is remembered.
        if let (Err(_), Knowledge::Stale(old @ Ok(_))) = (&answer, old) {
            memory.known.put_off(&self.key, times.negative, now);
            return old;
        }
        memory.known.learn(self.key.clone(), answer.clone(), fresh, stale, now);
        answer
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut memory = self.inner.memory();
        if memory.flights.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            memory.flights.remove(&self.key);
        }
    }
}

impl Resolver for CachedResolver {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        if let Some(address) = literal(host, port) {
            return future::ready(Ok(vec![address])).boxed();
        }
        let answer = self.answer(host, port);
        async move {
            match answer.await {
                Ok(addresses) => Ok(addresses.to_vec()),
                Err(Failure { kind, words }) => Err(io::Error::new(kind, &*words)),
            }
        }
        .boxed()
    }
}

impl fmt::Debug for CachedResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory();
        f.debug_struct("CachedResolver")
            .field("times", &self.0.times)
            .field("remembered", &memory.known.len())
            .field("under_way", &memory.flights.len())
            .finish()
    }
}

#[cfg(test)]
#[path = "cached_tests.rs"]
mod tests;
