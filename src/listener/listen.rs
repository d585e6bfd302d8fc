//! What a listener is asked.

use std::{
    fmt, io,
    marker::PhantomData,
    net::{SocketAddr, TcpListener as StdListener},
};
#[cfg(unix)]
use std::{
    os::unix::net::UnixListener as StdUnixListener,
    path::{Path, PathBuf},
};

use actix::{Actor, AsyncContext, Handler, MailboxError, Message, Recipient};
use socket2::{Domain, Protocol as SocketProtocol, Socket as RawSocket, Type};
use tokio::net::TcpListener;

use super::accept::{Birth, Ear, Limits, Listener, Resume, Suspend};
#[cfg(unix)]
use super::unix::UnixSocket;
use crate::{
    connection::{Options, Protocol, Secure, option_setters},
    dial::DialOptions,
    fate::Peer,
    supervisor::{EndListening, Supervisor},
    ticket::Refusal,
    tls::ServerTls,
};

/// Asks for a listener. Each accepted connection is admitted as a server, handshakes by itself, and gets a protocol of its own from `protocol`. Answers with a [`Listening`].
///
/// The listener lives until it is closed or the supervisor stops; a stop closes its socket when the lame duck is over. `A` is where it listens: an address, or the path of a Unix-domain socket.
#[must_use = "it is a message: send it to a supervisor"]
pub struct Listen<P: Protocol, A = SocketAddr> {
    on: On,
    limits: Limits,
    backlog: i32,
    options: Options,
    pub(super) birth: Birth<P>,
    place: PhantomData<fn() -> A>,
}

/// Where to listen.
enum On {
    Address(SocketAddr),
    Socket(StdListener),
    #[cfg(unix)]
    Path {
        path: PathBuf,
        mode: Option<u32>,
    },
    #[cfg(unix)]
    UnixSocket(StdUnixListener),
}

impl<P: Protocol, A> fmt::Debug for Listen<P, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Listen");
        match &self.on {
            On::Address(address) => f.field("address", address),
            On::Socket(socket) => f.field("socket", socket),
            #[cfg(unix)]
            On::Path { path, .. } => f.field("path", path),
            #[cfg(unix)]
            On::UnixSocket(socket) => f.field("socket", socket),
        };
        f.field("options", &self.options).finish_non_exhaustive()
    }
}

impl<P: Protocol, A: 'static> Message for Listen<P, A> {
    type Result = Result<Listening<A>, ListenError>;
}

impl<P: Protocol> Listen<P> {
    /// Listens on this address; port 0 takes a free one. `SO_REUSEADDR` is set, so that a restart need not wait for the last one's connections to be forgotten (`man 7 socket`).
    pub fn on(address: SocketAddr, tls: &ServerTls, protocol: impl FnMut(&Peer) -> P + Send + 'static) -> Self {
        Listen::with(On::Address(address), Secure::Server { tls: tls.clone() }, protocol)
    }

    /// Takes a socket that is bound and listening: from [`sockets_from_systemd`](crate::sockets_from_systemd), say.
    pub fn adopt(socket: StdListener, tls: &ServerTls, protocol: impl FnMut(&Peer) -> P + Send + 'static) -> Self {
        Listen::with(On::Socket(socket), Secure::Server { tls: tls.clone() }, protocol)
    }

    /// As [`on`](Listen::on), without TLS: behind a proxy that ends it, say.
    pub fn plain_on(address: SocketAddr, protocol: impl FnMut(&Peer) -> P + Send + 'static) -> Self {
        Listen::with(On::Address(address), Secure::Plain, protocol)
    }

    /// As [`adopt`](Listen::adopt), without TLS.
    pub fn adopt_plain(socket: StdListener, protocol: impl FnMut(&Peer) -> P + Send + 'static) -> Self {
        Listen::with(On::Socket(socket), Secure::Plain, protocol)
    }
}

