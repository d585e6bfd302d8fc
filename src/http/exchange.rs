//! A request and its response on one connection.

use std::fmt;

use actix::{Handler, Message};
use http::{Request, Response};

use super::{Body, HttpClient, ResponseBody};
use crate::{
    connection::{Connection, Parked, Reply},
    fate::Reason,
};

/// Sends a request over this one connection; answers with the response when its head has come.
///
/// The request goes out as it is: with an origin-form target (`/path?query`), and with a `Host` header if it has none. One exchange is under way at a time and more wait in their order, because HTTP/1.1 has no
/// way to answer out of it; the next begins when the response's body was read to its end. A body that is dropped before, and an answer that is dropped before the response came, end the connection gracefully: there is no other
/// way to cancel (RFC 9112, section 9.5).
///
/// A [`Session`](super::Session) sends these; use it yourself to speak HTTP over a connection that you hold.
#[derive(Debug)]
pub struct Exchange(pub Request<Body>);

impl Message for Exchange {
    type Result = Result<Response<ResponseBody>, ExchangeError>;
}

/// An exchange that waits for its turn or is under way.
pub(super) type Answer = Reply<Result<Response<ResponseBody>, ExchangeError>>;

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
    /// What the peer sent is not a response. In the words of the HTTP library.
    NotHttp(String),
    /// The request's own body failed, in its own words. The connection is closed, because half a message is on its way.
    Body(String),
    /// The request cannot be written as HTTP/1.1.
    Request(String),
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
        let (client, io) = self.parts(context);
        if io.is_draining() || io.phase().is_closing() {
            let reason = None;
            return Parked::now(Err(ExchangeError::NotSent { request: Box::new(request), reason }));
        }
        let (reply, parked) = Reply::later();
        client.ask(request, reply);
        parked
    }
}
