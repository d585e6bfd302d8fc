//! Connections that do not end as they should: laws 1, 4 and 5, for requests and responses.

use std::net::SocketAddr;

use actix::Actor;
use exeunt::{
    Close, Listen, Reason, Subscribe, Supervisor,
    http::{Body, BodyError, Exchange, HttpClient, RequestBody, serve},
};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::{guard, mirror, server};
use crate::{
    over_both,
    stage::{self, Client, Over, PIPE, SECOND, Scene, assert_adds_up, settled},
};

over_both!(
    a_panic_ends_the_connection
    a_panic_before_the_future_ends_the_connection
    garbage_is_answered_with_400
    a_head_without_end_is_answered_with_431
    a_request_body_that_is_cut_short_is_an_error
    a_chunked_request_that_is_cut_short_is_an_error
    a_chunk_that_is_none_is_an_error
    a_response_that_fails_is_seen_to_be_short
    a_response_shorter_than_it_said_is_a_failure
    a_response_that_only_the_end_ends_is_aborted_when_it_fails
    a_response_that_only_the_end_ends_is_aborted_when_it_is_cut_short
    a_close_in_a_response_is_seen
);

async fn a_panic_ends_the_connection(over: Over) {
    let handler = async |request: Request<RequestBody>| match request.uri().path() {
        "/panics" => panic!("the handler went off"),
        _ => Response::new(Body::empty()),
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /").await;
    scene.client.answer().await;
    scene.client.ask("GET /panics").await;
    let end = scene.client.until_end().await;
    // Without a close_notify, which would say that all is well.
    assert!(end.is_err() || over == Over::Plain, "{end:?}");
    assert_eq!(scene.lost().await.reason, Reason::Panicked("the handler went off".into()));
    scene.end().await;
}

async fn a_panic_before_the_future_ends_the_connection(over: Over) {
    let handler = |request: Request<RequestBody>| {
        assert_ne!(request.uri().path(), "/", "no root");
        async { Response::new(Body::empty()) }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /").await;
    assert!(matches!(scene.lost().await.reason, Reason::Panicked(words) if words.contains("no root")));
    scene.end().await;
}

async fn garbage_is_answered_with_400(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    scene.client.say("this is not HTTP\r\n\r\n").await;
    assert_eq!(scene.client.answer().await.status, 400);
    scene.client.leave().await;
    let lost = scene.lost().await;
    assert!(matches!(lost.reason, Reason::Protocol(_)), "{lost}");
    scene.end().await;
}

async fn a_head_without_end_is_answered_with_431(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    scene.client.say("GET / HTTP/1.1\r\nhost: h\r\n").await;
    // 70 KB of it, and the limit is 64 KiB.
    for _ in 0..70 {
        scene.client.say(format!("x-more: {}\r\n", "y".repeat(990))).await;
    }
    assert_eq!(scene.client.answer().await.status, 431);
    scene.client.leave().await;
    let lost = scene.lost().await;
    assert!(matches!(lost.reason, Reason::Protocol(_)), "{lost}");
    scene.end().await;
}

/// A server that tells how its request's body ended.
fn told(tell: mpsc::UnboundedSender<BodyError>) -> impl Fn(Request<RequestBody>) -> TellFuture + Send + Sync + 'static {
    move |request| {
        let tell = tell.clone();
        Box::pin(async move {
            let body = request.into_body().collect().await;
            tell.send(body.map(|body| body.to_bytes()).expect_err("it was taken for whole")).unwrap();
            Response::new(Body::empty())
        })
    }
}

type TellFuture = std::pin::Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Law 5: also when the client has closed as one should.
async fn a_request_body_that_is_cut_short_is_an_error(over: Over) {
    let (tell, mut errors) = mpsc::unbounded_channel();
    let mut scene = Scene::open(over, server(told(tell))).await;
    scene.client.say("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhalf").await;
    settled().await;
    scene.client.close().await;
    let error = errors.recv().await.unwrap();
    assert!(matches!(error, BodyError::Truncated { received: 4, expected: Some(10), .. }), "{error}");
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// Law 5: without close_notify, and without the last chunk.
async fn a_chunked_request_that_is_cut_short_is_an_error(over: Over) {
    let (tell, mut errors) = mpsc::unbounded_channel();
    let mut scene = Scene::open(over, server(told(tell))).await;
    scene.client.say("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await;
    settled().await;
    scene.client.fin().await;
    let error = errors.recv().await.unwrap();
    assert!(matches!(error, BodyError::Truncated { received: 4, expected: None, .. }), "{error}");
    let reason = if over == Over::Tls { Reason::Truncated } else { Reason::ClosedByPeer };
    assert_eq!(scene.lost().await.reason, reason);
    scene.end().await;
}

async fn a_chunk_that_is_none_is_an_error(over: Over) {
    let (tell, mut errors) = mpsc::unbounded_channel();
    let mut scene = Scene::open(over, server(told(tell))).await;
    scene.client.say("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n").await;
    let error = errors.recv().await.unwrap();
    assert!(matches!(error, BodyError::NotHttp(_)), "{error}");
    scene.client.answer().await;
    scene.client.leave().await;
    scene.lost().await;
    scene.end().await;
}

/// A chunk, and then an error.
async fn failing(_: Request<RequestBody>) -> Response<Body> {
    let chunks = [Ok("half"), Err(std::io::Error::other("the disk is gone"))];
    Response::new(Body::stream(futures_util::stream::iter(chunks)))
}

fn assert_failed(reason: &Reason) {
    assert!(matches!(reason, Reason::Protocol(words) if words.contains("the disk is gone")), "{reason}");
}

async fn a_response_that_fails_is_seen_to_be_short(over: Over) {
    let mut scene = Scene::open(over, server(failing)).await;
    scene.client.ask("GET /").await;
    let all = String::from_utf8(scene.client.until_end().await.unwrap()).unwrap();
    assert!(!all.ends_with("0\r\n\r\n"), "it ends as if it were whole: {all:?}");
    scene.client.close().await;
    assert_failed(&scene.lost().await.reason);
    scene.end().await;
}

async fn a_response_shorter_than_it_said_is_a_failure(over: Over) {
    let handler = async |_| {
        let chunks = futures_util::stream::iter([Ok::<_, BodyError>("half")]);
        let mut response = Response::new(Body::stream(chunks));
        response.headers_mut().insert("content-length", 10.into());
        response
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /").await;
    let all = scene.client.until_end().await.unwrap();
    // hyper may give it up before it has sent anything.
    assert!(all.is_empty() || all.ends_with(b"half"), "{}", String::from_utf8_lossy(&all));
    scene.client.close().await;
    let lost = scene.lost().await;
    assert!(matches!(lost.reason, Reason::Protocol(_)), "{lost}");
    scene.end().await;
}

/// Law 5: to a client of HTTP/1.0 a close_notify would say that this was all.
async fn a_response_that_only_the_end_ends_is_aborted_when_it_fails(over: Over) {
    let mut scene = Scene::open(over, server(failing)).await;
    scene.client.say("GET / HTTP/1.0\r\n\r\n").await;
    let end = scene.client.until_end().await;
    assert!(end.is_err() || over == Over::Plain, "{end:?}");
    let lost = scene.lost().await;
    assert_failed(&lost.reason);
    assert!(!lost.proof.close_notify_sent);
    scene.end().await;
}

/// Law 5: the same when the cut is ours, in an orderly close.
async fn a_response_that_only_the_end_ends_is_aborted_when_it_is_cut_short(over: Over) {
    let mut scene = Scene::open(over, server(endless)).await;
    scene.client.say("GET / HTTP/1.0\r\n\r\n").await;
    scene.client.head().await;
    scene.connection.do_send(Close::default());
    let end = scene.client.until_end().await;
    assert!(end.is_err() || over == Over::Plain, "{end:?}");
    let lost = scene.lost().await;
    assert_eq!((lost.reason, lost.proof.close_notify_sent), (Reason::Aborted, false));
    scene.end().await;
}

/// One chunk a second.
async fn endless(_: Request<RequestBody>) -> Response<Body> {
    let chunks = futures_util::stream::unfold((), async |()| {
        tokio::time::sleep(SECOND).await;
        Some((Ok::<_, BodyError>("more"), ()))
    });
    Response::new(Body::stream(chunks))
}

/// With chunks it is seen without an abort: there is no last one.
async fn a_close_in_a_response_is_seen(over: Over) {
    let mut scene = Scene::open(over, server(endless)).await;
    scene.client.ask("GET /").await;
    scene.client.head().await;
    scene.client.chunk().await;
    scene.connection.do_send(Close::default());
    let rest = scene.client.until_end().await.unwrap();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

/// Over a real socket, for only those are reset: the handler's stream is dropped, and the connection ends as what it is.
#[actix::test]
async fn a_reset_in_a_response_is_told() {
    let supervisor = Supervisor::new();
    let books = supervisor.books();
    let supervisor = supervisor.start();
    let mut progress = supervisor.send(Subscribe).await.unwrap();
    let (dropped, mut drops) = mpsc::unbounded_channel();
    let handler = move |_| {
        let guard = guard(dropped.clone());
        let chunks = futures_util::stream::repeat_with(move || {
            let _ = &guard;
            Ok::<_, BodyError>(vec![b'x'; PIPE])
        });
        async { Response::new(Body::stream(chunks)) }
    };
    let listen = Listen::plain_on(SocketAddr::from(([127, 0, 0, 1], 0)), serve(handler));
    let listening = supervisor.send(listen).await.unwrap().unwrap();
    let socket = tokio::net::TcpStream::connect(listening.address()).await.unwrap();
    socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    let mut client = Client::new(socket);
    client.ask("GET /").await;
    client.head().await;
    drop(client);
    drops.recv().await.unwrap();
    let lost = stage::lost(&mut progress).await;
    // Whichever the system tells: the reset that came, or the pipe that it broke.
    assert!(matches!(lost.reason, Reason::Reset | Reason::Io(_)), "{lost}");
    let ledger = supervisor.send(exeunt::Stop::new()).await.unwrap();
    assert_adds_up(&ledger, &books);
}

/// Our own client and our own server, each other's peers under one supervisor.
#[actix::test]
async fn our_own_client_is_served() {
    let supervisor = Supervisor::new();
    let books = supervisor.books();
    let supervisor = supervisor.start();
    let listen = Listen::on(SocketAddr::from(([127, 0, 0, 1], 0)), &stage::server_tls(), serve(mirror));
    let listening = supervisor.send(listen).await.unwrap().unwrap();
    let tls = exeunt::ClientTls::builder().trust_pem(&stage::signed().ca_pem).build().unwrap();
    let connect = exeunt::Connect::to(listening.address().to_string(), HttpClient::new()).tls(&tls);
    let connection = supervisor.send(connect).await.unwrap().unwrap();
    for n in 0..3 {
        let request = Request::post(format!("/{n}")).body(Body::from(vec![b'x'; 100_000])).unwrap();
        let response = connection.send(Exchange(request)).await.unwrap().unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes().len(), 100_000 + "POST /0 ".len());
    }
    let ledger = supervisor.send(exeunt::Stop::new()).await.unwrap();
    assert_adds_up(&ledger, &books);
    assert_eq!(ledger.totals.lost, 2);
    assert!(ledger.rows.iter().all(|row| row.lost.reason.is_expected()), "{ledger}");
}
