//! A connection as a stream of bytes: its other half reads and writes like any socket, on any thread, and is still an actor's with one ticket and one `Lost`.

use std::{fmt, task::Context};

use bytes::BytesMut;
use tokio::time::Instant;

use super::{EndOfStream, Io, Protocol, ProtocolError, SupervisedStream, carrier::Carrier};
use crate::fate::Lost;

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
#[derive(Default)]
pub struct Streamed {
    carrier: Carrier,
    then: Option<Box<dyn FnOnce(SupervisedStream) + Send>>,
}

impl Streamed {
    /// A connection as a stream. Where nobody takes the stream (no [`then`](Streamed::then), and not asked for by `open`) the connection closes as soon as it is open.
    pub fn new() -> Self {
        Streamed::default()
    }

    /// How many bytes may wait for the application to read them, until no more is read from the socket; a record more may come. Reading goes on at half of it. Default 64 KiB; 0 is taken as 1.
    pub fn read_mark(mut self, bytes: usize) -> Self {
        self.carrier = Carrier::new(bytes);
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
        f.debug_struct("Streamed").field("half_closed", &self.carrier.is_half_closed()).finish_non_exhaustive()
    }
}

impl Protocol for Streamed {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        let stream = self.carrier.begin(io);
        if let Some(then) = self.then.take() {
            then(stream);
        }
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        self.carrier.data(io, data);
        Ok(())
    }

    fn end_of_stream(&mut self, _: &mut Io<'_, Self>, end: EndOfStream) {
        self.carrier.end_of_stream(end);
    }

    fn drain(&mut self, io: &mut Io<'_, Self>, until: Instant) {
        self.carrier.drain(io, until);
    }

    fn poll(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        self.carrier.poll(io, cx);
    }

    fn lost(&mut self, lost: &Lost) {
        self.carrier.lost(lost);
    }
}
