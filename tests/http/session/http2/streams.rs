//! What happens to one stream happens to no other.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use exeunt::http::{Body, BodyError, ErrorKind};

use super::*;
use crate::frames::{self, Frames};

/// Law 8: a reader that does not read holds up its own stream at its window, and the others, and the connection, go on.
#[actix::test]
async fn a_slow_reader_stops_its_own_stream() {
    const SIZE: usize = 8 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let server = served(100, move |(request, mut respond): Asked, _| {
        let count = (request.uri().path() == "/slow").then(|| count.clone());
        async move {
            let mut stream = respond.send_response(Response::new(()), false).unwrap();
            let mut left = SIZE;
            while left > 0 {
                stream.reserve_capacity(left.min(16 * 1024));
                let Some(Ok(n)) = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
                let n = n.min(left);
                left -= n;
                if let Some(count) = &count {
                    count.fetch_add(n, SeqCst);
                }
                stream.send_data(Bytes::from(vec![b'x'; n]), left == 0).unwrap();
            }
        }
    })
    .await;
    let scene = Scene::new();
    let slow: Vec<_> =
        join_all((0..20).map(|_| async { scene.session.get(&server.https("/slow")).send().await.unwrap() })).await;
    // Ten times as much as would fit into the windows of all of them goes past them.
    for _ in 0..2 {
        assert_eq!(scene.session.get(&server.https("/")).send().await.unwrap().bytes().await.unwrap().len(), SIZE);
    }
    let held = sent.load(SeqCst);
    assert!(held <= 20 * 256 * 1024, "{held} bytes went to readers that read nothing");
    for response in slow {
        assert_eq!(response.bytes().await.unwrap().len(), SIZE);
    }
    assert_eq!(server.accepted(), 1);
    scene.exeunt().await;
}

/// Before the head and in the body: one exchange fails and says by what, the others are answered, and the connection serves on.
#[actix::test]
async fn a_reset_ends_one_exchange_alone() {
    let seen = Notes::default();
    let notes = seen.clone();
    let server = Server::http2(move |peer, _| {
        let notes = notes.clone();
        async move {
            let mut peer = Frames::server(peer, &[]).await;
            for stream in [1, 3, 5] {
                assert_eq!(peer.next_of(frames::HEADERS).await.stream, stream);
                notes.add("");
            }
            peer.reset(1, frames::CANCEL).await;
            peer.head(3).await;
            peer.say(frames::DATA, 0, 3, b"half").await;
            peer.reset(3, frames::CANCEL).await;
            peer.answer(5, b"whole").await;
            // NO_ERROR means that the request is wanted no further. It ends no response (law 5).
            assert_eq!(peer.next_of(frames::HEADERS).await.stream, 7);
            peer.head(7).await;
            peer.say(frames::DATA, 0, 7, b"half").await;
            peer.reset(7, frames::NO_ERROR).await;
            peer.until_end().await;
        }
    })
    .await;
    let scene = Scene::new();
    let url = server.https("/");
    let mut three: Vec<_> = (0..3).map(|_| Box::pin(scene.session.get(&url).send())).collect();
    for request in &mut three {
        if seen.all().len() < 2 {
            begun(request, &seen).await;
        }
    }
    let mut three = join_all(three).await.into_iter();
    let (first, second, third) = (three.next().unwrap(), three.next().unwrap(), three.next().unwrap());
    let error = first.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Reset(name) if name == "CANCEL"), "{error:?}");
    let error = second.unwrap().bytes().await.unwrap_err();
    assert!(matches!(&error, BodyError::Reset { received: 4, name, .. } if name == "CANCEL"), "{error:?}");
    assert_eq!(third.unwrap().text().await.unwrap(), "whole");
    let error = scene.session.get(&url).send().await.unwrap().bytes().await.unwrap_err();
    assert!(matches!(&error, BodyError::Reset { received: 4, name, .. } if name == "NO_ERROR"), "{error:?}");
    assert_eq!(server.accepted(), 1);
    scene.exeunt().await;
}

