//! From a name to its addresses.

mod cached;
#[cfg(feature = "hickory")]
mod hickory;
mod known;

use std::{
    collections::HashMap,
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{self, BoxFuture, FutureExt};
use tokio::sync::oneshot;

use super::lookups::Lookups;

pub use cached::CachedResolver;
#[cfg(feature = "hickory")]
pub use hickory::HickoryResolver;

/// Finds the addresses of a host.
///
/// The order of the answer is the order of preference: the first address is tried first and its family comes first, the others are interleaved (RFC 8305, section 4).
/// Duplicates are harmless. A host that is an IP address is not asked for.
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of `host`, each with the port to connect to, which is `port` unless the resolver knows better.
    ///
    /// It is called on the thread of the connection and must not block; the future may be dropped at any time, when the dial is cancelled or its deadline passes.
    ///
    /// # Errors
    /// Whatever kept it from an answer: its words become the message of [`DialFailure::Resolve`](crate::DialFailure::Resolve). The name has no address:
    /// [`io::ErrorKind::NotFound`], or an empty list, which is told in the same way.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;

    /// The same for one who remembers: a [`CachedResolver`]. To be implemented by a resolver that knows how long its answers are good; by default it does not.
    ///
    /// # Errors
    /// As [`resolve`](Resolver::resolve).
    fn lookup(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Resolved>> {
        let addresses = self.resolve(host, port);
        async move { Ok(Resolved { addresses: addresses.await?, ttl: None }) }.boxed()
    }
}

/// The addresses of a host, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// As [`Resolver::resolve`] answers them.
    pub addresses: Vec<SocketAddr>,
    /// How long they are good: the least time to live of the records. `None`: the resolver does not know.
    pub ttl: Option<Duration>,
}

impl<R: Resolver + ?Sized> Resolver for Arc<R> {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        (**self).resolve(host, port)
    }

    fn lookup(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Resolved>> {
        (**self).lookup(host, port)
    }
}

impl fmt::Debug for dyn Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resolver")
    }
}

/// The system's resolver, `getaddrinfo`: it knows `/etc/hosts`, `nsswitch.conf` and the search list, and sorts by RFC 6724. IP addresses are answered without asking it.
///
/// `getaddrinfo` blocks and nothing can cancel it, so lookups run on threads of their own, at most 16 at a time; a thread that has had nothing to do for 10 s ends. When a dial is cancelled its lookup is forgotten at
/// once, and the thread is free again when `getaddrinfo` gives up: with glibc's defaults 5 seconds for each try and server, 2 tries (man 5 resolv.conf). Nothing waits for it. tokio's own
/// `lookup_host` uses its blocking pool, and dropping a runtime waits for that: a silent name server would hold up the end of the program.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

static LOOKUPS: Lookups = Lookups::new();

impl Resolver for SystemResolver {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        if let Some(address) = literal(host, port) {
            return future::ready(Ok(vec![address])).boxed();
        }
        let host = host.to_owned();
        async move {
            let (answer, answered) = oneshot::channel();
            LOOKUPS.run(Box::new(move || {
                // The dial may have been cancelled, before or since.
                if !answer.is_closed() {
                    let _ = answer.send((host.as_str(), port).to_socket_addrs().map(Iterator::collect));
                }
            }))?;
            answered.await.map_err(io::Error::other)?
        }
        .boxed()
    }
}

/// Addresses that are known beforehand: for tests, and for hosts that are pinned whatever DNS says (as curl's `--resolve` does).
///
/// ```
/// use exeunt::dial::{StaticResolver, SystemResolver};
///
/// let resolver = StaticResolver::new()
///     .pin("api.example", ["192.0.2.1".parse()?, "2001:db8::1".parse()?])
///     .otherwise(SystemResolver);
/// # let _ = resolver;
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Default)]
pub struct StaticResolver {
    hosts: HashMap<String, Vec<IpAddr>>,
    otherwise: Option<Arc<dyn Resolver>>,
}

impl StaticResolver {
    /// A resolver that knows no host.
    pub fn new() -> Self {
        StaticResolver::default()
    }

