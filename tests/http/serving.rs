//! The server: what it answers, and how its connections end.

mod draining;
mod ending;
#[cfg(feature = "multipart")]
mod forms;
#[cfg(feature = "http2")]
mod http2;
mod limits;
mod programs;
mod requests;
mod tower;

use exeunt::{
    Peer,
    http::{Body, BodyError, FromFn, HttpServer, IntoResponse, RequestBody, ServerOptions},
};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

/// One server by this handler.
pub fn server<F, A>(handler: F) -> HttpServer<FromFn<F>>
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output: IntoResponse> + Send + 'static,
{
    server_with(ServerOptions::new(), handler)
}

pub fn server_with<F, A>(options: ServerOptions, handler: F) -> HttpServer<FromFn<F>>
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output: IntoResponse> + Send + 'static,
{
    options.serve(handler)(&Peer { name: "anybody".into(), address: None })
}

/// Answers with what was asked for, and sends the body back.
async fn mirror(request: Request<RequestBody>) -> Result<Response<Body>, BodyError> {
    let said = format!("{} {} ", request.method(), request.uri());
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Body::from([said.as_bytes(), &body].concat())))
}

/// Says something when it is dropped.
pub fn guard(tell: mpsc::UnboundedSender<()>) -> impl Send {
    struct Guard(mpsc::UnboundedSender<()>);
    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    Guard(tell)
}
