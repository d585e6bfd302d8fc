//! Law 6, for requests: a stop waits for those that were accepted, and for nothing else.

use std::net::SocketAddr;

use actix::Actor;
use exeunt::{
    Listen, Reason, Stop, StopPlan, Subscribe, Supervisor, Verdict,
    http::{Body, BodyError, RequestBody, serve},
};
use http::{Request, Response};
use tokio::{sync::mpsc, time::Instant};

use super::{mirror, server};
use crate::{
    over_both,
    stage::{self, Over, PIPE, SECOND, Scene, assert_adds_up, settled},
};

over_both!(
    a_connection_that_said_nothing_is_closed_at_once
    an_idle_connection_is_closed_at_once
    a_handler_that_runs_is_awaited
    a_response_that_streams_is_finished
    a_response_that_is_not_taken_is_awaited
    a_request_whose_body_is_on_its_way_is_served
    half_a_first_head_is_awaited
    half_a_next_head_is_awaited
    half_a_head_is_not_awaited_for_ever
    what_is_pipelined_behind_the_last_request_is_not_begun
    a_client_that_takes_nothing_is_killed_at_the_deadline
    a_body_that_is_read_elsewhere_is_awaited
);

/// "At once": before anything that has a deadline.
fn at_once(began: Instant) {
    assert!(began.elapsed() < SECOND / 2, "it took {:?}", began.elapsed());
}

async fn a_connection_that_said_nothing_is_closed_at_once(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    let began = Instant::now();
    let stop = scene.stop();
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    at_once(began);
    scene.ended(stop).await;
}

async fn an_idle_connection_is_closed_at_once(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    scene.client.ask("GET /").await;
    scene.client.answer().await;
    let began = Instant::now();
    let stop = scene.stop();
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    at_once(began);
    scene.ended(stop).await;
}

