//! The way through a proxy: connect to it, shake hands with it, ask it for the tunnel.

use std::{
    future::{Future, poll_fn},
    io,
    sync::Arc,
};

use tokio::time::{Instant, timeout_at};

use super::{Kind, Proxy, connect};
use crate::{
    dial::{DialOptions, Dialed, Resolver, Target, reach_host},
    fate::{DialFailure, HandshakeFailure, ProxyFailure, ProxyLeg},
    tls::{ClientTls, Socket, TlsStream},
};

/// A tunnel to the target. `until`: the deadline of the whole way. The connection has the same one, and would not know on which leg it passed.
pub(in crate::dial) async fn through(
    proxy: &Proxy,
    target: &Target,
    options: &DialOptions,
    resolver: &Arc<dyn Resolver>,
    until: Option<Instant>,
) -> Result<Dialed, DialFailure> {
    let way = async {
        let dialed = leg(ProxyLeg::Dial, until, async {
            reach_host(proxy.target(), options, resolver).await.map_err(|failure| ProxyFailure::Dial(Box::new(failure)))
        });
        let Dialed { mut socket, resolved } = dialed.await?;
        if proxy.is_secure() {
            socket = leg(ProxyLeg::Handshake, until, secure(proxy, socket)).await?;
        }
        let socket = leg(ProxyLeg::Tunnel, until, tunnel(proxy, target, socket)).await?;
        Ok(Dialed { socket, resolved })
    };
    way.await.map_err(|failure| DialFailure::Proxy { proxy: proxy.to_string(), failure })
}

pub(super) async fn leg<T>(
    leg: ProxyLeg,
    until: Option<Instant>,
    way: impl Future<Output = Result<T, ProxyFailure>>,
) -> Result<T, ProxyFailure> {
    match until {
        None => way.await,
        Some(until) => timeout_at(until, way).await.unwrap_or(Err(ProxyFailure::TimedOut(leg))),
    }
}

/// TLS with the proxy; what is behind it goes inside.
async fn secure(proxy: &Proxy, socket: Socket) -> Result<Socket, ProxyFailure> {
    let own = |error: crate::tls::TlsConfigError| ProxyFailure::Handshake(HandshakeFailure::Tls(error.to_string()));
    let system;
    let tls = match proxy.client_tls() {
        Some(tls) => tls,
        None => {
            system = ClientTls::system().map_err(own)?;
            &system
        }
    };
    let target = proxy.target();
    // CONNECT, as it is asked here, is HTTP/1.1's.
    let alpn = Some(&b"\x08http/1.1"[..]);
    let mut stream = TlsStream::client(tls, target.server_name(), target.port, alpn, socket).map_err(own)?;
    poll_fn(|cx| stream.poll_handshake(cx)).await.map_err(ProxyFailure::Handshake)?;
    Ok(stream.into())
}

pub(super) async fn tunnel(proxy: &Proxy, target: &Target, socket: Socket) -> Result<Socket, ProxyFailure> {
    match proxy.0.kind {
        Kind::Http | Kind::Https => connect::connect(proxy, target, socket).await,
        #[cfg(feature = "socks")]
        Kind::Socks5 => super::socks::connect(proxy, target, socket).await,
        // `Proxy::new` refuses it.
        #[cfg(not(feature = "socks"))]
        Kind::Socks5 => Err(ProxyFailure::Protocol("SOCKS needs the feature `socks`".into())),
    }
}

/// What the socket failed with.
pub(super) fn of_socket(error: &io::Error) -> ProxyFailure {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    match error.kind() {
        UnexpectedEof => ProxyFailure::Eof,
        ConnectionReset | ConnectionAborted | BrokenPipe => ProxyFailure::Reset,
        _ => ProxyFailure::Io(error.to_string()),
    }
}
