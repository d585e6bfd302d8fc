//! What is under way on one connection of a server, as everybody sees it who has a part in it: the protocol, the handler's future, the bodies.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    task::Waker,
};

use futures_util::task::AtomicWaker;

use crate::http::upgrade::Promise;

/// Shared by a connection and its requests, some of which may have left its thread.
#[derive(Default)]
pub(super) struct Desk {
    /// Requests whose handler was called, ever.
    calls: AtomicU64,
    turns: AtomicUsize,
    draining: AtomicBool,
    ends_with_connection: AtomicBool,
    /// The request under way may be the last in HTTP.
    may_leave: AtomicBool,
    /// The last response grants an upgrade, and this is owed to its handler.
    promise: Mutex<Option<Promise>>,
    waker: AtomicWaker,
}

impl Desk {
    /// Begins a request.
    pub(super) fn call(self: &Arc<Self>) -> Turn {
        self.calls.fetch_add(1, Relaxed);
        self.turn()
    }

    /// One more thing that a request consists of.
    pub(super) fn turn(self: &Arc<Self>) -> Turn {
        self.turns.fetch_add(1, Relaxed);
        Turn(self.clone())
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Whether a handler runs, a response is not given out to its end, or a request's body is neither read to its end nor dropped.
    pub(super) fn is_busy(&self) -> bool {
        self.turns.load(Acquire) > 0
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// The response that was begun has no length and no chunks: that it is whole is said by the end of the connection alone.
    pub(super) fn ends_with_connection(&self) {
        self.ends_with_connection.store(true, Relaxed);
    }

    pub(super) fn is_ended_by_connection(&self) -> bool {
        self.ends_with_connection.load(Relaxed)
    }

    /// Whether the request under way, whose response has not begun, asks to leave HTTP.
    pub(super) fn set_may_leave(&self, may: bool) {
        self.may_leave.store(may, Relaxed);
    }

    pub(super) fn may_leave(&self) -> bool {
        self.may_leave.load(Relaxed)
    }

    /// The response that was begun is the last word in HTTP: a stream follows.
    pub(super) fn promise(&self, promise: Promise) {
        *self.promise.lock().unwrap_or_else(PoisonError::into_inner) = Some(promise);
    }

    pub(super) fn take_promise(&self) -> Option<Promise> {
        self.promise.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whom to wake when a body was left by somebody outside of the connection's own poll.
    pub(super) fn watched_by(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(super) fn wake(&self) {
        self.waker.wake();
    }
}

/// A part of a request that is under way, for as long as this lives.
pub(super) struct Turn(Arc<Desk>);

impl Turn {
    pub(super) fn desk(&self) -> &Arc<Desk> {
        &self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.turns.fetch_sub(1, Release);
    }
}
