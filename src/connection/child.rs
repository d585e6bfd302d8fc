//! The task of a connection: its actor, and the ticket that outlives the actor by one drop.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};

use actix::{AsyncContext, Context, dev::ContextFut};
use tracing::Span;

use super::{Connection, Protocol};
use crate::ticket::{Entry, Ticket};

/// A connection that has not been given to a thread yet. Dropped like this (its thread is gone), it ends as `Abandoned`.
///
/// The fields are dropped in this order: the connection closes its socket and writes down how it ended, then the ticket tells.
pub(crate) struct Newborn<P: Protocol> {
    pub(crate) connection: Connection<P>,
    pub(crate) ticket: Ticket,
}

impl<P: Protocol> Newborn<P> {
    /// Begins the child's task, on the thread that it is called on.
    ///
    /// In a box, because it has a kilobyte and a half, and tokio moves a future several times on its way into the task.
    pub(crate) fn spawn(self) {
        drop(actix_rt::spawn(Box::pin(self.into_child())));
    }

    fn into_child(self) -> Child<P> {
        let Newborn { mut connection, ticket } = self;
        let context = Context::new();
        // Until the connection is open and its address is given away, it holds itself.
        connection.hold = Some(context.address());
        let entry = ticket.entry().clone();
        let span =
            tracing::info_span!("connection", id = entry.id.get(), peer = %entry.peer(), role = entry.role.as_str());
        Child { future: Some(context.into_future(connection)), entry, span, _ticket: ticket }
    }
}

/// An actor's context future, wrapped.
///
/// When the future has ended, was killed or has panicked, it is dropped *first*: socket closed, TLS freed, `Protocol::lost` called. Then the ticket is. The same holds when this
/// whole value is dropped with its runtime.
pub(crate) struct Child<P: Protocol> {
    future: Option<ContextFut<Connection<P>, Context<Connection<P>>>>,
    entry: Arc<Entry>,
    span: Span,
    _ticket: Ticket,
}

impl<P: Protocol> Future for Child<P> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let this = self.get_mut();
        let _entered = this.span.enter();
        this.entry.register_waker(cx.waker());
        let Some(future) = &mut this.future else { return Poll::Ready(()) };
        // Here and not in the actor, so that a handler of the user's that waits for ever (`ctx.wait`, an `AtomicResponse`) cannot outlast the deadline.
        if !this.entry.is_killed() && !this.entry.is_aborted() {
            // The pump catches what a protocol panics with; this is for the user's own message handlers. `AssertUnwindSafe`: the future is not polled again.
            match catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(cx))) {
                Ok(Poll::Pending) => return Poll::Pending,
                // Where the connection has not ended by itself, a handler has stopped the actor. Where it has, this changes nothing.
                Ok(Poll::Ready(())) => this.entry.abort(),
                Err(payload) => this.entry.set_panic(panic_message(&*payload)),
            }
        }
        this.future = None;
        Poll::Ready(())
    }
}

impl<P: Protocol> Drop for Child<P> {
    fn drop(&mut self) {
        let _entered = self.span.enter();
        self.future = None;
    }
}

/// What a panic said.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let words =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    words.unwrap_or("a panic without a message").to_owned()
}
