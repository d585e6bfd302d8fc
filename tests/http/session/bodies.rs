//! Bodies both ways: slow readers slow the peer, slow peers slow the writer, and what is not wanted is not sent.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use exeunt::http::{Body, BodyError, ErrorKind};
use futures_util::{FutureExt, StreamExt, stream};

use super::*;
use crate::peer::{End, Server};

const CHUNK: usize = 64 * 1024;

/// Law 8: as much as the marks and the sockets hold, and no more, is read ahead of a reader that does not read.
#[actix::test]
async fn a_slow_reader_slows_the_peer() {
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    let server = Server::tls(move |mut peer, _| {
        let count = count.clone();
        async move {
            peer.answer(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1024 * CHUNK)).await;
            for _ in 0..1024 {
                if !peer.write(vec![b'x'; CHUNK]).await {
                    return;
                }
                count.fetch_add(CHUNK, SeqCst);
            }
            peer.silence().await;
        }
    })
    .await;
    let scene = Scene::new();
    let mut response = scene.session.get(&server.https("/")).send().await.unwrap();
    // The peer writes until it cannot: until many turns of the loop have moved nothing.
    let (mut still, mut seen) = (0, 0);
    while still < 2000 {
        tokio::task::yield_now().await;
        let now = written.load(SeqCst);
        still = if now == seen { still + 1 } else { 0 };
        seen = now;
    }
    assert!(seen < 512 * CHUNK, "{seen} bytes of {} went to a reader that reads nothing", 1024 * CHUNK);
    let (mut read, mut longest) = (0, 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        read += chunk.len();
        longest = longest.max(chunk.len());
    }
    assert_eq!(read, 1024 * CHUNK);
    assert_eq!(longest, CHUNK, "what waited comes by four records at a time");
    let ledger = scene.exeunt().await;
    assert!(ledger.rows[0].lost.bytes_in as usize > 1024 * CHUNK);
}

/// A small body that came with its head was taken then: nobody has to read it before the connection bears the next exchange, and a reader finds it although the connection is gone.
#[actix::test]
async fn a_small_body_that_has_come_holds_up_nothing() {
    let server = Server::tls(|mut peer, _| async move {
        for _ in 0..2 {
            peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
        }
        peer.end(End::CloseNotify).await;
    })
    .await;
    let scene = Scene::new();
    let first = scene.session.get(&server.https("/")).send().await.unwrap();
    let second = scene.session.get(&server.https("/")).send().await.unwrap();
    assert_eq!(server.accepted(), 1, "the first is not read yet, and its connection is free");
    drop(first);
    scene.exeunt().await;
    assert_eq!(second.text().await.unwrap(), "hello");
}

/// The other way round: a body is pulled only as fast as the peer takes it.
#[actix::test]
async fn a_slow_peer_slows_the_body() {
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let released = std::cell::RefCell::new(Some(released));
    let server = Server::tls(move |mut peer, _| {
        let released = released.borrow_mut().take();
        async move {
            peer.head().await;
            released.unwrap().await.unwrap();
            // Chunked: read until the end of it is seen.
            let mut tail = Vec::new();
            let mut buffer = vec![0; CHUNK];
            while !tail.ends_with(b"0\r\n\r\n") {
                let n = peer.read(&mut buffer).await.unwrap();
                assert!(n > 0);
                tail.extend_from_slice(&buffer[..n]);
                let cut = tail.len().saturating_sub(16);
                tail.drain(..cut);
            }
            peer.write(ok("taken")).await;
            peer.silence().await;
        }
    })
    .await;
    let pulled = Arc::new(AtomicUsize::new(0));
    let count = pulled.clone();
    let chunks = stream::iter(0..1024).map(move |_| {
        count.fetch_add(CHUNK, SeqCst);
        Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; CHUNK]))
    });
    let scene = Scene::new();
    let url = server.https("/");
    let mut request = Box::pin(scene.session.post(&url).body(Body::stream(chunks)).send());
    let (mut still, mut seen) = (0, 0);
    while still < 2000 {
        assert!((&mut request).now_or_never().is_none());
        tokio::task::yield_now().await;
        let now = pulled.load(SeqCst);
        still = if now == seen && now > 0 { still + 1 } else { 0 };
        seen = now;
    }
    assert!(seen < 512 * CHUNK, "{seen} bytes were pulled for a peer that reads nothing");
    release.send(()).unwrap();
    assert_eq!(request.await.unwrap().text().await.unwrap(), "taken");
    assert_eq!(pulled.load(SeqCst), 1024 * CHUNK);
    scene.exeunt().await;
}

