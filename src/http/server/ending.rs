//! When nothing is under way, how a drain is told to hyper, and what it means that hyper is done.

use std::pin::Pin;

use tokio::time::Instant;

use super::{Drain, HttpServer, Quiet, Respond, State};
use crate::{
    connection::{Io, ProtocolError},
    fate::Reason,
    http::incoming::words,
};

impl<H: Respond> HttpServer<H> {
    /// Looks whether anything is under way.
    pub(super) fn look(&mut self, io: &mut Io<'_, Self>) {
        if self.desk.is_busy() || !io.link().is_flushed() {
            self.quiet = None;
            return;
        }
        let (calls, received) = (self.desk.calls(), io.link().received());
        match &mut self.quiet {
            Some(quiet) if quiet.calls == calls => {
                if !quiet.begun && received > quiet.received {
                    quiet.begun = true;
                    quiet.since = Instant::now();
                }
            }
            quiet => *quiet = Some(Quiet { since: Instant::now(), begun: false, calls, received }),
        }
    }

    /// Takes a drain one step further. Whether hyper is to be polled again.
    pub(super) fn tell_of_drain(&mut self) -> bool {
        match &self.drain {
            // hyper would put `close` into the head of an upgrade. Where that is refused, we say so ourselves.
            Drain::Waiting(_) if self.desk.may_leave() => return false,
            Drain::Waiting(_) if !self.quiet.as_ref().is_some_and(|quiet| quiet.begun) => {}
            _ => return false,
        }
        if let State::Serving(serving) = &mut self.state {
            Pin::new(&mut serving.connection).graceful_shutdown();
        }
        self.drain = Drain::Told;
        true
    }

    /// How long a drain waits for what has begun to come.
    pub(super) fn patience(&self) -> Option<Instant> {
        match self.drain {
            Drain::Waiting(until) => Some(until),
            _ => None,
        }
    }

    /// hyper is done.
    pub(super) fn close(&mut self, io: &mut Io<'_, Self>, result: hyper::Result<()>) {
        match result {
            Ok(()) => io.close(),
            Err(error) if error.is_parse() || error.is_parse_too_large() => io.fail(ProtocolError::new(words(&error))),
            Err(error) if error.is_user() || error.is_body_write_aborted() => {
                let words = format!("a response could not be sent: {}", words(&error));
                tracing::error!(id = io.id().get(), "{words}");
                self.cut_short(io, Reason::Protocol(words.clone()));
                io.fail(ProtocolError::new(words));
            }
            // The stream failed, which the link knows, or the client went in the middle of a request.
            Err(error) => {
                tracing::debug!(id = io.id().get(), error = words(&error), "HTTP ended");
                self.cut_short(io, Reason::Aborted);
                io.close();
            }
        }
        self.leave();
    }

    /// The connection ends and hyper is not done. A close_notify would make a whole response of half a one that has nothing else to say that it is whole (law 5).
    pub(super) fn cut_short(&mut self, io: &mut Io<'_, Self>, reason: Reason) {
        if self.desk.is_ended_by_connection() && matches!(self.state, State::Serving(_)) {
            let reason = io.link().cause().cloned().unwrap_or(reason);
            io.abort_for(reason);
        }
    }
}
