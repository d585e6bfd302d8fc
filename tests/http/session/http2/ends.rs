//! How a connection of HTTP/2 ends, and what is told of it.

use std::time::Duration;

use actix::Actor;
use exeunt::{
    Adopt, ClientTls, Phase, Reason, Socket, StopPlan, Subscribe, Verdict,
    http::{Body, BodyError, ErrorKind, Exchange, ExchangeError, Http2Options, HttpClient, NotProcessed},
};

use tokio::io::AsyncWriteExt;

use super::*;
use crate::{
    frames::{self, Frame, Frames},
    peer::{End, IDENTITY},
    stage::{self, PIPE},
};

/// A server whose answers wait for a permit, and that answers GOAWAY with the end of the connection.
async fn patient(gate: &Arc<Semaphore>, asked: &Notes) -> Server {
    let (gate, asked) = (gate.clone(), asked.clone());
    served(100, move |request: Asked, number| {
        let (gate, asked) = (gate.clone(), asked.clone());
        async move {
            asked.add(number.to_string());
            gate.acquire().await.unwrap().forget();
            answered(request, "done");
        }
    })
    .await
}

/// Law 6: in a drain what is under way is finished, then GOAWAY, then close_notify; what comes later is refused.
#[actix::test]
async fn a_drain_finishes_the_streams() {
    let (said, seen) = (Notes::default(), Notes::default());
    let noted = seen.clone();
    let (told, (go, gone)) = (said.clone(), tokio::sync::oneshot::channel::<()>());
    let gone = Mutex::new(Some(gone));
    let server = Server::http2(move |peer, _| {
        let (told, noted, gone) = (told.clone(), noted.clone(), gone.lock().unwrap().take().unwrap());
        async move {
            let mut peer = Frames::server(peer, &[]).await;
            for stream in [1, 3] {
                assert_eq!(peer.next_of(frames::HEADERS).await.stream, stream);
                noted.add("");
            }
            peer.head(1).await;
            peer.say(frames::DATA, 0, 1, b"half, ").await;
            gone.await.unwrap();
            peer.say(frames::DATA, frames::END_STREAM, 1, b"whole").await;
            peer.answer(3, b"whole").await;
            let Frame { kind, payload, .. } = peer.next().await.unwrap();
            told.add(format!("{kind} {payload:?}"));
            assert!(peer.next().await.is_none());
            peer.0.end(End::CloseNotify).await;
        }
    })
    .await;
    let scene = Scene::new();
    let url = server.https("/");
    let mut first = Box::pin(scene.session.get(&url).send());
    let mut second = Box::pin(scene.session.get(&url).send());
    begun(&mut first, &seen).await;
    begun(&mut second, &seen).await;
    let mut half = first.await.unwrap();
    assert_eq!(half.chunk().await.unwrap().unwrap(), "half, ");
    let stop = actix_rt::spawn(scene.supervisor.send(Stop::new()));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert!(scene.session.get(&url).send().await.unwrap_err().is_stopping());
    go.send(()).unwrap();
    assert_eq!(half.text().await.unwrap(), "whole");
    assert_eq!(second.await.unwrap().text().await.unwrap(), "whole");
    let ledger = stop.await.unwrap().unwrap();
    assert_eq!((ledger.rows.len(), ledger.verdict()), (1, Verdict::Clean), "{ledger}");
    assert_eq!(ledger.totals.by_reason["closed"], 1, "{ledger}");
    assert_eq!(said.all(), ["7 [0, 0, 0, 0, 0, 0, 0, 0]"], "GOAWAY, and nothing after it");
    scene.exeunt().await;
}

