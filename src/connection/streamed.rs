//! A connection as a stream of bytes: its other half reads and writes like any socket, on any thread, and is still an actor's with one ticket and one `Lost`.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop,
    time::Instant,
};

use super::{
    Close, EndOfStream, Handle, Io, LateData, Protocol, ProtocolError, StreamError,
    tray::{ReadEnd, Tray},
};
use crate::{
    fate::{ConnectionId, Lost, Peer, Reason},
    lifecycle::Phase,
};

/// How many bytes wait to be read by the application, at most, before the socket is not read any more: as much as four TLS records.
const READ_MARK: usize = 64 * 1024;

/// The protocol of a connection that is used as a [`SupervisedStream`].
///
/// [`Connect::open`](crate::Connect::open) and [`Adopt::open`](crate::Adopt::open) give the stream. A listener's protocol says what is done with each, by [`then`](Streamed::then).
///
/// ```no_run
/// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>) -> Result<(), Box<dyn std::error::Error>> {
/// use exeunt::{Connect, Streamed};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let mut stream = Connect::to("localhost:4433", Streamed::new()).open(&supervisor).await?;
/// stream.write_all(b"ping").await?;
/// stream.shutdown().await?; // our close_notify; the peer may go on
/// let mut reply = Vec::new();
/// stream.read_to_end(&mut reply).await?; // an error, if the peer did not end as it should
/// # Ok(())
/// # }
/// ```
pub struct Streamed {
    tray: Arc<Tray>,
    then: Option<Box<dyn FnOnce(SupervisedStream) + Send>>,
    half_closed: bool,
    closed: bool,
}

impl Default for Streamed {
    fn default() -> Self {
        Streamed::new()
    }
}

impl Streamed {
    /// A connection as a stream. Where nobody takes the stream (no [`then`](Streamed::then), and not asked for by `open`) the connection closes as soon as it is open.
    pub fn new() -> Self {
        Streamed { tray: Arc::new(Tray::new(READ_MARK)), then: None, half_closed: false, closed: false }
    }

    /// How many bytes may wait for the application to read them, until no more is read from the socket; a record more may come. Reading goes on at half of it. Default 64 KiB; 0 is taken as 1.
    pub fn read_mark(mut self, bytes: usize) -> Self {
        self.tray = Arc::new(Tray::new(bytes));
        self
    }

    /// What is done with the stream when the connection is open: spawn a task with it, or send it to one. Called in the connection's own poll, on its thread.
    ///
    /// ```no_run
    /// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>, tls: exeunt::ServerTls) -> Result<(), Box<dyn std::error::Error>> {
    /// use exeunt::{Listen, Streamed};
    ///
    /// let echo = |_: &exeunt::Peer| {
    ///     Streamed::new().then(|stream| {
    ///         actix::spawn(async move {
    ///             let (mut reader, mut writer) = tokio::io::split(stream);
    ///             let _ = tokio::io::copy(&mut reader, &mut writer).await;
    ///         });
    ///     })
    /// };
    /// let listening = supervisor.send(Listen::on(([127, 0, 0, 1], 0).into(), &tls, echo)).await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn then(mut self, then: impl FnOnce(SupervisedStream) + Send + 'static) -> Self {
        self.then = Some(Box::new(then));
        self
    }
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").field("half_closed", &self.half_closed).finish_non_exhaustive()
    }
}

impl Protocol for Streamed {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        let link = io.link();
        link.tray = Some(self.tray.clone());
        self.tray.with(|inner| inner.take_marks(&link.options));
        let stream = SupervisedStream { handle: io.handle(), tray: self.tray.clone() };
        if let Some(then) = self.then.take() {
            then(stream);
        }
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        if self.tray.with(|inner| inner.deliver(data)) {
            io.hold_reading(true);
        }
        Ok(())
    }

    fn end_of_stream(&mut self, _: &mut Io<'_, Self>, end: EndOfStream) {
        let end = match end {
            EndOfStream::CloseNotify | EndOfStream::Fin => ReadEnd::Said,
            EndOfStream::Truncated => ReadEnd::Cut(StreamError::Closing { cause: Some(Reason::Truncated) }),
        };
        self.tray.with(|inner| inner.end_reading(end));
    }

    fn drain(&mut self, _: &mut Io<'_, Self>, until: Instant) {
        self.tray.with(|inner| inner.draining = Some(until));
        self.tray.news.notify_waiters();
    }

    fn poll(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        let link = io.link();
        let closing = link.life.phase.is_closing();
        let (half_close, close, resume) = self.tray.with(|inner| {
            if closing {
                // Before the fetch and under the same lock: what was accepted before is written, in `Flushing`, too (law 4), and nothing can slip in behind.
                let error = StreamError::Closing { cause: link.cause().cloned() };
                inner.seal(error.clone());
                if !link.delivers_late() {
                    inner.end_reading(ReadEnd::Cut(error));
                }
            }
            if let Some(bytes) = inner.fetch(link.out.len(), cx) {
                link.accepted += bytes.len() as u64;
                link.out.push(bytes);
            }
            if link.life.phase == Phase::Lingering {
                inner.set_shut();
            }
            (inner.shutdown, inner.released, inner.releases_reading())
        });
        if resume {
            io.hold_reading(false);
        }
        if half_close && !std::mem::replace(&mut self.half_closed, true) {
            io.half_close();
        }
        if close && !std::mem::replace(&mut self.closed, true) {
            // What still comes is nobody's, also after a shutdown, which had it delivered: a peer that ends without close_notify then cuts nothing short.
            io.link().close(Close::new().late_data(LateData::Discard), None);
        }
    }

    fn lost(&mut self, lost: &Lost) {
        self.tray.with(|inner| {
            if lost.phase == Phase::Lingering || lost.proof.close_notify_sent {
                inner.set_shut();
            }
            inner.lose(lost);
        });
        self.tray.news.notify_waiters();
    }
}

/// An open connection as a stream of bytes.
///
/// * It reads `Ok(0)` only when the peer has ended its direction as it should: by close_notify, or, where there is no TLS, by a FIN. Everything else is an error whose inner error is a
///   [`StreamError`], which says how the connection ended. What had come before is read first.
/// * A write is accepted when less than the connection's [high-water mark](crate::Options::write_high) waits to be written; then it waits for the low one. A flush is done when the operating system
///   has taken all of it.
/// * `shutdown` writes what was accepted and then close_notify; reading goes on.
/// * Dropping it closes the connection gracefully: what was accepted is written, then close_notify. So does the end of a drain.
///
/// It may be used on any thread, wherever the connection lives. An idle one holds no buffer.
pub struct SupervisedStream {
    handle: Handle<Streamed>,
    tray: Arc<Tray>,
}

impl SupervisedStream {
    /// Which connection.
    pub fn id(&self) -> ConnectionId {
        self.handle.id()
    }

    /// To whom.
    pub fn peer(&self) -> Peer {
        self.handle.peer()
    }

    /// The connection, as an actor: to ask for [its TLS session](crate::GetInfo), say, or to [abort](Handle::abort) it.
    pub fn handle(&self) -> &Handle<Streamed> {
        &self.handle
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