#[cfg(unix)]
impl<P: Protocol> Listen<P, PathBuf> {
    /// Listens on a Unix-domain socket at this path. The file is removed when the listener ends. A file that is there already is replaced if it is a socket on which nobody listens, as a program leaves it that was killed; anything
    /// else is an error, and is left alone. Peers are shown as `unix:` and the path, with the user and the process that the system names.
    pub fn unix(path: impl AsRef<Path>, tls: &ServerTls, protocol: impl FnMut(&Peer) -> P + Send + 'static) -> Self {
        let on = On::Path { path: path.as_ref().to_owned(), mode: None };
        Listen::with(on, Secure::Server { tls: tls.clone() }, protocol)
    }

    /// As [`unix`](Listen::unix), without TLS.
    pub fn plain_unix(path: impl AsRef<Path>, protocol: impl FnMut(&Peer) -> P + Send + 'static) -> Self {
        Listen::with(On::Path { path: path.as_ref().to_owned(), mode: None }, Secure::Plain, protocol)
    }

    /// Takes a Unix-domain socket that is bound and listening. Its file is not ours, and stays.
    pub fn adopt_unix(
        socket: StdUnixListener,
        tls: &ServerTls,
        protocol: impl FnMut(&Peer) -> P + Send + 'static,
    ) -> Self {
        Listen::with(On::UnixSocket(socket), Secure::Server { tls: tls.clone() }, protocol)
    }

    /// As [`adopt_unix`](Listen::adopt_unix), without TLS.
    pub fn adopt_plain_unix(socket: StdUnixListener, protocol: impl FnMut(&Peer) -> P + Send + 'static) -> Self {
        Listen::with(On::UnixSocket(socket), Secure::Plain, protocol)
    }

    /// Who may connect: the permissions of the file, as in 0o660, set before anybody can. Default: what the process's umask leaves. A socket that was adopted keeps its own.
    pub fn mode(mut self, permissions: u32) -> Self {
        if let On::Path { mode, .. } = &mut self.on {
            *mode = Some(permissions);
        }
        self
    }
}

impl<P: Protocol, A> Listen<P, A> {
    fn with(on: On, secure: Secure, protocol: impl FnMut(&Peer) -> P + Send + 'static) -> Self {
        let (socket, options) = (DialOptions::default(), Options::default());
        let birth = Birth { secure, protocol: Box::new(protocol), socket, options: options.clone() };
        Listen { on, limits: Limits::default(), backlog: 1024, options, birth, place: PhantomData }
    }

    /// How many handshakes may be under way at a time; more connections wait in the operating system's backlog. Default 256.
    pub fn max_handshakes(mut self, most: usize) -> Self {
        self.limits.handshakes = most.max(1);
        self
    }

    /// How many of this listener's connections may be alive at a time; more wait in the backlog. Default: no limit but the supervisor's.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.limits.connections = most.max(1);
        self
    }

    /// How many connections the operating system may keep waiting. Default 1024; `net.core.somaxconn` caps it.
    pub fn backlog(mut self, backlog: u16) -> Self {
        self.backlog = i32::from(backlog);
        self
    }

    /// TCP_NODELAY, keep-alive and so on of accepted sockets. Default: [`DialOptions::default`]; what concerns a dial alone is not looked at.
    pub fn socket_options(mut self, options: DialOptions) -> Self {
        self.birth.socket = options;
        self
    }

    option_setters!();
}

impl<P: Protocol> Handler<Listen<P>> for Supervisor {
    type Result = Result<Listening, ListenError>;

    fn handle(&mut self, listen: Listen<P>, context: &mut Self::Context) -> Self::Result {
        let backlog = listen.backlog;
        self.listen(listen, context, |on| {
            let socket = match on {
                On::Socket(socket) => socket.set_nonblocking(true).map(|()| socket),
                On::Address(address) => bind(address, backlog),
                #[cfg(unix)]
                On::Path { .. } | On::UnixSocket(_) => Err(io::ErrorKind::InvalidInput.into()),
            };
            let socket = TcpListener::from_std(socket?)?;
            Ok((socket.local_addr()?, Ear::Tcp(socket)))
        })
    }
}

