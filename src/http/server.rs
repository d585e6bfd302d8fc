//! The protocol of an HTTP server: hyper's connection, polled in the actor's own poll. HTTP/1.1 is here, HTTP/2 in its own file.

mod desk;
mod ending;
mod handler;
#[cfg(feature = "http2")]
mod http2;
mod options;
mod request;
mod service;
mod upgraded;

use std::{fmt, sync::Arc, task::Context, time::Duration};

use bytes::BytesMut;
use futures_util::{FutureExt, future::BoxFuture};
use hyper::server::conn::http1::Connection as HyperConnection;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

pub use handler::{FromFn, IntoResponse, Respond, serve};
#[cfg(feature = "tower")]
pub use handler::{Tower, serve_tower};
pub use options::ServerOptions;
pub use request::RequestBody;

use super::{driven, incoming::Fate, onward::Onward};
use crate::{
    connection::{EndOfStream, Io, Lent, Protocol, ProtocolError},
    fate::{Lost, Reason},
    lifecycle::Phase,
};
use desk::Desk;
use service::Requests;

/// Speaks HTTP as a server; made by [`serve`].
///
/// **In a drain** a request whose head has arrived is served to its end, with `Connection: close` unless its response had begun. A connection without one closes at once; where half a head has come, the rest is awaited for
/// 5 s at most. Requests that a client has pipelined behind the one that is answered last are not begun, as with every `Connection: close` (RFC 9112, section 9.6).
///
/// **A handler** runs in the connection's own task, so it ends with the connection: it is dropped where it waits when the client is gone. What must be finished belongs into a task or an actor of its own.
///
/// **A response that fails** in its middle ends the connection as [`Protocol`](Reason::Protocol), and the client sees that it is short. Where only the end of the connection would say that it is whole, which is
/// so for HTTP/1.0, that end is an abort without close_notify, whatever else has cut the response short.
///
/// **A client that takes nothing** of its response stops the handler's stream, and may do so for as long as it likes. What bounds that is [`Listen::idle_timeout`](crate::Listen::idle_timeout), off by default because it bounds a silent
/// handler, too; and a stop, which kills such a connection at its deadline.
///
/// **On HTTP/2** a drain says GOAWAY, serves what was on its way until the client has heard that, and says which was the last; a client that does not answer, and for which nothing is under way, is waited for as long as for the rest of
/// a head. A response that fails resets its stream, and a client that gives up a request drops its handler. A panic ends the connection with all its streams, here as there.
///
/// **An upgrade**, by a 101 to a request that asks for one or by 2xx to a `CONNECT`, makes a stream of the connection: see [`upgrade`](super::upgrade()). A 101 to any other request is an error of the handler's.
pub struct HttpServer<H: Respond> {
    handler: H,
    options: ServerOptions,
    state: State<H>,
    onward: Onward,
    desk: Arc<Desk>,
    fate: Fate,
    /// No request is under way, and nothing of a response is unwritten.
    quiet: Option<Quiet>,
    drain: Drain,
    /// The end of the drain, once it has begun.
    drain_until: Option<Instant>,
}

enum State<H: Respond> {
    /// Not open yet.
    New,
    /// The client's first bytes are awaited, since nothing else says what it speaks.
    #[cfg(feature = "http2")]
    Listening(Instant),
    Serving(Box<Serving<H>>),
    #[cfg(feature = "http2")]
    Http2(Box<http2::Http2<H>>),
    /// It speaks HTTP no longer: it is open no longer, or a stream has its bytes.
    Done,
}

struct Serving<H: Respond> {
    lent: Lent,
    connection: HyperConnection<TokioIo<Lent>, Requests<H>>,
}

/// Between two requests.
struct Quiet {
    since: Instant,
    /// Bytes of the next head have come, and this is since when.
    begun: bool,
    /// How many requests there were before.
    calls: u64,
    /// How many bytes they came in.
    received: u64,
}

