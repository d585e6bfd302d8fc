//! Answering a message later, on the channel that actix made for it.

use std::{
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
    Later(Slot<T>),
}

type Slot<T> = Arc<Mutex<Option<OneshotSender<T>>>>;

impl<T> Reply<T> {
    pub(crate) fn later() -> (Reply<T>, Parked<T>) {
        let slot = Slot::default();
        (Reply(slot.clone()), Parked(When::Later(slot)))
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
}

impl<A, M> MessageResponse<A, M> for Parked<M::Result>
where
    A: Actor,
    M: Message,
{
    fn handle(self, _: &mut A::Context, sender: Option<OneshotSender<M::Result>>) {
        match (self.0, sender) {
            (When::Later(slot), sender) => *slot.lock().unwrap_or_else(PoisonError::into_inner) = sender,
            (When::Now(value), Some(sender)) => drop(sender.send(value)),
            (When::Now(_), None) => {}
        }
    }
}
