//! A connection's stream, lent: for a library that wants to own what it reads from and writes to.
//!
//! ```text
//!  Protocol::poll -- Io::lend ----> [stream and out-buffer move into the slot]
//!                                     library.poll() -- Lent: AsyncRead + AsyncWrite --> stream
//!                                   [they move back, and what happened is written down]
//! ```
//!
//! So the stream stays the link's for counting, for an abort and for the close recipe, and the library may keep its [`Lent`] for ever: outside of a loan it only answers that the
//! connection is closing. The lock is never contended (one thread polls both sides); it is there because a connection is `Send` until it is given to its thread.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

#[cfg(feature = "http2")]
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Io, Protocol, link::Link, outbuf::OutBuf, stream::Stream};
use crate::{
    lifecycle::Phase,
    tls::{RECORD, ReadEvent, StreamFailure},
};

/// What one read brings at most of what comes in records. A long body is given to its reader in pieces of this size: each costs the connection and the reader a poll.
const AT_ONCE: usize = 4 * RECORD;

/// The end of a loan that the library holds.
#[derive(Clone, Default)]
pub(crate) struct Lent(Arc<Mutex<Slot>>);

#[derive(Default)]
struct Slot {
    stream: Option<Stream>,
    out: OutBuf,
    /// Was read before the first loan, to see what the peer speaks.
    #[cfg(feature = "http2")]
    ahead: Bytes,
    read: u64,
    written: u64,
    accepted: u64,
    /// There was nothing to read in this loan. The waker is registered, so there is nothing to ask before the next.
    dry: bool,
    end: Option<ReadEvent>,
    failure: Option<StreamFailure>,
}

impl Lent {
    /// A loan that begins with what was read already, and counted.
    #[cfg(feature = "http2")]
    pub(crate) fn after(ahead: Bytes) -> Self {
        Lent(Arc::new(Mutex::new(Slot { ahead, ..Slot::default() })))
    }

    /// What the library has read, and behind it what it was not given yet of what was read ahead.
    #[cfg(feature = "http2")]
    pub(crate) fn with_rest(&self, read: Bytes) -> Bytes {
        let rest = std::mem::take(&mut self.slot().ahead);
        if rest.is_empty() { read } else { [read, rest].concat().into() }
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // A panic of the library's leaves what it did to the stream, which is what is to be closed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Protocol> Io<'_, P> {
    /// Whether the protocol moves the bytes of the open connection itself, by [`lend`](Io::lend), from now on.
    pub(crate) fn drive(&mut self, driven: bool) {
        self.link.driven = driven;
        // What the library could not write it may want to go on with.
        self.link.watches_writing |= driven;
    }

    /// While the connection is open and this is so, it does not close when the last handle is dropped: somebody has a part of it who needs no handle, as the reader of a response's body. Then the
    /// protocol has to look for [`is_released`](Io::is_released) when that is over.
    pub(crate) fn keep(&mut self, kept: bool) {
        self.link.kept = kept;
    }

    /// Whether the last handle is gone.
    pub(crate) fn is_released(&self) -> bool {
        !self.context.connected()
    }

    /// Whether something may have come that was not read. `false`: nothing, and `cx` is woken when something does.
    pub(crate) fn is_readable(&mut self, cx: &mut Context<'_>) -> bool {
        self.link.stream.is_none() || self.link.is_readable(cx)
    }

    /// What ALPN has chosen.
    #[cfg(feature = "http2")]
    pub(crate) fn alpn(&self) -> Option<Vec<u8>> {
        self.link.stream.as_ref()?.alpn()
    }

    /// Lends the stream for the length of `call`. Only while the connection is open: afterwards bytes are the close recipe's.
    pub(crate) fn lend<R>(
        &mut self,
        lent: &Lent,
        cx: &mut Context<'_>,
        call: impl FnOnce(&mut Context<'_>) -> R,
    ) -> Option<R> {
        if !self.link.out.is_empty() {
            // Room for what the library could not write the last time.
            self.link.write_out(cx);
        }
        if self.link.life.phase != Phase::Open {
            return None;
        }
        let mut slot = lent.slot();
        slot.stream = self.link.stream.take();
        slot.dry = false;
        std::mem::swap(&mut slot.out, &mut self.link.out);
        drop(slot);
        let loan = Loan { link: self.link, lent };
        let answer = call(cx);
        drop(loan);
        Some(answer)
    }
}

impl Link {
    /// How many bytes the peer has sent, ever.
    pub(crate) fn received(&self) -> u64 {
        self.bytes_in
    }

    /// Whether the socket has taken all. After a loan it says the same of the library's own buffer: as long as nothing waits here, a write of the library's is taken, too.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_empty()
    }
}

/// A loan: whatever way it ends, the stream comes back.
struct Loan<'a> {
    link: &'a mut Link,
    lent: &'a Lent,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let (link, mut slot) = (&mut *self.link, self.lent.slot());
        link.stream = slot.stream.take();
        std::mem::swap(&mut slot.out, &mut link.out);
        let (read, written) = (std::mem::take(&mut slot.read), std::mem::take(&mut slot.written));
        let accepted = std::mem::take(&mut slot.accepted);
        let (end, failure) = (slot.end.take(), slot.failure.take());
        drop(slot);
        link.bytes_in += read;
        link.bytes_out += written;
        link.accepted += accepted;
        if read + accepted > 0 {
            link.progressed();
        }
        if let Some(failure) = failure {
            link.fail_stream(failure);
        } else if let Some(end) = end.filter(|_| !link.life.proof.close_notify_received && !link.life.proof.fin_seen) {
            link.peer_ended(end != ReadEvent::Fin);
        }
    }
}