    /// Pins a host to these addresses, in the order in which they are to be tried, in place of those that it was pinned to before. Case and a final dot of the name
    /// do not matter.
    pub fn pin(mut self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.hosts.insert(key(host), addresses.into_iter().collect());
        self
    }

    /// Who is asked for hosts that are not pinned. Without it they are not found.
    pub fn otherwise(mut self, resolver: impl Resolver) -> Self {
        self.otherwise = Some(Arc::new(resolver));
        self
    }
}

impl From<HashMap<String, Vec<IpAddr>>> for StaticResolver {
    fn from(hosts: HashMap<String, Vec<IpAddr>>) -> Self {
        hosts.into_iter().fold(StaticResolver::new(), |resolver, (host, addresses)| resolver.pin(&host, addresses))
    }
}

impl fmt::Debug for StaticResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticResolver")
            .field("hosts", &self.hosts)
            .field("otherwise", &self.otherwise.as_ref().map(|_| "a resolver"))
            .finish()
    }
}

impl Resolver for StaticResolver {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        if let Some(address) = literal(host, port) {
            return future::ready(Ok(vec![address])).boxed();
        }
        if let Some(addresses) = self.hosts.get(&key(host)) {
            return future::ready(Ok(addresses.iter().map(|&ip| SocketAddr::new(ip, port)).collect())).boxed();
        }
        match &self.otherwise {
            Some(resolver) => resolver.resolve(host, port),
            None => future::ready(Err(io::Error::new(io::ErrorKind::NotFound, "no address is pinned for it"))).boxed(),
        }
    }

    fn lookup(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Resolved>> {
        match &self.otherwise {
            Some(resolver) if literal(host, port).is_none() && !self.hosts.contains_key(&key(host)) => {
                resolver.lookup(host, port)
            }
            _ => {
                let addresses = self.resolve(host, port);
                async move { Ok(Resolved { addresses: addresses.await?, ttl: None }) }.boxed()
            }
        }
    }
}

/// The address that a host is, if it is one.
pub(super) fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

fn key(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer of a resolver that has no need to wait, and so needs no runtime.
    fn at_once(resolver: &dyn Resolver, host: &str) -> io::Result<Vec<SocketAddr>> {
        resolver.resolve(host, 443).now_or_never().expect("answered at once")
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_address_is_answered_without_asking() {
        for resolver in [&SystemResolver as &dyn Resolver, &StaticResolver::new()] {
            assert_eq!(at_once(resolver, "192.0.2.1").unwrap(), addresses(&["192.0.2.1:443"]));
            assert_eq!(at_once(resolver, "2001:db8::1").unwrap(), addresses(&["[2001:db8::1]:443"]));
        }
    }

    #[tokio::test]
    async fn the_system_knows_localhost() {
        let answer = SystemResolver.resolve("localhost", 4433).await.unwrap();
        assert!(!answer.is_empty());
        assert!(answer.iter().all(|address| address.ip().is_loopback() && address.port() == 4433), "{answer:?}");
    }

    #[tokio::test]
    async fn a_name_that_cannot_be_asked_for_is_an_error_and_no_panic() {
        assert!(SystemResolver.resolve("a\0b", 443).await.is_err());
        assert!(SystemResolver.resolve("", 443).await.is_err());
    }

    #[test]
    fn pinned_hosts_keep_their_order_and_the_others_go_on() {
        let pinned = StaticResolver::new().pin("A.example.", ["2001:db8::1".parse().unwrap(), [192, 0, 2, 1].into()]);
        assert_eq!(at_once(&pinned, "a.EXAMPLE").unwrap(), addresses(&["[2001:db8::1]:443", "192.0.2.1:443"]));
        assert_eq!(at_once(&pinned, "b.example").unwrap_err().kind(), io::ErrorKind::NotFound);

        let further = StaticResolver::from(HashMap::from([("b.example".to_owned(), vec![[192, 0, 2, 2].into()])]));
        let both = pinned.otherwise(further);
        assert_eq!(at_once(&both, "a.example").unwrap().len(), 2);
        assert_eq!(at_once(&both, "b.example").unwrap(), addresses(&["192.0.2.2:443"]));
    }
}
