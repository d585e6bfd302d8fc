//! hyper's own server over tokio-openssl, whose answers wait before a gate: a peer that we did not write.

#[path = "acceptor.rs"]
mod acceptor;

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc};

use bytes::Bytes;
use exeunt::tls::SelfSigned;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use openssl::ssl::{AlpnError, Ssl, SslAcceptor, select_next_proto};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_openssl::SslStream;

/// A server, and the gate before which `/head` has sent nothing and `/body` half of its body.
pub struct Gated {
    pub signed: SelfSigned,
    pub address: SocketAddr,
    pub gate: Arc<Semaphore>,
}

impl Gated {
    pub async fn start() -> Self {
        let signed = exeunt::tls::self_signed(&["localhost", "127.0.0.1"]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(Semaphore::new(0));
        tokio::spawn(serve(listener, acceptor(&signed), gate.clone()));
        Gated { signed, address, gate }
    }
}

fn acceptor(signed: &SelfSigned) -> SslAcceptor {
    let mut builder = acceptor::acceptor(signed);
    builder.set_alpn_select_callback(|_, offered| {
        select_next_proto(b"\x02h2\x08http/1.1", offered).ok_or(AlpnError::NOACK)
    });
    builder.build()
}

/// Serves HTTP on each connection; without TLS when the first byte is not a handshake's.
async fn serve(listener: TcpListener, acceptor: SslAcceptor, gate: Arc<Semaphore>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (ssl, gate) = (Ssl::new(acceptor.context()).unwrap(), gate.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, gate.clone()));
            let mut first = [0];
            socket.peek(&mut first).await.unwrap();
            if first != [0x16] {
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                return;
            }
            let mut stream = SslStream::new(ssl, socket).unwrap();
            Pin::new(&mut stream).accept().await.unwrap();
            let http2 = stream.ssl().selected_alpn_protocol() == Some(b"h2");
            let io = TokioIo::new(stream);
            let _ = match http2 {
                true => {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
                }
                false => hyper::server::conn::http1::Builder::new().serve_connection(io, service).await,
            };
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    gate: Arc<Semaphore>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = (request.uri().path() == "/head", request.uri().path() == "/body");
    let wait = move |waits: bool, bytes: &'static str| {
        let gate = gate.clone();
        async move {
            if waits {
                gate.acquire().await.unwrap().forget();
            }
            Ok(Frame::data(Bytes::from_static(bytes.as_bytes())))
        }
    };
    let _ = wait(head, "").await;
    // A streamed body, and so a chunked one.
    let parts = vec![(false, "first, "), (body, "second")];
    let parts = stream::iter(parts).then(move |(waits, bytes): (bool, &'static str)| wait(waits, bytes));
    Ok(Response::new(StreamBody::new(parts).boxed_unsync()))
}