fn closing() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the connection is closing")
}

impl Stream {
    /// Reads, if there may be something.
    fn poll_fill_readable(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<ReadEvent, StreamFailure>> {
        ready!(self.poll_readable(cx));
        self.poll_fill(cx, buf)
    }

    /// Behind a full record there is most often another: appends what has come, and says how much. An end or a failure of TLS is said again by the next read; a bare socket gives all at once, and says neither twice.
    fn fill_more(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> usize {
        let mut more = 0;
        while matches!(self, Stream::Tls(_)) && more + RECORD < AT_ONCE && buf.remaining() >= RECORD {
            let Poll::Ready(Ok(ReadEvent::Data(n))) = self.poll_fill_readable(cx, buf) else { break };
            more += n;
        }
        more
    }
}

impl AsyncRead for Lent {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let slot = &mut *self.slot();
        let Some(stream) = &mut slot.stream else { return Poll::Ready(Err(closing())) };
        #[cfg(feature = "http2")]
        if !slot.ahead.is_empty() {
            let n = slot.ahead.len().min(buf.remaining());
            buf.put_slice(&slot.ahead.split_to(n));
            return Poll::Ready(Ok(()));
        }
        if slot.dry {
            return Poll::Pending;
        }
        let Poll::Ready(filled) = stream.poll_fill_readable(cx, buf) else {
            slot.dry = true;
            return Poll::Pending;
        };
        Poll::Ready(match filled {
            Ok(ReadEvent::Data(n)) => {
                let more = if n == RECORD { stream.fill_more(cx, buf) } else { 0 };
                slot.read += (n + more) as u64;
                Ok(())
            }
            Ok(end @ (ReadEvent::CloseNotify | ReadEvent::PlainFin)) => {
                slot.end = Some(end);
                Ok(())
            }
            // An error, so that nobody takes what came before for the whole (law 5).
            Ok(ReadEvent::Fin) => {
                slot.end = Some(ReadEvent::Fin);
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer ended the connection without close_notify"))
            }
            Err(failure) => Err(slot.failed(failure)),
        })
    }
}

impl AsyncWrite for Lent {
    /// What the socket does not take at once is taken into the out-buffer, a record of it, so that it is the link's to be finished whatever becomes of the library.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let slot = &mut *self.slot();
        let Some(stream) = &mut slot.stream else { return Poll::Ready(Err(closing())) };
        if !slot.out.is_empty() {
            // The link writes it, and polls the protocol again.
            return Poll::Pending;
        }
        Poll::Ready(match stream.poll_write(cx, bytes) {
            Poll::Ready(Ok(n)) => {
                slot.written += n as u64;
                slot.accepted += n as u64;
                Ok(n)
            }
            Poll::Ready(Err(failure)) => Err(slot.failed(failure)),
            Poll::Pending => {
                let n = bytes.len().min(RECORD);
                slot.out.push_slice(&bytes[..n]);
                slot.accepted += n as u64;
                Ok(n)
            }
        })
    }

    /// So that hyper does not copy a body into a buffer of its own first.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What is large is encrypted from where it lies; what is small goes with what follows, in one record.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty()).map_or(&[][..], |slice| slice);
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if first.len() >= RECORD.min(length) {
            return self.poll_write(cx, first);
        }
        let mut record = Vec::with_capacity(length.min(RECORD));
        for slice in slices {
            let n = slice.len().min(RECORD - record.len());
            record.extend_from_slice(&slice[..n]);
        }
        self.poll_write(cx, &record)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let slot = &mut *self.slot();
        let Some(stream) = &mut slot.stream else { return Poll::Ready(Err(closing())) };
        if !slot.out.is_empty() {
            return Poll::Pending;
        }
        let flushed = ready!(stream.poll_flush(cx));
        Poll::Ready(flushed.map_err(|failure| slot.failed(failure)))
    }

    /// Nothing: the close is the connection's.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Slot {
    fn failed(&mut self, failure: StreamFailure) -> io::Error {
        let kind = match &failure {
            StreamFailure::Reset => io::ErrorKind::ConnectionReset,
            _ => io::ErrorKind::Other,
        };
        let error = io::Error::new(kind, crate::fate::Reason::from(failure.clone()).to_string());
        self.failure.get_or_insert(failure);
        error
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io::IoSlice};

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::tls::Socket;

    #[tokio::test]
    async fn what_is_small_goes_with_what_follows_and_what_is_large_as_it_lies() {
        let (near, mut far) = tokio::io::duplex(100_000);
        let mut lent = Lent::default();
        lent.slot().stream = Some(Stream::over(Socket::boxed(near)));
        let (head, body) = (vec![b'h'; 100], vec![b'b'; 3 * RECORD]);
        for (slices, length) in [
            ([&head[..], &body[..]], RECORD),
            ([&[], &head], 100),
            ([&head[..50], &head[50..]], 100),
            ([&body, &head], body.len()),
            ([&[], &[]], 0),
        ] {
            let (all, slices) = (slices.concat(), slices.map(IoSlice::new));
            let written = poll_fn(|cx| Pin::new(&mut lent).poll_write_vectored(cx, &slices)).await.unwrap();
            assert_eq!(written, length);
            let mut read = vec![0; length];
            far.read_exact(&mut read).await.unwrap();
            assert!(all.starts_with(&read));
        }
    }
}
