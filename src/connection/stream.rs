//! What a connection reads from and writes to: TLS, or the bare socket of one that was asked for without it.

use std::{
    net::SocketAddr,
    task::{Context, Poll},
};

use bytes::BytesMut;
#[cfg(feature = "http")]
use tokio::io::ReadBuf;

use crate::{
    fate::HandshakeFailure,
    tls::{PlainStream, ReadEvent, Socket, StreamFailure, TlsInfo, TlsStream},
};

/// A stream of either kind, closed by the same recipe: see [`TlsStream`].
pub(crate) enum Stream {
    /// Boxed: it is moved about with every loan.
    Tls(Box<TlsStream>),
    Plain(PlainStream),
}

/// The same call to whichever it is.
macro_rules! either {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self {
            Stream::Tls($stream) => $call,
            Stream::Plain($stream) => $call,
        }
    };
}

impl Stream {
    /// What goes on when the TLS over this socket has ended.
    pub(super) fn over(socket: Socket) -> Stream {
        match socket {
            Socket::Tls(nested) => Stream::Tls(Box::new(nested.into_outer())),
            socket => Stream::Plain(PlainStream::new(socket)),
        }
    }

    /// As the socket of the TLS that is to begin.
    pub(super) fn into_socket(self) -> Socket {
        match self {
            Stream::Tls(stream) => (*stream).into(),
            Stream::Plain(stream) => stream.into_socket(),
        }
    }

    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeFailure>> {
        match self {
            Stream::Tls(stream) => stream.poll_handshake(cx),
            Stream::Plain(_) => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
    ) -> Poll<Result<ReadEvent, StreamFailure>> {
        either!(self, stream => stream.poll_read(cx, buf))
    }

    #[cfg(feature = "http")]
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<ReadEvent, StreamFailure>> {
        either!(self, stream => stream.poll_fill(cx, buf))
    }

    /// Ready when something may have come. What a TLS library still holds does not count: it is polled until it has nothing.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        either!(self, stream => stream.poll_readable(cx))
    }

    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, StreamFailure>> {
        either!(self, stream => stream.poll_write(cx, bytes))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamFailure>> {
        either!(self, stream => stream.poll_flush(cx))
    }

    /// The end of our direction: close_notify, or, where there is no TLS, the FIN.
    pub(super) fn poll_close_notify(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamFailure>> {
        match self {
            Stream::Tls(stream) => stream.poll_close_notify(cx),
            Stream::Plain(stream) => stream.poll_fin(cx).map(Ok),
        }
    }

    pub(super) fn poll_fin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        either!(self, stream => stream.poll_fin(cx))
    }

    /// Whether a drop is all that is left to do: see [`TlsStream::fin_comes_with_drop`].
    pub(super) fn fin_comes_with_drop(&self) -> bool {
        match self {
            Stream::Tls(stream) => stream.fin_comes_with_drop(),
            Stream::Plain(_) => false,
        }
    }

    /// Whether a close_notify is out, after one attempt that does not wait.
    pub(super) fn try_close_notify(&mut self) -> bool {
        match self {
            Stream::Tls(stream) => stream.try_close_notify(),
            Stream::Plain(_) => false,
        }
    }

    pub(super) fn fin_seen(&self) -> bool {
        either!(self, stream => stream.fin_seen())
    }

    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        either!(self, stream => stream.peer_addr())
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        either!(self, stream => stream.local_addr())
    }

    /// `None`: there is no TLS.
    pub(super) fn info(&self) -> Option<TlsInfo> {
        match self {
            Stream::Tls(stream) => Some(stream.info()),
            Stream::Plain(_) => None,
        }
    }

    #[cfg(feature = "http2")]
    pub(super) fn alpn(&self) -> Option<Vec<u8>> {
        match self {
            Stream::Tls(stream) => stream.alpn(),
            Stream::Plain(_) => None,
        }
    }

    pub(super) fn give_back_buffers(&mut self) {
        match self {
            Stream::Tls(stream) => stream.give_back_buffers(),
            Stream::Plain(_) => {}
        }
    }
}
