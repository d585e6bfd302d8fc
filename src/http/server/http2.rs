//! A server's HTTP/2: hyper's connection, polled in the actor's own poll with the handlers that it would have spawned; and how a client is known to speak it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;
use hyper::server::conn::http2::Connection as HyperConnection;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{Drain, HttpServer, PATIENCE, Quiet, Respond, ServerOptions, State, service::Requests};
use crate::{
    connection::{Io, Lent, ProtocolError},
    fate::Reason,
    http::{
        Versions,
        http2::{Blame, Spawner, Tasks},
        incoming::words,
    },
    lifecycle::Phase,
};

/// What a client says first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

type Connection<H> = HyperConnection<TokioIo<Lent>, Requests<H>, Spawner>;

pub(super) struct Http2<H: Respond> {
    lent: Lent,
    connection: Pin<Box<Connection<H>>>,
    tasks: Tasks,
    /// Since when nothing is under way.
    quiet: Option<Instant>,
    /// Since when the client is told that no further request is taken.
    going: Option<Instant>,
    /// All of the preface has come.
    begun: bool,
}

/// Whether the client speaks HTTP/2. `None`: its first bytes will say it.
pub(super) fn spoken<H: Respond>(versions: Versions, io: &Io<'_, HttpServer<H>>) -> Option<bool> {
    match (versions, io.alpn()) {
        (Versions::Http2, _) => Some(true),
        (Versions::Http1, _) => Some(false),
        (Versions::Auto, Some(alpn)) => Some(alpn == b"h2"),
        (Versions::Auto, None) => None,
    }
}

impl<H: Respond> Http2<H> {
    /// Nothing may be waited for longer than until then.
    pub(super) fn deadline(&self, options: &ServerOptions, calls: u64) -> Option<Instant> {
        let quiet = self.quiet?;
        match self.going {
            Some(going) => Some(going.max(quiet) + PATIENCE),
            None if self.begun || calls > 0 => quiet.checked_add(options.keep_alive_timeout),
            None => quiet.checked_add(options.head_timeout),
        }
    }

    /// It was: then the client is told, and the next time the connection is closed.
    pub(super) fn timeout(&mut self, io: &mut Io<'_, HttpServer<H>>) {
        if self.going.is_some() || !self.begun {
            return io.close();
        }
        self.go_away();
    }

    fn go_away(&mut self) {
        if self.going.is_none() {
            self.going = Some(Instant::now());
            self.connection.as_mut().graceful_shutdown();
        }
    }

    /// Polls all of hyper once. `Some`: it is done with the connection.
    fn poll_hyper(&mut self, io: &mut Io<'_, HttpServer<H>>, cx: &mut Context<'_>) -> Option<hyper::Result<()>> {
        let Http2 { lent, connection, tasks, .. } = self;
        tasks.poll(cx);
        // With the actor's own waker, by which the link wakes those whose bytes it has written.
        let polled = io.lend(lent, cx, |cx| connection.as_mut().poll(cx));
        // The handlers of what has come.
        tasks.poll(cx);
        match polled {
            None => Some(Ok(())),
            Some(Poll::Pending) => None,
            Some(Poll::Ready(result)) => Some(result),
        }
    }
}

impl<H: Respond> HttpServer<H> {
    pub(super) fn speak_http2(&mut self, io: &mut Io<'_, Self>, lent: Lent) {
        io.drive(true);
        let requests = self.requests(io);
        let (spawner, tasks) = Tasks::new();
        let connection = self.options.http2.of_server(spawner).serve_connection(TokioIo::new(lent.clone()), requests);
        let connection = Box::pin(connection);
        self.state = State::Http2(Box::new(Http2 { lent, connection, tasks, quiet: None, going: None, begun: false }));
    }

    /// Looks at what has come, if it says by now what the client speaks.
    pub(super) fn listen(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) {
        let n = data.len().min(PREFACE.len());
        let is_http2 = data[..n] == PREFACE[..n];
        if is_http2 && n < PREFACE.len() {
            return;
        }
        let lent = Lent::after(data.split().freeze());
        if is_http2 {
            return self.speak_http2(io, lent);
        }
        self.speak_http1(io, lent);
        // Bytes of a head are there: it is late from now on, and a drain waits for the rest.
        let received = io.link().received();
        self.quiet = Some(Quiet { since: Instant::now(), begun: true, calls: 0, received });
    }

    /// In a drain a client that has said nothing is not waited for.
    pub(super) fn poll_listening(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        if io.phase() != Phase::Open {
            self.state = State::Done;
            return;
        }
        if let Drain::Looking(looking) = &mut self.drain
            && looking.as_mut().poll(cx).is_ready()
        {
            if io.link().received() > 0 {
                self.drain = Drain::Waiting(Instant::now() + PATIENCE);
            } else {
                self.state = State::Done;
                io.close();
            }
        }
    }

    pub(super) fn poll_http2(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        self.desk.watched_by(cx.waker());
        let State::Http2(http2) = &mut self.state else { return };
        if !matches!(self.drain, Drain::No) {
            http2.go_away();
        }
        let done = if io.phase() == Phase::Open { http2.poll_hyper(io, cx) } else { Some(Ok(())) };
        if let Some(cause) = io.link().cause() {
            let _ = self.fate.set(cause.clone());
        }
        http2.begun |= io.link().received() >= PREFACE.len() as u64;
        http2.quiet = match self.desk.is_busy() || !io.link().is_flushed() {
            true => None,
            false => http2.quiet.or_else(|| Some(Instant::now())),
        };
        let Some(result) = done else { return };
        match result.as_ref().map_err(Blame::of) {
            Err(Blame::GoAway(Some(words)) | Blame::NotHttp(words)) => io.fail(ProtocolError::new(words)),
            Err(Blame::TimedOut) => io.close_for(Reason::TimedOut(Phase::Open)),
            Err(_) => {
                let error = result.as_ref().err().map(|error| words(error));
                tracing::debug!(id = io.id().get(), error, "HTTP ended");
                io.close();
            }
            Ok(()) => io.close(),
        }
        self.leave();
    }
}
