//! What a supervisor is asked.

use std::{fmt, sync::Arc};

use actix::Message;

use super::StopPlan;
#[cfg(feature = "proxy")]
use crate::dial::Proxy;
use crate::{
    connection::{ConnectError, Handle, Options, Protocol, Secure, Start, option_setters},
    dial::{DialOptions, Resolver, Route, SystemResolver, TargetError},
    fate::{ConnectionId, Ledger, Peer, Role},
    ticket::RollEntry,
    tls::{ClientTls, ServerTls, Socket, TlsConfigError, alpn_wire},
};

/// Asks for a connection to `host:port` (or to a Unix-domain socket), spoken to by `protocol`. It answers with a [`Handle`] when the handshake is done, or with why not.
///
/// Dropping the answer's future cancels the connect. Sent with `do_send`, nobody gets the handle: the connection then holds itself until it ends, and its protocol (an owner, with
/// [`Events`](crate::Events)) is told.
///
/// ```no_run
/// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>) -> Result<(), Box<dyn std::error::Error>> {
/// use exeunt::{Call, Connect, Lines};
///
/// let connection = supervisor.send(Connect::to("localhost:4433", Lines::default()).trust_file("ca.pem")).await??;
/// println!("{}", connection.send(Call::new("ping")).await??);
/// # Ok(())
/// # }
/// ```
#[must_use = "it is a message: send it to a supervisor"]
pub struct Connect<P: Protocol> {
    route: Result<Route, TargetError>,
    protocol: P,
    tls: Option<Result<ClientTls, TlsConfigError>>,
    plain: bool,
    server_name: Option<String>,
    alpn: Option<Vec<Vec<u8>>>,
    dial: DialOptions,
    resolver: Option<Arc<dyn Resolver>>,
    options: Options,
}

impl<P: Protocol> fmt::Debug for Connect<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("route", &self.route)
            .field("server_name", &self.server_name)
            .field("dial", &self.dial)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<P: Protocol> Message for Connect<P> {
    type Result = Result<Handle<P>, ConnectError>;
}

impl<P: Protocol> Connect<P> {
    /// Connects to `host:port` (an IPv6 address in brackets), or to the Unix-domain socket at `unix:/path`. What is wrong with it is told in the answer.
    pub fn to(target: impl AsRef<str>, protocol: P) -> Self {
        Connect::by(Route::parse(target.as_ref()), protocol)
    }

    fn by(route: Result<Route, TargetError>, protocol: P) -> Self {
        Connect {
            route,
            protocol,
            tls: None,
            plain: false,
            server_name: None,
            alpn: None,
            dial: DialOptions::default(),
            resolver: None,
            options: Options::default(),
        }
    }

    /// Connects to `host:port` without TLS: the connection is admitted, counted and `Lost` as every other, and its end is a FIN, which cannot tell a whole message from a part of one.
    pub fn plain(target: impl AsRef<str>, protocol: P) -> Self {
        Connect { plain: true, ..Connect::to(target, protocol) }
    }

