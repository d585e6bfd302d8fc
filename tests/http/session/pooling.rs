//! The pool: who gets which connection, and which are never handed out.

use std::time::Duration;

use exeunt::http::{ErrorKind, Limits, Retry};
use futures_util::{FutureExt, future::join_all};

use super::*;
use crate::peer::{End, Server};

fn limits(total: usize, per_host: usize) -> Limits {
    let mut limits = Limits::default();
    (limits.total, limits.per_host) = (total, per_host);
    limits
}

/// Waits until what is awaited is so; every turn lets everything else run.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// A connection whose peer has said close_notify or FIN is never handed out: the next request has a new one, and is sent once.
#[actix::test]
async fn a_connection_that_its_peer_has_closed_is_not_handed_out() {
    for end in [End::CloseNotify, End::Fin, End::Reset] {
        let server = Server::tls(move |mut peer, number| async move {
            peer.answer(ok("x")).await;
            if number == 0 {
                peer.end(end).await;
            } else {
                peer.silence().await;
            }
        })
        .await;
        let scene = Scene::new();
        scene.session.get(&server.https("/")).send().await.unwrap().bytes().await.unwrap();
        until(|| scene.session.pool().idle == 0).await;
        // Also with a method that must not be sent twice.
        let response = scene.session.post(&server.https("/")).body("once").send().await.unwrap();
        assert!(!response.reused());
        response.bytes().await.unwrap();
        assert_eq!(server.accepted(), 2, "{end:?}");
        assert_eq!(scene.exeunt().await.totals.lost, 2);
    }
}

/// What a peer says on an idle connection is the answer to nothing.
#[actix::test]
async fn a_connection_on_which_the_peer_has_spoken_unasked_is_not_handed_out() {
    let server = Server::tls(|mut peer, number| async move {
        peer.answer(ok("x")).await;
        if number == 0 {
            peer.write(ok("an answer to the next request, says an attacker")).await;
        }
        peer.silence().await;
    })
    .await;
    let scene = Scene::new();
    scene.session.get(&server.https("/")).send().await.unwrap().bytes().await.unwrap();
    until(|| scene.session.pool().idle == 0).await;
    assert_eq!(scene.session.get(&server.https("/")).send().await.unwrap().text().await.unwrap(), "x");
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.by_reason["protocol_error"], 1, "{ledger}");
}

/// An idempotent request that was lost on a connection which had served before, without a byte of a response, is asked once more; any other is not.
#[actix::test]
async fn a_stale_connection_costs_an_idempotent_request_nothing() {
    let script = |mut peer: crate::peer::Peer, number| async move {
        peer.answer(ok("x")).await;
        if number == 0 {
            peer.head().await;
            peer.end(End::CloseNotify).await;
        } else {
            peer.answer(ok("again")).await;
            peer.silence().await;
        }
    };
    let server = Server::tls(script).await;
    let scene = Scene::new();
    scene.session.get(&server.https("/")).send().await.unwrap().bytes().await.unwrap();
    let response = scene.session.get(&server.https("/")).send().await.unwrap();
    assert_eq!((response.text().await.unwrap().as_str(), server.accepted()), ("x", 2));
    scene.exeunt().await;

    let server = Server::tls(script).await;
    let scene = Scene::new();
    scene.session.get(&server.https("/")).send().await.unwrap().bytes().await.unwrap();
    let error = scene.session.post(&server.https("/")).body("once").send().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Lost(_)), "{error:?}");
    assert_eq!((error.attempts(), server.accepted()), (1, 1), "the peer may have seen it, and it was not sent twice");
    scene.exeunt().await;
}

