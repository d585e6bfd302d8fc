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

/// The promise to answer a message later: kept by the actor while its handler has returned the [`Parked`] that belongs to it. Dropped without an answer, the sender of the message sees its
/// mailbox error, so nobody waits for ever.
///
/// A `ResponseFuture` would cost a second channel, a boxed future and a task of its own. `Parked`, being a `MessageResponse`, is handed the channel that actix has made.
///
/// ```
/// use actix::prelude::*;
/// use exeunt::{Connection, Io, Parked, Protocol, ProtocolError, Reply};
///
/// /// Asks for the next line that comes.
/// #[derive(Message)]
/// #[rtype(result = "String")]
/// struct NextLine;
///
/// #[derive(Default)]
/// struct Watch {
///     asked: Vec<Reply<String>>,
/// }
///
/// impl Protocol for Watch {
///     fn data(&mut self, _: &mut Io<'_, Self>, data: &mut bytes::BytesMut) -> Result<(), ProtocolError> {
///         let line = String::from_utf8_lossy(data).into_owned();
///         data.clear();
///         self.asked.drain(..).for_each(|asked| asked.send(line.clone()));
///         Ok(())
///     }
/// }
///
/// impl Handler<NextLine> for Connection<Watch> {
///     type Result = Parked<String>;
///
///     fn handle(&mut self, _: NextLine, context: &mut Self::Context) -> Parked<String> {
///         let (reply, parked) = Reply::later();
///         self.parts(context).0.asked.push(reply);
///         parked
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Reply<T>(Slot<T>);

/// What a handler returns that may answer later: see [`Reply`].
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
    /// A promise, and what the handler returns for it.
    pub fn later() -> (Reply<T>, Parked<T>) {
        let slot = Slot::default();
        (Reply(slot.clone()), Parked(When::Later(slot, None)))
    }

    /// Answers. Nothing happens when nobody awaits it.
    pub fn send(self, value: T) {
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

    /// As [`poll_given_up`](Reply::poll_given_up), but nobody is woken when it happens.
    #[cfg(feature = "http")]
    pub(crate) fn is_given_up(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(OneshotSender::is_closed)
    }

    /// Whether the message was sent so that an answer was asked for, given up or not. Not to be asked in the handler itself, either.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether anybody waits for the answer. Not to be asked in the handler itself, where actix has not handed over the channel yet.
    pub fn is_awaited(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|sender| !sender.is_closed())
    }
}

impl<T> Parked<T> {
    /// An answer that is there already.
    pub fn now(value: T) -> Self {
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
