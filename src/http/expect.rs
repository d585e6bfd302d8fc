//! `Expect: 100-continue`: a body that waits until the peer wants it.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use http::{HeaderMap, header::EXPECT};
use tokio::time::{Sleep, sleep};

use super::BoxError;

/// How long the body waits for a peer that says nothing: servers that do not know the expectation exist (RFC 9110, section 10.1.1), and curl waits as long.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

const WAITING: u8 = 0;
const WANTED: u8 = 1;
const REFUSED: u8 = 2;

/// What holds the body back.
pub(super) struct Gate {
    verdict: Verdict,
    patience: Option<Pin<Box<Sleep>>>,
}

/// What becomes of the body, and who waits to know.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    waker: AtomicWaker,
}

impl Verdict {
    /// The peer wants the body.
    pub(super) fn wanted(&self) {
        self.settle(WANTED);
    }

    /// The peer has answered without it, and its answer was read: the body is not sent, and as the peer may still wait for it, the connection can bear nothing else.
    pub(super) fn refused(&self) {
        self.settle(REFUSED);
    }

    fn settle(&self, state: u8) {
        // The first word stands.
        if self.0.state.compare_exchange(WAITING, state, SeqCst, SeqCst).is_ok() {
            self.0.waker.wake();
        }
    }
}

impl Gate {
    pub(super) fn new(verdict: &Verdict) -> Self {
        Gate { verdict: verdict.clone(), patience: None }
    }

    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.verdict.0.waker.register(cx.waker());
        match self.verdict.0.state.load(SeqCst) {
            WANTED => return Poll::Ready(Ok(())),
            REFUSED => return Poll::Ready(Err(Box::new(NotWanted))),
            _ => {}
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        std::task::ready!(patience.as_mut().poll(cx));
        self.verdict.wanted();
        Poll::Ready(Ok(()))
    }
}

/// Whether a request with these headers wants to be told to send its body.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The request's body was not sent, because the peer had answered without it.
#[derive(Debug)]
struct NotWanted;

impl fmt::Display for NotWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body was not sent: the peer answered without it")
    }
}

impl std::error::Error for NotWanted {}
