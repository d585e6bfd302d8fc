//! A connection in the pool of hyper-util's client.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::turns::Turns;
use crate::{connection::SupervisedStream, fate::ConnectionId};

/// A connection of hyper-util's client: a [`SupervisedStream`] that tells its reader of a drain as soon as that costs no request its answer.
///
/// `Connected::poison` would be the client's own way to give a connection up, but hyper-util lets no connector keep it, and it wakes nobody. What a peer could have said does both.
pub struct HttpStream {
    stream: SupervisedStream,
    turns: Turns,
    draining: Option<BoxFuture<'static, Option<Instant>>>,
}

impl HttpStream {
    pub(super) fn new(stream: SupervisedStream, http2: bool) -> Self {
        let draining = Some(Box::pin(stream.draining()) as BoxFuture<'static, _>);
        HttpStream { stream, turns: Turns::new(http2), draining }
    }

    /// Which connection.
    pub fn id(&self) -> ConnectionId {
        self.stream.id()
    }

    /// The stream itself.
    pub fn get_ref(&self) -> &SupervisedStream {
        &self.stream
    }

    /// Whether the drain has begun; otherwise the task is woken when it does.
    fn poll_draining(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(draining) = &mut self.draining
            && draining.as_mut().poll(cx).is_ready()
        {
            self.draining = None;
        }
        self.draining.is_none() && self.stream.is_draining()
    }
}

impl Connection for HttpStream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.stream.id());
        match &self.turns {
            Turns::Http1(_) => connected,
            Turns::Http2(_) => connected.negotiated_h2(),
        }
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        // What is said now is not the peer's, and not looked at.
        if read.is_pending() && this.poll_draining(cx) && this.turns.say_farewell(buf) {
            return Poll::Ready(Ok(()));
        }
        this.turns.received(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_slices(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// hyper shuts down what it is done with and drops it, which is a close, and no half-close. What was upgraded is its user's to half-close.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.turns.are_known() {
            true => Pin::new(&mut self.stream).poll_flush(cx),
            false => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}

impl HttpStream {
    fn poll_slices(&mut self, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(mut n)) = written {
            for slice in slices {
                let sent = n.min(slice.len());
                self.turns.sent(&slice[..sent]);
                n -= sent;
            }
        }
        written
    }
}

impl fmt::Debug for HttpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStream").field("stream", &self.stream).field("turns", &self.turns).finish_non_exhaustive()
    }
}
