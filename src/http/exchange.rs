//! A request and its response on one connection.

use std::{fmt, task::Context};

use actix::{Actor, Handler, Message};
use http::{Request, Response};

use super::{Body, HttpClient, ResponseBody, watch::Slot};
use crate::{
    connection::{Connection, Parked, Reply},
    fate::Reason,
};

/// Sends a request over this one connection; answers with the response when its head has come.
///
/// The request goes out as it is: with an origin-form target (`/path?query`), and with a `Host` header if it has none. On HTTP/1.1 one exchange is under way at a time and more wait in their order, because it has no
/// way to answer out of it; the next begins when the response's body was read to its end. A body that is dropped before, and an answer that is dropped before the response came, end the connection gracefully: there is no other
/// way to cancel (RFC 9112, section 9.5).
///
/// On HTTP/2 as many are under way as the peer allows. The `Host` header goes as `:authority`, headers that are of a connection (`Connection` and what it names, `Transfer-Encoding`, `Upgrade` and their like) are left
/// out, and whatever is dropped resets its own stream and no other (RFC 9113, sections 8.2.2, 8.3.1 and 5.4.2).
///
/// A [`Session`](super::Session) sends these; use it yourself to speak HTTP over a connection that you hold.
#[derive(Debug)]
pub struct Exchange(pub Request<Body>);

impl Message for Exchange {
    type Result = Result<Response<ResponseBody>, ExchangeError>;
}

/// An exchange that waits for its turn or is under way.
pub(super) enum Answer {
    Exchange(Reply<Result<Response<ResponseBody>, ExchangeError>>),
    Leased(Reply<Result<Box<Response<ResponseBody>>, ExchangeError>>),
}

impl Answer {
    pub(super) fn send(self, answer: Result<Box<Response<ResponseBody>>, ExchangeError>) {
        match self {
            Answer::Exchange(reply) => reply.send(answer.map(|response| *response)),
            Answer::Leased(reply) => reply.send(answer),
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        match self {
            Answer::Exchange(reply) => reply.is_given_up(),
            Answer::Leased(reply) => reply.is_given_up(),
        }
    }

    pub(super) fn poll_given_up(&self, cx: &mut Context<'_>) -> bool {
        match self {
            Answer::Exchange(reply) => reply.poll_given_up(cx),
            Answer::Leased(reply) => reply.poll_given_up(cx),
        }
    }
}

/// Why there is no response.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExchangeError {
    /// Nothing of it was written, because the connection had ended, was ending or was given no more: it can be sent elsewhere, whatever its method.
    NotSent {
        /// The request, as it was given.
        request: Box<Request<Body>>,
        /// Why the connection ended. `None`: it is draining or closing at our own wish.
        reason: Option<Reason>,
    },
    /// It was written, or a part of it, and the connection ended before the head of a response: nobody knows what the peer did.
    Lost {
        /// Why the connection ended, as far as it is known by now.
        reason: Option<Reason>,
    },
    /// It was written, or was about to be, and the peer says that it did not process it: it can be sent again, whatever its method. On HTTP/2 only.
    NotProcessed {
        /// The request, as it was given, if nothing of it was written.
        request: Option<Box<Request<Body>>>,
        /// How the peer says so.
        why: NotProcessed,
    },
    /// The peer has reset the exchange before the head of a response came; the connection goes on. On HTTP/2 only, by the name of the error (RFC 9113, section 7).
    Reset(String),
    /// What the peer sent is not a response. In the words of the HTTP library.
    NotHttp(String),
    /// The request's own body failed, in its own words. The connection is closed, because half a message is on its way.
    Body(String),
    /// The request cannot be written as HTTP.
    Request(String),
}

/// How a peer says that it did not process a request (RFC 9113, sections 6.8 and 8.7).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotProcessed {
    /// By a GOAWAY whose last stream is before that of the request: the connection takes no more.
    GoAway,
    /// By resetting its stream with REFUSED_STREAM: it has too many.
    Refused,
}

impl fmt::Display for NotProcessed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotProcessed::GoAway => "the peer takes no more requests on this connection (GOAWAY)",
            NotProcessed::Refused => "the peer has refused it (REFUSED_STREAM)",
        })
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeError::NotSent { reason: Some(reason), .. } => write!(f, "the request was not sent: {reason}"),
            ExchangeError::NotSent { reason: None, .. } => {
                f.write_str("the request was not sent: the connection is closing")
            }
            ExchangeError::Lost { reason: Some(reason) } => write!(f, "the request was not answered: {reason}"),
            ExchangeError::Lost { reason: None } => {
                f.write_str("the request was not answered: the connection was closed")
            }
            ExchangeError::NotProcessed { why, .. } => write!(f, "the request was not processed: {why}"),
            ExchangeError::Reset(words) => write!(f, "the peer has reset the request: {words}"),
            ExchangeError::NotHttp(words) => write!(f, "the peer did not answer in HTTP: {words}"),
            ExchangeError::Body(words) => write!(f, "the request's body failed: {words}"),
            ExchangeError::Request(words) => write!(f, "the request cannot be sent: {words}"),
        }
    }
}

impl std::error::Error for ExchangeError {}

impl Handler<Exchange> for Connection<HttpClient> {
    type Result = Parked<Result<Response<ResponseBody>, ExchangeError>>;

    fn handle(&mut self, Exchange(request): Exchange, context: &mut Self::Context) -> Self::Result {
        self.take_request(Box::new(request), None, Answer::Exchange, context)
    }
}

/// An [`Exchange`] on a connection of a pool. What is boxed is large, and goes through many hands.
#[derive(Debug)]
pub(super) struct Leased {
    pub(super) request: Box<Request<Body>>,
    pub(super) slot: Option<Slot>,
}

impl Message for Leased {
    type Result = Result<Box<Response<ResponseBody>>, ExchangeError>;
}

impl Handler<Leased> for Connection<HttpClient> {
    type Result = Parked<Result<Box<Response<ResponseBody>>, ExchangeError>>;

    fn handle(&mut self, Leased { request, slot }: Leased, context: &mut Self::Context) -> Self::Result {
        self.take_request(request, slot, Answer::Leased, context)
    }
}

impl Connection<HttpClient> {
    fn take_request<R>(
        &mut self,
        request: Box<Request<Body>>,
        slot: Option<Slot>,
        answer: impl FnOnce(Reply<Result<R, ExchangeError>>) -> Answer,
        context: &mut <Self as Actor>::Context,
    ) -> Parked<Result<R, ExchangeError>> {
        let (client, io) = self.parts(context);
        if io.is_draining() || io.phase().is_closing() {
            let reason = None;
            return Parked::now(Err(ExchangeError::NotSent { request, reason }));
        }
        let (reply, parked) = Reply::later();
        client.ask(request, answer(reply), slot);
        parked
    }
}
