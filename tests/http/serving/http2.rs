//! HTTP/2 as a server, by the client's first bytes: over TLS without ALPN, and without TLS.

mod crowd;
mod ends;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use exeunt::{
    Phase, Protocol, Reason, Verdict,
    http::{Body, BodyError, Http2Options, RequestBody, ServerOptions, Versions},
};
use futures_util::future::join_all;
use http::{Request, Response, StatusCode, Version};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    sync::mpsc,
    time::Instant,
};

use super::{guard, mirror, server, server_with};
use crate::{
    frames::{self, Frames},
    over_both,
    stage::{Client, Over, SECOND, Scene, Stream, settled},
};

over_both!(
    many_requests_at_once_are_answered
    a_handler_that_fails_is_one_stream_with_500
    a_handler_that_panics_ends_the_connection
    a_request_that_is_reset_drops_its_handler
    a_body_that_is_reset_is_no_body
    more_streams_than_allowed_are_refused
    a_client_that_breaks_the_rules_is_told
    a_response_that_fails_resets_its_stream
    a_server_of_one_version_speaks_no_other
);

type Speaker = Frames<Box<dyn Stream>>;

/// What the scene's client speaks over, to be spoken over by another.
fn stream_of<P: Protocol>(scene: &mut Scene<P>) -> Box<dyn Stream> {
    let gone = Client::new(tokio::io::duplex(1).0);
    std::mem::replace(&mut scene.client, gone).stream
}

async fn open<P: Protocol>(over: Over, protocol: P) -> (Scene<P>, Speaker) {
    let mut scene = Scene::open(over, protocol).await;
    let client = Frames::client(stream_of(&mut scene)).await;
    (scene, client)
}

/// The library's own client, driven beside the scene.
async fn speak<P: Protocol>(over: Over, protocol: P) -> (Scene<P>, h2::client::SendRequest<bytes::Bytes>) {
    let mut scene = Scene::open(over, protocol).await;
    let (sender, connection) = h2::client::handshake(Lasting(Some(stream_of(&mut scene)))).await.unwrap();
    actix::spawn(async { drop(connection.await) });
    (scene, sender)
}

/// What a client's library speaks over, and does not drop before the server has ended, too: the end is then what it is.
struct Lasting(Option<Box<dyn Stream>>);

impl Drop for Lasting {
    fn drop(&mut self) {
        let Some(mut stream) = self.0.take() else { return };
        actix::spawn(async move { while matches!(stream.read(&mut [0; 1024]).await, Ok(1..)) {} });
    }
}

impl AsyncRead for Lasting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.as_mut().unwrap()).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lasting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self.0.as_mut().unwrap()).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.as_mut().unwrap()).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.0.as_mut().unwrap()).poll_shutdown(cx)
    }
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://localhost{path}")).body(()).unwrap()
}

async fn read(mut body: h2::RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len()).unwrap();
        all.extend(bytes);
    }
    Ok(all)
}

async fn many_requests_at_once_are_answered(over: Over) {
    let together = std::sync::Arc::new(tokio::sync::Barrier::new(50));
    let handler = move |request: Request<RequestBody>| {
        let together = together.clone();
        async move {
            assert_eq!(request.version(), Version::HTTP_2);
            together.wait().await;
            mirror(request).await
        }
    };
    let (scene, sender) = speak(over, server(handler)).await;
    let ask = async |n: usize| {
        let mut sender = sender.clone().ready().await.unwrap();
        let (response, mut body) = sender.send_request(get(&format!("/{n}")), false).unwrap();
        body.send_data(format!("body {n}").into(), true).unwrap();
        let response = response.await.unwrap();
        assert!(response.headers().contains_key("date"));
        read(response.into_body()).await.unwrap()
    };
    for (n, answer) in join_all((0..50).map(ask)).await.into_iter().enumerate() {
        assert_eq!(String::from_utf8(answer).unwrap(), format!("GET http://localhost/{n} body {n}"));
    }
    drop(sender);
    assert_eq!(scene.end().await.totals.admitted, 1);
}

async fn a_handler_that_fails_is_one_stream_with_500(over: Over) {
    let handler = async |request: Request<RequestBody>| match request.uri().path() {
        "/fails" => Err(std::io::Error::other("out of order")),
        _ => Ok(Response::new(Body::from("fine"))),
    };
    let (scene, mut sender) = speak(over, server(handler)).await;
    let (failing, _) = sender.send_request(get("/fails"), true).unwrap();
    let (fine, _) = sender.send_request(get("/"), true).unwrap();
    assert_eq!(failing.await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(read(fine.await.unwrap().into_body()).await.unwrap(), b"fine");
    drop(sender);
    scene.end().await;
}

async fn a_handler_that_panics_ends_the_connection(over: Over) {
    let handler = async |_: Request<RequestBody>| -> Response<Body> { panic!("out of order") };
    let (mut scene, mut sender) = speak(over, server(handler)).await;
    let (response, _) = sender.send_request(get("/"), true).unwrap();
    assert!(response.await.is_err());
    let lost = scene.lost().await;
    assert!(matches!(&lost.reason, Reason::Panicked(words) if words == "out of order"), "{lost}");
    scene.end().await;
}

async fn a_request_that_is_reset_drops_its_handler(over: Over) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |request: Request<RequestBody>| {
        let guard = (request.uri().path() == "/never").then(|| guard(tell.clone()));
        async move {
            if guard.is_some() {
                std::future::pending::<()>().await;
            }
            Response::new(Body::from("fine"))
        }
    };
    let (scene, mut sender) = speak(over, server(handler)).await;
    let (response, mut stream) = sender.send_request(get("/never"), true).unwrap();
    settled().await;
    stream.send_reset(h2::Reason::CANCEL);
    told.recv().await.unwrap();
    drop(response);
    let (fine, _) = sender.send_request(get("/"), true).unwrap();
    assert_eq!(read(fine.await.unwrap().into_body()).await.unwrap(), b"fine");
    drop((sender, stream));
    scene.end().await;
}

