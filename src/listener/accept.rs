//! The actor that accepts.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
    time::Duration,
};

#[cfg(unix)]
use super::unix::UnixSocket;
use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, fut::ActorFuture};
use futures_util::future::BoxFuture;
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    time::{Sleep, sleep},
};
use tokio_util::sync::PollSemaphore;

use crate::{
    connection::{Options, Permit, Protocol, Secure, Start},
    dial::{DialOptions, tune},
    fate::{Peer, Role},
    supervisor::{Admit, EndListening, Newcomer, Supervisor},
    ticket::{Books, News},
    tls::Socket,
};

/// Stops accepting.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Suspend;

/// Accepts again.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub struct Resume;

/// What an accepted connection is born with.
pub(super) struct Birth<P: Protocol> {
    pub(super) secure: Secure,
    pub(super) protocol: Factory<P>,
    pub(super) socket: DialOptions,
    pub(super) options: Options,
}

/// Makes the protocol of an accepted connection.
pub(super) type Factory<P> = Box<dyn FnMut(&Peer) -> P + Send>;

/// How many may be under way and alive.
pub(super) struct Limits {
    pub(super) handshakes: usize,
    pub(super) connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { handshakes: 256, connections: Semaphore::MAX_PERMITS }
    }
}

/// How long to wait when the operating system has no descriptor or memory for another socket, as asyncio does. What helps is that a connection ends, and that wakes us sooner.
const STUCK: Duration = Duration::from_secs(1);

/// Accepts in one poll, so that a burst does not starve the thread. Chosen arbitrarily.
const AT_A_TIME: usize = 64;

/// What is listened on.
pub(super) enum Ear {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixSocket),
}

impl Ear {
    fn poll_accept(&self, options: &DialOptions, cx: &mut TaskContext<'_>) -> Poll<io::Result<(Socket, Peer)>> {
        Poll::Ready(match self {
            Ear::Tcp(socket) => {
                let (socket, address) = ready!(socket.poll_accept(cx))?;
                let peer = Peer::from(address);
                if let Err(error) = tune(&socket, options) {
                    // The peer may be gone already; the handshake will tell.
                    tracing::debug!(%peer, %error, "socket options");
                }
                Ok((socket.into(), peer))
            }
            #[cfg(unix)]
            Ear::Unix(socket) => ready!(socket.poll_accept(cx)).map(|(socket, peer)| (socket.into(), peer)),
        })
    }
}

/// A listening socket as an actor. `_ended` is its last field: the books are told when the socket is closed.
pub(super) struct Listener<P: Protocol> {
    ear: Ear,
    birth: Birth<P>,
    books: Books,
    supervisor: Addr<Supervisor>,
    handshakes: PollSemaphore,
    seats: PollSemaphore,
    permit: Option<Permit>,
    seat: Option<Permit>,
    room: Option<BoxFuture<'static, ()>>,
    stuck: Option<Pin<Box<Sleep>>>,
    suspended: bool,
    _ended: Ended,
}

struct Ended {
    books: Books,
    number: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.books.tell(News::ListenerEnded(self.number));
    }
}

impl<P: Protocol> Listener<P> {
    pub(super) fn new(
        number: u64,
        ear: Ear,
        birth: Birth<P>,
        limits: Limits,
        books: Books,
        supervisor: Addr<Supervisor>,
    ) -> Self {
        let semaphore =
            |permits: usize| PollSemaphore::new(Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))));
        Listener {
            ear,
            birth,
            _ended: Ended { books: books.clone(), number },
            books,
            supervisor,
            handshakes: semaphore(limits.handshakes),
            seats: semaphore(limits.connections),
            permit: None,
            seat: None,
            room: None,
            stuck: None,
            suspended: false,
        }
    }

    /// Ready when one more may be accepted.
    fn poll_may_accept(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        if self.suspended {
            return Poll::Pending;
        }
        if let Some(stuck) = &mut self.stuck {
            if stuck.as_mut().poll(cx).is_pending() && self.poll_room(cx).is_pending() {
                return Poll::Pending;
            }
            self.stuck = None;
        }
        while !self.books.has_room() {
            // Registered first, then looked at again: room that is made in between is not missed.
            if self.poll_room(cx).is_pending() && !self.books.has_room() {
                return Poll::Pending;
            }
        }
        if self.permit.is_none() {
            self.permit = ready!(self.handshakes.poll_acquire(cx));
        }
        if self.seat.is_none() {
            self.seat = ready!(self.seats.poll_acquire(cx));
        }
        Poll::Ready(())
    }

    /// Ready when a connection has ended since the last time.
    fn poll_room(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        let books = &self.books;
        let room = self.room.get_or_insert_with(|| Box::pin(books.room()));
        let ready = room.as_mut().poll(cx);
        if ready.is_ready() {
            self.room = None;
        }
        ready
    }

    fn accepted(&mut self, socket: Socket, peer: Peer) {
        let start = Start::Socket { socket, secure: self.birth.secure.clone() };
        // The user's code. `AssertUnwindSafe`: what it leaves half done is its own, and is only called again.
        let Ok(protocol) = catch_unwind(AssertUnwindSafe(|| (self.birth.protocol)(&peer))) else {
            return tracing::error!(%peer, "an accepted connection was closed: the making of its protocol panicked");
        };
        self.supervisor.do_send(Admit(Newcomer {
            role: Role::Server,
            accepted: true,
            protocol,
            peer,
            start,
            options: self.birth.options.clone(),
            reply: None,
            permit: self.permit.take(),
            seat: self.seat.take(),
            promise: Some(self.books.promise()),
        }));
    }

    fn failed(&mut self, error: &io::Error) {
        // `man 2 accept`: errors of the connection that was to be accepted are passed on; they concern nobody else.
        let of_the_peer = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        );
        if of_the_peer {
            tracing::debug!(%error, "accept");
            return;
        }
        tracing::warn!(%error, "cannot accept; trying again in {STUCK:?} or when a connection ends");
        self.books.tell(News::ListenerStuck(error.to_string()));
        self.stuck = Some(Box::pin(sleep(STUCK)));
    }
}

/// The future that accepts, on the actor's own context.
struct Accept;

impl<P: Protocol> ActorFuture<Listener<P>> for Accept {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        listener: &mut Listener<P>,
        _: &mut Context<Listener<P>>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<()> {
        for _ in 0..AT_A_TIME {
            ready!(listener.poll_may_accept(cx));
            match ready!(listener.ear.poll_accept(&listener.birth.socket, cx)) {
                Ok((socket, peer)) => listener.accepted(socket, peer),
                Err(error) => listener.failed(&error),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<P: Protocol> Actor for Listener<P> {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.spawn(Accept);
    }
}

impl<P: Protocol> Handler<Suspend> for Listener<P> {
    type Result = ();

    fn handle(&mut self, _: Suspend, _: &mut Self::Context) {
        self.suspended = true;
    }
}

impl<P: Protocol> Handler<Resume> for Listener<P> {
    type Result = ();

    fn handle(&mut self, _: Resume, _: &mut Self::Context) {
        self.suspended = false;
    }
}

impl<P: Protocol> Handler<EndListening> for Listener<P> {
    type Result = ();

    fn handle(&mut self, _: EndListening, context: &mut Self::Context) {
        context.terminate();
    }
}
