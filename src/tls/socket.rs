//! What a connection runs over.

#[cfg(target_os = "linux")]
use std::task::ready;
use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

#[cfg(target_os = "linux")]
use socket2::SockRef;
#[cfg(target_os = "linux")]
use tokio::io::Interest;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{Nested, TlsStream};

/// Anything that bytes can be read from and written to: what a [`Socket`] may be made of.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connected byte stream under TLS.
///
/// TCP has a variant of its own because nearly every connection is one: no virtual call a read, and its addresses are known.
#[non_exhaustive]
pub enum Socket {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A TLS connection, for TLS inside TLS.
    Tls(Box<Nested>),
    /// A connection over a Unix-domain socket. It has no addresses.
    #[cfg(unix)]
    Unix(UnixStream),
    /// Anything else: a `tokio::io::duplex` of a test.
    Boxed(Box<dyn Duplex>),
}

impl Socket {
    /// A socket that is not the system's.
    pub fn boxed(io: impl Duplex + 'static) -> Socket {
        Socket::Boxed(Box::new(io))
    }

    /// The address of the peer; `None` if the socket has none (or no longer: the peer of a reset connection is forgotten).
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(tcp) => tcp.peer_addr().ok(),
            Socket::Tls(tls) => tls.peer_addr(),
            #[cfg(unix)]
            Socket::Unix(_) => None,
            Socket::Boxed(_) => None,
        }
    }

    /// Our own address; `None` if the socket has none.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(tcp) => tcp.local_addr().ok(),
            Socket::Tls(tls) => tls.local_addr(),
            #[cfg(unix)]
            Socket::Unix(_) => None,
            Socket::Boxed(_) => None,
        }
    }

    /// Whether it may hold back what was written until it is flushed. TCP does not.
    pub(super) fn holds_back(&self) -> bool {
        match self {
            Socket::Tcp(_) => false,
            #[cfg(unix)]
            Socket::Unix(_) => false,
            Socket::Tls(tls) => tls.holds_back(),
            Socket::Boxed(_) => true,
        }
    }

    /// Whether it is the operating system's, which ends our direction when it is dropped.
    pub(super) fn is_the_systems(&self) -> bool {
        match self {
            Socket::Tcp(_) => true,
            #[cfg(unix)]
            Socket::Unix(_) => true,
            Socket::Tls(_) | Socket::Boxed(_) => false,
        }
    }

    /// Gives back what it holds besides the connection itself, when it falls idle.
    pub(super) fn give_back_buffers(&mut self) {
        if let Socket::Tls(tls) = self {
            tls.give_back_buffers();
        }
    }

    /// Ready when something may have come; a socket that cannot tell says so always.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            // An error is something that has come.
            Socket::Tcp(tcp) => tcp.poll_read_ready(cx).map(drop),
            Socket::Tls(tls) => tls.poll_readable(cx),
            #[cfg(unix)]
            Socket::Unix(unix) => unix.poll_read_ready(cx).map(drop),
            Socket::Boxed(_) => Poll::Ready(()),
        }
    }

    /// Writes; where `more` follows at once, the system is told so: it need not make a packet of the end of each record, nor wake the peer for each.
    pub(super) fn poll_write_part(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        #[cfg(target_os = "linux")]
        if let (true, Socket::Tcp(tcp)) = (more, &*self) {
            return poll_send_more(tcp, cx, bytes);
        }
        let _ = more;
        Pin::new(self).poll_write(cx, bytes)
    }

    fn io(&mut self) -> Pin<&mut dyn Duplex> {
        match self {
            Socket::Tcp(tcp) => Pin::new(tcp),
            Socket::Tls(tls) => Pin::new(tls.as_mut()),
            #[cfg(unix)]
            Socket::Unix(unix) => Pin::new(unix),
            Socket::Boxed(io) => Pin::new(io.as_mut()),
        }
    }
}

/// What it holds back goes with what is sent next, when the socket is full, and at the latest with the next acknowledgement: TCP_NODELAY is about `send` without this flag (tcp(7), send(2)).
#[cfg(target_os = "linux")]
fn poll_send_more(tcp: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    /// `MSG_MORE`, and `MSG_NOSIGNAL` as the standard library has it. The same on every architecture: include/linux/socket.h.
    const MORE: std::ffi::c_int = 0x8000 | 0x4000;
    loop {
        ready!(tcp.poll_write_ready(cx))?;
        let mut part = None;
        let sent = tcp.try_io(Interest::WRITABLE, || {
            let n = SockRef::from(tcp).send_with_flags(bytes, MORE)?;
            if n < bytes.len() {
                // Then the socket is full, as tokio itself takes it: said here, it spares a call that would only say so.
                part = Some(n);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(n)
        });
        match (sent, part) {
            (_, Some(n)) => return Poll::Ready(Ok(n)),
            (Err(error), None) if error.kind() == io::ErrorKind::WouldBlock => {}
            (sent, None) => return Poll::Ready(sent),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Socket {
        Socket::Tcp(tcp)
    }
}

/// The handshake must be done.
impl From<TlsStream> for Socket {
    fn from(outer: TlsStream) -> Socket {
        Socket::Tls(Box::new(Nested::new(outer)))
    }
}

#[cfg(unix)]
impl From<UnixStream> for Socket {
    fn from(unix: UnixStream) -> Socket {
        Socket::Unix(unix)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Socket::Tcp(tcp) => f.debug_tuple("Tcp").field(tcp).finish(),
            Socket::Tls(tls) => f.debug_tuple("Tls").field(tls).finish(),
            #[cfg(unix)]
            Socket::Unix(unix) => f.debug_tuple("Unix").field(unix).finish(),
            Socket::Boxed(_) => f.write_str("Boxed(..)"),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Socket::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
            #[cfg(unix)]
            Socket::Unix(unix) => Pin::new(unix).poll_read(cx, buf),
            Socket::Boxed(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Socket::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
            #[cfg(unix)]
            Socket::Unix(unix) => Pin::new(unix).poll_write(cx, buf),
            Socket::Boxed(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Socket::Tcp(tcp) => tcp.is_write_vectored(),
            Socket::Tls(_) => false,
            #[cfg(unix)]
            Socket::Unix(unix) => unix.is_write_vectored(),
            Socket::Boxed(io) => io.is_write_vectored(),
        }
    }
}
