//! The newtype between the TLS library and the socket.
//!
//! It tells the library less than the socket says, and remembers the rest for us:
//!
//! - **The FIN that comes in is hidden.** The library is told that there is nothing to read yet, and [`Gate::hid_fin`] tells us why. Otherwise OpenSSL 3 answers a bare
//!   FIN with a fatal alert and refuses to write from then on, 1.1.1 returns what could be mistaken for a clean end, and AWS-LC does a third thing. Hidden, it is the same on all
//!   three, and what we still owe the peer can be written.
//! - **Our FIN is held back.** `tokio_openssl` shuts the socket down in the same call that sends close_notify; the gate lets that through only once it is [opened](Gate::open).
//! - **The socket's error is kept.** The library may wrap it, or report an older error in its place; a reset is told by what the socket itself said.
//! - **What was read before there was TLS** is given to the library first: see [`StartTls`](crate::StartTls).
//! - **A burst is read at once.** The library asks for a record at a time. While there is always more than that, the socket is read by four records: a receive call costs an acknowledgement, and the
//!   copy costs less.
//! - **A flush is never pending**, because the library would take that for a failure (its BIO sets no retry flag on a flush).

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{RECORD, Socket, StreamFailure, stream::read_into};

/// Four records, as they are on the wire.
const BURST: usize = 4 * (RECORD + 256);

thread_local! {
    /// What bursts are read into. Lent by the thread, and its memory is used again when the library has had all of one: a connection holds what is left of its own, and nothing when it is idle (law 8).
    static LENT: Cell<BytesMut> = Cell::new(BytesMut::new());
}

pub(crate) struct Gate {
    socket: Socket,
    /// What was read from the socket and the library has not asked for yet.
    ahead: Bytes,
    /// Whether more may be read than the library asks for.
    reads_ahead: bool,
    /// The last read from the socket filled all the room that the library had.
    in_burst: bool,
    /// Whether a shutdown of the write side goes through.
    open: bool,
    fin_seen: bool,
    hid_fin: bool,
    /// The library may have something for us without the socket's help.
    holds: bool,
    /// The last thing that it asked the socket for was more to read, and there was none.
    in_vain: bool,
    /// A socket that is not TCP may hold back what was written until it is flushed.
    unflushed: bool,
    /// What the library writes is followed by more at once.
    more: bool,
    error: Option<StreamFailure>,
}

impl Gate {
    /// `already_read`: what was read from the socket before there was TLS, and belongs to it.
    pub(crate) fn new(socket: Socket, already_read: Bytes, reads_ahead: bool) -> Gate {
        Gate {
            socket,
            ahead: already_read,
            reads_ahead,
            in_burst: false,
            open: false,
            fin_seen: false,
            hid_fin: false,
            holds: true,
            in_vain: false,
            unflushed: false,
            more: false,
            error: None,
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether the peer's FIN was read.
    pub(crate) fn fin_seen(&self) -> bool {
        self.fin_seen
    }

    /// Whether a FIN was hidden since [`begin`](Gate::begin): nobody will wake whoever waits for more to read.
    pub(crate) fn hid_fin(&self) -> bool {
        self.hid_fin
    }

    /// Ready when it makes sense to ask the library for more.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.holds || self.fin_seen || !self.ahead.is_empty() {
            Poll::Ready(())
        } else {
            self.socket.poll_readable(cx)
        }
    }

    /// To be told after each read from the library. `may_hold`: what is left in it; where the read is pending, that is for the gate to know.
    pub(crate) fn was_read(&mut self, may_hold: Option<bool>) {
        // One that waits for room to write (the answer to a KeyUpdate) may have more to read behind it.
        self.holds = may_hold.unwrap_or(!self.in_vain);
    }

    /// To be called before each call into the library.
    pub(crate) fn begin(&mut self) {
        self.hid_fin = false;
        self.in_vain = false;
        self.more = false;
    }

    /// What the library is called for is a record, and the next one follows at once.
    pub(crate) fn more_follows(&mut self) {
        self.more = true;
    }

    /// What the socket failed with, if it did.
    pub(crate) fn error(&self) -> Option<&StreamFailure> {
        self.error.as_ref()
    }

