//! A connection in awc's pool.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_rt::net::{ActixStream, Ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::account::{Account, Touched, Turn};
use crate::{connection::SupervisedStream, fate::ConnectionId};

/// A connection in the pool of awc: a [`SupervisedStream`] that remembers whose it is.
pub struct PooledStream {
    seat: Rc<Seat>,
    account: Rc<Account>,
}

/// What the drain looks at.
pub(super) struct Seat {
    pub(super) stream: RefCell<SupervisedStream>,
    pub(super) touched: RefCell<Touched>,
    /// A byte that was read to find out whether there is one.
    peeked: Cell<Option<u8>>,
}

impl PooledStream {
    pub(super) fn new(stream: SupervisedStream, account: &Rc<Account>) -> Self {
        let touched = RefCell::new(Turn::current());
        let seat = Rc::new(Seat { stream: RefCell::new(stream), touched, peeked: Cell::new(None) });
        account.seat(&seat);
        PooledStream { seat, account: account.clone() }
    }

    /// Which connection.
    pub fn id(&self) -> ConnectionId {
        self.seat.stream.borrow().id()
    }

    fn with<R>(&self, what: impl FnOnce(Pin<&mut SupervisedStream>) -> R) -> R {
        Turn::touch(&self.seat.touched);
        what(Pin::new(&mut *self.seat.stream.borrow_mut()))
    }
}

impl AsyncRead for PooledStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() > 0
            && let Some(byte) = self.seat.peeked.take()
        {
            buf.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        self.with(|stream| stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for PooledStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Done at once: what was accepted is sent without being asked for, and OpenSSL takes a flush that is not done for a failure (its BIO has no way to say that it waits).
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The FIN, behind what awc's TLS has written.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}

impl ActixStream for PooledStream {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        if self.seat.peeked.get().is_none() {
            let mut byte = [0];
            let mut buf = ReadBuf::new(&mut byte);
            // An end and an error are there again for whoever reads.
            let read = ready!(self.with(|stream| stream.poll_read(cx, &mut buf)));
            if read.is_ok() && !buf.filled().is_empty() {
                self.seat.peeked.set(Some(byte[0]));
            }
        }
        Poll::Ready(Ok(Ready::READABLE))
    }

    /// Ready when all was written, and so a little later than it could be.
    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.with(|stream| stream.poll_flush(cx)).map_ok(|()| Ready::WRITABLE)
    }
}

impl Drop for PooledStream {
    fn drop(&mut self) {
        self.account.told();
    }
}

impl fmt::Debug for PooledStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledStream").field("stream", &*self.seat.stream.borrow()).finish_non_exhaustive()
    }
}