#[cfg(unix)]
impl<P: Protocol> Handler<Listen<P, PathBuf>> for Supervisor {
    type Result = Result<Listening<PathBuf>, ListenError>;

    fn handle(&mut self, listen: Listen<P, PathBuf>, context: &mut Self::Context) -> Self::Result {
        let backlog = listen.backlog;
        self.listen(listen, context, |on| {
            let socket = match on {
                On::Path { path, mode } => UnixSocket::bind(&path, mode, backlog)?,
                On::UnixSocket(socket) => UnixSocket::adopt(socket)?,
                On::Address(_) | On::Socket(_) => return Err(io::ErrorKind::InvalidInput.into()),
            };
            Ok((socket.path(), Ear::Unix(socket)))
        })
    }
}

impl Supervisor {
    fn listen<P: Protocol, A>(
        &mut self,
        listen: Listen<P, A>,
        context: &mut <Self as Actor>::Context,
        begin: impl FnOnce(On) -> io::Result<(A, Ear)>,
    ) -> Result<Listening<A>, ListenError> {
        if self.is_stopping() {
            return Err(ListenError::Refused(Refusal::Stopping));
        }
        let Listen { on, limits, options, birth, .. } = listen;
        let what = match &on {
            On::Address(address) => format!("listen on {address}"),
            On::Socket(_) => "adopt a listening socket".to_owned(),
            #[cfg(unix)]
            On::Path { path, .. } => format!("listen on unix:{}", path.display()),
            #[cfg(unix)]
            On::UnixSocket(_) => "adopt a listening socket".to_owned(),
        };
        let (place, ear) = begin(on).map_err(|error| ListenError::Io { what, error })?;
        let birth = Birth { options, ..birth };
        let books = self.books();
        let supervisor = context.address();
        let listener =
            self.take_listener(|number| Listener::new(number, ear, birth, limits, books, supervisor).start());
        Ok(Listening {
            place,
            suspend: listener.clone().recipient(),
            resume: listener.clone().recipient(),
            end: listener.recipient(),
        })
    }
}

fn bind(address: SocketAddr, backlog: i32) -> io::Result<StdListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(SocketProtocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // An IPv6 listener is one for IPv6; whoever wants both asks for both, and gets an error for the one that fails.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// A listener that is listening. Dropping this changes nothing: the supervisor owns the listener.
#[derive(Clone)]
pub struct Listening<A = SocketAddr> {
    place: A,
    suspend: Recipient<Suspend>,
    resume: Recipient<Resume>,
    end: Recipient<EndListening>,
}

impl Listening {
    /// Where it listens: with the port that it was given.
    pub fn address(&self) -> SocketAddr {
        self.place
    }
}

#[cfg(unix)]
impl Listening<PathBuf> {
    /// Where it listens. Empty for a socket without a name.
    pub fn path(&self) -> &Path {
        &self.place
    }
}

impl<A> Listening<A> {
    /// Stops accepting; the socket stays open, and the operating system's backlog fills. Idempotent.
    ///
    /// # Errors
    /// The listener has ended.
    pub async fn suspend(&self) -> Result<(), MailboxError> {
        self.suspend.send(Suspend).await
    }

    /// Accepts again. Idempotent.
    ///
    /// # Errors
    /// The listener has ended.
    pub async fn resume(&self) -> Result<(), MailboxError> {
        self.resume.send(Resume).await
    }

    /// Closes the socket. The connections that it has accepted live on. Idempotent.
    pub fn close(&self) {
        self.end.do_send(EndListening);
    }
}

impl<A: fmt::Debug> fmt::Debug for Listening<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Why there is no listener.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// The supervisor is stopping.
    Refused(Refusal),
    /// The operating system did not let us.
    Io {
        /// What we wanted to do.
        what: String,
        /// What it said.
        error: io::Error,
    },
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenError::Refused(refusal) => write!(f, "no listener: {refusal}"),
            ListenError::Io { what, error } => write!(f, "could not {what}: {error}"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ListenError::Refused(refusal) => Some(refusal),
            ListenError::Io { error, .. } => Some(error),
        }
    }
}
