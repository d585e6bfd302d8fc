//! A session whose connection leaves the pool and stays in its account.

use std::time::Duration;

use exeunt::{
    Reason, StopPlan, StreamError, Verdict,
    http::{ErrorKind, Limits, UpgradeError},
};
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{GRANT, read};
use crate::{
    peer::{End, Peer, Server},
    session::{Scene, ok},
};

/// Grants what asks for `/room`, and then sends back what it gets until the end; other requests are answered.
async fn room(mut peer: Peer, _: usize) {
    loop {
        let head = peer.head().await;
        if head.is_empty() {
            return peer.end(End::CloseNotify).await;
        }
        if !head.starts_with("GET /room") {
            peer.write(ok("no room")).await;
            continue;
        }
        peer.write(GRANT).await;
        let mut bytes = [0; 1024];
        while let Ok(n @ 1..) = peer.read(&mut bytes).await {
            peer.write(&bytes[..n]).await;
        }
        return peer.end(End::CloseNotify).await;
    }
}

fn one() -> Limits {
    let mut limits = Limits::default();
    (limits.total, limits.per_host) = (1, 1);
    limits
}

/// It has no place under the limits, or a few streams would shut everybody else out; and the next request is on another.
#[actix::test]
async fn a_connection_that_was_upgraded_has_no_place_in_the_pool() {
    let server = Server::tls(room).await;
    let scene = Scene::with(|session| session.limits(one()));
    let mut streams = Vec::new();
    for n in 0..3 {
        let asked = scene.session.get(&server.https("/room")).header("connection", "upgrade").header("upgrade", "test");
        let mut response = asked.send().await.unwrap();
        let mut stream = response.upgrade().await.unwrap();
        assert_eq!((response.connection(), server.accepted()), (stream.id(), n + 1));
        stream.write_all(b"hello").await.unwrap();
        assert_eq!(read(&mut stream, 5).await, b"hello");
        streams.push(stream);
        let pool = scene.session.pool();
        assert_eq!((pool.busy, pool.idle, pool.dialing), (0, 0, 0));
    }
    let mut refused = scene.session.get(&server.https("/")).send().await.unwrap();
    assert_eq!(refused.upgrade().await.unwrap_err(), UpgradeError::Refused(StatusCode::OK));
    assert_eq!(refused.text().await.unwrap(), "no room");
    drop(streams);
    let ledger = scene.exeunt().await;
    assert_eq!((ledger.totals.lost, ledger.verdict()), (4, Verdict::Clean), "{ledger}");
}

/// Laws 6 and 9: the session's close waits for its streams, tells them, and has a row for each.
#[actix::test]
async fn a_sessions_close_tells_its_streams_and_waits_for_them() {
    let server = Server::plain(room).await;
    let scene = Scene::new();
    let asked = scene.session.get(&server.http("/room")).header("connection", "upgrade").header("upgrade", "test");
    let mut stream = asked.send().await.unwrap().upgrade().await.unwrap();
    let closing = scene.session.close();
    let using = async {
        stream.draining().await.unwrap();
        stream.write_all(b"last words").await.unwrap();
        assert_eq!(read(&mut stream, 10).await, b"last words");
        drop(stream);
    };
    let (ledger, ()) = tokio::join!(closing, using);
    assert_eq!((ledger.rows.len(), &ledger.rows[0].lost.reason), (1, &Reason::Closed), "{ledger}");
    scene.exeunt().await;
}

/// And one who does not listen is closed at the end of the drain.
#[actix::test]
async fn a_sessions_close_ends_a_stream_that_does_not_care() {
    let server = Server::plain(room).await;
    let scene = Scene::new();
    let asked = scene.session.get(&server.http("/room")).header("connection", "upgrade").header("upgrade", "test");
    let mut stream = asked.send().await.unwrap().upgrade().await.unwrap();
    let closing = scene.session.close_by(StopPlan::new().drain(Duration::from_millis(20)));
    let mut byte = [0];
    let (ledger, read) = tokio::join!(closing, stream.read(&mut byte));
    assert!(StreamError::of(&read.unwrap_err()).is_some());
    assert_eq!((ledger.rows.len(), &ledger.rows[0].lost.reason), (1, &Reason::Closed), "{ledger}");
    scene.exeunt().await;
}

/// Law 1: a reset, where only real sockets have one: before the answer, and after.
#[actix::test]
async fn a_reset_is_told_wherever_it_comes() {
    for granted in [false, true] {
        let server = Server::tls(move |mut peer: Peer, _| async move {
            peer.head().await;
            if granted {
                peer.write(GRANT).await;
                // What comes now was sent by the stream, so the response was read.
                peer.read(&mut [0; 1]).await.unwrap();
            }
            peer.end(End::Reset).await;
        })
        .await;
        let scene = Scene::new();
        let asked = scene.session.get(&server.https("/room")).header("connection", "upgrade").header("upgrade", "test");
        match asked.send().await {
            Ok(mut response) => {
                let mut stream = response.upgrade().await.unwrap();
                stream.write_all(b"x").await.unwrap();
                let error = stream.read(&mut [0; 1]).await.unwrap_err();
                assert_eq!(StreamError::of(&error).unwrap().reason(), Some(&Reason::Reset));
                assert_eq!(stream.closed().await.reason, Reason::Reset);
            }
            Err(error) => assert!(!granted && matches!(error.kind(), ErrorKind::Lost(_)), "{error}"),
        }
        let ledger = scene.exeunt().await;
        assert_eq!(ledger.totals.by_reason["reset"], 1, "{ledger}");
    }
}

/// The deadlines are the request's: a stream has none.
#[actix::test]
async fn a_total_timeout_ends_with_the_head() {
    let server = Server::plain(room).await;
    let scene = Scene::new();
    let asked = scene.session.get(&server.http("/room")).header("connection", "upgrade").header("upgrade", "test");
    let mut response = asked.timeout(Duration::from_secs(5)).send().await.unwrap();
    let mut stream = response.upgrade().await.unwrap();
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(60)).await;
    tokio::time::resume();
    stream.write_all(b"still").await.unwrap();
    assert_eq!(read(&mut stream, 5).await, b"still");
    drop((stream, response));
    scene.exeunt().await;
}

#[actix::test]
async fn a_session_refuses_to_connect() {
    let scene = Scene::new();
    let error = scene.session.request(Method::CONNECT, "http://localhost:1/").send().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Request(_)) && !error.was_sent(), "{error}");
    scene.exeunt().await;
}
