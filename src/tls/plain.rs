//! The stream of a connection without TLS: it answers as a [`TlsStream`](super::TlsStream) does, so that one recipe reads, writes and closes both.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{ReadEvent, Socket, StreamFailure, stream::read_into};

/// A socket that is spoken to as it is. Its only close is the FIN, which says as much as it can: nobody can tell whether the peer meant it to come there.
pub(crate) struct PlainStream {
    socket: Socket,
    fin_seen: bool,
    fin_sent: bool,
    unflushed: bool,
}

impl PlainStream {
    pub(crate) fn new(socket: Socket) -> PlainStream {
        PlainStream { socket, fin_seen: false, fin_sent: false, unflushed: false }
    }

    /// What it runs over, for TLS to begin there.
    pub(crate) fn into_socket(self) -> Socket {
        self.socket
    }

    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
    ) -> Poll<Result<ReadEvent, StreamFailure>> {
        read_into(buf, |buf| self.poll_fill(cx, buf))
    }

    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<ReadEvent, StreamFailure>> {
        if self.fin_seen {
            return Poll::Ready(Ok(ReadEvent::PlainFin));
        }
        let before = buf.filled().len();
        loop {
            match ready!(Pin::new(&mut self.socket).poll_read(cx, buf)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(StreamFailure::of_socket(&error))),
                Ok(()) => break,
            }
        }
        Poll::Ready(Ok(match buf.filled().len() - before {
            0 => {
                self.fin_seen = true;
                ReadEvent::PlainFin
            }
            n => ReadEvent::Data(n),
        }))
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, StreamFailure>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match ready!(Pin::new(&mut self.socket).poll_write(cx, bytes)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(StreamFailure::of_socket(&error))),
                Ok(0) => {
                    let error = io::Error::new(io::ErrorKind::WriteZero, "the socket takes no more bytes");
                    return Poll::Ready(Err(StreamFailure::of_socket(&error)));
                }
                Ok(n) => {
                    self.unflushed = self.socket.holds_back();
                    let _ = self.poll_flush(cx)?;
                    return Poll::Ready(Ok(n));
                }
            }
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamFailure>> {
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(cx)).map_err(|error| StreamFailure::of_socket(&error))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends our direction. As with TLS, whatever the socket answers counts as done.
    pub(crate) fn poll_fin(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.fin_sent {
            let _ = ready!(Pin::new(&mut self.socket).poll_shutdown(cx));
            self.fin_sent = true;
        }
        Poll::Ready(())
    }

    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_readable(cx)
    }

    pub(crate) fn fin_seen(&self) -> bool {
        self.fin_seen
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr()
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr()
    }
}