/// An answer that is dropped, a body that is dropped, and a deadline that passes reset their stream; the connection is idle again, and serves.
#[actix::test]
async fn what_is_given_up_resets_its_own_stream() {
    let resets = Notes::default();
    let told = resets.clone();
    let server = served(100, move |(request, mut respond): Asked, _| {
        let told = told.clone();
        async move {
            let path = request.uri().path().to_owned();
            if path == "/whole" {
                return answered((request, respond), "whole");
            }
            let mut stream = None;
            if path == "/body" {
                let mut begun = respond.send_response(Response::new(()), false).unwrap();
                begun.send_data("half".into(), false).unwrap();
                stream = Some(begun);
            }
            let reset = match &mut stream {
                Some(stream) => std::future::poll_fn(|cx| stream.poll_reset(cx)).await,
                None => std::future::poll_fn(|cx| respond.poll_reset(cx)).await,
            };
            told.add(format!("{path} {:?}", reset.unwrap()));
        }
    })
    .await;
    let scene = Scene::new();
    scene.session.get(&server.https("/whole")).send().await.unwrap().bytes().await.unwrap();
    let url = server.https("/answer");
    let mut given_up = Box::pin(scene.session.get(&url).send());
    for _ in 0..50 {
        assert!(given_up.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(given_up);
    until(|| resets.all().len() == 1).await;
    let mut half = scene.session.get(&server.https("/body")).send().await.unwrap();
    assert_eq!(half.chunk().await.unwrap().unwrap(), "half");
    drop(half);
    until(|| resets.all().len() == 2).await;
    let brief = std::time::Duration::from_millis(20);
    assert!(scene.session.get(&server.https("/late")).timeout(brief).send().await.unwrap_err().is_timeout());
    until(|| resets.all().len() == 3).await;
    assert_eq!(resets.all(), ["/answer CANCEL", "/body CANCEL", "/late CANCEL"]);
    until(|| scene.session.pool().idle == 1).await;
    assert_eq!(scene.session.get(&server.https("/whole")).send().await.unwrap().text().await.unwrap(), "whole");
    assert_eq!(server.accepted(), 1);
    assert_eq!(scene.exeunt().await.totals.by_reason["closed"], 1);
}

/// Wherever it is, a request that is given up leaks no stream: a connection that bears one still serves.
#[actix::test]
async fn a_cancelled_request_leaves_the_pool_as_it_was() {
    let server = served(1, |asked: Asked, _| async move {
        if asked.0.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        answered(asked, "fine");
    })
    .await;
    let scene = Scene::with(|session| session.limits(Limits { per_host: 1, ..Limits::default() }));
    for turns in (0..40).chain([400]) {
        let url = server.https("/never");
        let mut request = Box::pin(scene.session.get(&url).send());
        for _ in 0..turns {
            assert!(request.as_mut().now_or_never().is_none(), "it is never answered");
            tokio::task::yield_now().await;
        }
        drop(request);
        let response = scene.session.get(&server.https("/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "fine");
    }
    scene.exeunt().await;
}

/// A body goes up as fast as the peer takes it, and one that fails resets its own stream, and says why.
#[actix::test]
async fn bodies_go_up_and_fail_by_themselves() {
    let server = served(100, |(request, respond): Asked, _| async move {
        let (parts, mut body) = request.into_parts();
        let mut length = 0;
        while let Some(Ok(bytes)) = body.data().await {
            length += bytes.len();
            body.flow_control().release_capacity(bytes.len()).unwrap();
        }
        answered((Request::from_parts(parts, body), respond), length.to_string());
    })
    .await;
    let scene = Scene::new();
    let chunks = || futures_util::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(vec![b'u'; 64 * 1024])));
    let up = scene.session.put(&server.https("/")).body(Body::stream(chunks())).send().await.unwrap();
    assert_eq!(up.text().await.unwrap(), (64 * 64 * 1024).to_string());
    let failing = futures_util::stream::iter([Ok("half"), Err(std::io::Error::other("the disk is gone"))]);
    let error = scene.session.put(&server.https("/")).body(Body::stream(failing)).send().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Body(words) if words.contains("the disk is gone")), "{error:?}");
    // It waits for a second, or until it is wanted: hyper does not tell of a 100 on HTTP/2.
    let expecting = scene.session.put(&server.https("/")).expect_continue().body("wanted").send().await.unwrap();
    assert_eq!(expecting.text().await.unwrap(), "6");
    assert_eq!(server.accepted(), 1);
    scene.exeunt().await;
}