enum Drain {
    No,
    /// The reactor is given a turn, so that what the system has received for us is read before it is said that there is nothing.
    Looking(BoxFuture<'static, ()>),
    /// A head that has begun is awaited until then.
    Waiting(Instant),
    /// hyper knows.
    Told,
}

/// How long a drain waits for the rest of a head. As long as Go's `Server.Shutdown` waits for a connection's first request.
const PATIENCE: Duration = Duration::from_secs(5);

/// To a client whose head is late (RFC 9110, section 15.5.9).
const TOO_LATE: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl<H: Respond> HttpServer<H> {
    /// A server of one connection, with the default options: for [`Adopt`](crate::Adopt). For listeners there is [`serve`].
    pub fn new(handler: H) -> Self {
        HttpServer {
            handler,
            options: ServerOptions::new(),
            state: State::New,
            onward: Onward::default(),
            desk: Arc::new(Desk::default()),
            fate: Fate::default(),
            quiet: None,
            drain: Drain::No,
            drain_until: None,
        }
    }

    /// What the client is allowed.
    pub fn options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    fn requests(&self, io: &Io<'_, Self>) -> Requests<H> {
        Requests {
            handler: self.handler.clone(),
            desk: self.desk.clone(),
            fate: self.fate.clone(),
            id: io.id(),
            peer: io.peer(),
            tls: io.info().tls.map(Arc::new),
        }
    }

    fn speak_http1(&mut self, io: &mut Io<'_, Self>, lent: Lent) {
        io.drive(true);
        let requests = self.requests(io);
        let connection = self.options.builder().serve_connection(TokioIo::new(lent.clone()), requests);
        self.state = State::Serving(Box::new(Serving { lent, connection }));
    }

    /// Polls hyper once. `Some`: it is done with the connection.
    fn poll_hyper(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) -> Option<hyper::Result<()>> {
        let State::Serving(serving) = &mut self.state else { return None };
        let Serving { lent, connection } = &mut **serving;
        driven::poll_once(connection, io, lent, &self.fate, cx)
    }

    fn leave(&mut self) {
        self.state = State::Done;
        self.quiet = None;
        // Nobody keeps it any more: whoever waits is told.
        self.desk.take_promise();
    }
}

impl<H: Respond> Protocol for HttpServer<H> {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        #[cfg(feature = "http2")]
        match http2::spoken(self.options.versions, io) {
            Some(true) => return self.speak_http2(io, Lent::default()),
            Some(false) => {}
            None => {
                self.state = State::Listening(Instant::now());
                return;
            }
        }
        self.speak_http1(io, Lent::default());
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        #[cfg(feature = "http2")]
        if matches!(self.state, State::Listening(_)) {
            self.listen(io, data);
            return Ok(());
        }
        self.onward.data(io, data);
        Ok(())
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        self.onward.end_of_stream(io, end);
    }

    fn drain(&mut self, io: &mut Io<'_, Self>, until: Instant) {
        if self.onward.drain(io, until) {
            return;
        }
        self.drain_until = Some(until);
        self.desk.drain();
        self.drain = Drain::Looking(tokio::task::yield_now().boxed());
    }

    fn deadline(&self) -> Option<Instant> {
        #[cfg(feature = "http2")]
        match &self.state {
            State::Listening(since) => {
                return since.checked_add(self.options.head_timeout).into_iter().chain(self.patience()).min();
            }
            State::Http2(http2) => return http2.deadline(&self.options, self.desk.calls()),
            _ => {}
        }
        let quiet = self.quiet.as_ref()?;
        let first = quiet.calls == 0;
        let within = if quiet.begun || first { self.options.head_timeout } else { self.options.keep_alive_timeout };
        quiet.since.checked_add(within).into_iter().chain(self.patience()).min()
    }

    fn timeout(&mut self, io: &mut Io<'_, Self>) {
        #[cfg(feature = "http2")]
        match &mut self.state {
            State::Listening(_) => {
                self.state = State::Done;
                return io.close();
            }
            State::Http2(http2) => return http2.timeout(io),
            _ => {}
        }
        if self.quiet.take().is_some_and(|quiet| quiet.begun) {
            // hyper has nothing to write: see `quiet`.
            io.write(TOO_LATE);
            io.close_for(Reason::TimedOut(Phase::Open));
        } else {
            io.close();
        }
    }

    fn poll(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        if self.onward.poll(io, cx) {
            return;
        }
        match &mut self.state {
            State::Serving(_) => {}
            #[cfg(feature = "http2")]
            State::Listening(_) => return self.poll_listening(io, cx),
            #[cfg(feature = "http2")]
            State::Http2(_) => return self.poll_http2(io, cx),
            State::New | State::Done => return,
        }
        if let Drain::Looking(looking) = &mut self.drain
            && looking.as_mut().poll(cx).is_ready()
        {
            self.drain = Drain::Waiting(Instant::now() + PATIENCE);
        }
        self.desk.watched_by(cx.waker());
        loop {
            match self.poll_hyper(io, cx) {
                // Not taken from hyper by itself: somebody else has ended the connection, before or in this poll.
                _ if io.phase() != Phase::Open => {
                    self.cut_short(io, Reason::Aborted);
                    return self.leave();
                }
                Some(result) => {
                    return match (result, self.desk.take_promise()) {
                        (Ok(()), Some(promise)) => self.become_stream(io, cx, promise),
                        (result, _) => self.close(io, result),
                    };
                }
                None => self.look(io),
            }
            if !self.tell_of_drain() {
                return;
            }
        }
    }

    fn lost(&mut self, lost: &Lost) {
        let _ = self.fate.set(lost.reason.clone());
        self.onward.lost(lost);
        self.leave();
    }
}

impl<H: Respond> fmt::Debug for HttpServer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer")
            .field("requests", &self.desk.calls())
            .field("busy", &self.desk.is_busy())
            .finish_non_exhaustive()
    }
}
