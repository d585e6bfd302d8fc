//! DNS by hickory-resolver, which knows how long its answers are good.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use futures_util::future::{BoxFuture, FutureExt};
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};

use super::{Resolved, Resolver, literal};

/// DNS without `getaddrinfo`: no thread a look-up, cancelled when its dial is, and with the time to live of the records.
///
/// It reads `/etc/resolv.conf` and `/etc/hosts`, and nothing else of what the system's resolver knows (`nsswitch.conf`, mDNS). Put a [`CachedResolver`](super::CachedResolver) around it, which keeps what it says for
/// as long as it says, and asks once for many:
///
/// ```
/// use exeunt::{CachedResolver, HickoryResolver, Supervisor};
///
/// let resolver = CachedResolver::new(HickoryResolver::system()?);
/// let supervisor = Supervisor::new().resolver(resolver);
/// # let _ = supervisor;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct HickoryResolver(Arc<TokioResolver>);

impl HickoryResolver {
    /// As the system is configured.
    ///
    /// # Errors
    /// `/etc/resolv.conf` cannot be read.
    pub fn system() -> io::Result<Self> {
        let resolver = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        Ok(HickoryResolver(Arc::new(resolver.map_err(failure)?)))
    }

    /// Asks these name servers, by UDP and, for what does not fit, by TCP; without a search list.
    ///
    /// # Errors
    /// `/etc/hosts` is there and cannot be read.
    pub fn with_servers(servers: impl IntoIterator<Item = SocketAddr>) -> io::Result<Self> {
        let at = |server: SocketAddr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        };
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.into_iter().map(at).collect());
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Ok(HickoryResolver(Arc::new(builder.build().map_err(failure)?)))
    }
}

/// One that is configured by its own means: DNS over TLS, say.
impl From<TokioResolver> for HickoryResolver {
    fn from(resolver: TokioResolver) -> Self {
        HickoryResolver(Arc::new(resolver))
    }
}

impl fmt::Debug for HickoryResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HickoryResolver(..)")
    }
}

fn failure(error: NetError) -> io::Error {
    let kind = match &error {
        error if error.is_no_records_found() || error.is_nx_domain() => io::ErrorKind::NotFound,
        NetError::Timeout => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error.to_string())
}

impl Resolver for HickoryResolver {
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let resolved = self.lookup(host, port);
        async move { Ok(resolved.await?.addresses) }.boxed()
    }

    fn lookup(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Resolved>> {
        if let Some(address) = literal(host, port) {
            return async move { Ok(Resolved { addresses: vec![address], ttl: None }) }.boxed();
        }
        let (resolver, host) = (self.0.clone(), host.to_owned());
        async move {
            let answer = resolver.lookup_ip(host).await.map_err(failure)?;
            let ttl = answer.valid_until().saturating_duration_since(Instant::now());
            let addresses = answer.iter().map(|address: IpAddr| SocketAddr::new(address, port)).collect();
            Ok(Resolved { addresses, ttl: Some(ttl) })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::UdpSocket;

    use super::*;

    /// A name server that knows one name: `there.example`, with one IPv4 address, for seven seconds.
    async fn name_server() -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((n, from)) = socket.recv_from(&mut query).await {
                // Behind the header: the labels, a zero, the type and the class (RFC 1035, section 4.1).
                let end = query[12..n].iter().position(|byte| *byte == 0).unwrap() + 12;
                let (known, of_ipv4) = (query[13..end].eq_ignore_ascii_case(b"there\x07example"), query[end + 2] == 1);
                let mut answer = query[..2].to_vec();
                let code = if known { 0x80 } else { 0x83 };
                answer.extend([0x81, code, 0, 1, 0, u8::from(known && of_ipv4), 0, 0, 0, 0]);
                answer.extend(&query[12..end + 5]);
                if known && of_ipv4 {
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 7, 0, 4, 192, 0, 2, 7]);
                }
                socket.send_to(&answer, from).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn an_answer_comes_with_the_time_to_live_of_its_records() {
        let resolver = HickoryResolver::with_servers([name_server().await]).unwrap();
        let resolved = resolver.lookup("there.example", 443).await.unwrap();
        assert_eq!(resolved.addresses, ["192.0.2.7:443".parse().unwrap()]);
        let ttl = resolved.ttl.unwrap();
        assert!(ttl > Duration::from_secs(5) && ttl <= Duration::from_secs(7), "{ttl:?}");
        let error = resolver.resolve("nowhere.example", 443).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        assert_eq!(resolver.resolve("192.0.2.1", 1).await.unwrap(), ["192.0.2.1:1".parse().unwrap()]);
    }

    #[tokio::test]
    async fn the_system_is_asked_by_its_own_configuration() {
        let resolver = HickoryResolver::system().unwrap();
        assert!(resolver.resolve("localhost", 1).await.unwrap().iter().all(|address| address.ip().is_loopback()));
    }
}
