//! A stop with a hundred connections by a proxy, in whatever they are doing.

use exeunt::{Connect, Lines, Phase, Roll, StopPlan};
use futures_util::future::join_all;

use super::*;
use crate::{
    peer::client_tls,
    roll_call::{expected, roll_call},
    session::{Scene, ok},
};

/// Waits until so many are in each phase.
async fn until(scene: &Scene, wanted: &[(Phase, usize)]) {
    loop {
        let roll = scene.supervisor.send(Roll).await.unwrap();
        let count = |phase| roll.iter().filter(|entry| entry.phase == phase).count();
        if wanted.iter().all(|(phase, n)| count(*phase) == *n) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Laws 1, 6 and 9: twenty-five idle, twenty-five in use, twenty-five whose CONNECT is not answered, twenty-five in the handshake inside: as many rows, each with the right reason.
#[actix::test]
async fn a_hundred_in_every_state_leave_a_hundred_rows() {
    const EACH: usize = 25;
    let notes = Notes::default();
    let proxy = {
        let notes = notes.clone();
        Server::plain(move |mut peer, _| {
            let notes = notes.clone();
            async move {
                let head = peer.head().await;
                if head.starts_with("CONNECT silent.example") {
                    return peer.silence().await;
                }
                peer.write("HTTP/1.1 200 OK\r\n\r\n").await;
                if head.starts_with("CONNECT stuck.example") {
                    // It takes the first flight, and never answers.
                    return peer.silence().await;
                }
                notes.add(&head);
                relay(peer, port_of(&head)).await;
            }
        })
        .await
    };
    let server = Server::tls(|mut peer, _| async move {
        while let head = peer.head().await
            && !head.is_empty()
        {
            if head.starts_with("GET /idle") {
                peer.write(ok("x")).await;
            } else {
                peer.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel").await;
                // The rest when the client has its half: the drain waits for it.
                peer.write("lo").await;
            }
        }
        peer.end(crate::peer::End::CloseNotify).await;
    })
    .await;
    let scene = Scene::with(|session| session.proxy(&http(&proxy)));
    let url = |path: &str| server.https(path);
    // All at once, so that each has a connection of its own.
    let responses =
        join_all((0..2 * EACH).map(|n| scene.session.get(&url(if n < EACH { "/idle" } else { "/used" })).send()));
    let mut responses: Vec<_> = responses.await.into_iter().map(Result::unwrap).collect();
    let used = responses.split_off(EACH);
    for response in responses {
        response.bytes().await.unwrap();
    }
    let asked: Vec<_> = (0..2 * EACH)
        .map(|n| {
            let target = if n < EACH { "silent.example:443" } else { "stuck.example:443" };
            scene.supervisor.send(Connect::to(target, Lines::default()).tls(&client_tls()).proxy(&http(&proxy)))
        })
        .map(|asked| actix_rt::spawn(async move { asked.await.unwrap().map(drop) }))
        .collect();
    until(&scene, &[(Phase::Dialing, EACH), (Phase::Handshaking, EACH), (Phase::Open, 2 * EACH)]).await;
    let stop = scene.supervisor.send(exeunt::Stop::by(StopPlan::new()));
    let stop = actix_rt::spawn(async move { stop.await.unwrap() });
    for asked in asked {
        asked.await.unwrap().unwrap_err();
    }
    for response in used {
        assert_eq!(response.text().await.unwrap(), "hello", "what was in use is finished");
    }
    let ledger = stop.await.unwrap();
    assert_eq!(ledger.rows.len(), 4 * EACH, "{ledger}");
    assert_eq!(ledger.verdict(), exeunt::Verdict::Clean);
    let ends = [("dialing: cancelled", EACH), ("handshaking: cancelled", EACH), ("open: closed", 2 * EACH)];
    assert_eq!(roll_call(&ledger), expected(ends), "{ledger}");
}
