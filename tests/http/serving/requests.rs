//! Requests that are answered: hyper's part lightly, ours (the count of what is under way, the extensions, errors) in earnest.

use std::sync::Arc;

use exeunt::{
    ConnectionId, Peer, Reason,
    http::{Body, BodyError, FromFn, HttpServer, RequestBody, ServerOptions, serve},
    tls::TlsInfo,
};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;

use crate::{
    over_both,
    stage::{Over, SECOND, Scene, settled},
};

/// One server by this handler.
pub fn server<F, A>(handler: F) -> HttpServer<FromFn<F>>
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output: exeunt::http::IntoResponse> + Send + 'static,
{
    serve(handler)(&peer())
}

pub fn server_with<F, A>(options: ServerOptions, handler: F) -> HttpServer<FromFn<F>>
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output: exeunt::http::IntoResponse> + Send + 'static,
{
    options.serve(handler)(&peer())
}

fn peer() -> Peer {
    Peer { name: "anybody".into(), address: None }
}

/// Answers with what was asked for, and sends the body back.
async fn mirror(request: Request<RequestBody>) -> Result<Response<Body>, BodyError> {
    let said = format!("{} {} ", request.method(), request.uri());
    let body = request.into_body().collect().await?.to_bytes();
    Ok(Response::new(Body::from([said.as_bytes(), &body].concat())))
}

over_both!(
    requests_follow_each_other
    pipelined_requests_are_answered_in_order
    an_old_client_reads_to_the_end
    a_client_that_asks_to_close_is_closed
    a_handler_knows_who_asks
    a_body_is_asked_for_when_it_is_read
    trailers_come_and_go
    an_error_of_the_handlers_is_a_500
    a_client_that_stops_reading_stops_the_response
    a_handler_that_stops_reading_stops_the_request
    an_idle_connection_is_closed_in_time
    time_does_not_run_while_a_request_is_under_way
    time_runs_again_when_a_body_was_left_elsewhere
    a_late_head_is_answered_with_408
    who_ends_first_is_taken_for_gone
    who_ends_first_may_still_be_answered
    keep_alive_can_be_turned_off
);