/// Law 5, for requests: also with NO_ERROR, which no client should send.
async fn a_body_that_is_reset_is_no_body(over: Over) {
    for (error, name) in [(frames::CANCEL, "CANCEL"), (frames::NO_ERROR, "NO_ERROR")] {
        let (tell, mut told) = mpsc::unbounded_channel();
        let handler = move |request: Request<RequestBody>| {
            // Elsewhere, since the handler is dropped with its stream.
            let (tell, body) = (tell.clone(), request.into_body());
            actix::spawn(async move { tell.send(body.collect().await.map(drop)).unwrap() });
            std::future::pending::<Response<Body>>()
        };
        let (scene, mut client) = open(over, server(handler)).await;
        client.ask(1, 0).await;
        client.say(frames::DATA, 0, 1, b"half").await;
        settled().await;
        client.reset(1, error).await;
        let failed = told.recv().await.unwrap().unwrap_err();
        assert!(matches!(&failed, BodyError::Reset { received: 4, name: said, .. } if said == name), "{failed:?}");
        drop(client);
        scene.end().await;
    }
}

async fn more_streams_than_allowed_are_refused(over: Over) {
    let options = ServerOptions::new().http2(Http2Options::server().max_streams(2));
    let handler = async |_| {
        tokio::time::sleep(SECOND).await;
        Response::new(Body::empty())
    };
    let (scene, mut client) = open(over, server_with(options, handler)).await;
    for stream in [1, 3, 5] {
        client.ask(stream, frames::END_STREAM).await;
    }
    let refused = client.next().await.unwrap();
    assert_eq!((refused.kind, refused.stream, refused.number(0)), (frames::RST_STREAM, 5, frames::REFUSED_STREAM));
    for stream in [1, 3] {
        assert_eq!(client.next_of(frames::HEADERS).await.stream, stream);
    }
    drop(client);
    scene.end().await;
}

/// The client's own end of the connection.
async fn leave(mut client: Speaker) {
    use tokio::io::AsyncWriteExt;
    let _ = client.0.shutdown().await;
}

async fn a_client_that_breaks_the_rules_is_told(over: Over) {
    let (mut scene, mut client) = open(over, server(mirror)).await;
    client.say(frames::DATA, 0, 99, b"?").await;
    assert_eq!(client.next_of(frames::GOAWAY).await.number(4), frames::PROTOCOL_ERROR);
    client.until_end().await;
    leave(client).await;
    let lost = scene.lost().await;
    assert!(matches!(lost.reason, Reason::Protocol(_)), "{lost}");
    scene.end().await;
}

async fn a_response_that_fails_resets_its_stream(over: Over) {
    let handler = async |request: Request<RequestBody>| {
        let broken = [Ok("half"), Err(std::io::Error::other("the disk is gone"))];
        Response::new(match request.uri().path() {
            "/broken" => Body::stream(futures_util::stream::iter(broken)),
            _ => Body::from("fine"),
        })
    };
    let (scene, mut sender) = speak(over, server(handler)).await;
    let (broken, _) = sender.send_request(get("/broken"), true).unwrap();
    // The reset may come with the head.
    let error = match broken.await {
        Ok(response) => read(response.into_body()).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(error.is_reset() && error.is_remote(), "{error:?}");
    let (fine, _) = sender.send_request(get("/"), true).unwrap();
    assert_eq!(read(fine.await.unwrap().into_body()).await.unwrap(), b"fine");
    drop(sender);
    scene.end().await;
}

async fn a_server_of_one_version_speaks_no_other(over: Over) {
    let options = ServerOptions::new().versions(Versions::Http1);
    let (mut scene, mut client) = open(over, server_with(options, mirror)).await;
    client.until_end().await;
    leave(client).await;
    let lost = scene.lost().await;
    assert!(matches!(lost.reason, Reason::Protocol(_)), "{lost}");
    scene.end().await;
    let options = ServerOptions::new().versions(Versions::Http2);
    let mut scene = Scene::open(over, server_with(options, mirror)).await;
    scene.client.ask("GET /").await;
    let _ = scene.client.until_end().await;
    scene.client.close().await;
    let lost = scene.lost().await;
    assert!(matches!(lost.reason, Reason::Protocol(_)), "{lost}");
    scene.end().await;
}
