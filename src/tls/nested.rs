//! TLS inside TLS: an established stream as the socket of another one.
//!
//! To the inner stream this is a socket like any: its gate hides the end that comes and holds the own one back. What is added here:
//!
//! - **Each direction ends as it should.** The inner stream's FIN is a close_notify of the outer one and then the FIN below. The peer's outer close_notify and its bare FIN both end what comes;
//!   [`end`](Nested::end) says which it was. What that means for the inner stream is the inner stream's to say: only an inner close_notify makes it whole (law 5).
//! - **The outer stream's failures are a socket's**, and say that they are the outer stream's. A reset stays a reset.
//! - **Two streams share one error queue.** The library judges a call by the thread's queue. An inner call that failed writes its alert through here, and the outer call begins by emptying the queue: so
//!   what was in it is put back, or the inner failure would lose its words.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use openssl::error::ErrorStack;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{ReadEvent, StreamFailure, TlsStream};
use crate::fate::Reason;

/// A TLS connection that another one runs over: made by the library, where TLS is started on a connection that has it already.
///
/// Whoever writes to it must offer the same bytes again after `Pending`, as a TLS library does.
pub struct Nested {
    outer: TlsStream,
}

impl Nested {
    pub(super) fn new(outer: TlsStream) -> Nested {
        Nested { outer }
    }

    /// How the peer has ended the outer stream, if it has.
    #[cfg(test)]
    pub(super) fn end(&self) -> Option<ReadEvent> {
        self.outer.end()
    }

    /// The outer stream, when the inner one has ended and it goes on.
    pub(crate) fn into_outer(self) -> TlsStream {
        self.outer
    }

    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        self.outer.peer_addr()
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        self.outer.local_addr()
    }

    pub(super) fn holds_back(&self) -> bool {
        self.outer.socket().holds_back()
    }

    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.outer.poll_readable(cx)
    }

    pub(super) fn give_back_buffers(&mut self) {
        self.outer.give_back_buffers();
    }

    /// A call into the outer stream that leaves the thread's error queue as it was.
    fn apart<R>(&mut self, call: impl FnOnce(&mut TlsStream) -> R) -> R {
        let before = ErrorStack::get();
        let answer = call(&mut self.outer);
        if !before.errors().is_empty() {
            drop(ErrorStack::get());
            before.put();
        }
        answer
    }
}

fn of_outer(failure: StreamFailure) -> io::Error {
    let kind = match &failure {
        StreamFailure::Reset => io::ErrorKind::ConnectionReset,
        StreamFailure::Alert(_) | StreamFailure::Tls(_) => io::ErrorKind::InvalidData,
        StreamFailure::Io(_) => io::ErrorKind::Other,
    };
    io::Error::new(kind, format!("the outer TLS connection failed: {}", Reason::from(failure)))
}

impl AsyncRead for Nested {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.apart(|outer| outer.poll_fill(cx, buf))) {
            // An end leaves the buffer as it was, which is how a socket says it.
            Ok(ReadEvent::Data(_) | ReadEvent::CloseNotify | ReadEvent::Fin | ReadEvent::PlainFin) => {
                Poll::Ready(Ok(()))
            }
            Err(failure) => Poll::Ready(Err(of_outer(failure))),
        }
    }
}

impl AsyncWrite for Nested {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.apart(|outer| outer.poll_write(cx, bytes)).map_err(of_outer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.apart(|outer| outer.poll_flush(cx)).map_err(of_outer)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What failed before fails the close_notify, too: then the FIN is all that is left to be said.
        let _ = ready!(self.apart(|outer| outer.poll_close_notify(cx)));
        self.apart(|outer| outer.poll_fin(cx)).map(Ok)
    }
}

impl fmt::Debug for Nested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nested").field("peer", &self.peer_addr()).finish_non_exhaustive()
    }
}
