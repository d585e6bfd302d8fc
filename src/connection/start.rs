//! How a connection comes by its socket.

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;

use super::{link::Link, stream::Stream};
use crate::{
    dial::{DialOptions, Dialed, Resolver, Route, reach},
    fate::{HandshakeFailure, Reason},
    lifecycle::{Event, Phase},
    tls::{ClientTls, PlainStream, ServerTls, Socket, TlsStream},
};

/// What a connection is born with.
pub(crate) enum Start {
    /// A way to go.
    Dial { route: Route, options: DialOptions, resolver: Arc<dyn Resolver>, secure: Secure },
    /// A socket that is connected already.
    Socket { socket: Socket, secure: Secure },
    /// The same on its way to another thread, whose reactor is given it at the first poll.
    Moved { socket: Bare, secure: Secure },
    /// A dial under way.
    Dialing { dial: BoxFuture<'static, Result<Dialed, Reason>>, secure: Secure },
    /// The socket was taken: its stream is in the link.
    Done,
}

/// A socket that is on no thread's reactor.
pub(crate) enum Bare {
    Tcp(std::net::TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl Bare {
    fn register(self) -> io::Result<Socket> {
        match self {
            Bare::Tcp(socket) => tokio::net::TcpStream::from_std(socket).map(Socket::from),
            #[cfg(unix)]
            Bare::Unix(socket) => tokio::net::UnixStream::from_std(socket).map(Socket::from),
        }
    }
}

/// The role in the handshake, with what it needs.
#[derive(Clone)]
pub(crate) enum Secure {
    /// `tls`: `None` for the default, with the system's roots. `alpn`: what is offered in place of what `tls` says, in the form of the wire.
    Client {
        tls: Option<ClientTls>,
        server_name: String,
        port: u16,
        alpn: Option<Arc<[u8]>>,
    },
    Server {
        tls: ServerTls,
    },
    /// There is none: the bytes go as they are.
    Plain,
}

impl Secure {
    /// Whether there is TLS.
    pub(crate) fn is_secure(&self) -> bool {
        !matches!(self, Secure::Plain)
    }

    fn stream(&self, socket: Socket) -> Result<Stream, Reason> {
        match self {
            Secure::Client { tls, server_name, port, alpn } => {
                let system;
                let tls = match tls {
                    Some(tls) => tls,
                    None => {
                        system = ClientTls::system().map_err(own)?;
                        &system
                    }
                };
                TlsStream::client(tls, server_name, *port, alpn.as_deref(), socket)
                    .map(|stream| Stream::Tls(Box::new(stream)))
                    .map_err(own)
            }
            Secure::Server { tls } => {
                TlsStream::server(tls, socket).map(|stream| Stream::Tls(Box::new(stream))).map_err(own)
            }
            Secure::Plain => Ok(Stream::Plain(PlainStream::new(socket))),
        }
    }
}

/// A defect of our own configuration that shows only now.
fn own(error: crate::tls::TlsConfigError) -> Reason {
    Reason::HandshakeFailed(HandshakeFailure::Tls(error.to_string()))
}

fn io_reason(error: io::Error) -> Reason {
    Reason::Io(error.to_string())
}

impl Start {
    /// The phase that a connection begins in.
    pub(crate) fn phase(&self) -> Phase {
        match self {
            Start::Dial { .. } | Start::Dialing { .. } => Phase::Dialing,
            Start::Socket { .. } | Start::Moved { .. } | Start::Done => Phase::Handshaking,
        }
    }

    /// Whether it will be TLS.
    pub(crate) fn is_secure(&self) -> bool {
        match self {
            Start::Dial { secure, .. }
            | Start::Socket { secure, .. }
            | Start::Moved { secure, .. }
            | Start::Dialing { secure, .. } => secure.is_secure(),
            Start::Done => true,
        }
    }

    /// Takes a socket off this thread's reactor. One that is not the system's stays there, which works and costs a wake-up of that thread for each of its bytes.
    pub(crate) fn for_another_thread(self) -> Self {
        let Start::Socket { socket, secure } = self else { return self };
        let bare = match socket {
            Socket::Tcp(socket) => socket.into_std().map(Bare::Tcp),
            #[cfg(unix)]
            Socket::Unix(socket) => socket.into_std().map(Bare::Unix),
            socket @ (Socket::Tls(_) | Socket::Boxed(_)) => return Start::Socket { socket, secure },
        };
        match bare {
            Ok(socket) => Start::Moved { socket, secure },
            // The descriptor went with the error: the handshake will find it closed, and say so.
            Err(error) => Start::Dialing { dial: Box::pin(std::future::ready(Err(io_reason(error)))), secure },
        }
    }

    /// Dials or takes the socket, then shakes hands. Ready when the phase has moved on.
    pub(super) fn poll(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<()> {
        match link.life.phase {
            Phase::Dialing => match ready!(self.poll_socket(link, cx)) {
                Ok(stream) => {
                    if let Some(address) = stream.peer_addr() {
                        link.entry.set_address(address);
                    }
                    link.stream = Some(stream);
                    link.on(Event::Dialed);
                }
                Err(reason) => link.fail(reason),
            },
            Phase::Handshaking if link.stream.is_none() => match ready!(self.poll_socket(link, cx)) {
                Ok(stream) => {
                    if let Some(address) = stream.peer_addr() {
                        link.entry.set_address(address);
                    }
                    link.stream = Some(stream);
                }
                Err(reason) => link.fail(reason),
            },
            Phase::Handshaking => {
                let Some(stream) = &mut link.stream else { return Poll::Pending };
                match ready!(stream.poll_handshake(cx)) {
                    Ok(()) => link.on(Event::Secured),
                    Err(failure) => {
                        link.life.proof.fin_seen = stream.fin_seen();
                        link.fail(Reason::HandshakeFailed(failure));
                    }
                }
            }
            _ => {}
        }
        Poll::Ready(())
    }

    fn poll_socket(&mut self, link: &mut Link, cx: &mut Context<'_>) -> Poll<Result<Stream, Reason>> {
        loop {
            match std::mem::replace(self, Start::Done) {
                Start::Dial { route, options, resolver, secure } => {
                    let until = link.phase_deadline();
                    let dial =
                        Box::pin(
                            async move { reach(&route, &options, &resolver, until).await.map_err(Reason::DialFailed) },
                        );
                    *self = Start::Dialing { dial, secure };
                }
                Start::Dialing { mut dial, secure } => {
                    let Poll::Ready(socket) = dial.as_mut().poll(cx) else {
                        *self = Start::Dialing { dial, secure };
                        return Poll::Pending;
                    };
                    return Poll::Ready(socket.and_then(|dialed| {
                        link.milestones.resolved = Some(dialed.resolved);
                        secure.stream(dialed.socket)
                    }));
                }
                Start::Moved { socket, secure } => {
                    return Poll::Ready(socket.register().map_err(io_reason).and_then(|socket| secure.stream(socket)));
                }
                Start::Socket { socket, secure } => return Poll::Ready(secure.stream(socket)),
                Start::Done => return Poll::Pending,
            }
        }
    }
}