    /// Connects to the Unix-domain socket at this path. The certificate must bear `server_name`, for a path is no name.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<std::path::Path>, server_name: impl Into<String>, protocol: P) -> Self {
        Connect::by(Route::unix(path.as_ref()), protocol).server_name(server_name)
    }

    /// Connects to the Unix-domain socket at this path without TLS: see [`plain`](Connect::plain).
    #[cfg(unix)]
    pub fn plain_unix(path: impl AsRef<std::path::Path>, protocol: P) -> Self {
        Connect { plain: true, ..Connect::by(Route::unix(path.as_ref()), protocol) }
    }

    /// Goes by this proxy, which is asked for a tunnel to the target; TLS, if there is any, is spoken with the target inside it. The tunnel is one connection: it is admitted before the proxy is dialled, the
    /// deadline of the dial bounds all of the way to the tunnel, and its [`Lost`](crate::Lost) says on which leg it ended. Who is resolved here is the proxy; the target's name is the proxy's to resolve.
    ///
    /// A Unix-domain socket is of this machine and has no proxy: there this does nothing.
    #[cfg(feature = "proxy")]
    pub fn proxy(mut self, proxy: &Proxy) -> Self {
        self.route = self.route.map(|route| route.by(proxy));
        self
    }

    /// Connects to the proxy itself, which is to be spoken to and not through.
    #[cfg(feature = "http")]
    pub(crate) fn to_proxy(proxy: &Proxy, protocol: P) -> Self {
        let connect = Connect::by(Ok(Route::Direct(proxy.target().clone())), protocol);
        let connect = Connect { plain: !proxy.is_secure(), ..connect }.alpn(["http/1.1"]);
        match proxy.client_tls() {
            Some(tls) => connect.tls(tls),
            None => connect,
        }
    }

    /// The TLS configuration. Default: the system's roots, TLS 1.2 at least, resumption on ([`ClientTls::system`]). Build one and use it for many: sessions are resumed only within one.
    pub fn tls(mut self, tls: &ClientTls) -> Self {
        self.tls = Some(Ok(tls.clone()));
        self
    }

    /// Trusts the CA certificates of this PEM file, and no others. It reads the file now; what is wrong with it is told in the answer. For more than one connection,
    /// build a [`ClientTls`] and use [`tls`](Connect::tls).
    pub fn trust_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.tls = Some(ClientTls::builder().trust_file(path).build());
        self
    }

    /// The name that is sent (SNI) and that the certificate must bear. Default: the host; a Unix-domain socket has none, and needs one. An IP address is verified as one, and not sent.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Offers these protocols, the preferred one first, in place of what the TLS configuration says.
    pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.alpn = Some(protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect());
        self
    }

    /// How long resolving and connecting may take together. Default 10 s.
    pub fn dial_timeout(mut self, within: std::time::Duration) -> Self {
        self.options.dial = within;
        self
    }

    /// Local address, TCP_NODELAY, keep-alive, address racing. Default: [`DialOptions::default`].
    pub fn dial(mut self, options: DialOptions) -> Self {
        self.dial = options;
        self
    }

    /// Who resolves the name. Default: the supervisor's, which by default is the system's.
    pub fn resolver(mut self, resolver: impl Resolver) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    option_setters!();

    pub(super) fn map_protocol(self, change: impl FnOnce(P) -> P) -> Self {
        Connect { protocol: change(self.protocol), ..self }
    }

    pub(super) fn into_parts(
        self,
        default_resolver: &Arc<dyn Resolver>,
    ) -> Result<(Peer, P, Start, Options), ConnectError> {
        let route = self.route?;
        let secure = match self.plain {
            true => Secure::Plain,
            false => Secure::Client {
                tls: self.tls.transpose()?,
                server_name: match (self.server_name, route.server_name()) {
                    (Some(name), _) => name,
                    (None, Some(name)) => name.to_owned(),
                    (None, None) => return Err(nameless(&route).into()),
                },
                port: route.port(),
                alpn: self.alpn.map(|protocols| alpn_wire(&protocols)).transpose()?.map(Into::into),
            },
        };
        let peer = Peer::named(route.to_string());
        let resolver = self.resolver.unwrap_or_else(|| default_resolver.clone());
        let start = Start::Dial { route, options: self.dial, resolver, secure };
        Ok((peer, self.protocol, start, self.options))
    }
}

fn nameless(route: &Route) -> TlsConfigError {
    TlsConfigError::new("connect with TLS", format!("{route} has no name that a certificate could bear"))
        .with_advice("give `server_name`")
}

/// The default resolver.
pub(super) fn system_resolver() -> Arc<dyn Resolver> {
    Arc::new(SystemResolver)
}

/// Takes a socket that is connected already: the handshake is ours. Answers as [`Connect`] does. From here on the socket is the connection's: it is closed with it, or at once when it is refused.
#[must_use = "it is a message: send it to a supervisor"]
pub struct Adopt<P: Protocol> {
    socket: Socket,
    peer: Peer,
    role: Role,
    protocol: P,
    secure: Secure,
    options: Options,
}

