//! What hyper calls: the handler, with what it may know of the connection, and with the count of what is under way.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use http::{
    Request, Response, StatusCode, Version,
    header::{CONNECTION, HeaderValue},
};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    RequestBody, Respond,
    desk::{Desk, Turn},
};
use crate::{
    fate::{ConnectionId, Peer},
    http::{
        Body, BoxError,
        incoming::Fate,
        upgrade::{Asks, Promise, UpgradeError},
    },
    tls::TlsInfo,
};

/// The requests of one connection.
pub(super) struct Requests<H> {
    pub(super) handler: H,
    pub(super) desk: Arc<Desk>,
    pub(super) fate: Fate,
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
    pub(super) tls: Option<Arc<TlsInfo>>,
}

impl<H: Respond> hyper::service::Service<Request<Incoming>> for Requests<H> {
    type Response = Response<Outgoing>;
    type Error = Infallible;
    type Future = Responding;

    fn call(&self, request: Request<Incoming>) -> Responding {
        let turn = self.desk.call();
        let version = request.version();
        let asks = Asks::of(request.method(), version, request.headers());
        self.desk.set_may_leave(asks != Asks::Not);
        let mut request = request.map(|incoming| {
            let body = RequestBody::new(incoming, self.fate.clone(), &self.desk);
            #[cfg(feature = "http2")]
            let body = body.streamed(version == Version::HTTP_2);
            body
        });
        let extensions = request.extensions_mut();
        extensions.insert(self.peer.clone());
        extensions.insert(self.id);
        if let Some(tls) = &self.tls {
            extensions.insert(tls.clone());
        }
        let promise = (asks != Asks::Not).then(|| Promise::make(extensions, &self.fate));
        Responding { answer: self.handler.respond(request), turn: Some(turn), version, asks, promise, id: self.id }
    }
}

/// A handler that runs.
pub(super) struct Responding {
    answer: BoxFuture<'static, Result<Response<Body>, BoxError>>,
    turn: Option<Turn>,
    version: Version,
    asks: Asks,
    promise: Option<Promise>,
    id: ConnectionId,
}

impl Future for Responding {
    type Output = Result<Response<Outgoing>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut response = ready!(self.answer.as_mut().poll(cx)).unwrap_or_else(|error| self.failed(&*error));
        let granted = self.asks.is_granted_by(response.status());
        if !granted && response.status() == StatusCode::SWITCHING_PROTOCOLS {
            response = self.failed("it answered with 101 a request that asks for no upgrade");
        }
        let turn = self.turn.take();
        let (id, version) = (self.id, self.version);
        if let Some(desk) = turn.as_ref().map(Turn::desk) {
            desk.set_may_leave(granted);
            match self.promise.take() {
                Some(promise) if granted => desk.promise(promise),
                Some(promise) => promise.refuse(UpgradeError::Refused(response.status())),
                None => {}
            }
            // On HTTP/2 that is GOAWAY's to say.
            if desk.is_draining() && !granted && version < Version::HTTP_2 {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if version < Version::HTTP_11 && response.body().size_hint().exact().is_none() {
                desk.ends_with_connection();
            }
        }
        Poll::Ready(Ok(response.map(|body| Outgoing { body, turn, id, version })))
    }
}

impl Responding {
    fn failed(&self, error: impl fmt::Display) -> Response<Body> {
        tracing::error!(id = self.id.get(), %error, "the handler of a request failed; answered with 500");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

/// The body of a response. hyper drops it when it has all of it.
pub(super) struct Outgoing {
    body: Body,
    turn: Option<Turn>,
    id: ConnectionId,
    version: Version,
}

/// A piece of a response. On HTTP/2 hyper has it for as long as the client's window has no room for it, and the response is not done before.
pub(super) struct Piece {
    bytes: Bytes,
    _turn: Option<Turn>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, n: usize) {
        self.bytes.advance(n);
    }

    fn copy_to_bytes(&mut self, n: usize) -> Bytes {
        self.bytes.copy_to_bytes(n)
    }
}

impl http_body::Body for Outgoing {
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(Err(error)), Version::HTTP_2) = (&frame, self.version) {
            // Where it ends the connection that is told with the connection.
            tracing::error!(id = self.id.get(), %error, "a response could not be sent; its stream is reset");
        }
        let turn = || match &self.turn {
            Some(turn) if self.version == Version::HTTP_2 => Some(turn.desk().turn()),
            _ => None,
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| Piece { bytes, _turn: turn() }))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
