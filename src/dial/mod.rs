//! From a target to a connected socket: resolve, race the addresses, set the socket up; or by a proxy; or to a Unix-domain socket.

mod lookups;
mod options;
#[cfg(feature = "proxy")]
mod proxy;
mod race;
mod resolve;
mod route;
#[cfg(feature = "sim")]
pub(crate) mod seam;
mod target;
#[cfg(unix)]
mod unix;

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use socket2::SockRef;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::Instant,
};

use crate::{fate::DialFailure, tls::Socket};

pub(crate) use options::tune;
pub use options::{DialOptions, Keepalive};
#[cfg(feature = "proxy")]
pub use proxy::{Proxies, Proxy, ProxyError};
#[cfg(feature = "hickory")]
pub use resolve::HickoryResolver;
pub use resolve::{CachedResolver, Resolved, Resolver, StaticResolver, SystemResolver};
pub(crate) use route::Route;
pub use target::{Target, TargetError};
#[cfg(all(unix, feature = "http"))]
pub(crate) use unix::check as check_path;

/// Goes this way. `until`: the deadline, which is the caller's, as that of [`dial`]; it is told here for the sake of the words with which a longer way says where it was.
#[cfg_attr(not(feature = "proxy"), allow(unused_variables))]
pub(crate) async fn reach(
    route: &Route,
    options: &DialOptions,
    resolver: &Arc<dyn Resolver>,
    until: Option<Instant>,
) -> Result<Dialed, DialFailure> {
    match route {
        Route::Direct(target) => reach_host(target, options, resolver).await,
        #[cfg(feature = "proxy")]
        Route::Through(proxy, target) => proxy::through(proxy, target, options, resolver, until).await,
        #[cfg(unix)]
        Route::Unix(path) => unix::connect(path).await,
    }
}

/// Connects to the target: to a simulated one in a simulation, else by [`dial`].
async fn reach_host(
    target: &Target,
    options: &DialOptions,
    resolver: &Arc<dyn Resolver>,
) -> Result<Dialed, DialFailure> {
    #[cfg(feature = "sim")]
    if let Some(socket) = seam::reach(target) {
        let resolved = Instant::now();
        return Ok(Dialed { socket: socket.await?, resolved });
    }
    let (socket, resolved) = dial(target, options, resolver).await?;
    Ok(Dialed { socket: socket.into(), resolved })
}

/// A connected socket, and when its addresses were known.
pub(crate) struct Dialed {
    pub(crate) socket: Socket,
    pub(crate) resolved: Instant,
}

/// Connects to the target.
///
/// There is no deadline in it: the caller owns it, and cancels by dropping the future. Every socket that it had opened is then closed; a lookup that the system's resolver is at
/// may go on for a while on its own thread (see [`SystemResolver`]).
///
/// # Errors
/// The name has no address that can be tried (told as [`DialFailure::Resolve`]), or every address failed.
async fn dial(
    target: &Target,
    options: &DialOptions,
    resolver: &Arc<dyn Resolver>,
) -> Result<(TcpStream, Instant), DialFailure> {
    let addresses = match resolve::literal(&target.host, target.port) {
        Some(address) => Ok(vec![address]),
        None => resolver.resolve(&target.host, target.port).await.map_err(|error| error.to_string()),
    };
    let addresses = addresses
        .and_then(|addresses| usable(addresses, options.local_address))
        .map_err(|message| DialFailure::Resolve { host: target.host.clone(), message })?;
    let resolved = Instant::now();
    race::race(&addresses, options.attempt_delay, |address| connect(address, options))
        .await
        .map(|socket| (socket, resolved))
        .map_err(|attempts| DialFailure::Connect { attempts })
}

/// The addresses that are worth an attempt, each once, in the order given; or why there is none.
fn usable(mut addresses: Vec<SocketAddr>, local: Option<IpAddr>) -> Result<Vec<SocketAddr>, String> {
    let mut seen = HashSet::with_capacity(addresses.len());
    addresses.retain(|address| seen.insert(*address));
    if addresses.is_empty() {
        return Err("it has no address".into());
    }
    if let Some(local) = local {
        addresses.retain(|address| address.is_ipv4() == local.is_ipv4());
        if addresses.is_empty() {
            let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(format!("it has no {family} address, and the local address is {local}"));
        }
    }
    Ok(addresses)
}

async fn connect(address: SocketAddr, options: &DialOptions) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Before the connect, so that no connected socket is ever without them.
    options::set(SockRef::from(&socket), options)?;
    if let Some(local) = options.local_address {
        socket.bind(SocketAddr::new(local, 0))?;
    }
    let stream = socket.connect(address).await?;
    refuse_ourselves(&stream, address)?;
    Ok(stream)
}

/// A socket that connects to a port of this host on which nobody listens may be given that very port as its own, and then TCP's simultaneous open (RFC 9293, section 3.5) connects it
/// to itself. Go's `net` looks for this too (`selfConnect` in tcpsock_posix.go). What it means is that nobody is there.
fn refuse_ourselves(stream: &TcpStream, address: SocketAddr) -> io::Result<()> {
    match stream.local_addr()? == address {
        true => Err(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens there: the socket met itself")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
