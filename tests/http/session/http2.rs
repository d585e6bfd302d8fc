//! HTTP/2 as a client: many exchanges on a connection, its limits, and whatever a peer may do to one of them or to all.

mod crowd;
mod ends;
mod going;
mod streams;

use bytes::Bytes;
use exeunt::http::{Limits, Versions};
use futures_util::{FutureExt, future::join_all};
use http::{Request, Response, Version};
use tokio::sync::Semaphore;

use super::*;
use crate::peer::{Peer, Server};

/// A request that a peer has, and its answer.
type Asked = (Request<h2::RecvStream>, h2::server::SendResponse<Bytes>);

/// Serves each request by a task of its own, on every connection; `streams`: how many at a time.
async fn served<F: Future<Output = ()> + 'static>(
    streams: u32,
    answer: impl Fn(Asked, usize) -> F + Clone + 'static,
) -> Server {
    Server::http2(move |peer, number| serve(peer, number, streams, answer.clone())).await
}

async fn serve<F: Future<Output = ()> + 'static>(
    peer: Peer,
    number: usize,
    streams: u32,
    answer: impl Fn(Asked, usize) -> F,
) {
    let mut peer = h2::server::Builder::new().max_concurrent_streams(streams).handshake(peer).await.unwrap();
    while let Some(Ok(asked)) = peer.accept().await {
        actix_rt::spawn(answer(asked, number));
    }
}

/// Answers with this body.
fn answered((_, mut respond): Asked, body: impl Into<Bytes>) {
    // Whoever is gone hears nothing.
    if let Ok(mut stream) = respond.send_response(Response::new(()), false) {
        let _ = stream.send_data(body.into(), true);
    }
}

/// Begins a request, and goes on when its peer has noted that it has it.
async fn begun<F: Future + Unpin>(request: &mut F, notes: &Notes) {
    let before = notes.all().len();
    while notes.all().len() == before {
        assert!(request.now_or_never().is_none(), "it is answered already");
        tokio::task::yield_now().await;
    }
}

/// Waits until what is awaited is so; every turn lets everything else run.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// A hundred requests at once, to a server that nobody knows yet, are a hundred streams of one connection, for which no other is dialled.
#[actix::test]
async fn many_exchanges_share_one_connection() {
    let together = Arc::new(tokio::sync::Barrier::new(100));
    let server = served(100, move |asked: Asked, _| {
        let together = together.clone();
        async move {
            let (request, _) = &asked;
            let said = format!(
                "{} {} {:?} {:?}",
                request.uri().authority().unwrap().host(),
                request.uri().path(),
                request.headers().get("host"),
                request.headers().get("connection")
            );
            // Only if all of them are under way at the same time, any is answered.
            together.wait().await;
            answered(asked, said);
        }
    })
    .await;
    let scene = Scene::new();
    let ask = async |n: usize| {
        let request =
            scene.session.get(&server.https(&format!("/{n}"))).header("connection", "x-own").header("x-own", "1");
        let response = request.send().await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.text().await.unwrap(), format!("localhost /{n} None None"));
    };
    join_all((0..100).map(ask)).await;
    assert_eq!(server.accepted(), 1);
    let pool = scene.session.pool();
    assert_eq!((pool.idle, pool.busy), (1, 0), "every stream was given back");
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.by_reason["closed"], 1, "{ledger}");
}

/// A server that allows eight streams, what lets its answers but the first go, and how many are held on each connection.
async fn gated() -> (Server, Arc<Semaphore>, Arc<Mutex<[usize; 8]>>) {
    let gate = Arc::new(Semaphore::new(0));
    let under_way = Arc::new(Mutex::new([0_usize; 8]));
    let (permits, counts) = (gate.clone(), under_way.clone());
    let server = served(8, move |asked: Asked, number| {
        let (permits, counts) = (permits.clone(), counts.clone());
        async move {
            if asked.0.uri().path() != "/first" {
                counts.lock().unwrap()[number] += 1;
                permits.acquire().await.unwrap().forget();
                counts.lock().unwrap()[number] -= 1;
            }
            answered(asked, "done");
        }
    })
    .await;
    (server, gate, under_way)
}

/// A server that allows eight streams has a second connection before anybody waits for the first, and no more streams than it allows.
#[actix::test]
async fn a_new_connection_is_made_before_the_stream_limit() {
    let (server, gate, under_way) = gated().await;
    let scene = Scene::new();
    // The limit is known from then on.
    scene.session.get(&server.https("/first")).send().await.unwrap().bytes().await.unwrap();
    let url = server.https("/");
    let mut asking: Vec<_> = (0..20).map(|_| Box::pin(scene.session.get(&url).send())).collect();
    let mut poll = || asking.iter_mut().for_each(|ask| assert!(ask.as_mut().now_or_never().is_none()));
    let alive = || under_way.lock().unwrap().iter().sum::<usize>();
    while alive() < 20 {
        poll();
        tokio::task::yield_now().await;
    }
    let counts = *under_way.lock().unwrap();
    assert!(counts.iter().all(|count| *count <= 8), "{counts:?}");
    assert_eq!((counts[0], server.accepted()), (8, 3));
    gate.add_permits(20);
    for response in join_all(asking).await {
        assert_eq!(response.unwrap().text().await.unwrap(), "done");
    }
    assert_eq!(scene.exeunt().await.totals.lost, 3);
}

