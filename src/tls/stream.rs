//! One TLS connection, polled by its owner.
//!
//! The close recipe in terms of it: finish the out-buffer with [`poll_write`](TlsStream::poll_write); [`poll_close_notify`](TlsStream::poll_close_notify);
//! [`poll_read`](TlsStream::poll_read), and throw away what comes, until it answers `CloseNotify` or `Fin`; [`poll_fin`](TlsStream::poll_fin); drop. Every step may be pending for ever: the
//! deadline is the owner's. After a failed handshake, `poll_fin` before the drop gives our alert a better chance to be read than a reset would.
//!
//! Not made of `poll_shutdown`: a second `SSL_shutdown`, which waits for the peer's close_notify, takes data that comes before it for a fatal error.

mod begin;
mod close;
mod fill;

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_openssl::SslStream;

use super::{Socket, StreamFailure, TlsInfo, compat, gate::Gate};
use crate::fate::HandshakeFailure;
pub(crate) use begin::Beginning;
use begin::Side;
pub(super) use fill::read_into;

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadEvent {
    /// So many bytes were appended; never zero.
    Data(usize),
    /// The peer sent close_notify: this is the end that it wanted.
    CloseNotify,
    /// The peer ended the TCP connection without close_notify: something may be missing.
    Fin,
    /// The same where there is no TLS, and so no other way to end.
    PlainFin,
}

pub(crate) struct TlsStream {
    tls: SslStream<Gate>,
    side: Side,
    /// The library may hold more than the record that it is at.
    reads_ahead: bool,
    established: bool,
    /// A record of so many bytes may be written in part: nothing else, not even an alert, may be written before the rest of it.
    write_pending: Option<usize>,
    close_notify_sent: bool,
    fin_sent: bool,
    end: Option<ReadEvent>,
    handshake_failure: Option<HandshakeFailure>,
    /// The library must not be called again: after a fatal error it may answer anything, even "a clean end".
    broken: Option<StreamFailure>,
    /// The socket takes no more; what it holds can still be read.
    write_broken: Option<StreamFailure>,
    /// The library may have a buffer: it was called since the last time that it gave them back.
    #[cfg(test)]
    called: bool,
}

/// What one record holds.
pub(crate) const RECORD: usize = 16 * 1024;

