//! The connection: an actor that owns its socket, from the dial to the end.
//!
//! ```text
//!            messages                       orders (drain, close, kill)
//!               |                                  |
//!        +------v----------------------------------v------+
//!        | Connection<P>: Actor                           |
//!        |   Link: phase, TLS stream, buffers, deadlines  |   callbacks    +--------------+
//!        |   Pump: polled in the actor's own context  ----------------->  | P: Protocol  |
//!        +------------------------------------------------+   Io          +--------------+
//! ```

mod any_handle;
mod carrier;
mod child;
mod connect;
mod deadlines;
mod events;
mod framed;
mod handle;
#[cfg(test)]
pub(crate) mod idle_tests;
mod io;
#[cfg(feature = "http")]
mod lend;
pub(crate) mod life;
mod link;
mod messages;
mod options;
mod outbuf;
mod protocol;
mod pump;
mod reply;
mod start;
mod start_tls;
mod stream;
mod stream_error;
mod streamed;
mod supervised;
mod switch;
pub(crate) mod timer;
mod tray;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use actix::{Actor, Addr, AsyncContext, Context};
use tokio::time::Instant;

pub use any_handle::AnyHandle;
#[cfg(feature = "http")]
pub(crate) use carrier::Carrier;
pub(crate) use child::Newborn;
pub use connect::ConnectError;
pub use events::{Connected, Data, Draining, Eof, Events, HandOver, Owner};
pub use framed::{Call, CallError, Framed, Lines};
pub use handle::{Ended, Handle};
pub use io::Io;
#[cfg(feature = "http")]
pub(crate) use lend::Lent;
#[cfg(feature = "http")]
pub(crate) use link::Milestones;
pub use messages::{Abort, Close, Flush, GetInfo, HalfClose, Info, PauseReading, ResumeReading, Write, WriteError};
pub(crate) use options::option_setters;
pub use options::{LateData, Options};
pub use protocol::{EndOfStream, Protocol, ProtocolError};
pub(crate) use reply::Begin;
pub use reply::{Parked, Reply};
pub(crate) use start::{Secure, Start};
pub use start_tls::{Secured, StartTls, StopTls, SwitchError};
pub use stream_error::StreamError;
pub use streamed::Streamed;
pub use supervised::SupervisedStream;

use crate::{
    fate::{Lost, Reason},
    lifecycle::Phase,
    ticket::{Books, Ticket},
};
use life::Taken;
use link::Link;

/// The answer to whoever asked for a connection.
pub(crate) type ConnectReply<P> = Reply<Result<Handle<P>, ConnectError>>;

/// A TLS connection: an actor whose mailbox serializes handshake, I/O and shutdown.
///
/// It is made by a [`Supervisor`](crate::Supervisor), never started by hand. It understands [`Write`], [`Flush`], [`Close`], [`Abort`], [`HalfClose`], [`PauseReading`],
/// [`ResumeReading`] and [`GetInfo`], and what its protocol adds ([`Call`] for [`Framed`]). To give a protocol of yours a message of its own, implement
/// `Handler<YourMessage> for Connection<YourProtocol>` and use [`Connection::parts`]; to end the connection there, use [`Io::close`]. Stopping the actor's context aborts it.
pub struct Connection<P: Protocol> {
    link: Link,
    protocol: P,
    start: Start,
    reply: Option<ConnectReply<P>>,
    /// Our own address, while nobody else need hold one.
    hold: Option<Addr<Connection<P>>>,
    books: Books,
    permit: Option<Permit>,
    finished: bool,
}

/// Something of a listener's that is given back when the handshake is over.
pub(crate) type Permit = tokio::sync::OwnedSemaphorePermit;

impl<P: Protocol> Connection<P> {
    /// Binds a connection to its ticket. `reply`: where the handle goes when it is open.
    pub(crate) fn newborn(
        ticket: Ticket,
        protocol: P,
        start: Start,
        options: Options,
        reply: Option<ConnectReply<P>>,
        permit: Option<Permit>,
    ) -> Newborn<P> {
        let connection = Connection {
            link: Link::new(ticket.entry().clone(), options),
            protocol,
            start,
            reply,
            hold: None,
            books: ticket.books().clone(),
            permit,
            finished: false,
        };
        Newborn { connection, ticket }
    }