/// Law 9: a hundred exchanges on three connections are three rows. Law 6: what does not end is killed at the deadline, and its exchanges say so.
#[actix::test]
async fn a_hundred_exchanges_are_as_many_rows_as_connections() {
    for in_time in [true, false] {
        let (gate, asked) = (Arc::new(Semaphore::new(0)), Notes::default());
        let servers = [patient(&gate, &asked).await, patient(&gate, &asked).await, patient(&gate, &asked).await];
        let scene = Scene::new();
        let urls: Vec<_> = servers.iter().map(|server| server.https("/")).collect();
        let ask = async |url: &str| match scene.session.get(url).send().await {
            Ok(response) => Ok(response.text().await.unwrap()),
            Err(error) => Err(error),
        };
        let mut asking: Vec<_> = (0..100).map(|n| Box::pin(ask(&urls[n % 3]))).collect();
        while asked.all().len() < 100 {
            asking.iter_mut().for_each(|ask| assert!(ask.as_mut().now_or_never().is_none()));
            tokio::task::yield_now().await;
        }
        let plan = StopPlan::new()
            .drain(Duration::from_secs(if in_time { 20 } else { 0 }))
            .linger(Duration::from_secs(if in_time { 5 } else { 0 }));
        let stop = scene.supervisor.send(Stop::by(plan));
        if in_time {
            gate.add_permits(100);
        }
        let (ledger, answers) = tokio::join!(stop, join_all(asking));
        let ledger = ledger.unwrap();
        assert_eq!((ledger.rows.len(), ledger.totals.lost), (3, 3), "{ledger}");
        for answer in answers {
            match answer {
                Ok(text) => assert_eq!((in_time, text.as_str()), (true, "done")),
                // Or it was asked once more, elsewhere, which is refused.
                Err(error) => assert!(
                    !in_time && (matches!(error.kind(), ErrorKind::Lost(_)) || error.is_stopping()),
                    "{error:?}"
                ),
            }
        }
        if in_time {
            assert_eq!((ledger.totals.by_reason["closed"], ledger.verdict()), (3, Verdict::Clean), "{ledger}");
        }
        scene.exeunt().await;
    }
}

/// What is no HTTP/2 ends the connection, with GOAWAY, and all that is under way says so.
#[actix::test]
async fn a_peer_that_breaks_the_rules_is_told() {
    let errors = Notes::default();
    let told = errors.clone();
    let server = Server::http2(move |peer, _| {
        let told = told.clone();
        async move {
            let mut peer = Frames::server(peer, &[]).await;
            peer.next_of(frames::HEADERS).await;
            // Data on a stream that nobody opened.
            peer.say(frames::DATA, 0, 99, b"?").await;
            told.add(peer.next_of(frames::GOAWAY).await.number(4).to_string());
            peer.until_end().await;
        }
    })
    .await;
    let scene = Scene::new();
    let error = scene.session.get(&server.https("/")).send().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotHttp(_)), "{error:?}");
    until(|| !errors.all().is_empty()).await;
    assert_eq!(errors.all(), [frames::PROTOCOL_ERROR.to_string()]);
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.by_reason["protocol_error"], 1, "{ledger}");
}

/// Law 5: whatever ends the connection in the middle of a body, the body is not whole.
#[actix::test]
async fn a_body_that_is_cut_by_the_end_is_no_body() {
    for end in [End::CloseNotify, End::Fin, End::Reset] {
        let server = Server::http2(move |peer, _| async move {
            let mut peer = Frames::server(peer, &[]).await;
            peer.next_of(frames::HEADERS).await;
            peer.head(1).await;
            peer.say(frames::DATA, 0, 1, b"half").await;
            // Until it is acknowledged, a reset might meet what came before it.
            peer.say(frames::PING, 0, 0, &[0; 8]).await;
            peer.next_of(frames::PING).await;
            peer.0.end(end).await;
        })
        .await;
        let scene = Scene::new();
        let mut response = scene.session.get(&server.https("/")).send().await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), "half");
        let error = response.chunk().await.unwrap_err();
        let expected = match end {
            End::CloseNotify => Reason::ClosedByPeer,
            End::Fin => Reason::Truncated,
            End::Reset => Reason::Reset,
        };
        assert!(
            matches!(&error, BodyError::Truncated { received: 4, reason: Some(reason), .. } if *reason == expected),
            "{end:?}: {error:?}"
        );
        let ledger = scene.exeunt().await;
        assert_eq!(ledger.totals.by_reason[expected.code()], 1, "{ledger}");
    }
}

