//! The events protocol: an actor owns the connection and gets what happens as messages.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use actix::{Actor, Addr, Handler, MailboxError, Message, dev::ToEnvelope};
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{Connection, EndOfStream, Handle, Io, Protocol, ProtocolError};
use crate::{
    fate::{ConnectionId, Lost, Peer, Reason},
    ticket::Liveness,
};

/// The handshake succeeded. The first message that an owner gets of a connection.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Connected {
    /// Which connection.
    pub id: ConnectionId,
    /// To whom.
    pub peer: Peer,
    /// How to write, close and so on.
    pub connection: Handle<Events>,
}

/// Bytes have come: never empty, in order, in pieces of any size.
///
/// Nothing more is read from the socket until the owner's handler is done with it. A handler that returns a `ResponseFuture` or a `ResponseActFuture` is done when the future is.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub struct Data {
    /// Which connection.
    pub id: ConnectionId,
    /// The bytes.
    pub bytes: Bytes,
}

/// The peer will send no more.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Eof {
    /// Which connection.
    pub id: ConnectionId,
    /// `true`: it said so by close_notify. What the owner's handler still writes is sent, then the connection closes (or stays open for writing: [`Events::half_open`]).
    /// `false`: a bare FIN, so what was received may be cut short, and the connection is closing already.
    pub clean: bool,
}

/// The supervisor is stopping: finish what you are doing with this connection and close it. At `until` it is closed for you.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Draining {
    /// Which connection.
    pub id: ConnectionId,
    /// The end of the drain.
    pub until: Instant,
}

/// The actor that owns connections with the [`Events`] protocol. Cheap to clone; it holds an address of the actor.
///
/// The owner is sent, of each of its connections, `Connected`, then `Data` and perhaps one `Eof` and one `Draining`, then [`Lost`]; of one that never opened, `Lost` alone. Exactly one
/// `Lost` of each, whatever happens.
///
/// When the actor goes away, its connections close gracefully, for the reason [`OwnerGone`](Reason::OwnerGone): at once when it kept their [`Handle`]s or data
/// is on its way to it, else within the second in which the supervisor looks.
#[derive(Clone)]
pub struct Owner(Arc<dyn Own>);

impl Owner {
    /// This actor.
    pub fn new<A>(address: Addr<A>) -> Self
    where
        A: Actor + Handler<Connected> + Handler<Data> + Handler<Eof> + Handler<Draining> + Handler<Lost>,
        A::Context: ToEnvelope<A, Connected>
            + ToEnvelope<A, Data>
            + ToEnvelope<A, Eof>
            + ToEnvelope<A, Draining>
            + ToEnvelope<A, Lost>,
    {
        Owner(Arc::new(OwningActor { address }))
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner").field("alive", &self.0.is_alive()).finish()
    }
}

/// What is asked of an owner: one object for five kinds of message, so that a connection holds one pointer and not five recipients.
trait Own: Liveness {
    fn connected(&self, message: Connected);
    fn data(&self, message: Data) -> Handled;
    fn eof(&self, message: Eof) -> Handled;
    fn draining(&self, message: Draining);
    fn lost(&self, message: Lost);
}

/// The wait until an owner is done with a message.
type Handled = BoxFuture<'static, Result<(), MailboxError>>;

struct OwningActor<A: Actor> {
    address: Addr<A>,
}

/// The waits for answers that nobody waits for any more: dropped, they would take their messages back where the owner has not come to them yet. Of the process, because nothing else need outlive the
/// connection: not its supervisor, its thread or what it knew its owner by.
static KEPT: Mutex<Kept> = Mutex::new(Kept { waits: Vec::new(), clean_at: 0 });

struct Kept {
    waits: Vec<Handled>,
    /// Those that are over are thrown out when there are so many, so that keeping one costs little however many there are.
    clean_at: usize,
}

impl Kept {
    fn keep(&mut self, mut handled: Handled) {
        // Once, because actix enqueues what found the mailbox full only when it is polled, and then it must be before the `Lost`.
        if handled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return;
        }
        self.waits.push(handled);
        if self.waits.len() >= self.clean_at {
            let mut cx = Context::from_waker(Waker::noop());
            self.waits.retain_mut(|handled| handled.as_mut().poll(&mut cx).is_pending());
            self.clean_at = 64.max(self.waits.len() * 2);
        }
    }
}

impl<A: Actor> Liveness for OwningActor<A> {
    fn is_alive(&self) -> bool {
        self.address.connected()
    }
}

