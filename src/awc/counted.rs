//! awc's middleware: each request is a turn, until its response's body was read, has failed or was dropped.

use std::{
    fmt,
    future::{poll_fn, ready},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use ::awc::{BoxedSocket, ConnectRequest, ConnectResponse, error::SendRequestError, middleware::Transform};
use actix_http::{BoxedPayloadStream, Payload, error::PayloadError};
use actix_service::Service;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, future::LocalBoxFuture};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Connector,
    account::{Account, Turn},
    refused,
};

impl<S> Transform<S, ConnectRequest> for Connector
where
    S: Service<ConnectRequest, Response = ConnectResponse, Error = SendRequestError> + 'static,
{
    type Transform = Counted<S>;

    fn new_transform(self, service: S) -> Counted<S> {
        self.account.counts();
        Counted { service, account: self.account }
    }
}

/// What a [`Connector`] makes of awc's requests when it is its middleware.
pub struct Counted<S> {
    service: S,
    account: Rc<Account>,
}

impl<S> Service<ConnectRequest> for Counted<S>
where
    S: Service<ConnectRequest, Response = ConnectResponse, Error = SendRequestError> + 'static,
{
    type Response = ConnectResponse;
    type Error = SendRequestError;
    type Future = LocalBoxFuture<'static, Result<ConnectResponse, SendRequestError>>;

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), SendRequestError>> {
        self.service.poll_ready(cx)
    }

    fn call(&self, request: ConnectRequest) -> Self::Future {
        if self.account.is_draining() {
            return Box::pin(ready(Err(refused())));
        }
        let turn = Turn::begin(&self.account);
        let mut answer = Box::pin(turn.enter(|| self.service.call(request)));
        Box::pin(async move {
            let response = poll_fn(|cx| turn.enter(|| answer.as_mut().poll(cx))).await?;
            Ok(match response {
                ConnectResponse::Client(response) => ConnectResponse::Client(response.map_body(|_, body| match body {
                    Payload::None => Payload::None,
                    body => {
                        Payload::Stream { payload: Box::pin(Body { body, turn: Some(turn) }) as BoxedPayloadStream }
                    }
                })),
                ConnectResponse::Tunnel(head, framed) => {
                    let framed = framed.into_map_io(|io| Box::new(Tunnel { io, turn: turn.clone() }) as BoxedSocket);
                    ConnectResponse::Tunnel(head, framed)
                }
            })
        })
    }
}

impl<S> fmt::Debug for Counted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

/// The body of a response.
struct Body {
    body: Payload,
    /// `None`: it has ended.
    turn: Option<Rc<Turn>>,
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(turn) = &this.turn else { return Poll::Ready(None) };
        let item = turn.enter(|| this.body.poll_next_unpin(cx));
        if matches!(item, Poll::Ready(None | Some(Err(_)))) {
            // awc gives the connection back as it says so.
            this.turn = None;
        }
        item
    }
}

/// What an upgraded connection became.
struct Tunnel {
    io: BoxedSocket,
    turn: Rc<Turn>,
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.turn.enter(|| Pin::new(&mut this.io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.turn.enter(|| Pin::new(&mut this.io).poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.turn.enter(|| Pin::new(&mut this.io).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.turn.enter(|| Pin::new(&mut this.io).poll_shutdown(cx))
    }
}