/// Dropping the session's last handle finishes what is under way, and then says GOAWAY.
#[actix::test]
async fn a_session_that_is_dropped_finishes_its_streams() {
    let (gate, asked) = (Arc::new(Semaphore::new(0)), Notes::default());
    let server = patient(&gate, &asked).await;
    let Scene { supervisor, session, .. } = Scene::new();
    let mut progress = supervisor.send(Subscribe).await.unwrap();
    let request = session.get(&server.https("/"));
    let mut response = Box::pin(request.send());
    while asked.all().is_empty() {
        assert!(response.as_mut().now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    drop(session);
    gate.add_permits(1);
    assert_eq!(response.await.unwrap().text().await.unwrap(), "done");
    assert_eq!(stage::lost(&mut progress).await.reason, Reason::Closed);
    supervisor.send(Stop::new()).await.unwrap();
}

/// A single connection over a pipe, with a paused clock.
async fn single(
    client: HttpClient,
) -> (exeunt::Handle<HttpClient>, Frames<Box<dyn stage::Stream>>, exeunt::Subscription) {
    tokio::time::pause();
    let supervisor = Supervisor::new().start();
    let progress = supervisor.send(Subscribe).await.unwrap();
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let tls = ClientTls::builder().trust_pem(&IDENTITY.ca_pem).build().unwrap();
    let adopt = Adopt::client(Socket::boxed(ours), "localhost", &tls, client.versions(Versions::Http2));
    let (connection, peer) = tokio::join!(supervisor.send(adopt), stage::Client::accepted(theirs));
    (connection.unwrap().unwrap(), Frames::server(peer.stream, &[]).await, progress)
}

fn get() -> Exchange {
    Exchange(http::Request::get("/").body(Body::empty()).unwrap())
}

/// A PING that is not answered ends the connection, as timed out, and what is under way on it.
#[actix::test]
async fn a_ping_that_is_not_answered_ends_the_connection() {
    let options = Http2Options::client().ping(Duration::from_secs(10), Duration::from_secs(5));
    let (connection, mut peer, mut progress) = single(HttpClient::new().http2(options)).await;
    let began = tokio::time::Instant::now();
    let answer = actix_rt::spawn(connection.send(get()));
    peer.next_of(frames::HEADERS).await;
    // The first is answered.
    let ping = peer.next_of(frames::PING).await;
    peer.say(frames::PING, frames::ACK, 0, &ping.payload).await;
    peer.next_of(frames::PING).await;
    let error = answer.await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, ExchangeError::Lost { reason: Some(Reason::TimedOut(Phase::Open)) }), "{error:?}");
    assert!(began.elapsed() >= Duration::from_secs(25), "{:?}", began.elapsed());
    assert_eq!(stage::lost(&mut progress).await.reason, Reason::TimedOut(Phase::Open));
}

/// Without a pool the connection itself keeps to the limit, and what waits is given back when the peer takes no more.
#[actix::test]
async fn a_single_connection_keeps_to_the_limit_and_gives_back_what_waits() {
    let (connection, mut peer, mut progress) = single(HttpClient::new()).await;
    peer.say(
        frames::SETTINGS,
        0,
        0,
        &[&frames::MAX_CONCURRENT_STREAMS.to_be_bytes()[..], &1_u32.to_be_bytes()].concat(),
    )
    .await;
    peer.say(frames::PING, 0, 0, &[0; 8]).await;
    peer.next_of(frames::PING).await;
    let first = actix_rt::spawn(connection.send(get()));
    let waiting = actix_rt::spawn(connection.send(get()));
    assert_eq!(peer.next_of(frames::HEADERS).await.stream, 1);
    peer.answer(1, b"one").await;
    // Its body is not read yet, so the stream is not done.
    let first = first.await.unwrap().unwrap().unwrap();
    stage::settled().await;
    assert!(!waiting.is_finished());
    peer.go_away(1, frames::NO_ERROR).await;
    let error = waiting.await.unwrap().unwrap().unwrap_err();
    assert!(matches!(&error, ExchangeError::NotProcessed { request: Some(_), why: NotProcessed::GoAway }), "{error:?}");
    drop(first);
    peer.until_end().await;
    peer.0.shutdown().await.unwrap();
    assert_eq!(stage::lost(&mut progress).await.reason, Reason::Closed);
}
