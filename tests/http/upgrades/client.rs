//! A client that asks for an upgrade, over pipes, of a server that says what it is told.

use exeunt::{
    Phase, Reason, StreamError, SupervisedStream, Verdict,
    http::{Body, Exchange, ExchangeError, HttpClient, ResponseBody, UpgradeError, upgrade},
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{GRANT, read};
use crate::{
    over_both,
    session::ok,
    stage::{Over, SECOND, Scene, settled},
};

over_both!(
    what_came_with_the_head_is_read_first
    a_tunnel_is_connected
    a_tunnel_that_is_refused_leaves_http
    an_upgrade_that_is_refused_leaves_http
    a_101_that_nobody_asked_for_ends_the_connection
    what_waits_behind_an_upgrade_is_given_back
    a_response_that_is_dropped_with_its_stream_closes
    an_answer_that_is_given_up_closes
    each_end_at_each_place_is_told
    a_drain_is_told_and_finished
    a_drain_in_the_middle_of_an_upgrade_is_told
    a_kill_is_told
);

fn asking() -> Request<Body> {
    Request::get("/room").header("connection", "upgrade").header("upgrade", "test").body(Body::empty()).unwrap()
}

type Answer = Result<Response<ResponseBody>, ExchangeError>;

impl Scene<HttpClient> {
    /// Sends this at once; the answer may be awaited later.
    fn ask(&self, request: Request<Body>) -> tokio::task::JoinHandle<Answer> {
        let answer = self.connection.send(Exchange(request));
        actix::spawn(async move { answer.await.unwrap() })
    }

    /// A connection that was upgraded.
    async fn upgraded(over: Over) -> (Self, SupervisedStream) {
        let mut scene = Scene::call(over, HttpClient::new()).await;
        let answer = scene.ask(asking());
        scene.client.head().await;
        scene.client.say(GRANT).await;
        let stream = upgrade(&mut answer.await.unwrap().unwrap()).await.unwrap();
        (scene, stream)
    }
}

/// Law 2: bytes that came with the head are the stream's first, and the connection keeps its number.
async fn what_came_with_the_head_is_read_first(over: Over) {
    let mut scene = Scene::call(over, HttpClient::new()).await;
    let answer = scene.ask(asking());
    assert!(scene.client.head().await.contains("upgrade: test"));
    scene.client.say(format!("{GRANT}early")).await;
    let mut response = answer.await.unwrap().unwrap();
    assert_eq!(response.status(), 101);
    let mut stream = upgrade(&mut response).await.unwrap();
    assert_eq!(upgrade(&mut response).await.unwrap_err(), UpgradeError::NotAsked, "it is there once");
    assert_eq!(read(&mut stream, 5).await, b"early");
    stream.write_all(b"question").await.unwrap();
    assert_eq!(scene.client.take(8).await, b"question");
    scene.client.say("late").await;
    assert_eq!(read(&mut stream, 4).await, b"late");
    assert_eq!((stream.id(), stream.handle().phase()), (scene.connection.id(), Phase::Open));
    assert!(stream.handle().downcast_ref::<HttpClient>().is_some());
    drop(stream);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn a_tunnel_is_connected(over: Over) {
    let mut scene = Scene::call(over, HttpClient::new()).await;
    let answer = scene.ask(Request::connect("example.com:443").body(Body::empty()).unwrap());
    assert!(scene.client.head().await.starts_with("CONNECT example.com:443 HTTP/1.1\r\n"));
    scene.client.say("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nearly").await;
    let mut stream = upgrade(&mut answer.await.unwrap().unwrap()).await.unwrap();
    // A length there has no meaning (RFC 9110, section 9.3.6).
    assert_eq!(read(&mut stream, 5).await, b"early");
    drop(stream);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn a_tunnel_that_is_refused_leaves_http(over: Over) {
    let mut scene = Scene::call(over, HttpClient::new()).await;
    for _ in 0..2 {
        let answer = scene.ask(Request::connect("example.com:443").body(Body::empty()).unwrap());
        scene.client.head().await;
        scene.client.say("HTTP/1.1 407 No\r\ncontent-length: 3\r\n\r\nwhy").await;
        let mut response = answer.await.unwrap().unwrap();
        let refused = UpgradeError::Refused(StatusCode::PROXY_AUTHENTICATION_REQUIRED);
        assert_eq!(upgrade(&mut response).await.unwrap_err(), refused);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "why");
    }
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// And the connection is as good as before.
async fn an_upgrade_that_is_refused_leaves_http(over: Over) {
    let mut scene = Scene::call(over, HttpClient::new()).await;
    for _ in 0..2 {
        let answer = scene.ask(asking());
        scene.client.head().await;
        scene.client.say(ok("not here")).await;
        let mut response = answer.await.unwrap().unwrap();
        assert_eq!(upgrade(&mut response).await.unwrap_err(), UpgradeError::Refused(StatusCode::OK));
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "not here");
    }
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

async fn a_101_that_nobody_asked_for_ends_the_connection(over: Over) {
    let mut scene = Scene::call(over, HttpClient::new()).await;
    let answer = scene.ask(Request::get("/").body(Body::empty()).unwrap());
    scene.client.head().await;
    scene.client.say(GRANT).await;
    let error = answer.await.unwrap().unwrap_err();
    assert!(matches!(error, ExchangeError::NotHttp(_)), "{error}");
    scene.client.leave().await;
    let lost = scene.lost().await;
    assert!(matches!(lost.reason, Reason::Protocol(_)), "{lost}");
    scene.end().await;
}

/// It was not sent, and can be sent elsewhere.
async fn what_waits_behind_an_upgrade_is_given_back(over: Over) {
    let mut scene = Scene::call(over, HttpClient::new()).await;
    let (first, second) = (scene.ask(asking()), scene.ask(asking()));
    scene.client.head().await;
    scene.client.say(GRANT).await;
    let stream = upgrade(&mut first.await.unwrap().unwrap()).await.unwrap();
    for answer in [second, scene.ask(asking())] {
        let error = answer.await.unwrap().unwrap_err();
        assert!(matches!(error, ExchangeError::NotSent { reason: None, .. }), "{error}");
    }
    drop(stream);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn a_response_that_is_dropped_with_its_stream_closes(over: Over) {
    let mut scene = Scene::call(over, HttpClient::new()).await;
    let answer = scene.ask(asking());
    scene.client.head().await;
    scene.client.say(format!("{GRANT}never read")).await;
    drop(answer.await.unwrap().unwrap());
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

/// In mid-upgrade: there is no other way to give up what was asked (RFC 9112, section 9.5).
async fn an_answer_that_is_given_up_closes(over: Over) {
    let mut scene = Scene::call(over, HttpClient::new()).await;
    let answer = scene.ask(asking());
    scene.client.head().await;
    answer.abort();
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

/// Laws 1 and 5: the peer ends, well or not, after each byte of its 101 and of what comes with it.
async fn each_end_at_each_place_is_told(over: Over) {
    let said = format!("{GRANT}early");
    for (cut, well) in (0..=said.len()).flat_map(|cut| [(cut, true), (cut, false)]) {
        let mut scene = Scene::call(over, HttpClient::new()).await;
        let answer = scene.ask(asking());
        scene.client.head().await;
        scene.client.say(&said[..cut]).await;
        match well {
            true => scene.client.close().await,
            false => scene.client.fin().await,
        }
        let truncated = !well && over == Over::Tls;
        let reason = if truncated { Reason::Truncated } else { Reason::ClosedByPeer };
        match answer.await.unwrap() {
            Ok(mut response) => {
                assert!(cut >= GRANT.len(), "{cut}");
                match upgrade(&mut response).await {
                    Ok(mut stream) => {
                        let mut all = Vec::new();
                        let end = stream.read_to_end(&mut all).await;
                        assert_eq!(all, &said.as_bytes()[GRANT.len()..cut]);
                        let told = end.err().and_then(|error| StreamError::of(&error)?.reason().cloned());
                        assert_eq!(told, truncated.then_some(Reason::Truncated));
                    }
                    Err(error) => assert_eq!(error, UpgradeError::Lost(Some(reason.clone()))),
                }
            }
            Err(error) => assert!(cut < GRANT.len(), "{cut}: {error}"),
        }
        let lost = scene.lost().await;
        // Half a head that ends well is no HTTP.
        assert!(
            lost.reason == reason || matches!(lost.reason, Reason::Protocol(_)) && cut < GRANT.len(),
            "{cut}: {lost}"
        );
        scene.end().await;
    }
}

/// Law 6.
async fn a_drain_is_told_and_finished(over: Over) {
    let (mut scene, mut stream) = Scene::upgraded(over).await;
    let stop = scene.stop();
    assert!(stream.draining().await.is_some());
    scene.client.say("one more").await;
    assert_eq!(read(&mut stream, 8).await, b"one more");
    stream.write_all(b"and out").await.unwrap();
    drop(stream);
    assert_eq!(scene.client.until_end().await.unwrap(), b"and out");
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

/// Law 6: what was asked before the stop is finished, and its stream knows from its first moment.
async fn a_drain_in_the_middle_of_an_upgrade_is_told(over: Over) {
    let mut scene = Scene::call(over, HttpClient::new()).await;
    let answer = scene.ask(asking());
    scene.client.head().await;
    let stop = scene.stop();
    tokio::time::sleep(SECOND * 10).await;
    scene.client.say(GRANT).await;
    let stream = upgrade(&mut answer.await.unwrap().unwrap()).await.unwrap();
    assert!(stream.is_draining());
    drop(stream);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

/// A server that takes nothing after the drain is over costs its linger and no more.
async fn a_kill_is_told(over: Over) {
    let (mut scene, mut stream) = Scene::upgraded(over).await;
    let stop = scene.stop();
    stream.write_all(&vec![7; 200_000]).await.unwrap();
    settled().await;
    let lost = scene.lost().await;
    assert_eq!(lost.reason, Reason::Killed);
    assert!(lost.bytes_unsent > 0, "{lost}");
    let error = stream.write(b"x").await.unwrap_err();
    assert_eq!(StreamError::of(&error).and_then(StreamError::lost), Some(&lost));
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Forced(1));
}
