//! The drain: of the supervisor, and of a session alone.

use std::time::Duration;

use exeunt::{
    Progress, Reason, StopPlan, Subscribe, Verdict,
    http::{ErrorKind, Session},
};
use futures_util::FutureExt;
use tokio::sync::Semaphore;

use super::*;
use crate::peer::{End, Peer, Server};

/// Answers `/` at once, and anything else when a permit is there; then closes as it should.
async fn patient(gate: &Arc<Semaphore>, asked: &Notes) -> Server {
    let (gate, asked) = (gate.clone(), asked.clone());
    Server::tls(move |mut peer: Peer, _| {
        let (gate, asked) = (gate.clone(), asked.clone());
        async move {
            loop {
                let head = peer.head().await;
                if head.is_empty() {
                    return peer.end(End::CloseNotify).await;
                }
                asked.add(head.clone());
                if !head.starts_with("GET / ") {
                    gate.acquire().await.unwrap().forget();
                }
                peer.write(ok("done")).await;
            }
        }
    })
    .await
}

/// Law 6: what is under way is finished, what is idle closes at once, what comes later is refused, and says so.
#[actix::test]
async fn a_stop_of_the_supervisor_drains_the_session() {
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Notes::default());
    let server = patient(&gate, &asked).await;
    let scene = Scene::new();
    let (slow, quick) = (server.https("/slow"), server.https("/"));
    let mut under_way = Box::pin(scene.session.get(&slow).send());
    while !asked.all().iter().any(|head| head.starts_with("GET /slow")) {
        assert!((&mut under_way).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    scene.session.get(&quick).send().await.unwrap().bytes().await.unwrap();
    let mut progress = scene.supervisor.send(Subscribe).await.unwrap();
    let stop = scene.supervisor.send(Stop::new());
    // The idle one goes before anything else happens.
    loop {
        if let Some(Ok(Progress::Lost(lost))) = progress.next().await {
            assert_eq!(lost.reason, Reason::Closed);
            break;
        }
        assert!((&mut under_way).now_or_never().is_none());
    }
    let error = scene.session.get(&quick).send().await.unwrap_err();
    assert!(error.is_stopping() && !error.was_sent(), "{error:?}");
    gate.add_permits(1);
    assert_eq!(under_way.await.unwrap().text().await.unwrap(), "done");
    let ledger = stop.await.unwrap();
    assert_eq!((ledger.rows.len(), ledger.verdict()), (2, Verdict::Clean), "{ledger}");
    assert_eq!(ledger.totals.by_reason["closed"], 2);
    scene.exeunt().await;
}

/// Law 6: a body that is on its way when the stop comes is read to its end, although by then the pool has let its connection go.
#[actix::test]
async fn a_body_that_is_being_read_is_finished() {
    let more = Arc::new(Semaphore::new(0));
    let gate = more.clone();
    let server = Server::tls(move |mut peer: Peer, _| {
        let gate = gate.clone();
        async move {
            peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhalf, ").await;
            gate.acquire().await.unwrap().forget();
            peer.write("whole").await;
            assert_eq!(peer.head().await, "", "close_notify");
            peer.end(End::CloseNotify).await;
        }
    })
    .await;
    let scene = Scene::new();
    let mut response = scene.session.get(&server.https("/")).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "half, ");
    let mut stop = Box::pin(scene.supervisor.send(Stop::new()));
    for _ in 0..100 {
        assert!((&mut stop).now_or_never().is_none(), "the stop does not wait for the body");
        tokio::task::yield_now().await;
    }
    more.add_permits(1);
    assert_eq!(response.text().await.unwrap(), "whole");
    let ledger = stop.await.unwrap();
    assert_eq!((ledger.totals.by_reason["closed"], ledger.verdict()), (1, Verdict::Clean), "{ledger}");
    scene.exeunt().await;
}

