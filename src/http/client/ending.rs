//! Exchanges that end without a response.

use std::task::Context;

use http::Request;
use hyper::client::conn::TrySendError;

use super::{Asked, HttpClient, State};
use crate::{
    connection::{Io, ProtocolError},
    http::{Body, ExchangeError, incoming::words},
};

impl HttpClient {
    /// Why an exchange failed, and what that means for the connection.
    pub(super) fn failed(&self, io: &mut Io<'_, Self>, mut error: TrySendError<Request<Body>>) -> ExchangeError {
        let reason = self.fate.get().cloned();
        let request = error.take_message();
        let error = error.into_error();
        if let Some(request) = request {
            return ExchangeError::NotSent { request: Box::new(request), reason };
        }
        if matches!(self.state, State::Done) {
            // The connection was taken from hyper, which then blames the user.
            return ExchangeError::Lost { reason };
        }
        if reason.is_none() && (error.is_parse() || error.is_parse_too_large() || is_unexpected(&error)) {
            let words = words(&error);
            io.fail(ProtocolError::new(words.clone()));
            return ExchangeError::NotHttp(words);
        }
        if error.is_user() {
            return match std::error::Error::source(&error) {
                Some(source) => ExchangeError::Body(words(source)),
                None => ExchangeError::Request(words(&error)),
            };
        }
        ExchangeError::Lost { reason }
    }

    /// No further exchange: what waits is given back, and what is under way ends as hyper says when its connection is dropped.
    pub(super) fn leave(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>) {
        if let Some(watch) = &self.watch
            && !matches!(self.state, State::Done)
        {
            watch.leaving();
        }
        self.state = State::Done;
        self.answer(io, cx);
        self.give_back();
    }

    pub(super) fn give_back(&mut self) {
        for Asked { request, answer, .. } in self.asked.drain(..) {
            let reason = self.fate.get().cloned();
            answer.send(Err(ExchangeError::NotSent { request, reason }));
        }
    }
}

/// hyper has no predicate for a message that comes when none is awaited.
fn is_unexpected(error: &hyper::Error) -> bool {
    error.to_string().contains("unexpected message")
}
