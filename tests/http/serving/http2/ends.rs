//! How a connection ends: by a drain, by silence.

use super::*;

over_both!(
    a_drain_serves_what_was_on_its_way
    a_drain_of_an_idle_connection_ends_it_at_once
    a_drain_waits_for_a_response_that_is_not_taken
    a_drain_waits_for_a_response_that_the_socket_does_not_take
    a_client_that_does_not_hear_the_goaway_is_left
    a_stream_without_end_is_ended_with_the_drain
    an_idle_connection_is_told_to_go
    a_client_that_says_nothing_is_closed
    half_a_preface_is_not_awaited_for_ever
    a_ping_that_is_not_answered_ends_the_connection
);

/// Law 6: GOAWAY; what the client has sent before it heard that is served; then it is told which was the last, and the connection ends.
async fn a_drain_serves_what_was_on_its_way(over: Over) {
    let slow = async |_| {
        tokio::time::sleep(SECOND).await;
        Response::new(Body::from("at last"))
    };
    let (mut scene, mut client) = open(over, server(slow)).await;
    client.ask(1, frames::END_STREAM).await;
    settled().await;
    let stop = scene.stop();
    settled().await;
    // It has not read the GOAWAY yet.
    client.ask(3, frames::END_STREAM).await;
    let going = client.next_of(frames::GOAWAY).await;
    assert_eq!((going.number(0), going.number(4)), (0x7fff_ffff, frames::NO_ERROR));
    let ping = client.next_of(frames::PING).await;
    client.say(frames::PING, frames::ACK, 0, &ping.payload).await;
    let last = client.next_of(frames::GOAWAY).await;
    assert_eq!((last.number(0), last.number(4)), (3, frames::NO_ERROR));
    for stream in [1, 3] {
        assert_eq!(client.next_of(frames::HEADERS).await.stream, stream);
        assert_eq!(client.next_of(frames::DATA).await.payload, b"at last");
    }
    client.until_end().await;
    leave(client).await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

async fn a_drain_of_an_idle_connection_ends_it_at_once(over: Over) {
    let (mut scene, mut sender) = speak(over, server(mirror)).await;
    let (response, _) = sender.send_request(get("/"), true).unwrap();
    read(response.await.unwrap().into_body()).await.unwrap();
    let began = Instant::now();
    let stop = scene.stop();
    drop(sender);
    // Both hear at the same time that nothing is left.
    assert!(scene.lost().await.reason.is_expected());
    assert!(began.elapsed() < SECOND / 2, "it took {:?}", began.elapsed());
    scene.ended(stop).await;
}

/// The handler is long done, and what is left waits in the server for the client's window.
async fn a_drain_waits_for_a_response_that_is_not_taken(over: Over) {
    const SIZE: usize = 100_000;
    let handler = async |_| Response::new(Body::from(vec![b'x'; SIZE]));
    let (mut scene, mut sender) = speak(over, server(handler)).await;
    let (response, _) = sender.send_request(get("/"), true).unwrap();
    let response = response.await.unwrap();
    settled().await;
    let stop = scene.stop();
    tokio::time::sleep(SECOND * 10).await;
    assert_eq!(read(response.into_body()).await.unwrap().len(), SIZE);
    drop(sender);
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

/// The same with one that hyper has all of, and the socket has not.
async fn a_drain_waits_for_a_response_that_the_socket_does_not_take(over: Over) {
    // More than a pipe holds, and less than a window.
    const SIZE: usize = 30_000;
    let handler = async |_| Response::new(Body::from(vec![b'x'; SIZE]));
    let (mut scene, mut client) = open(over, server(handler)).await;
    client.ask(1, frames::END_STREAM).await;
    settled().await;
    let stop = scene.stop();
    tokio::time::sleep(SECOND * 10).await;
    let mut received = 0;
    while let Some(frame) = client.next().await {
        match frame.kind {
            frames::DATA => received += frame.payload.len(),
            frames::PING => client.say(frames::PING, frames::ACK, 0, &frame.payload).await,
            _ => {}
        }
    }
    assert_eq!(received, SIZE);
    leave(client).await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

/// Nobody knows what it has sent, but it has had its time.
async fn a_client_that_does_not_hear_the_goaway_is_left(over: Over) {
    let (mut scene, mut client) = open(over, server(mirror)).await;
    client.ask(1, frames::END_STREAM).await;
    client.next_of(frames::DATA).await;
    let began = Instant::now();
    let stop = scene.stop();
    client.until_end().await;
    assert!((SECOND * 5..SECOND * 6).contains(&began.elapsed()), "it took {:?}", began.elapsed());
    leave(client).await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.ended(stop).await;
}

async fn a_stream_without_end_is_ended_with_the_drain(over: Over) {
    let (mut scene, mut sender) = speak(over, server(async |_| std::future::pending::<Response<Body>>().await)).await;
    let (response, _) = sender.send_request(get("/"), true).unwrap();
    settled().await;
    let stop = scene.stop();
    let began = Instant::now();
    assert!(response.await.is_err());
    assert!((SECOND * 20..SECOND * 21).contains(&began.elapsed()), "it took {:?}", began.elapsed());
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.ended(stop).await;
}

async fn an_idle_connection_is_told_to_go(over: Over) {
    let options = ServerOptions::new().keep_alive_timeout(SECOND * 10);
    let (mut scene, mut client) = open(over, server_with(options, mirror)).await;
    client.ask(1, frames::END_STREAM).await;
    client.next_of(frames::DATA).await;
    let began = Instant::now();
    client.next_of(frames::GOAWAY).await;
    assert!((SECOND * 10..SECOND * 11).contains(&began.elapsed()), "it took {:?}", began.elapsed());
    let ping = client.next_of(frames::PING).await;
    client.say(frames::PING, frames::ACK, 0, &ping.payload).await;
    client.until_end().await;
    leave(client).await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn a_client_that_says_nothing_is_closed(over: Over) {
    let options = ServerOptions::new().head_timeout(SECOND * 10);
    let mut scene = Scene::open(over, server_with(options, mirror)).await;
    let began = Instant::now();
    scene.client.leave().await;
    assert!((SECOND * 10..SECOND * 11).contains(&began.elapsed()), "it took {:?}", began.elapsed());
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.end().await;
}

async fn half_a_preface_is_not_awaited_for_ever(over: Over) {
    let mut scene = Scene::open(over, server(mirror)).await;
    scene.client.say(&frames::PREFACE[..10]).await;
    settled().await;
    let began = Instant::now();
    let stop = scene.stop();
    scene.client.leave().await;
    assert!((SECOND * 5..SECOND * 6).contains(&began.elapsed()), "it took {:?}", began.elapsed());
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    scene.ended(stop).await;
}

async fn a_ping_that_is_not_answered_ends_the_connection(over: Over) {
    let options = ServerOptions::new().http2(Http2Options::server().ping(SECOND * 10, SECOND * 5));
    let (mut scene, mut client) = open(over, server_with(options, mirror)).await;
    let began = Instant::now();
    client.next_of(frames::PING).await;
    client.until_end().await;
    assert!((SECOND * 15..SECOND * 16).contains(&began.elapsed()), "it took {:?}", began.elapsed());
    leave(client).await;
    assert_eq!(scene.lost().await.reason, Reason::TimedOut(Phase::Open));
    scene.end().await;
}