#[actix::test]
async fn a_policy_asks_more_often() {
    let server = Server::tls(|mut peer, number| async move {
        peer.head().await;
        match number {
            0 | 1 => peer.end(End::Reset).await,
            2 => {
                peer.write("HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n").await;
                peer.answer(ok("at last")).await;
                peer.silence().await;
            }
            _ => peer.silence().await,
        }
    })
    .await;
    let retry = Retry::times(3).backoff(Duration::from_millis(1), Duration::from_millis(2)).on_status([503]);
    let scene = Scene::with(|session| session.retry(retry));
    let response = scene.session.get(&server.https("/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "at last");
    assert_eq!(server.accepted(), 3);
    scene.exeunt().await;
}

/// First come, first served, and never more than the limit.
#[actix::test]
async fn waiters_are_served_in_the_order_in_which_they_came() {
    let notes = Notes::default();
    let heads = notes.clone();
    let server = Server::tls(move |mut peer, _| {
        let heads = heads.clone();
        async move {
            loop {
                let head = peer.answer(ok("")).await;
                if head.is_empty() {
                    return;
                }
                heads.add(head.split(' ').nth(1).unwrap());
            }
        }
    })
    .await;
    let scene = Scene::with(|session| session.limits(limits(1, 1)));
    let urls: Vec<_> = (0..5).map(|n| server.https(&format!("/{n}"))).collect();
    let all = join_all(urls.iter().map(|url| async {
        scene.session.get(url).send().await.unwrap().bytes().await.unwrap();
    }));
    all.await;
    assert_eq!(notes.all(), ["/0", "/1", "/2", "/3", "/4"]);
    assert_eq!(server.accepted(), 1);
    scene.exeunt().await;
}

/// A request that is given up in any place leaks no place and spoils no other: the pool of one connection still serves.
#[actix::test]
async fn a_cancelled_request_leaves_the_pool_as_it_was() {
    let server = Server::tls(|mut peer, _| async move {
        loop {
            let head = peer.head().await;
            if head.is_empty() {
                return;
            }
            // The head and the beginning of the body, and then nothing until the client goes.
            if head.starts_with("GET /never") {
                return peer.silence().await;
            }
            if head.starts_with("GET /half") {
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
                return peer.silence().await;
            }
            peer.write(ok("fine")).await;
        }
    })
    .await;
    let scene = Scene::with(|session| session.limits(limits(1, 1)));
    let fine = async || {
        let response = scene.session.get(&server.https("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "fine");
    };
    // Before anything was polled; in the dial; in the handshake; on its way to the actor; in the exchange: after so many turns of the loop.
    for turns in (0..40).chain([400]) {
        let url = server.https("/never");
        let mut request = Box::pin(scene.session.get(&url).send());
        for _ in 0..turns {
            assert!(request.as_mut().now_or_never().is_none(), "it is never answered");
            tokio::task::yield_now().await;
        }
        drop(request);
        fine().await;
    }
    // In the body.
    let mut half = scene.session.get(&server.https("/half")).send().await.unwrap();
    assert_eq!(half.chunk().await.unwrap().unwrap(), "half");
    drop(half);
    fine().await;
    // In the line.
    let holding = scene.session.get(&server.https("/half")).send().await.unwrap();
    let url = server.https("/");
    let mut waiting = Box::pin(scene.session.get(&url).send());
    assert!(waiting.as_mut().now_or_never().is_none());
    assert_eq!(scene.session.pool().waiting, 1);
    drop(waiting);
    assert_eq!(scene.session.pool().waiting, 0);
    drop(holding);
    fine().await;
    scene.exeunt().await;
}

/// Law 7: a peer that never answers our close delays nobody.
#[actix::test]
async fn a_peer_that_is_slow_to_close_holds_no_place() {
    let server = Server::tls(|mut peer, _| async move {
        peer.answer("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
        // It reads our close_notify and does nothing.
        peer.read_to_end().await;
        std::future::pending::<()>().await;
    })
    .await;
    let scene = Scene::with(|session| session.limits(limits(1, 1)).linger(Duration::from_millis(200)));
    for _ in 0..5 {
        scene.session.get(&server.https("/")).send().await.unwrap().bytes().await.unwrap();
    }
    assert_eq!(server.accepted(), 5);
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.by_reason["unanswered"], 5, "{ledger}");
}

#[actix::test]
async fn different_servers_names_and_configurations_share_nothing() {
    let server = Server::tls(|mut peer, _| async move { while !peer.answer(ok("")).await.is_empty() {} }).await;
    let scene = Scene::new();
    let url = server.https("/");
    let other = client_tls();
    for _ in 0..2 {
        scene.session.get(&url).send().await.unwrap().bytes().await.unwrap();
        scene.session.get(&url).server_name("127.0.0.1").send().await.unwrap().bytes().await.unwrap();
        scene.session.get(&url).tls(&other).send().await.unwrap().bytes().await.unwrap();
        scene.session.get(&url.replace("localhost", "127.0.0.1")).send().await.unwrap().bytes().await.unwrap();
    }
    assert_eq!(server.accepted(), 4);
    scene.exeunt().await;
}

#[actix::test]
async fn connections_can_be_made_before_they_are_needed() {
    let server = Server::tls(|mut peer, _| async move { while !peer.answer(ok("")).await.is_empty() {} }).await;
    let scene = Scene::with(|session| session.limits(limits(3, 2)));
    assert_eq!(scene.session.pre_warm(&server.https("/"), 5).unwrap(), 2);
    until(|| scene.session.pool().idle == 2).await;
    scene.session.get(&server.https("/")).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(server.accepted(), 2);
    scene.exeunt().await;
}

#[actix::test]
async fn idle_connections_are_closed_in_time() {
    let server = Server::tls(|mut peer, _| async move {
        peer.answer(ok("")).await;
        assert_eq!(peer.head().await, "", "close_notify");
        peer.end(End::CloseNotify).await;
    })
    .await;
    let mut brief = limits(1, 1);
    brief.idle = Duration::from_millis(10);
    let scene = Scene::with(|session| session.limits(brief));
    scene.session.get(&server.https("/")).send().await.unwrap().bytes().await.unwrap();
    let mut progress = scene.supervisor.send(exeunt::Subscribe).await.unwrap();
    loop {
        if let Some(Ok(exeunt::Progress::Lost(lost))) = progress.next().await {
            assert_eq!(lost.reason, exeunt::Reason::Closed);
            break;
        }
    }
    scene.exeunt().await;
}

/// Dropping the last handle closes what is idle.
#[actix::test]
async fn a_session_that_is_dropped_closes_its_connections() {
    let server = Server::tls(|mut peer, _| async move {
        peer.answer(ok("")).await;
        assert_eq!(peer.head().await, "", "close_notify");
        peer.end(End::CloseNotify).await;
    })
    .await;
    let scene = Scene::new();
    let mut progress = scene.supervisor.send(exeunt::Subscribe).await.unwrap();
    scene.session.get(&server.https("/")).send().await.unwrap().bytes().await.unwrap();
    let Scene { supervisor, session, .. } = scene;
    drop(session);
    loop {
        if let Some(Ok(exeunt::Progress::Lost(lost))) = progress.next().await {
            assert_eq!(lost.reason, exeunt::Reason::Closed);
            break;
        }
    }
    supervisor.send(Stop::new()).await.unwrap();
}
