//! Each end at each place of a response: an error that says what happened, never a short success (law 5).

use std::time::Duration;

use exeunt::http::{BodyError, ErrorKind};

use super::*;
use crate::peer::{End, Server};

/// What came of a request: the body, or at which of its two halves it failed.
#[derive(Debug, PartialEq)]
enum Came {
    Whole(String),
    NoHead,
    Truncated { received: u64, expected: Option<u64> },
}

/// One request, answered by this much, and then that end.
async fn play(tls: bool, part: &'static [u8], end: End) -> Came {
    let script = move |mut peer: crate::peer::Peer, _| async move {
        peer.head().await;
        peer.write(part).await;
        peer.end(end).await;
    };
    let server = if tls { Server::tls(script).await } else { Server::plain(script).await };
    let scene = Scene::new();
    let url = if tls { server.https("/") } else { server.http("/") };
    let came = match scene.session.get(&url).send().await {
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Lost(_)), "{part:?} {end:?}: {error:?}");
            assert!(error.was_sent());
            Came::NoHead
        }
        Ok(response) => match response.text().await {
            Ok(text) => Came::Whole(text),
            Err(BodyError::Truncated { received, expected, .. }) => Came::Truncated { received, expected },
            Err(error) => panic!("{part:?} {end:?}: {error:?}"),
        },
    };
    // One Lost, whatever it was (law 1).
    assert_eq!(scene.exeunt().await.totals.lost, 1);
    came
}

async fn everywhere(tls: bool, whole: &'static [u8], head: usize, expected: Option<u64>, ends: &[End]) {
    for &end in ends {
        for cut in 0..whole.len() {
            let came = play(tls, &whole[..cut], end).await;
            if cut < head {
                assert_eq!(came, Came::NoHead, "{cut} bytes, {end:?}");
                continue;
            }
            // A reset may destroy what came before it.
            match came {
                Came::Truncated { expected: of, .. } => assert_eq!(of, expected, "{cut} bytes, {end:?}"),
                Came::NoHead if end == End::Reset => {}
                other => panic!("{cut} bytes, {end:?}: {other:?}"),
            }
        }
    }
}

const ALL: [End; 3] = [End::CloseNotify, End::Fin, End::Reset];

#[actix::test]
async fn a_body_with_a_length_ends_there_or_is_truncated() {
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    everywhere(true, RESPONSE, RESPONSE.len() - 5, Some(5), &ALL).await;
    assert_eq!(play(true, RESPONSE, End::CloseNotify).await, Came::Whole("hello".into()));
}

#[actix::test]
async fn a_body_in_chunks_ends_with_the_last_or_is_truncated() {
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    everywhere(true, RESPONSE, RESPONSE.len() - 15, None, &ALL).await;
    assert_eq!(play(true, RESPONSE, End::CloseNotify).await, Came::Whole("hello".into()));
}

/// A body that is ended only by the close needs close_notify.
#[actix::test]
async fn a_body_until_the_close_is_whole_only_with_close_notify() {
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello";
    assert_eq!(play(true, RESPONSE, End::CloseNotify).await, Came::Whole("hello".into()));
    assert_eq!(play(true, RESPONSE, End::Fin).await, Came::Truncated { received: 5, expected: None });
    // Without TLS nobody can tell; but a reset is none.
    assert_eq!(play(false, RESPONSE, End::Fin).await, Came::Whole("hello".into()));
}

#[actix::test]
async fn without_tls_a_length_is_held_too() {
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    everywhere(false, RESPONSE, RESPONSE.len() - 5, Some(5), &[End::Fin, End::Reset]).await;
}

/// Silence at each place is bounded by the deadlines that were asked for, and the connection is not used again.
#[actix::test]
async fn silence_at_each_place_is_a_timeout() {
    const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    for cut in [0, 10, RESPONSE.len() - 6, RESPONSE.len() - 5, RESPONSE.len() - 1] {
        let server = Server::tls(move |mut peer, _| async move {
            peer.head().await;
            peer.write(&RESPONSE[..cut]).await;
            peer.silence().await;
        })
        .await;
        let scene = Scene::new();
        let patience = Duration::from_millis(50);
        let request = scene.session.get(&server.https("/")).first_byte_timeout(patience).read_timeout(patience);
        match request.send().await {
            Err(error) => assert!(error.is_timeout() && error.was_sent() && cut < RESPONSE.len() - 5, "{cut}: {error}"),
            Ok(response) => {
                let error = response.text().await.unwrap_err();
                assert!(matches!(error, BodyError::TimedOut { .. }), "{cut}: {error}");
            }
        }
        assert_eq!(scene.exeunt().await.totals.lost, 1);
    }
}

#[actix::test]
async fn what_is_no_http_says_so() {
    for garbage in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"] {
        let server = Server::tls(move |mut peer, _| async move {
            peer.answer(garbage).await;
            peer.silence().await;
        })
        .await;
        let scene = Scene::new();
        let error = scene.session.get(&server.https("/")).send().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotHttp(_)), "{garbage:?}: {error:?}");
        let ledger = scene.exeunt().await;
        assert_eq!(ledger.totals.by_reason.keys().collect::<Vec<_>>(), [&"protocol_error"], "{ledger}");
    }
    // In the middle of a body.
    let server = Server::tls(|mut peer, _| async move {
        peer.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n").await;
        peer.silence().await;
    })
    .await;
    let scene = Scene::new();
    let response = scene.session.get(&server.https("/")).send().await.unwrap();
    let error = response.text().await.unwrap_err();
    assert!(!matches!(error, BodyError::TimedOut { .. }), "{error:?}");
    assert_eq!(scene.exeunt().await.totals.lost, 1);
}
