//! A peer that says GOAWAY.

use exeunt::{Reason, Subscribe};

use super::*;
use crate::{
    frames::{self, Frames},
    peer::End,
    stage,
};

/// Streams above the last one that the peer names were never processed, and are asked again on another connection, also a POST; those below are answered where they are.
#[actix::test]
async fn a_goaway_is_obeyed() {
    let seen = Notes::default();
    let notes = seen.clone();
    let server = Server::http2(move |peer, number| {
        let notes = notes.clone();
        async move {
            let mut peer = Frames::server(peer, &[]).await;
            let first = peer.next_of(frames::HEADERS).await.stream;
            notes.add("");
            if number > 0 {
                peer.next_of(frames::DATA).await;
                peer.answer(first, b"by the second").await;
                peer.until_end().await;
                return peer.0.end(End::CloseNotify).await;
            }
            assert_eq!((first, peer.next_of(frames::HEADERS).await.stream), (1, 3));
            peer.next_of(frames::DATA).await;
            peer.go_away(1, frames::NO_ERROR).await;
            peer.answer(1, b"by the first").await;
            peer.until_end().await;
            peer.0.end(End::CloseNotify).await;
        }
    })
    .await;
    let scene = Scene::new();
    let url = server.https("/");
    let mut below = Box::pin(scene.session.get(&url).send());
    begun(&mut below, &seen).await;
    let (below, above) = tokio::join!(below, scene.session.post(&url).body("once").send());
    assert_eq!(below.unwrap().text().await.unwrap(), "by the first");
    let above = above.unwrap();
    assert_eq!(above.text().await.unwrap(), "by the second");
    assert_eq!(server.accepted(), 2);
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.lost, 2);
    assert!(ledger.totals.by_reason.keys().all(|reason| reason.starts_with("closed")), "{ledger}");
}

/// A GOAWAY with an error is the peer's complaint, and the reason of the end.
#[actix::test]
async fn a_goaway_with_an_error_is_told() {
    let server = Server::http2(|peer, _| async move {
        let mut peer = Frames::server(peer, &[]).await;
        peer.next_of(frames::HEADERS).await;
        peer.go_away(1, frames::ENHANCE_YOUR_CALM).await;
        peer.answer(1, b"the last").await;
        peer.until_end().await;
        peer.0.end(End::CloseNotify).await;
    })
    .await;
    let scene = Scene::new();
    assert_eq!(scene.session.get(&server.https("/")).send().await.unwrap().text().await.unwrap(), "the last");
    let mut progress = scene.supervisor.send(Subscribe).await.unwrap();
    let lost = stage::lost(&mut progress).await;
    assert!(matches!(&lost.reason, Reason::Protocol(words) if words.contains("excessive load")), "{lost}");
    scene.exeunt().await;
}

/// From the moment that the peer has said it, nobody is given that connection any more, while what is under way on it goes on.
#[actix::test]
async fn a_connection_that_goes_is_given_to_nobody() {
    let (seen, heard) = (Notes::default(), Notes::default());
    let (notes, (go, gone)) = ((seen.clone(), heard.clone()), tokio::sync::oneshot::channel::<()>());
    let gone = Mutex::new(Some(gone));
    let server = Server::http2(move |peer, number| {
        let ((seen, heard), gone) = (notes.clone(), gone.lock().unwrap().take());
        async move {
            let mut peer = Frames::server(peer, &[]).await;
            let stream = peer.next_of(frames::HEADERS).await.stream;
            seen.add("");
            if let Some(gone) = gone {
                peer.go_away(stream, frames::NO_ERROR).await;
                peer.say(frames::PING, 0, 0, &[0; 8]).await;
                // Answered by whoever has read what came before it.
                peer.next_of(frames::PING).await;
                heard.add("");
                gone.await.unwrap();
            }
            peer.answer(stream, number.to_string().as_bytes()).await;
            peer.until_end().await;
            peer.0.end(End::CloseNotify).await;
        }
    })
    .await;
    let scene = Scene::new();
    let url = server.https("/");
    let mut first = Box::pin(scene.session.get(&url).send());
    begun(&mut first, &seen).await;
    until(|| !heard.all().is_empty()).await;
    let pool = scene.session.pool();
    assert_eq!((pool.dialing, pool.busy, pool.idle), (0, 0, 0), "it has no place any more");
    assert_eq!(scene.session.get(&url).send().await.unwrap().text().await.unwrap(), "1");
    go.send(()).unwrap();
    assert_eq!(first.await.unwrap().text().await.unwrap(), "0");
    assert_eq!(scene.exeunt().await.totals.lost, 2);
}
