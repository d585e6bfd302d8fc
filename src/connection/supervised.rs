//! A connection as a stream of bytes, as its application has it: see [`Streamed`](super::Streamed).

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop,
    time::Instant,
};

use super::{AnyHandle, StartTls, StreamError, SwitchError, tray::Tray};
use crate::fate::{ConnectionId, Lost, Peer};

/// An open connection as a stream of bytes.
///
/// * It reads `Ok(0)` only when the peer has ended its direction as it should: by close_notify, or, where there is no TLS, by a FIN. Everything else is an error whose inner error is a
///   [`StreamError`], which says how the connection ended. What had come before is read first.
/// * A write is accepted when less than the connection's [high-water mark](crate::Options::write_high) waits to be written; then it waits for the low one. A flush is done when the operating system
///   has taken all of it.
/// * `shutdown` writes what was accepted and then close_notify; reading goes on.
/// * Dropping it closes the connection gracefully: what was accepted is written, then close_notify. So does the end of a drain.
///
/// It comes of [`Streamed`](super::Streamed), or of an HTTP connection that was upgraded (feature `http`). It may be used on any thread, wherever the connection lives. An idle one holds no buffer.
pub struct SupervisedStream {
    handle: AnyHandle,
    tray: Arc<Tray>,
}

impl SupervisedStream {
    pub(super) fn new(handle: AnyHandle, tray: Arc<Tray>) -> Self {
        SupervisedStream { handle, tray }
    }

    /// Which connection.
    pub fn id(&self) -> ConnectionId {
        self.handle.id()
    }

    /// To whom.
    pub fn peer(&self) -> Peer {
        self.handle.peer()
    }

    /// The connection, as an actor: to ask for [its TLS session](AnyHandle::info), say, or to [abort](AnyHandle::abort) it.
    pub fn handle(&self) -> &AnyHandle {
        &self.handle
    }

    /// Starts TLS under the stream: see [`StartTls`]. What was written goes before it. What has come and was not read belongs to the handshake: so read exactly as far as the
    /// peer's plain words go.
    ///
    /// # Errors
    /// As the message's answer.
    pub async fn start_tls(&mut self, start: StartTls) -> Result<(), SwitchError> {
        self.handle.start_tls(start).await
    }

    /// How the connection ended, once it has.
    pub fn lost(&self) -> Option<Lost> {
        self.tray.with(|inner| inner.lost.as_deref().cloned())
    }

    /// The end of the connection. It does not close it, and does not keep it open.
    pub fn closed(&self) -> impl Future<Output = Lost> + Send + use<> {
        let tray = self.tray.clone();
        async move {
            loop {
                let news = tray.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if let Some(lost) = tray.with(|inner| inner.lost.as_deref().cloned()) {
                    return lost;
                }
                news.await;
            }
        }
    }

    /// Whether the supervisor has begun to drain: finish what you are doing with the stream, and drop it.
    pub fn is_draining(&self) -> bool {
        self.tray.with(|inner| inner.draining.is_some())
    }

    /// The drain: answers when it begins, with the moment at which the connection is closed for you. `None`: the connection has ended first.
    pub fn draining(&self) -> impl Future<Output = Option<Instant>> + Send + use<> {
        let tray = self.tray.clone();
        async move {
            loop {
                let news = tray.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                let (until, lost) = tray.with(|inner| (inner.draining, inner.lost.is_some()));
                if until.is_some() || lost {
                    return until;
                }
                news.await;
            }
        }
    }

    /// How long the connection waits, at most, for its peer's end when ours is said; a stop may have made it shorter. For protocols that part with a word of their own, and wait for the answer.
    pub fn linger(&self) -> Duration {
        self.tray.with(|inner| inner.linger)
    }

    fn poll_slices(&self, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if slices.iter().all(|slice| slice.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let coop = ready!(coop::poll_proceed(cx));
        let written = ready!(self.tray.with(|inner| inner.write(cx, slices)));
        coop.made_progress();
        Poll::Ready(written.map_err(StreamError::into_write_error))
    }
}

impl AsyncRead for SupervisedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // A busy connection on another thread would else keep its reader's thread for itself.
        let coop = ready!(coop::poll_proceed(cx));
        let read = ready!(self.tray.with(|inner| inner.read(cx, buf)));
        coop.made_progress();
        Poll::Ready(read.map_err(StreamError::into_read_error))
    }
}

impl AsyncWrite for SupervisedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_slices(cx, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_slices(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tray.with(|inner| inner.flushed(cx)).map_err(StreamError::into_write_error)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tray.with(|inner| inner.shut_down(cx)).map_err(StreamError::into_write_error)
    }
}

impl Drop for SupervisedStream {
    fn drop(&mut self) {
        self.tray.with(|inner| inner.release());
    }
}

impl fmt::Debug for SupervisedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisedStream")
            .field("id", &self.id())
            .field("peer", &self.peer())
            .field("phase", &self.handle.phase())
            .finish_non_exhaustive()
    }
}
