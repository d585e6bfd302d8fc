//! A server that upgrades, over pipes, with a client that says what it is told.

use exeunt::{
    Phase, Reason, StreamError, SupervisedStream,
    http::{Body, RequestBody, UpgradeError, upgrade},
};
use http::{Method, Request, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

use super::{ASK, read};
use crate::{
    over_both,
    serving::server,
    stage::{Over, PIPE, SECOND, Scene, settled},
};

over_both!(
    what_came_with_the_head_is_read_first
    a_tunnel_is_connected
    each_direction_ends_alone
    a_client_that_ends_first_is_told_apart
    a_stream_that_is_cut_short_says_so
    an_upgrade_that_is_refused_leaves_http
    a_101_that_nobody_asked_for_is_an_error_of_the_handlers
    a_stream_that_nobody_takes_is_closed
    a_client_that_goes_before_the_answer_is_told
    a_response_before_it_is_written_first
    much_that_came_with_the_head_is_not_lost
    neither_clock_of_http_runs_on
);

pub type Streams = mpsc::UnboundedReceiver<Result<SupervisedStream, UpgradeError>>;

/// Grants every upgrade and every tunnel, after so many seconds; what becomes of it is the test's. Anything else is answered in HTTP.
pub fn granting(after: u32) -> (impl AsyncHandler, Streams) {
    let (tell, streams) = mpsc::unbounded_channel();
    let handler = move |mut request: Request<RequestBody>| {
        let (asked, upgrading, tell) = (request.method().clone(), upgrade(&mut request), tell.clone());
        actix::spawn(async move { tell.send(upgrading.await) });
        async move {
            tokio::time::sleep(SECOND * after).await;
            let mut response = Response::new(Body::empty());
            if asked == Method::GET {
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert("connection", "upgrade".parse().unwrap());
                response.headers_mut().insert("upgrade", "test".parse().unwrap());
            }
            response
        }
    };
    (handler, streams)
}

/// The bound of a handler, which no closure's type can be written without.
pub trait AsyncHandler: Fn(Request<RequestBody>) -> Self::Answer + Send + Sync + 'static {
    type Answer: Future<Output = Response<Body>> + Send + 'static;
}

impl<F, A> AsyncHandler for F
where
    F: Fn(Request<RequestBody>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    type Answer = A;
}

pub async fn next(streams: &mut Streams) -> SupervisedStream {
    streams.recv().await.unwrap().unwrap()
}

/// Law 2: bytes that came with the head are the stream's first, and the connection keeps its number.
async fn what_came_with_the_head_is_read_first(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(format!("{ASK}early")).await;
    let answer = scene.client.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (101, Some("upgrade")));
    let mut stream = next(&mut streams).await;
    assert_eq!(read(&mut stream, 5).await, b"early");
    scene.client.say("late").await;
    assert_eq!(read(&mut stream, 4).await, b"late");
    stream.write_all(b"answer").await.unwrap();
    assert_eq!(scene.client.take(6).await, b"answer");
    assert_eq!((stream.id(), stream.handle().phase()), (scene.connection.id(), Phase::Open));
    let closed = stream.closed();
    drop(stream);
    scene.client.leave().await;
    let lost = scene.lost().await;
    assert_eq!((&lost, lost.reason.clone()), (&closed.await, Reason::Closed));
    assert_eq!((lost.bytes_in, lost.bytes_unsent), (ASK.len() as u64 + 9, 0));
    scene.end().await;
}

async fn a_tunnel_is_connected(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say("CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\nearly").await;
    let answer = scene.client.answer().await;
    assert_eq!((answer.status, answer.header("content-length")), (200, None), "RFC 9110, section 9.3.6");
    let mut stream = next(&mut streams).await;
    assert_eq!(read(&mut stream, 5).await, b"early");
    drop(stream);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

/// Law 4: our end is said, and reading goes on.
async fn each_direction_ends_alone(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(ASK).await;
    scene.client.head().await;
    let mut stream = next(&mut streams).await;
    stream.write_all(b"that is all").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(scene.client.until_end().await.unwrap(), b"that is all");
    scene.client.say("not here").await;
    scene.client.close().await;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"not here");
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn a_client_that_ends_first_is_told_apart(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(format!("{ASK}bye")).await;
    scene.client.head().await;
    scene.client.close().await;
    let mut stream = next(&mut streams).await;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"bye");
    stream.write_all(b"still here").await.unwrap();
    drop(stream);
    assert_eq!(scene.client.until_end().await.unwrap(), b"still here");
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// Law 5. Without TLS a FIN is all that anybody can say.
async fn a_stream_that_is_cut_short_says_so(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(format!("{ASK}half a mess")).await;
    scene.client.head().await;
    let mut stream = next(&mut streams).await;
    scene.client.fin().await;
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all).await;
    assert_eq!(all, b"half a mess");
    drop(stream);
    let reason = scene.lost().await.reason;
    match over {
        Over::Tls => {
            let error = end.unwrap_err();
            assert_eq!(StreamError::of(&error).unwrap().reason(), Some(&Reason::Truncated));
            assert_eq!(reason, Reason::Truncated);
        }
        Over::Plain => assert_eq!((end.unwrap(), reason), (11, Reason::ClosedByPeer)),
    }
    scene.end().await;
}