impl TlsStream {
    /// Appends to `buf` as much as one record holds and the spare capacity takes; the caller reserves. Data may be left inside the library, about which no waker tells: after
    /// `Data`, poll again until it is pending (or wake yourself).
    ///
    /// After `CloseNotify` or `Fin` it keeps answering the same, and writing still works.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
    ) -> Poll<Result<ReadEvent, StreamFailure>> {
        read_into(buf, |buf| self.poll_fill(cx, buf))
    }

    /// As [`poll_read`](TlsStream::poll_read), into room that is the caller's; there must be some.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<Result<ReadEvent, StreamFailure>> {
        if let Some(end) = self.end {
            return Poll::Ready(Ok(end));
        }
        self.usable()?;
        let before = buf.filled().len();
        self.begin();
        let read = Pin::new(&mut self.tls).poll_read(cx, buf);
        let may_hold = read.is_ready().then(|| compat::has_pending(self.tls.ssl()));
        self.tls.get_mut().was_read(may_hold);
        match read {
            Poll::Ready(Ok(())) => match buf.filled().len() - before {
                0 if compat::is_close_notify(self.tls.ssl()) => self.ended(ReadEvent::CloseNotify),
                0 => Poll::Ready(Err(self.broke(StreamFailure::Tls("a record that has no place here".to_owned())))),
                n => Poll::Ready(Ok(ReadEvent::Data(n))),
            },
            Poll::Ready(Err(error)) => {
                let failure = StreamFailure::of_io(&error, self.tls.get_ref().error());
                Poll::Ready(Err(self.broke(failure)))
            }
            Poll::Pending if self.tls.get_ref().hid_fin() => self.ended(ReadEvent::Fin),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes at most one record (16 KB) and answers how much that was. Whoever gives more than that gives the rest at once, until it is pending: the system is told that it comes.
    ///
    /// After `Pending` the next call must present *at least the same bytes* again, first; they may have moved, and more may follow. One out-buffer that only shrinks by what was answered
    /// gives exactly that. A write that is given up half way leaves nothing to do but to drop the connection.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, StreamFailure>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.writable()?;
        if self.close_notify_sent {
            return Poll::Ready(Err(StreamFailure::Tls("nothing can be written after close_notify".to_owned())));
        }
        // No more than a record, and the one under way alone: the library would begin the next in the same call, and not tell of the first until that one is out too.
        let record = self.write_pending.unwrap_or(RECORD).min(bytes.len());
        let more = bytes.len() > record;
        let bytes = &bytes[..record];
        self.begin();
        if more {
            self.tls.get_mut().more_follows();
        }
        match Pin::new(&mut self.tls).poll_write(cx, bytes) {
            Poll::Ready(Ok(n)) => {
                self.write_pending = None;
                let _ = self.poll_flush(cx)?;
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => {
                let failure = StreamFailure::of_io(&error, self.tls.get_ref().error());
                Poll::Ready(Err(self.write_broke(cx, failure)))
            }
            Poll::Pending => self.still_writing(bytes.len()),
        }
    }

    /// Flushes a socket that holds back what was written to it. TCP does not: then this costs nothing. `poll_write` and `poll_close_notify` flush too; this is for
    /// waiting until it is done.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamFailure>> {
        let flushed = ready!(self.tls.get_mut().poll_flush_socket(cx));
        Poll::Ready(flushed.map_err(|failure| self.write_broken.insert(failure).clone()))
    }

    /// Ready when a read may bring something. To be asked before a buffer is taken for one: a look at the socket costs less than a twentieth of a read that finds nothing.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.tls.get_ref().poll_readable(cx)
    }

    /// Whether the peer's FIN was read. After its close_notify nobody reads on, so it stays `false` for a clean end.
    pub(crate) fn fin_seen(&self) -> bool {
        self.tls.get_ref().fin_seen()
    }

    /// Whether our close_notify was taken by the operating system.
    #[cfg(test)]
    pub(crate) fn close_notify_sent(&self) -> bool {
        self.close_notify_sent
    }

    /// Whether the peer's close_notify was read.
    #[cfg(test)]
    pub(crate) fn close_notify_received(&self) -> bool {
        self.end == Some(ReadEvent::CloseNotify)
    }

    /// How the peer has ended its direction, if it has.
    #[cfg(test)]
    pub(super) fn end(&self) -> Option<ReadEvent> {
        self.end
    }

    pub(super) fn socket(&self) -> &Socket {
        self.tls.get_ref().socket()
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket().peer_addr()
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.socket().local_addr()
    }

    #[cfg(all(test, not(feature = "aws-lc")))]
    pub(super) fn ssl(&self) -> &openssl::ssl::SslRef {
        self.tls.ssl()
    }

    /// Worth something once the handshake has succeeded. It copies certificates: ask once.
    pub(crate) fn info(&self) -> TlsInfo {
        let asked_for = match &self.side {
            Side::Client { key, .. } => Some(&*key.server_name),
            Side::Server => None,
        };
        TlsInfo::of(self.tls.ssl(), asked_for)
    }

    /// To be called when the connection falls idle: gives the library's buffers back, if nothing is in them.
    pub(crate) fn give_back_buffers(&mut self) {
        if self.established && self.write_pending.is_none() && self.broken.is_none() {
            compat::give_back_buffers(self.tls.ssl());
            #[cfg(test)]
            {
                self.called = false;
            }
            self.tls.get_mut().socket_mut().give_back_buffers();
        }
    }

    /// Before every call into the library: it judges a call by the thread's error queue, where another connection, or anything else on this thread, may have
    /// left something. An empty queue costs one look.
    fn begin(&mut self) {
        #[cfg(test)]
        {
            self.called = true;
        }
        compat::clear_errors();
        self.tls.get_mut().begin();
    }

    fn usable(&self) -> Result<(), StreamFailure> {
        match &self.broken {
            Some(failure) => Err(failure.clone()),
            None if !self.established => Err(StreamFailure::Tls("the handshake is not done".to_owned())),
            None => Ok(()),
        }
    }

    fn writable(&self) -> Result<(), StreamFailure> {
        self.usable()?;
        self.write_broken.clone().map_or(Ok(()), Err)
    }

    fn ended(&mut self, end: ReadEvent) -> Poll<Result<ReadEvent, StreamFailure>> {
        self.end = Some(end);
        Poll::Ready(Ok(end))
    }

    fn still_writing(&mut self, len: usize) -> Poll<Result<usize, StreamFailure>> {
        self.write_pending = Some(len);
        // The library wants to read before it can write, and there will be nothing.
        if self.tls.get_ref().hid_fin() {
            return Poll::Ready(Err(self.write_broken.insert(StreamFailure::Tls(CUT_SHORT.to_owned())).clone()));
        }
        Poll::Pending
    }

    /// A peer that refuses us sends an alert and closes; our next write then meets the reset before we have read the alert. The alert is the truth, so look for it.
    /// A look takes nothing away: data that comes first is left for `poll_read`.
    fn write_broke(&mut self, cx: &mut Context<'_>, failure: StreamFailure) -> StreamFailure {
        if matches!(failure, StreamFailure::Tls(_) | StreamFailure::Alert(_)) {
            return self.broke(failure);
        }
        if self.end.is_none() {
            self.begin();
            if let Poll::Ready(Err(error)) = Pin::new(&mut self.tls).poll_peek(cx, &mut [0])
                && let alert @ StreamFailure::Alert(_) = StreamFailure::of_ssl(&error, None)
            {
                return self.broke(alert);
            }
        }
        self.write_broken.insert(failure).clone()
    }

    fn broke(&mut self, failure: StreamFailure) -> StreamFailure {
        if let Side::Client { config, key } = &self.side
            && !matches!(failure, StreamFailure::Reset | StreamFailure::Io(_))
        {
            config.forget(key);
        }
        self.broken.insert(failure).clone()
    }
}

#[cfg(test)]
impl TlsStream {
    /// Whether it may hold buffers of the library's.
    pub(crate) fn may_hold_buffers(&self) -> bool {
        self.called
    }

    /// How much the gate holds of what was read from the socket.
    pub(super) fn read_ahead(&self) -> usize {
        self.tls.get_ref().ahead()
    }

    pub(super) fn replace_socket_for_test(&mut self, socket: Socket) -> Socket {
        self.tls.get_mut().replace_socket(socket)
    }

    pub(super) fn into_socket_for_test(mut self) -> Socket {
        self.replace_socket_for_test(Socket::boxed(tokio::io::empty()))
    }
}

const CUT_SHORT: &str = "the peer ended the connection in the middle of a TLS message";
