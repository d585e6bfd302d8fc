//! The streams of a connection, as its client counts them.

use std::sync::{
    Arc, OnceLock,
    atomic::{
        AtomicUsize,
        Ordering::{AcqRel, Acquire},
    },
};

use futures_util::task::AtomicWaker;

use crate::http::{BoxError, incoming::words, watch::Slot};

/// How many streams are open.
#[derive(Default)]
pub(in crate::http) struct OpenStreams {
    count: AtomicUsize,
    /// Whoever waits for one to end.
    waiting: AtomicWaker,
}

impl OpenStreams {
    pub(in crate::http) fn count(&self) -> usize {
        self.count.load(Acquire)
    }

    /// One more.
    pub(in crate::http) fn open(self: &Arc<Self>, slot: Option<Slot>) -> Arc<StreamGuard> {
        self.count.fetch_add(1, AcqRel);
        Arc::new(StreamGuard { open: self.clone(), body_failed: OnceLock::new(), _slot: slot })
    }

    pub(in crate::http) fn wake_when_one_ends(&self, cx: &std::task::Context<'_>) {
        self.waiting.register(cx.waker());
    }
}

/// A stream, for as long as somebody has a part in it: the exchange until it is answered, the body of the request until it is sent, the body of the response until it was read to its end or dropped.
pub(in crate::http) struct StreamGuard {
    open: Arc<OpenStreams>,
    /// What the request's body failed with; hyper only resets the stream.
    body_failed: OnceLock<String>,
    /// Given back to the pool with the last part.
    _slot: Option<Slot>,
}

impl StreamGuard {
    pub(in crate::http) fn body_failed(&self, error: &BoxError) {
        let _ = self.body_failed.set(words(&**error));
    }

    pub(in crate::http) fn failure_of_body(&self) -> Option<String> {
        self.body_failed.get().cloned()
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.open.count.fetch_sub(1, AcqRel);
        self.open.waiting.wake();
    }
}
