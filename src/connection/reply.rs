//! Answering a message later, on the channel that actix made for it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::Context,
};

use actix::{
    Actor, Message,
    dev::{MessageResponse, OneshotSender},
};

/// The promise to answer. Dropped without an answer, the sender of the message sees its mailbox error, so nobody waits for ever.
///
/// A `ResponseFuture` would cost a second channel, a boxed future and a task of its own. Here the handler gives actix a [`Parked`], which, being a `MessageResponse`, is
/// handed the channel itself.
#[derive(Debug)]
pub(crate) struct Reply<T>(Slot<T>);

/// What a handler returns that may answer later.
#[derive(Debug)]
pub struct Parked<T>(When<T>);

#[derive(Debug)]
enum When<T> {
    Now(T),
    Later(Slot<T>, Option<Begin>),
}

/// What is begun when the asker's channel is in its place.
pub(crate) struct Begin(Box<dyn FnOnce() + Send>);

impl Begin {
    pub(crate) fn with(begin: impl FnOnce() + Send + 'static) -> Self {
        Begin(Box::new(begin))
    }

    pub(crate) fn now(self) {
        (self.0)();
    }
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begin")
    }
}

type Slot<T> = Arc<Mutex<Option<OneshotSender<T>>>>;

impl<T> Reply<T> {
    pub(crate) fn later() -> (Reply<T>, Parked<T>) {
        let slot = Slot::default();
        (Reply(slot.clone()), Parked(When::Later(slot, None)))
    }

    pub(crate) fn send(self, value: T) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = sender.send(value);
        }
    }

    /// Whether the asker has dropped its side. `false` when the message was sent without asking for an answer.
    pub(crate) fn poll_given_up(&self, cx: &mut Context<'_>) -> bool {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(sender) => sender.poll_closed(cx).is_ready(),
            None => false,
        }
    }

    /// Whether anybody waits for the answer.
    pub(crate) fn is_awaited(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|sender| !sender.is_closed())
    }
}

impl<T> Parked<T> {
    pub(crate) fn now(value: T) -> Self {
        Parked(When::Now(value))
    }

    /// Begins `what` once the answer has a way to the asker. For what another thread may answer before the handler has even returned: such an answer would find no channel, and be lost.
    pub(crate) fn and_begin(self, what: Option<Begin>) -> Self {
        match self.0 {
            When::Later(slot, None) => Parked(When::Later(slot, what)),
            when => Parked(when),
        }
    }
}

impl<A, M> MessageResponse<A, M> for Parked<M::Result>
where
    A: Actor,
    M: Message,
{
    fn handle(self, _: &mut A::Context, sender: Option<OneshotSender<M::Result>>) {
        match (self.0, sender) {
            (When::Later(slot, begin), sender) => {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = sender;
                if let Some(begin) = begin {
                    begin.now();
                }
            }
            (When::Now(value), Some(sender)) => drop(sender.send(value)),
            (When::Now(_), None) => {}
        }
    }
}
