//! The deadlines of a body, and the count of what came of it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::incoming::{BodyDeadline, BodyError};

/// How many bytes have come over the wire, for whoever stands above the decoders.
#[derive(Clone, Debug, Default)]
pub(super) struct Received(Arc<AtomicU64>);

impl Received {
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A body that has to come in time.
///
/// The time between two reads runs from the first poll that found nothing, so a reader that is slow is not held against the peer. A timer is made when a reader has to wait and there is a deadline, and kept for the
/// next wait.
pub(super) struct Timed<B> {
    /// `None`: it has ended or failed. It is dropped at once then: a connection that still has more to say is given up.
    body: Option<B>,
    received: u64,
    told: Option<Received>,
    between_reads: Option<Duration>,
    until: Option<Instant>,
    /// What the timer is set to, while the reader waits.
    waiting_for: Option<BodyDeadline>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Timed<B> {
    pub(super) fn new(body: B, between_reads: Option<Duration>, until: Option<Instant>) -> Self {
        Timed { body: Some(body), received: 0, told: None, between_reads, until, waiting_for: None, timer: None }
    }

    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// The same, for who has it no more.
    pub(super) fn tell_received(&mut self) -> Received {
        self.told.get_or_insert_default().clone()
    }

    fn end(&mut self) {
        self.body = None;
        self.timer = None;
    }

    fn timed_out(&mut self, deadline: BodyDeadline) -> BodyError {
        self.end();
        BodyError::TimedOut { deadline, received: self.received }
    }

    /// The nearest deadline, if there is one that comes.
    fn next_deadline(&self, now: Instant) -> Option<(Instant, BodyDeadline)> {
        let between_reads =
            self.between_reads.and_then(|after| Some((now.checked_add(after)?, BodyDeadline::BetweenReads(after))));
        let total = self.until.map(|until| (until, BodyDeadline::Total));
        total.into_iter().chain(between_reads).min_by_key(|(at, _)| *at)
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<BodyDeadline> {
        let deadline = match self.waiting_for {
            Some(deadline) => deadline,
            None => {
                let Some((at, deadline)) = self.next_deadline(Instant::now()) else { return Poll::Pending };
                match &mut self.timer {
                    Some(timer) => timer.as_mut().reset(at),
                    None => self.timer = Some(Box::pin(sleep_until(at))),
                }
                *self.waiting_for.insert(deadline)
            }
        };
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
        }
        Poll::Ready(deadline)
    }
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Body for Timed<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.until.is_some_and(|until| until <= Instant::now()) && !body.is_end_stream() {
            return Poll::Ready(Some(Err(this.timed_out(BodyDeadline::Total))));
        }
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            let deadline = ready!(this.poll_deadline(cx));
            return Poll::Ready(Some(Err(this.timed_out(deadline))));
        };
        this.waiting_for = None;
        match &frame {
            Some(Ok(frame)) => {
                this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
                if let Some(told) = &this.told {
                    told.0.store(this.received, Relaxed);
                }
            }
            Some(Err(_)) | None => this.end(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[cfg(test)]
#[path = "timed_tests.rs"]
mod tests;
