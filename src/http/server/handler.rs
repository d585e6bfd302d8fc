//! What answers a request: a user's function, or a `tower` service.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use http::{Request, Response};

use super::{HttpServer, RequestBody, ServerOptions};
use crate::{
    fate::Peer,
    http::{Body, BoxError},
};

/// Answers the requests of a connection. Each has one of its own, cloned for it.
///
/// You need not implement it: [`serve`] makes one of a function, `serve_tower` (feature `tower`) one of a service.
pub trait Respond: Clone + Send + Unpin + 'static {
    /// Begins the answer to a request. An error is told to `tracing` and answered with 500; a panic ends the connection as [`Panicked`](crate::Reason::Panicked).
    fn respond(&self, request: Request<RequestBody>) -> BoxFuture<'static, Result<Response<Body>, BoxError>>;
}

/// What a handler may return: a response, or a `Result` with one.
pub trait IntoResponse {
    /// The response, or the error for which there is none.
    ///
    /// # Errors
    /// Whatever the handler failed with.
    fn into_response(self) -> Result<Response<Body>, BoxError>;
}

impl IntoResponse for Response<Body> {
    fn into_response(self) -> Result<Response<Body>, BoxError> {
        Ok(self)
    }
}

impl<R: IntoResponse, E: Into<BoxError>> IntoResponse for Result<R, E> {
    fn into_response(self) -> Result<Response<Body>, BoxError> {
        self.map_err(Into::into)?.into_response()
    }
}

/// Serves HTTP with this function, in the version that the client speaks (for HTTP/2 over TLS the listener has to [offer](super::super::ALPN) it): what [`Listen`](crate::Listen) makes the protocol of each connection by.
///
/// ```no_run
/// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>, tls: exeunt::ServerTls) -> Result<(), Box<dyn std::error::Error>> {
/// use exeunt::{Listen, Peer, http::{self, Body, RequestBody}};
/// use ::http::{Request, Response};
///
/// async fn hello(request: Request<RequestBody>) -> Result<Response<Body>, std::io::Error> {
///     let peer = request.extensions().get::<Peer>().map(Peer::to_string).unwrap_or_default();
///     Ok(Response::new(Body::from(format!("hello, {peer}\n"))))
/// }
///
/// supervisor.send(Listen::on(([127, 0, 0, 1], 4433).into(), &tls, http::serve(hello))).await??;
/// # Ok(())
/// # }
/// ```
///
/// A request's extensions hold the [`Peer`], the [`ConnectionId`](crate::ConnectionId) and, if there is TLS, an `Arc<TlsInfo>` ([`TlsInfo`](crate::tls::TlsInfo)).
pub fn serve<F, A>(handler: F) -> impl FnMut(&Peer) -> HttpServer<FromFn<F>> + Send + 'static
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output: IntoResponse> + Send + 'static,
{
    ServerOptions::new().serve(handler)
}

impl ServerOptions {
    /// As [`serve`], with these options.
    pub fn serve<F, A>(self, handler: F) -> impl FnMut(&Peer) -> HttpServer<FromFn<F>> + Send + 'static
    where
        F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
        A: Future<Output: IntoResponse> + Send + 'static,
    {
        self.make(FromFn::new(handler))
    }

    fn make<H: Respond>(self, handler: H) -> impl FnMut(&Peer) -> HttpServer<H> + Send + 'static {
        move |_| HttpServer::new(handler.clone()).options(self.clone())
    }
}

/// A function that answers requests: see [`serve`].
pub struct FromFn<F>(Arc<F>);

impl<F> FromFn<F> {
    /// This function, which the connections share.
    pub fn new(handler: F) -> Self {
        FromFn(Arc::new(handler))
    }
}

impl<F> Clone for FromFn<F> {
    fn clone(&self) -> Self {
        FromFn(self.0.clone())
    }
}

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

impl<F, A> Respond for FromFn<F>
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output: IntoResponse> + Send + 'static,
{
    fn respond(&self, request: Request<RequestBody>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
        let answer = (self.0)(request);
        Box::pin(async move { answer.await.into_response() })
    }
}

#[cfg(feature = "tower")]
mod tower {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tower_service::Service;

    use super::*;

    /// As [`serve`], with a `tower` service; it is cloned for each request, so that each can wait for it to be ready.
    pub fn serve_tower<S, B>(service: S) -> impl FnMut(&Peer) -> HttpServer<Tower<S>> + Send + 'static
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Unpin
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        ServerOptions::new().serve_tower(service)
    }

    impl ServerOptions {
        /// As [`serve_tower`], with these options.
        pub fn serve_tower<S, B>(self, service: S) -> impl FnMut(&Peer) -> HttpServer<Tower<S>> + Send + 'static
        where
            S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
                + Clone
                + Send
                + Unpin
                + 'static,
            B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        {
            self.make(Tower::new(service))
        }
    }

    /// A `tower` service that answers requests: see [`serve_tower`].
    #[derive(Clone, Debug)]
    pub struct Tower<S>(S);

    impl<S> Tower<S> {
        /// This service, which is cloned for each connection.
        pub fn new(service: S) -> Self {
            Tower(service)
        }
    }

    impl<S, B> Respond for Tower<S>
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + Unpin
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        fn respond(&self, request: Request<RequestBody>) -> BoxFuture<'static, Result<Response<Body>, BoxError>> {
            let mut service = self.0.clone();
            Box::pin(async move {
                poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
                let response = service.call(request).await.map_err(Into::into)?;
                Ok(response.map(Body::wrap))
            })
        }
    }
}

#[cfg(feature = "tower")]
pub use tower::{Tower, serve_tower};