impl<P: Protocol> fmt::Debug for Adopt<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adopt")
            .field("peer", &self.peer)
            .field("role", &self.role)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl<P: Protocol> Message for Adopt<P> {
    type Result = Result<Handle<P>, ConnectError>;
}

impl<P: Protocol> Adopt<P> {
    /// A connected socket; we are the client of the handshake, and the certificate must bear `server_name`.
    pub fn client(socket: impl Into<Socket>, server_name: impl Into<String>, tls: &ClientTls, protocol: P) -> Self {
        let server_name = server_name.into();
        let socket = socket.into();
        let peer = Peer { name: server_name.as_str().into(), address: socket.peer_addr() };
        let port = peer.address.map_or(0, |address| address.port());
        let secure = Secure::Client { tls: Some(tls.clone()), server_name, port, alpn: None };
        Adopt { socket, peer, role: Role::Client, protocol, secure, options: Options::default() }
    }

    /// An accepted socket; we are the server of the handshake. `name`: what the peer is called in the ledger when the socket knows no address.
    pub fn server(socket: impl Into<Socket>, name: &str, tls: &ServerTls, protocol: P) -> Self {
        let socket = socket.into();
        let peer = socket.peer_addr().map_or_else(|| Peer::named(name), Peer::from);
        let secure = Secure::Server { tls: tls.clone() };
        Adopt { socket, peer, role: Role::Server, protocol, secure, options: Options::default() }
    }

    /// A connected socket that is spoken to as it is, without TLS. `role`: as which it is counted. `name`: what the peer is called in the ledger when the socket knows no address.
    pub fn plain(socket: impl Into<Socket>, name: &str, role: Role, protocol: P) -> Self {
        let socket = socket.into();
        let peer = socket.peer_addr().map_or_else(|| Peer::named(name), Peer::from);
        Adopt { socket, peer, role, protocol, secure: Secure::Plain, options: Options::default() }
    }

    option_setters!();

    pub(super) fn map_protocol(self, change: impl FnOnce(P) -> P) -> Self {
        Adopt { protocol: change(self.protocol), ..self }
    }

    pub(super) fn into_parts(self) -> (Role, Peer, P, Start, Options) {
        (self.role, self.peer, self.protocol, Start::Socket { socket: self.socket, secure: self.secure }, self.options)
    }
}

/// Asks who is alive. Answers at once, however many peers do not: in the order of admission.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<RollEntry>")]
pub struct Roll;

/// Ends one connection by its number, in whatever phase it is: one that [`Roll`] shows to be stuck, say. Answers whether there is such a connection; its [`Lost`](crate::Lost) comes as always.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "bool")]
pub struct Evict {
    pub(super) id: ConnectionId,
    pub(super) abort: bool,
}

impl Evict {
    /// Close it gracefully; before it is open, that cancels it.
    pub fn close(id: ConnectionId) -> Self {
        Evict { id, abort: false }
    }

    /// Abort it: nothing more is written and nobody is waited for.
    pub fn abort(id: ConnectionId) -> Self {
        Evict { id, abort: true }
    }
}

/// Ends everything, by a plan. Answers with the ledger after the last [`Lost`](crate::Lost): when it does, no socket, task, thread or timer of the supervisor's is left.
///
/// A second one may only shorten the first, and gets the same ledger; one after the acknowledgement gets it at once.
#[derive(Clone, Copy, Debug, Default, Message)]
#[rtype(result = "Arc<Ledger>")]
pub struct Stop {
    pub(super) plan: Option<StopPlan>,
}

impl Stop {
    /// By the supervisor's own plan.
    pub fn new() -> Self {
        Stop::default()
    }

    /// By this plan.
    pub fn by(plan: StopPlan) -> Self {
        Stop { plan: Some(plan) }
    }

    /// Kill at once.
    pub fn now() -> Self {
        Stop::by(StopPlan::now())
    }

    #[cfg(feature = "http")]
    pub(crate) fn into_plan(self) -> Option<StopPlan> {
        self.plan
    }
}