async fn a_handler_that_runs_is_awaited(over: Over) {
    let slow = async |_| {
        tokio::time::sleep(SECOND * 10).await;
        Response::new(Body::from("at last"))
    };
    let mut scene = Scene::open(over, server(slow)).await;
    scene.client.ask("GET /").await;
    settled().await;
    let stop = scene.stop();
    let answer = scene.client.answer().await;
    assert_eq!((answer.text(), answer.header("connection")), ("at last", Some("close")));
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

async fn a_response_that_streams_is_finished(over: Over) {
    let (chunks, source) = mpsc::unbounded_channel::<&'static str>();
    let source = std::sync::Mutex::new(Some(source));
    let handler = move |_| {
        let source = source.lock().unwrap().take().unwrap();
        let chunks = futures_util::stream::unfold(source, async |mut source| {
            source.recv().await.map(|chunk| (Ok::<_, BodyError>(chunk), source))
        });
        async { Response::new(Body::stream(chunks)) }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /").await;
    chunks.send("before ").unwrap();
    scene.client.head().await;
    assert_eq!(scene.client.chunk().await, b"before ");
    let stop = scene.stop();
    settled().await;
    chunks.send("after").unwrap();
    assert_eq!(scene.client.chunk().await, b"after");
    drop(chunks);
    assert_eq!(scene.client.chunk().await, b"");
    assert_eq!(scene.client.until_end().await.unwrap(), b"\r\n");
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.ended(stop).await;
}

/// The handler is long done; what is left is hyper's and the socket's.
async fn a_response_that_is_not_taken_is_awaited(over: Over) {
    let handler = async |_| Response::new(Body::from(vec![b'x'; PIPE * 10]));
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /").await;
    settled().await;
    let stop = scene.stop();
    tokio::time::sleep(SECOND * 10).await;
    assert_eq!(scene.client.answer().await.body.len(), PIPE * 10);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

async fn a_request_whose_body_is_on_its_way_is_served(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    scene.client.say("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbo").await;
    settled().await;
    let stop = scene.stop();
    tokio::time::sleep(SECOND * 10).await;
    scene.client.say("dy").await;
    let answer = scene.client.answer().await;
    assert_eq!((answer.text(), answer.header("connection")), ("POST / body", Some("close")));
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

async fn half_a_first_head_is_awaited(over: Over) {
    let scene = Scene::open(over, server(mirror)).await;
    half_a_head_is_awaited(scene).await;
}

/// hyper by itself would drop what has come of it.
async fn half_a_next_head_is_awaited(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    scene.client.ask("GET /").await;
    scene.client.answer().await;
    half_a_head_is_awaited(scene).await;
}

async fn half_a_head_is_awaited<P: exeunt::Protocol>(mut scene: Scene<P>) {
    scene.client.say("GET /half HTTP/1.1\r\nho").await;
    settled().await;
    let stop = scene.stop();
    tokio::time::sleep(SECOND * 4).await;
    scene.client.say("st: h\r\n\r\n").await;
    let answer = scene.client.answer().await;
    assert_eq!((answer.text(), answer.header("connection")), ("GET /half ", Some("close")));
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.ended(stop).await;
}

async fn half_a_head_is_not_awaited_for_ever(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    scene.client.say("GET / HTTP/1.1\r\nho").await;
    settled().await;
    let began = Instant::now();
    let stop = scene.stop();
    assert_eq!(scene.client.answer().await.status, 408);
    assert!((SECOND * 5..SECOND * 6).contains(&began.elapsed()), "it took {:?}", began.elapsed());
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::TimedOut(exeunt::Phase::Open));
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

/// `Connection: close` says that it is not (RFC 9112, section 9.6): the client knows that it may send it again.
async fn what_is_pipelined_behind_the_last_request_is_not_begun(over: Over) {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let handler = move |request: Request<RequestBody>| {
        begun.send(request.uri().path().to_owned()).unwrap();
        async {
            tokio::time::sleep(SECOND).await;
            Response::new(Body::empty())
        }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say("GET /1 HTTP/1.1\r\nhost: h\r\n\r\nGET /2 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    settled().await;
    let stop = scene.stop();
    assert_eq!(scene.client.answer().await.header("connection"), Some("close"));
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.ended(stop).await;
    assert_eq!((begins.recv().await.as_deref(), begins.recv().await), (Some("/1"), None));
}

/// And it is told: the ledger says that bytes were not sent.
async fn a_client_that_takes_nothing_is_killed_at_the_deadline(over: Over) {
    let handler = async |_| Response::new(Body::from(vec![b'x'; PIPE * 10]));
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.ask("GET /").await;
    settled().await;
    let stop = scene.stop();
    let lost = scene.lost().await;
    assert_eq!(lost.reason, Reason::Killed);
    assert!(lost.bytes_unsent > 0, "{lost}");
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Forced(1));
}

/// The response is there, and the request is not read to its end yet.
async fn a_body_that_is_read_elsewhere_is_awaited(over: Over) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |request: Request<RequestBody>| {
        let tell = tell.clone();
        actix::spawn(async move {
            use http_body_util::BodyExt;
            let body = request.into_body().collect().await;
            tell.send(body.map(|body| body.to_bytes())).unwrap();
        });
        async { Response::new(Body::empty()) }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nbo").await;
    scene.client.answer().await;
    let stop = scene.stop();
    tokio::time::sleep(SECOND * 10).await;
    scene.client.say("dy").await;
    assert_eq!(told.recv().await.unwrap().unwrap(), "body");
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.ended(stop).await;
}

/// What the system had received for us before the stop is an accepted request, also when our reactor has not heard of it.
#[actix::test]
async fn a_request_that_has_arrived_is_served() {
    use std::io::{Read, Write};
    for _ in 0..20 {
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        let supervisor = supervisor.start();
        let mut progress = supervisor.send(Subscribe).await.unwrap();
        let listen = Listen::plain_on(SocketAddr::from(([127, 0, 0, 1], 0)), serve(mirror));
        let listening = supervisor.send(listen).await.unwrap().unwrap();
        let client = std::net::TcpStream::connect(listening.address()).unwrap();
        // Blocking, and on a thread of its own as soon as it reads: between this write and the stop nobody else has a turn.
        let ask = |mut client: &std::net::TcpStream| client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
        let answer = |mut client: std::net::TcpStream| {
            tokio::task::spawn_blocking(move || {
                let mut all = Vec::new();
                while !all.ends_with(b"GET / ") {
                    let mut buffer = [0; 1024];
                    let n = client.read(&mut buffer).unwrap();
                    assert_ne!(n, 0, "it ended after {:?}", String::from_utf8_lossy(&all));
                    all.extend_from_slice(&buffer[..n]);
                }
                client
            })
        };
        ask(&client);
        let client = answer(client).await.unwrap();
        ask(&client);
        let stop = supervisor.send(Stop::by(StopPlan::new().drain(SECOND * 20)));
        let (ledger, client) = tokio::join!(stop, async {
            // Dropped when it was answered: the client's own end.
            drop(answer(client).await.unwrap());
        });
        let () = client;
        assert_adds_up(&ledger.unwrap(), &books);
        assert!(stage::lost(&mut progress).await.reason.is_expected());
    }
}