/// What ends makes room for one exchange, and no more: the ninth of eight goes elsewhere, and is not kept waiting where there is no stream for it.
#[actix::test]
async fn a_stream_that_ends_makes_room_for_one() {
    let (server, gate, under_way) = gated().await;
    let scene = Scene::new();
    scene.session.get(&server.https("/first")).send().await.unwrap().bytes().await.unwrap();
    let ask = || {
        let request = scene.session.get(&server.https("/"));
        actix_rt::spawn(async move { request.send().await.unwrap().text().await.unwrap() })
    };
    let mut asking: Vec<_> = (0..8).map(|_| ask()).collect();
    until(|| under_way.lock().unwrap()[0] == 8).await;
    gate.add_permits(1);
    until(|| asking.iter().any(|asking| asking.is_finished())).await;
    asking.extend([ask(), ask()]);
    let all = crate::soon(until(|| under_way.lock().unwrap().iter().sum::<usize>() == 9)).await;
    assert!(all.is_some(), "one waits where there is no stream for it: {under_way:?}");
    assert_eq!(under_way.lock().unwrap()[..2], [8, 1]);
    gate.add_permits(9);
    for answer in join_all(asking).await {
        assert_eq!(answer.unwrap(), "done");
    }
    scene.exeunt().await;
}

/// Within the limits of the pool, whoever is too much waits.
#[actix::test]
async fn beyond_the_limits_requests_wait_for_a_stream() {
    let server = served(2, |asked: Asked, _| async move {
        tokio::task::yield_now().await;
        answered(asked, "done");
    })
    .await;
    let limits = Limits { per_host: 1, ..Limits::default() };
    let scene = Scene::with(|session| session.limits(limits));
    let url = server.https("/");
    for _ in 0..2 {
        let ask = async |_: usize| scene.session.get(&url).send().await.unwrap().text().await.unwrap();
        assert_eq!(join_all((0..30).map(ask)).await, ["done"; 30]);
    }
    assert_eq!(server.accepted(), 1);
    scene.exeunt().await;
}

/// By prior knowledge, with and without TLS; and a server that has no HTTP/2 is spoken to in HTTP/1.1.
#[actix::test]
async fn the_version_is_chosen_by_knowledge_or_by_alpn() {
    let knows = Server::plain(|peer, n| serve(peer, n, 10, |asked, _| async move { answered(asked, "plainly") })).await;
    let scene = Scene::with(|session| session.versions(Versions::Http2));
    let response = scene.session.get(&knows.http("/")).send().await.unwrap();
    assert_eq!((response.version(), response.text().await.unwrap().as_str()), (Version::HTTP_2, "plainly"));
    // No ALPN at all.
    let secretly =
        Server::tls(|peer, n| serve(peer, n, 10, |asked, _| async move { answered(asked, "secretly") })).await;
    let response = scene.session.get(&secretly.https("/")).send().await.unwrap();
    assert_eq!((response.version(), response.text().await.unwrap().as_str()), (Version::HTTP_2, "secretly"));
    scene.exeunt().await;

    let old = Server::tls(|mut peer, _| async move { while !peer.answer(ok("of old")).await.is_empty() {} }).await;
    let scene = Scene::new();
    let response = scene.session.get(&old.https("/")).send().await.unwrap();
    assert_eq!((response.version(), response.text().await.unwrap().as_str()), (Version::HTTP_11, "of old"));
    // And the two choices share nothing.
    let new = served(10, |asked, _| async move { answered(asked, "of late") }).await;
    scene.session.get(&new.https("/")).send().await.unwrap().bytes().await.unwrap();
    let error = scene.session.get(&new.https("/")).versions(Versions::Http1).send().await.unwrap_err();
    assert!(error.to_string().contains("no_application_protocol"), "{error}");
    assert_eq!(new.accepted(), 2);
    scene.exeunt().await;
}

/// What the peer did not process is asked again, whatever its method; by the pool it would never be known.
#[actix::test]
async fn a_post_that_was_refused_is_asked_again() {
    let refusals = Arc::new(std::sync::atomic::AtomicUsize::new(2));
    let count = refusals.clone();
    let server = served(10, move |mut asked: Asked, _| {
        let count = count.clone();
        async move {
            use std::sync::atomic::Ordering::SeqCst;
            if count.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return asked.1.send_reset(h2::Reason::REFUSED_STREAM);
            }
            answered(asked, "processed");
        }
    })
    .await;
    let scene = Scene::new();
    let response = scene.session.post(&server.https("/")).body("once").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "processed");
    assert_eq!(server.accepted(), 1, "the connection is none the worse");
    // One that goes on like this is not asked for ever.
    refusals.store(1000, std::sync::atomic::Ordering::SeqCst);
    let error = scene.session.post(&server.https("/")).body("once").send().await.unwrap_err();
    assert!(matches!(error.kind(), exeunt::http::ErrorKind::NotProcessed(_)), "{error:?}");
    assert_eq!(error.attempts(), 5);
    // A body that is there only once cannot be asked again.
    let body = exeunt::http::Body::stream(futures_util::stream::iter([Ok::<_, std::io::Error>("once")]));
    let error = scene.session.post(&server.https("/")).body(body).send().await.unwrap_err();
    assert!(matches!(error.kind(), exeunt::http::ErrorKind::NotProcessed(_)), "{error:?}");
    assert_eq!(error.attempts(), 1);
    scene.exeunt().await;
}