/// And the connection is as good as before.
async fn an_upgrade_that_is_refused_leaves_http(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    for _ in 0..2 {
        scene.client.say(ASK.replacen("GET", "POST", 1)).await;
        assert_eq!(scene.client.answer().await.status, 200);
        let refused = streams.recv().await.unwrap().unwrap_err();
        assert_eq!(refused, UpgradeError::Refused(StatusCode::OK));
    }
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// `Upgrade` without `Connection: upgrade` asks for none (RFC 9110, section 7.8).
async fn a_101_that_nobody_asked_for_is_an_error_of_the_handlers(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    for ask in ["GET / HTTP/1.1\r\nhost: h\r\n\r\n", "GET / HTTP/1.1\r\nhost: h\r\nupgrade: test\r\n\r\n"] {
        scene.client.say(ask).await;
        assert_eq!(scene.client.answer().await.status, 500);
        assert_eq!(streams.recv().await.unwrap().unwrap_err(), UpgradeError::NotAsked);
    }
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

async fn a_stream_that_nobody_takes_is_closed(over: Over) {
    let handler = async |_| {
        let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "test");
        response.body(Body::empty())
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(ASK).await;
    assert_eq!(scene.client.answer().await.status, 101);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

/// Law 1, in mid-upgrade: the handler is dropped, and whoever waits for the stream learns why there is none.
async fn a_client_that_goes_before_the_answer_is_told(over: Over) {
    let (handler, mut streams) = granting(1000);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(ASK).await;
    settled().await;
    scene.client.fin().await;
    let reason = if over == Over::Tls { Reason::Truncated } else { Reason::ClosedByPeer };
    assert_eq!(streams.recv().await.unwrap().unwrap_err(), UpgradeError::Lost(Some(reason.clone())));
    assert_eq!(scene.lost().await.reason, reason);
    scene.end().await;
}

/// Law 2, where the socket is full: a response, the 101 and the stream's bytes come in their order.
async fn a_response_before_it_is_written_first(over: Over) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |mut request: Request<RequestBody>| {
        let big = request.uri() == "/big";
        if !big {
            let (upgrading, tell) = (upgrade(&mut request), tell.clone());
            actix::spawn(async move {
                let mut stream = upgrading.await.unwrap();
                stream.write_all(b"after").await.unwrap();
                tell.send(stream).unwrap();
            });
        }
        async move {
            match big {
                true => Ok(Response::new(Body::from(vec![b'x'; PIPE * 20]))),
                false => Response::builder()
                    .status(101)
                    .header("connection", "upgrade")
                    .header("upgrade", "test")
                    .body(Body::empty()),
            }
        }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(format!("GET /big HTTP/1.1\r\nhost: h\r\n\r\n{ASK}")).await;
    settled().await;
    assert_eq!(scene.client.answer().await.body.len(), PIPE * 20);
    assert_eq!(scene.client.answer().await.status, 101);
    assert_eq!(scene.client.take(5).await, b"after");
    drop(told.recv().await);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

/// Law 8: of what nobody reads no more is taken than the marks allow; and nothing of it is lost.
async fn much_that_came_with_the_head_is_not_lost(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    let much: Vec<u8> = (0..1_000_000).map(|n: u32| (n / 7) as u8).collect();
    let said = [ASK.as_bytes(), &much].concat();
    let (connection, mut client) = (scene.connection.clone(), scene.client);
    let all = tokio::join!(
        async {
            client.say(said).await;
            client.head().await;
        },
        async {
            let mut stream = next(&mut streams).await;
            settled().await;
            let taken = connection.info().await.unwrap().bytes_in as usize;
            assert!(taken < 200_000, "{taken} bytes were taken that nobody has read");
            let all = read(&mut stream, much.len()).await;
            (stream, all)
        }
    );
    let ((), (stream, all)) = all;
    assert!(all == much);
    drop(stream);
    client.leave().await;
    scene.client = client;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

/// Keep-alive and the patience with a head are HTTP's: a stream may be silent for a day.
async fn neither_clock_of_http_runs_on(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(ASK).await;
    scene.client.head().await;
    let mut stream = next(&mut streams).await;
    tokio::time::sleep(SECOND * 86_400).await;
    scene.client.say("still here").await;
    assert_eq!(read(&mut stream, 10).await, b"still here");
    drop(stream);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}
