//! The connection's side of a stream: what a protocol does that has become one, from the beginning or in the middle of its life.

use std::{sync::Arc, task::Context};

use bytes::BytesMut;
use tokio::time::Instant;

use super::{
    Close, EndOfStream, Io, LateData, Protocol, StreamError, SupervisedStream,
    tray::{ReadEnd, Tray},
};
use crate::{
    fate::{Lost, Reason},
    lifecycle::Phase,
};

/// How many bytes wait to be read by the application, at most, before the socket is not read any more: as much as four TLS records.
const READ_MARK: usize = 64 * 1024;

/// A protocol that carries bytes between the connection and its stream gives each of its callbacks to this one's of the same name.
pub(crate) struct Carrier {
    tray: Arc<Tray>,
    half_closed: bool,
    closed: bool,
}

impl Default for Carrier {
    fn default() -> Self {
        Carrier::new(READ_MARK)
    }
}

impl Carrier {
    /// `read_mark`: how many bytes may wait for the application before reading is held.
    pub(crate) fn new(read_mark: usize) -> Self {
        Carrier { tray: Arc::new(Tray::new(read_mark)), half_closed: false, closed: false }
    }

    /// The stream of this connection, which from now on has bytes for it alone.
    pub(crate) fn begin<P: Protocol>(&self, io: &mut Io<'_, P>) -> SupervisedStream {
        let link = io.link();
        link.tray = Some(self.tray.clone());
        // The tray is to know what still waits.
        link.watches_writing = true;
        self.tray.with(|inner| inner.take_marks(&link.options));
        SupervisedStream::new(io.handle().into(), self.tray.clone())
    }

    /// The same in the middle of a connection's life: `read` was read already and belongs to the stream, the peer may have ended its direction, and the drain may have begun.
    #[cfg(feature = "http")]
    pub(crate) fn take_over<P: Protocol>(
        io: &mut Io<'_, P>,
        read: bytes::Bytes,
        draining: Option<Instant>,
    ) -> (Self, SupervisedStream) {
        let mut carrier = Carrier::default();
        let stream = carrier.begin(io);
        if !read.is_empty() {
            carrier.data(io, &mut BytesMut::from(read));
        }
        if let Some(end) = io.link().ended() {
            carrier.end_of_stream(end);
        }
        if let Some(until) = draining {
            carrier.drain(io, until);
        }
        io.drive(false);
        (carrier, stream)
    }

    pub(crate) fn data<P: Protocol>(&mut self, io: &mut Io<'_, P>, data: &mut BytesMut) {
        if self.tray.with(|inner| inner.deliver(data)) {
            io.hold_reading(true);
        }
    }

    pub(crate) fn end_of_stream(&mut self, end: EndOfStream) {
        let end = match end {
            EndOfStream::CloseNotify | EndOfStream::Fin => ReadEnd::Said,
            EndOfStream::Truncated => ReadEnd::Cut(StreamError::Closing { cause: Some(Reason::Truncated) }),
        };
        self.tray.with(|inner| inner.end_reading(end));
    }

    pub(crate) fn drain<P: Protocol>(&mut self, io: &mut Io<'_, P>, until: Instant) {
        let linger = io.link().linger();
        self.tray.with(|inner| (inner.draining, inner.linger) = (Some(until), linger));
        self.tray.news.notify_waiters();
    }

    pub(crate) fn poll<P: Protocol>(&mut self, io: &mut Io<'_, P>, cx: &mut Context<'_>) {
        let link = io.link();
        let closing = link.life.is_closing();
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
            if link.life.phase == Phase::Lingering && !link.life.unwraps {
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

    pub(crate) fn lost(&mut self, lost: &Lost) {
        self.tray.with(|inner| {
            if lost.phase == Phase::Lingering || lost.proof.close_notify_sent {
                inner.set_shut();
            }
            inner.lose(lost);
        });
        self.tray.news.notify_waiters();
    }

    pub(crate) fn is_half_closed(&self) -> bool {
        self.half_closed
    }
}