impl<A> Own for OwningActor<A>
where
    A: Actor + Handler<Connected> + Handler<Data> + Handler<Eof> + Handler<Draining> + Handler<Lost>,
    A::Context: ToEnvelope<A, Connected>
        + ToEnvelope<A, Data>
        + ToEnvelope<A, Eof>
        + ToEnvelope<A, Draining>
        + ToEnvelope<A, Lost>,
{
    fn connected(&self, message: Connected) {
        self.address.do_send(message);
    }
    // From a clone each: an address through which a mailbox was filled refuses the next message, and wakes nobody when there is room again. A new one never refuses its first. The
    // mailbox stays bounded all the same, by one message a connection; and what is in it, `Lost` cannot overtake.
    fn data(&self, message: Data) -> Handled {
        Box::pin(self.address.clone().send(message))
    }
    fn eof(&self, message: Eof) -> Handled {
        Box::pin(self.address.clone().send(message))
    }
    fn draining(&self, message: Draining) {
        self.address.do_send(message);
    }
    fn lost(&self, message: Lost) {
        self.address.do_send(message);
    }
}

/// Gives the connection to another actor; answers when it is done. Data that was on its way still goes to the former owner, and nothing more is read until that one is done with it; what
/// follows, the `Lost` included, goes to the new one. It is sent no second `Connected`: pass the handle on yourself. In a drain, it is told of that.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct HandOver(pub Owner);

/// The protocol of a connection that an actor owns by messages.
///
/// It has one `Data` message under way at a time: reading pauses while the owner's handler is busy, so a slow owner slows the socket and memory stays at one buffer.
pub struct Events {
    owner: Owner,
    under_way: Option<UnderWay>,
    half_open: bool,
    /// The end of the drain, once it has begun.
    draining: Option<Instant>,
}

/// What the owner is busy with.
enum UnderWay {
    Data(Handled),
    Eof(Handled),
}

impl Events {
    /// Events for this owner.
    pub fn new(owner: &Owner) -> Self {
        Events { owner: owner.clone(), under_way: None, half_open: false, draining: None }
    }

    /// After the peer's close_notify, stay open for writing until the owner closes. Default `false`: the connection closes when the owner's handler of [`Eof`] is done.
    pub fn half_open(mut self, half_open: bool) -> Self {
        self.half_open = half_open;
        self
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("owner", &self.owner)
            .field("busy", &self.under_way.is_some())
            .field("half_open", &self.half_open)
            .finish()
    }
}

impl Protocol for Events {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        io.link().entry.set_owner(self.owner.0.clone());
        self.owner.0.connected(Connected { id: io.id(), peer: io.peer(), connection: io.handle() });
        if !self.owner.0.is_alive() {
            io.close_for(Reason::OwnerGone);
        }
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        // Copied: the buffer is the thread's, and an owner that keeps a few bytes must not keep all of it.
        let bytes = Bytes::copy_from_slice(data);
        data.clear();
        self.under_way = Some(UnderWay::Data(self.owner.0.data(Data { id: io.id(), bytes })));
        io.hold_reading(true);
        Ok(())
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        let clean = end.is_clean();
        self.under_way = Some(UnderWay::Eof(self.owner.0.eof(Eof { id: io.id(), clean })));
    }

    fn drain(&mut self, io: &mut Io<'_, Self>, until: Instant) {
        self.draining = Some(until);
        self.owner.0.draining(Draining { id: io.id(), until });
    }

    fn poll(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        let handled = match &mut self.under_way {
            None => return,
            Some(UnderWay::Data(handled) | UnderWay::Eof(handled)) => handled.as_mut().poll(cx),
        };
        let Poll::Ready(handled) = handled else { return };
        let was = self.under_way.take();
        if handled.is_err() && !self.owner.0.is_alive() {
            return io.close_for(Reason::OwnerGone);
        }
        // An owner that lives and has dropped its answer (its handler's future was cancelled, say) is done with the message all the same.
        match was {
            Some(UnderWay::Eof(_)) if !self.half_open => io.close(),
            _ => io.hold_reading(false),
        }
    }

    fn lost(&mut self, lost: &Lost) {
        if let Some(UnderWay::Data(handled) | UnderWay::Eof(handled)) = self.under_way.take() {
            KEPT.lock().unwrap_or_else(PoisonError::into_inner).keep(handled);
        }
        self.owner.0.lost(lost.clone());
    }
}

impl Handler<HandOver> for Connection<Events> {
    type Result = ();

    fn handle(&mut self, HandOver(owner): HandOver, context: &mut Self::Context) {
        let (events, mut io) = self.parts(context);
        io.link().entry.set_owner(owner.0.clone());
        events.owner = owner;
        if let Some(until) = events.draining {
            events.owner.0.draining(Draining { id: io.id(), until });
        }
    }
}