/// The session alone: its own connections, its own ledger; others go on.
#[actix::test]
async fn a_session_is_closed_alone() {
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Notes::default());
    let server = patient(&gate, &asked).await;
    let scene = Scene::new();
    let other = Session::builder().tls(&crate::peer::client_tls()).start(&scene.supervisor).unwrap();
    let (slow, quick) = (server.https("/slow"), server.https("/"));
    other.get(&quick).send().await.unwrap().bytes().await.unwrap();
    let mut under_way = Box::pin(scene.session.get(&slow).send());
    while !asked.all().iter().any(|head| head.starts_with("GET /slow")) {
        assert!((&mut under_way).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let mut closing = Box::pin(scene.session.close());
    assert!((&mut closing).now_or_never().is_none());
    tokio::task::yield_now().await;
    let error = scene.session.get(&quick).send().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Closed), "{error:?}");
    gate.add_permits(1);
    assert_eq!(under_way.await.unwrap().text().await.unwrap(), "done");
    let ledger = closing.await;
    assert_eq!((ledger.rows.len(), ledger.verdict(), ledger.totals.admitted), (1, Verdict::Clean, 1), "{ledger}");
    other.get(&quick).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(other.close().await.rows.len(), 1);
    // Closing twice is fine.
    assert_eq!(scene.session.close().await.rows.len(), 1);
    scene.supervisor.send(Stop::new()).await.unwrap();
}

/// Whoever waits is told, what is being dialled is given up, and what takes too long is killed at the deadline, which a second close may bring nearer.
#[actix::test]
async fn a_close_bounds_everything() {
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Notes::default());
    let server = patient(&gate, &asked).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = Scene::with(|session| session.limits(exeunt::http::Limits { per_host: 1, ..Default::default() }));
    let (slow, quick) = (server.https("/slow"), server.https("/"));
    let handshaking = format!("https://localhost:{}/", silent.local_addr().unwrap().port());
    let mut under_way = Box::pin(scene.session.get(&slow).send());
    let mut waiting = Box::pin(scene.session.get(&quick).send());
    let mut dialing = Box::pin(scene.session.get(&handshaking).send());
    while !asked.all().iter().any(|head| head.starts_with("GET /slow")) {
        assert!((&mut under_way).now_or_never().is_none());
        assert!((&mut waiting).now_or_never().is_none());
        assert!((&mut dialing).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    let mut closing = Box::pin(scene.session.close());
    assert!((&mut closing).now_or_never().is_none());
    assert!(matches!(waiting.await.unwrap_err().kind(), ErrorKind::Closed));
    assert!(dialing.await.unwrap_err().is_stopping());
    let killed = scene.session.close_by(StopPlan::now().drain(Duration::from_millis(20)));
    assert!(under_way.as_mut().now_or_never().is_none());
    let ledger = killed.await;
    assert_eq!(ledger.rows.len(), 2, "{ledger}");
    assert_eq!(closing.await.rows.len(), 2, "both get the same ledger");
    under_way.await.unwrap_err();
    scene.exeunt().await;
}

/// Law 6: a response of which a part was read before the stop is read to its end within the drain, although it is the last that anybody has of its connection.
#[actix::test]
async fn a_body_that_is_half_read_is_finished() {
    // More than is taken before it is asked for.
    const HALF: usize = 20_000;
    let server = Server::tls(|mut peer, _| async move {
        peer.head().await;
        peer.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 2 * HALF)).await;
        peer.write([b'x'; HALF]).await;
        peer.write([b'x'; HALF]).await;
        peer.end(End::CloseNotify).await;
    })
    .await;
    let scene = Scene::new();
    let response = scene.session.get(&server.https("/")).send().await.unwrap();
    let mut progress = scene.supervisor.send(Subscribe).await.unwrap();
    let stop = scene.supervisor.send(Stop::new());
    // The drain has reached the connection before anything is read.
    while scene.session.pool().busy > 0 {
        tokio::task::yield_now().await;
    }
    tokio::task::yield_now().await;
    assert_eq!(response.bytes().await.unwrap().len(), 2 * HALF);
    let ledger = stop.await.unwrap();
    assert_eq!(ledger.totals.lost, 1, "{ledger}");
    assert!(ledger.rows[0].lost.reason.is_expected(), "{ledger}");
    while progress.next().await.is_some() {}
}