/// Law 2: as many requests as one likes, then the client's end, once.
async fn requests_follow_each_other(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    let client = &mut scene.client;
    client.ask("GET /one").await;
    assert_eq!(client.answer().await.text(), "GET /one ");
    client.say("POST /two HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbody").await;
    assert_eq!(client.answer().await.text(), "POST /two body");
    client
        .say("PUT /three HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nchu\r\n3\r\nnks\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.text(), "PUT /three chunks");
    client.ask("HEAD /four").await;
    let head = client.head().await;
    assert!(head.contains("content-length: 11\r\n"), "{head}");
    // A head that comes byte by byte.
    for byte in b"GET /five HTTP/1.1\r\nhost: h\r\n\r\n" {
        client.say([*byte]).await;
        settled().await;
    }
    assert_eq!(client.answer().await.text(), "GET /five ");
    client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

async fn pipelined_requests_are_answered_in_order(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    let requests: String =
        (0..20).map(|n| format!("POST /{n} HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{n:02}")).collect();
    scene.client.say(requests).await;
    for n in 0..20 {
        assert_eq!(scene.client.answer().await.text(), format!("POST /{n} {n:02}"));
    }
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// HTTP/1.0: no chunks and no keep-alive. The end of the connection is the end of the response, and with TLS it is a close_notify.
async fn an_old_client_reads_to_the_end(over: Over) {
    let chunks = async |_| Response::new(Body::stream(futures_util::stream::iter(["a", "b"].map(Ok::<_, BodyError>))));
    let mut scene = Scene::open(over, server(chunks)).await;
    scene.client.say("GET / HTTP/1.0\r\n\r\n").await;
    assert!(scene.client.head().await.starts_with("HTTP/1.0 200 OK\r\n"));
    assert_eq!(scene.client.to_end().await.unwrap(), b"ab");
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn a_client_that_asks_to_close_is_closed(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    scene.client.say("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert_eq!(scene.client.answer().await.header("connection"), Some("close"));
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn a_handler_knows_who_asks(over: Over) {
    let handler = async |request: Request<RequestBody>| {
        let known = request.extensions();
        let tls = known.get::<Arc<TlsInfo>>().map(|tls| tls.version);
        let (peer, id) = (known.get::<Peer>().unwrap(), known.get::<ConnectionId>().unwrap());
        Response::new(Body::from(format!("{} {id} {tls:?}", peer.name)))
    };
    let mut scene = Scene::open(over, server(handler)).await;
    for _ in 0..2 {
        scene.client.ask("GET /").await;
        let tls = if over == Over::Tls { r#"Some("TLSv1.3")"# } else { "None" };
        assert_eq!(scene.client.answer().await.text(), format!("the client 1 {tls}"));
    }
    scene.client.close().await;
    scene.lost().await;
    scene.end().await;
}

/// `Expect: 100-continue`: the body is asked for by reading it, and a refusal needs none.
async fn a_body_is_asked_for_when_it_is_read(over: Over) {
    let handler = async |request: Request<RequestBody>| match request.uri().path() {
        "/refused" => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
            Ok(response)
        }
        _ => mirror(request).await,
    };
    let mut scene = Scene::open(over, server(handler)).await;
    let head = "HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    scene.client.say(format!("POST /wanted {head}")).await;
    assert_eq!(scene.client.answer().await.status, 100);
    scene.client.say("body").await;
    assert_eq!(scene.client.answer().await.text(), "POST /wanted body");
    scene.client.say(format!("POST /refused {head}")).await;
    assert_eq!(scene.client.answer().await.status, 413);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn trailers_come_and_go(over: Over) {
    let handler = async |request: Request<RequestBody>| {
        let body = request.into_body().collect().await?;
        let mut trailers = body.trailers().cloned().unwrap();
        trailers.insert("x-back", http::HeaderValue::from_static("yes"));
        let frames = [http_body::Frame::data(body.to_bytes()), http_body::Frame::trailers(trailers)];
        let mut response =
            Response::new(Body::wrap(StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, BodyError>)))));
        response.headers_mut().insert("trailer", http::HeaderValue::from_static("x-sum, x-back"));
        Ok::<_, BodyError>(response)
    };
    let mut scene = Scene::open(over, server(handler)).await;
    let head = "POST / HTTP/1.1\r\nhost: h\r\nte: trailers\r\nconnection: close\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
    scene.client.say(format!("{head}2\r\nhi\r\n0\r\nx-sum: 7\r\n\r\n")).await;
    scene.client.head().await;
    assert_eq!(scene.client.chunk().await, b"hi");
    let rest = String::from_utf8(scene.client.to_end().await.unwrap()).unwrap();
    assert!(rest.contains("x-sum: 7\r\n") && rest.contains("x-back: yes\r\n"), "{rest:?}");
    scene.client.close().await;
    scene.lost().await;
    scene.end().await;
}

/// The handler failed, and not the connection.
async fn an_error_of_the_handlers_is_a_500(over: Over) {
    let handler = async |request: Request<RequestBody>| match request.uri().path() {
        "/fails" => Err("it does not work"),
        _ => Ok(Response::new(Body::from("works"))),
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /fails").await;
    let answer = scene.client.answer().await;
    assert_eq!((answer.status, answer.text()), (500, ""), "nothing of the error is shown to the client");
    scene.client.ask("GET /").await;
    assert_eq!(scene.client.answer().await.text(), "works");
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// Law 8: what is taken from a handler's stream is bounded by what the client takes.
async fn a_client_that_stops_reading_stops_the_response(over: Over) {
    const CHUNK: usize = 8 * 1024;
    const CHUNKS: usize = 200;
    let (pulled, mut pulls) = mpsc::unbounded_channel();
    let handler = move |_| {
        let pulled = pulled.clone();
        let chunks = futures_util::stream::iter((0..CHUNKS).map(move |n| {
            pulled.send(n).unwrap();
            Ok::<_, BodyError>(vec![b'x'; CHUNK])
        }));
        async { Response::new(Body::stream(chunks)) }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /").await;
    settled().await;
    let mut before = 0;
    while pulls.try_recv().is_ok() {
        before += 1;
    }
    // The pipe, a record that is on its way, hyper's 64 KiB, and a chunk; not the 1600 KiB that there are.
    assert!((1..=12).contains(&before), "{before} chunks were taken from the handler, and nobody took one from us");
    settled().await;
    assert!(pulls.try_recv().is_err(), "it goes on although nothing was taken");
    assert_eq!(scene.client.answer().await.body.len(), CHUNK * CHUNKS);
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// Law 8, the other way.
async fn a_handler_that_stops_reading_stops_the_request(over: Over) {
    const SIZE: usize = 1024 * 1024;
    let (go, went) = tokio::sync::watch::channel(false);
    let handler = move |request: Request<RequestBody>| {
        let mut went = went.clone();
        async move {
            went.wait_for(|went| *went).await.unwrap();
            let body = request.into_body().collect().await?;
            Ok::<_, BodyError>(Response::new(Body::from(body.to_bytes().len().to_string())))
        }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {SIZE}\r\n\r\n")).await;
    let body = vec![b'x'; SIZE];
    let refused = tokio::time::timeout(SECOND, scene.client.say(&body[..SIZE / 2])).await;
    assert!(refused.is_err(), "half a megabyte was taken although nobody reads it");
    let read = scene.connection.info().await.unwrap().bytes_in;
    assert!(read < 160 * 1024, "{read} bytes were read although nobody wants them");
    go.send(true).unwrap();
    // How much of the half was taken is known to the server alone, so this client cannot go on.
    drop(scene.client);
    scene.client = crate::stage::Client::new(tokio::io::duplex(1).0);
    let lost = scene.lost().await;
    assert!(matches!(lost.reason, Reason::Truncated | Reason::ClosedByPeer | Reason::Reset), "{lost}");
    scene.end().await;
}

async fn an_idle_connection_is_closed_in_time(over: Over) {
    let options = ServerOptions::new().keep_alive_timeout(SECOND * 7).head_timeout(SECOND * 3);
    let mut scene = Scene::open(over, server_with(options, mirror)).await;
    scene.client.ask("GET /").await;
    scene.client.answer().await;
    let then = tokio::time::Instant::now();
    scene.client.leave().await;
    let after = then.elapsed();
    assert!((SECOND * 7..SECOND * 8).contains(&after), "closed after {after:?}");
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn time_does_not_run_while_a_request_is_under_way(over: Over) {
    let options = ServerOptions::new().keep_alive_timeout(SECOND * 2).head_timeout(SECOND * 2);
    let slow = async |_| {
        tokio::time::sleep(SECOND * 10).await;
        let chunks = futures_util::stream::unfold(0, async |n| {
            tokio::time::sleep(SECOND * 10).await;
            (n < 3).then(|| (Ok::<_, BodyError>("chunk"), n + 1))
        });
        Response::new(Body::stream(chunks))
    };
    let mut scene = Scene::open(over, server_with(options, slow)).await;
    scene.client.ask("GET /").await;
    assert_eq!(scene.client.answer().await.text(), "chunkchunkchunk");
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

/// A body that a handler gives away keeps its request under way, and no longer.
async fn time_runs_again_when_a_body_was_left_elsewhere(over: Over) {
    let options = ServerOptions::new().keep_alive_timeout(SECOND * 2).head_timeout(SECOND * 2);
    let handler = async |request: Request<RequestBody>| {
        actix::spawn(async {
            tokio::time::sleep(SECOND * 10).await;
            request.into_body().collect().await.unwrap();
        });
        Response::new(Body::empty())
    };
    let mut scene = Scene::open(over, server_with(options, handler)).await;
    scene.client.say("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbo").await;
    scene.client.answer().await;
    let then = tokio::time::Instant::now();
    scene.client.say("dy").await;
    scene.client.leave().await;
    let after = then.elapsed();
    assert!((SECOND * 12..SECOND * 13).contains(&after), "closed after {after:?}");
    scene.lost().await;
    scene.end().await;
}

async fn a_late_head_is_answered_with_408(over: Over) {
    let options = ServerOptions::new().keep_alive_timeout(SECOND * 60).head_timeout(SECOND * 3);
    let mut scene = Scene::open(over, server_with(options, mirror)).await;
    scene.client.ask("GET /").await;
    scene.client.answer().await;
    let then = tokio::time::Instant::now();
    for byte in b"GET / HTTP" {
        scene.client.say([*byte]).await;
        tokio::time::sleep(SECOND / 4).await;
    }
    assert_eq!(scene.client.answer().await.status, 408);
    let after = then.elapsed();
    assert!((SECOND * 3..SECOND * 4).contains(&after), "closed after {after:?}");
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::TimedOut(exeunt::Phase::Open));
    scene.end().await;
}

/// The client's end is how a server learns that nobody waits for the answer: the handler is dropped.
async fn who_ends_first_is_taken_for_gone(over: Over) {
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let handler = move |_| {
        let dropped = scopeguard(dropped.clone());
        async move {
            tokio::time::sleep(SECOND * 3600).await;
            drop(dropped);
            Response::new(Body::empty())
        }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /").await;
    settled().await;
    scene.client.close().await;
    drops.recv().await.unwrap();
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// Says something when it is dropped.
fn scopeguard(tell: mpsc::UnboundedSender<()>) -> impl Send {
    struct Guard(mpsc::UnboundedSender<()>);
    impl Drop for Guard {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    Guard(tell)
}

async fn who_ends_first_may_still_be_answered(over: Over) {
    let slow = async |_| {
        tokio::time::sleep(SECOND).await;
        Response::new(Body::from("late"))
    };
    let mut scene = Scene::open(over, server_with(ServerOptions::new().half_close(true), slow)).await;
    scene.client.ask("GET /").await;
    scene.client.close().await;
    assert_eq!(scene.client.answer().await.text(), "late");
    assert_eq!(scene.client.to_end().await.unwrap(), b"");
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

async fn keep_alive_can_be_turned_off(over: Over) {
    let mut scene = Scene::open(over, server_with(ServerOptions::new().keep_alive(false), mirror)).await;
    scene.client.ask("GET /").await;
    assert_eq!(scene.client.answer().await.header("connection"), Some("close"));
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}