/// A body that fails ends the connection, and says why: half a message is on its way.
#[actix::test]
async fn a_body_that_fails_is_told_in_its_own_words() {
    let server = Server::tls(|mut peer, _| async move { peer.read_to_end().await }).await;
    let scene = Scene::new();
    let chunks = stream::iter([Ok("half"), Err(std::io::Error::other("the disk is gone"))]);
    let error = scene.session.post(&server.https("/")).body(Body::stream(chunks)).send().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Body(words) if words.contains("the disk is gone")), "{error:?}");
    assert_eq!(scene.exeunt().await.totals.lost, 1);
}

#[actix::test]
async fn a_body_waits_for_100_continue() {
    let server = Server::tls(|mut peer, number| async move {
        let head = peer.head().await;
        assert!(head.contains("expect: 100-continue"), "{head}");
        match number {
            0 => {
                peer.write("HTTP/1.1 100 Continue\r\n\r\n").await;
                assert_eq!(peer.body(4).await, b"body");
                peer.write(ok("wanted")).await;
            }
            // It says nothing: after a while the body comes all the same.
            1 => {
                assert_eq!(peer.body(4).await, b"body");
                peer.write(ok("waited")).await;
            }
            _ => {
                peer.write("HTTP/1.1 417 No\r\ncontent-length: 2\r\n\r\nno").await;
                assert_eq!(peer.body(4).await, b"", "it was not wanted");
            }
        }
        peer.end(End::CloseNotify).await;
    })
    .await;
    let scene = Scene::new();
    for expected in ["wanted", "waited", "no"] {
        let request = scene.session.put(&server.https("/")).expect_continue().body("body");
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), expected);
        // Each has ended its connection by itself.
        while scene.session.pool().idle + scene.session.pool().busy > 0 {
            tokio::task::yield_now().await;
        }
    }
    scene.exeunt().await;
}

/// Responses that have no body, whatever their headers say.
#[actix::test]
async fn head_and_statuses_without_a_body_end_at_their_head() {
    let server = Server::tls(|mut peer, _| async move {
        peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await;
        peer.answer("HTTP/1.1 204 No Content\r\n\r\n").await;
        peer.answer("HTTP/1.1 304 Not Modified\r\ncontent-length: 1000\r\n\r\n").await;
        peer.answer("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        peer.silence().await;
    })
    .await;
    let scene = Scene::new();
    let url = server.https("/");
    let head = scene.session.head(&url).send().await.unwrap();
    assert_eq!((head.content_length(), head.bytes().await.unwrap().len()), (Some(1000), 0));
    for status in [204, 304] {
        let response = scene.session.get(&url).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().len()), (status, 0));
    }
    assert_eq!(scene.session.get(&url).send().await.unwrap().text().await.unwrap(), "ok");
    assert_eq!(server.accepted(), 1);
    scene.exeunt().await;
}

#[actix::test]
async fn trailers_come_after_the_body() {
    let server = Server::tls(|mut peer, _| async move {
        peer.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n").await;
        peer.silence().await;
    })
    .await;
    let scene = Scene::new();
    let mut response = scene.session.get(&server.https("/")).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "ok");
    assert!(response.trailers().is_none());
    assert_eq!(response.chunk().await.unwrap(), None);
    assert_eq!(response.trailers().unwrap()["x-sum"], "7");
    scene.exeunt().await;
}

/// A close of our own in the middle of a body is an error for its reader.
#[actix::test]
async fn a_body_that_a_kill_cuts_is_truncated() {
    let server = Server::tls(|mut peer, _| async move {
        peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        peer.silence().await;
    })
    .await;
    let scene = Scene::new();
    let mut response = scene.session.get(&server.https("/")).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "half");
    let ledger = scene.session.close_by(exeunt::StopPlan::now()).await;
    assert_eq!(ledger.verdict(), exeunt::Verdict::Forced(1));
    let error = response.chunk().await.unwrap_err();
    assert!(matches!(error, BodyError::Truncated { received: 4, expected: Some(10), .. }), "{error:?}");
    scene.exeunt().await;
}
