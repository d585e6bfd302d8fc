//! What becomes of a connection that has left HTTP, as client or as server: it carries the bytes of a stream.

use std::task::Context;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use crate::{
    connection::{Carrier, EndOfStream, Io, Protocol, SupervisedStream},
    fate::Lost,
};

/// Nothing, as long as HTTP is spoken. A protocol gives each of its callbacks to this one's of the same name.
#[derive(Default)]
pub(super) struct Onward(Option<Carrier>);

impl Onward {
    /// `read` was read too much, and is the first that the stream reads; `draining`: the end of the drain, if it has begun.
    pub(super) fn begin<P: Protocol>(
        &mut self,
        io: &mut Io<'_, P>,
        cx: &mut Context<'_>,
        read: Bytes,
        draining: Option<Instant>,
    ) -> SupervisedStream {
        let (mut carrier, stream) = Carrier::take_over(io, read, draining);
        carrier.poll(io, cx);
        self.0 = Some(carrier);
        stream
    }

    pub(super) fn data<P: Protocol>(&mut self, io: &mut Io<'_, P>, data: &mut BytesMut) {
        match &mut self.0 {
            Some(carrier) => carrier.data(io, data),
            // Only what comes after a close, which is nobody's.
            None => data.clear(),
        }
    }

    pub(super) fn end_of_stream<P: Protocol>(&mut self, io: &mut Io<'_, P>, end: EndOfStream) {
        match &mut self.0 {
            Some(carrier) => carrier.end_of_stream(end),
            None => io.close(),
        }
    }

    /// Whether it is the stream's.
    pub(super) fn drain<P: Protocol>(&mut self, io: &mut Io<'_, P>, until: Instant) -> bool {
        self.0.as_mut().map(|carrier| carrier.drain(io, until)).is_some()
    }

    /// Whether it is the stream's.
    pub(super) fn poll<P: Protocol>(&mut self, io: &mut Io<'_, P>, cx: &mut Context<'_>) -> bool {
        self.0.as_mut().map(|carrier| carrier.poll(io, cx)).is_some()
    }

    pub(super) fn lost(&mut self, lost: &Lost) {
        if let Some(carrier) = &mut self.0 {
            carrier.lost(lost);
        }
    }
}
