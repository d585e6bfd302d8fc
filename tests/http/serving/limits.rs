//! What a server allows: how much, how long, and until when a client counts as there.

use exeunt::{
    Reason,
    http::{Body, BodyError, RequestBody, ServerOptions},
};
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::{guard, mirror, server, server_with};
use crate::{
    over_both,
    stage::{Over, PIPE, SECOND, Scene, settled},
};

over_both!(
    a_client_that_stops_reading_stops_the_response
    a_handler_that_stops_reading_stops_the_request
    an_idle_connection_is_closed_in_time
    time_does_not_run_while_a_request_is_under_way
    time_does_not_run_while_a_response_is_not_taken
    time_runs_again_when_a_body_was_left_elsewhere
    a_late_head_is_answered_with_408
    who_ends_first_is_taken_for_gone
    who_ends_first_may_still_be_answered
    keep_alive_can_be_turned_off
);

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

/// Law 4: the handler is long done, and what it gave is still to be written.
async fn time_does_not_run_while_a_response_is_not_taken(over: Over) {
    let options = ServerOptions::new().keep_alive_timeout(SECOND * 2).head_timeout(SECOND * 2);
    let handler = async |_| Response::new(Body::from(vec![b'x'; PIPE * 10]));
    let mut scene = Scene::open(over, server_with(options, handler)).await;
    scene.client.ask("GET /").await;
    tokio::time::sleep(SECOND * 10).await;
    assert_eq!(scene.client.answer().await.body.len(), PIPE * 10);
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
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                frame.unwrap();
            }
            // Read to its end, and kept.
            std::future::pending::<()>().await;
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
    assert!((SECOND * 12..SECOND * 12 + SECOND / 20).contains(&after), "closed after {after:?}");
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
        let dropped = guard(dropped.clone());
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

async fn who_ends_first_may_still_be_answered(over: Over) {
    let slow = async |_| {
        tokio::time::sleep(SECOND).await;
        Response::new(Body::from("late"))
    };
    let mut scene = Scene::open(over, server_with(ServerOptions::new().half_close(true), slow)).await;
    scene.client.ask("GET /").await;
    scene.client.close().await;
    assert_eq!(scene.client.answer().await.text(), "late");
    assert_eq!(scene.client.until_end().await.unwrap(), b"");
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