    /// The protocol, and its hand on the connection: for message handlers of your own.
    pub fn parts<'a>(&'a mut self, context: &'a mut Context<Self>) -> (&'a mut P, Io<'a, P>) {
        (&mut self.protocol, Io { link: &mut self.link, context })
    }

    /// The handshake succeeded: count it, tell the protocol, then give the handle away.
    fn opened(&mut self, context: &mut Context<Self>) {
        self.permit = None;
        self.books.connected(&self.link.entry);
        crate::telling::connected(self.link.entry.role);
        let handle = Handle::new(context.address(), self.link.entry.clone());
        let (protocol, mut io) = self.parts(context);
        protocol.connected(&mut io);
        if let Some(reply) = self.reply.take().filter(Reply::is_asked) {
            // From here on, dropping the last handle closes; it is dropped here and now if whoever asked has given up in this moment. Where nobody asked for one, the connection holds itself until it ends.
            reply.send(Ok(handle));
            self.hold = None;
        }
    }

    /// The end, once: the socket is closed, then everybody who waits is told. Called by the pump when the phase is `Lost`, or by `Drop` when something took the actor.
    fn finish(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.permit = None;
        self.start = Start::Done;
        let reason = self.last_reason();
        if let Some(mut stream) = self.link.stream.take() {
            // A teardown did not ask. One attempt that does not wait; and none with bytes unsent, as it would tell the peer that nothing is missing.
            if reason == Reason::Abandoned && self.link.life.phase == Phase::Open && self.link.unsent() == 0 {
                self.link.life.proof.close_notify_sent |= stream.try_close_notify();
            }
            // The end of the close recipe: FIN, and only then the drop, which answers unread bytes with a reset and could destroy the alert of a failed handshake on its way.
            let says_fin = self.link.life.proof.close_notify_sent || matches!(reason, Reason::HandshakeFailed(_));
            if says_fin && !stream.fin_comes_with_drop() {
                let _ = stream.poll_fin(&mut std::task::Context::from_waker(std::task::Waker::noop()));
            }
        }
        let link = &mut self.link;
        // What is accepted from here on would be neither sent nor counted.
        link.tray.iter().for_each(|tray| tray.seal());
        let (entry, now) = (&link.entry, Instant::now());
        let lost = Arc::new(Lost {
            id: entry.id,
            peer: entry.peer(),
            role: entry.role,
            phase: link.life.phase_of_end(),
            reason,
            proof: link.life.proof,
            secure: link.life.secure,
            bytes_in: link.bytes_in,
            bytes_out: link.bytes_out,
            bytes_unsent: link.unsent(),
            age: entry.age(now),
        });
        entry.set_phase(Phase::Lost, now);
        entry.leave(lost.clone());
        crate::telling::lost(&lost);
        self.answer_all(&lost);
        // The protocol is the user's code. Whatever it does, the ticket is spent; a panic here would only hide the reason.
        if catch_unwind(AssertUnwindSafe(|| self.protocol.lost(&lost))).is_err() {
            tracing::error!(id = lost.id.get(), "Protocol::lost panicked");
        }
        // Last, so that whoever is told by its own handler finds everything else told.
        for reply in std::mem::take(&mut self.link.waiting_ends) {
            reply.send(Lost::clone(&lost));
        }
    }

    fn last_reason(&self) -> Reason {
        let (link, entry) = (&self.link, &self.link.entry);
        link.life.last_reason(|| {
            if entry.has_panicked() {
                Taken::Panicked(entry.fallback_reason())
            } else if entry.is_killed() {
                Taken::Killed { linger_over: link.linger_until().is_some_and(|until| until <= Instant::now()) }
            } else if entry.is_aborted() {
                Taken::Aborted
            } else {
                Taken::TornDown
            }
        })
    }

    fn answer_all(&mut self, lost: &Lost) {
        let link = &mut self.link;
        let error = || Err(WriteError::Lost(Box::new(lost.clone())));
        for write in std::mem::take(&mut link.waiting_writes) {
            write.reply.send(error());
        }
        for overrun in std::mem::take(&mut link.overruns) {
            overrun.send(Err(WriteError::Overrun));
        }
        for (_, reply) in std::mem::take(&mut link.waiting_flushes) {
            reply.send(error());
        }
        if let Some(switch) = link.switch.take() {
            switch.fail(SwitchError::Lost(Box::new(lost.clone())));
        }
        if let Some(reply) = self.reply.take() {
            reply.send(Err(ConnectError::Lost(Box::new(lost.clone()))));
        }
    }
}

impl<P: Protocol> Actor for Connection<P> {
    type Context = Context<Self>;

    /// Only spawns: it may run inside a drop, where a timer would panic for want of a reactor (actix issue 531).
    fn started(&mut self, context: &mut Self::Context) {
        context.spawn(pump::Pump);
    }
}

impl<P: Protocol> Drop for Connection<P> {
    fn drop(&mut self) {
        self.finish();
    }
}