    /// Lets a shutdown of the write side through from now on.
    pub(crate) fn open(&mut self) {
        self.open = true;
    }

    /// Flushes a socket that needs it. Costs nothing for TCP, which is asked in every poll.
    #[inline(always)]
    pub(crate) fn poll_flush_socket(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamFailure>> {
        if !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        match ready!(Pin::new(&mut self.socket).poll_flush(cx)) {
            Ok(()) => {
                self.unflushed = false;
                Poll::Ready(Ok(()))
            }
            Err(error) => {
                self.remember(&error);
                Poll::Ready(Err(StreamFailure::of_socket(&error)))
            }
        }
    }

    pub(crate) fn socket_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// The socket, and what was read from it before and has not been asked for. What is left here is not to be used.
    pub(crate) fn take_socket(&mut self) -> (Socket, Bytes) {
        let socket = std::mem::replace(&mut self.socket, Socket::boxed(tokio::io::empty()));
        (socket, std::mem::take(&mut self.ahead))
    }

    #[cfg(test)]
    pub(super) fn ahead(&self) -> usize {
        self.ahead.len()
    }

    #[cfg(test)]
    pub(super) fn replace_socket(&mut self, socket: Socket) -> Socket {
        std::mem::replace(&mut self.socket, socket)
    }

    fn remember(&mut self, error: &io::Error) {
        // The first error is the cause; what the socket says afterwards follows from it.
        self.error.get_or_insert_with(|| StreamFailure::of_socket(error));
    }

    /// Reads as much as a burst brings, and gives what there is room for.
    fn poll_burst(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut burst = LENT.take();
        burst.reserve(BURST);
        let read = read_into(&mut burst, |room| Pin::new(&mut self.socket).poll_read(cx, room));
        self.ahead = burst.split().freeze();
        LENT.set(burst);
        self.give_ahead(buf);
        read
    }

    fn give_ahead(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead.split_to(n));
    }

    /// The BIO takes two kinds of error for "try again later", without a waker: they must not reach it, or the connection would hang.
    fn fatal(&mut self, error: io::Error) -> io::Error {
        self.remember(&error);
        match error.kind() {
            io::ErrorKind::NotConnected | io::ErrorKind::WouldBlock => io::Error::other(error),
            _ => error,
        }
    }
}

impl AsyncRead for Gate {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.in_vain = true;
        if !self.ahead.is_empty() {
            self.give_ahead(buf);
            (self.holds, self.in_vain) = (true, false);
            return Poll::Ready(Ok(()));
        }
        if self.fin_seen {
            self.hid_fin = true;
            return Poll::Pending;
        }
        let before = buf.filled().len();
        loop {
            let read = match self.in_burst {
                true => self.poll_burst(cx, buf),
                false => Pin::new(&mut self.socket).poll_read(cx, buf),
            };
            match ready!(read) {
                Ok(()) if buf.filled().len() == before && buf.remaining() > 0 => {
                    self.fin_seen = true;
                    self.hid_fin = true;
                    return Poll::Pending;
                }
                Ok(()) => {
                    (self.holds, self.in_vain) = (true, false);
                    self.in_burst = self.reads_ahead && buf.remaining() == 0;
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(self.fatal(error))),
            }
        }
    }
}

impl AsyncWrite for Gate {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.in_vain = false;
        loop {
            let more = self.more;
            match ready!(self.socket.poll_write_part(cx, buf, more)) {
                // A write of nothing would be taken for an end of file by the library, which tells no reason.
                Ok(0) if !buf.is_empty() => {
                    let error = io::Error::new(io::ErrorKind::WriteZero, "the socket takes no more bytes");
                    return Poll::Ready(Err(self.fatal(error)));
                }
                Ok(n) => {
                    self.unflushed = self.socket.holds_back();
                    return Poll::Ready(Ok(n));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(self.fatal(error))),
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.poll_flush_socket(cx) {
            Poll::Ready(Err(_)) => Poll::Ready(Err(io::Error::other("the socket could not be flushed"))),
            // What is left is driven by the stream, which can wait.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.open { Pin::new(&mut self.socket).poll_shutdown(cx) } else { Poll::Ready(Ok(())) }
    }
}
