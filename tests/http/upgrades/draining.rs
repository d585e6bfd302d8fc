//! A server that upgrades, in a drain.

use exeunt::{Reason, StreamError, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    ASK, read,
    server::{granting, next},
};
use crate::{
    over_both,
    serving::server,
    stage::{Over, SECOND, Scene, settled},
};

over_both!(
    a_drain_is_told_and_finished
    a_drain_in_the_middle_of_an_upgrade_is_told
    an_upgrade_that_is_refused_in_a_drain_closes
    a_stream_that_does_not_care_is_closed_at_the_end_of_the_drain
);

/// Law 6.
async fn a_drain_is_told_and_finished(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(ASK).await;
    scene.client.head().await;
    let mut stream = next(&mut streams).await;
    assert!(!stream.is_draining());
    let stop = scene.stop();
    let until = stream.draining().await.unwrap();
    assert!(until > tokio::time::Instant::now());
    scene.client.say("one more").await;
    assert_eq!(read(&mut stream, 8).await, b"one more");
    stream.write_all(b"and out").await.unwrap();
    drop(stream);
    assert_eq!(scene.client.until_end().await.unwrap(), b"and out");
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

/// Law 6: what was asked before the stop is granted, and its stream knows from its first moment.
async fn a_drain_in_the_middle_of_an_upgrade_is_told(over: Over) {
    let (handler, mut streams) = granting(10);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(ASK).await;
    settled().await;
    let stop = scene.stop();
    let answer = scene.client.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (101, Some("upgrade")));
    let stream = next(&mut streams).await;
    assert!(stream.is_draining());
    drop(stream);
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}

async fn a_stream_that_does_not_care_is_closed_at_the_end_of_the_drain(over: Over) {
    let (handler, mut streams) = granting(0);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(ASK).await;
    scene.client.head().await;
    let mut stream = next(&mut streams).await;
    let stop = scene.stop();
    let error = stream.read(&mut [0; 1]).await.unwrap_err();
    assert!(matches!(StreamError::of(&error), Some(StreamError::Closing { .. })), "{error}");
    scene.client.leave().await;
    let lost = scene.lost().await;
    assert_eq!(lost.reason, Reason::Closed);
    assert!(lost.age >= SECOND * 20, "the drain is 20 s, and it ended after {:?}", lost.age);
    scene.ended(stop).await;
}

/// And one that is refused in a drain is the last on its connection.
async fn an_upgrade_that_is_refused_in_a_drain_closes(over: Over) {
    let (handler, mut streams) = granting(10);
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(ASK.replacen("GET", "POST", 1)).await;
    settled().await;
    let stop = scene.stop();
    let answer = scene.client.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(streams.recv().await.unwrap().is_err());
    scene.client.leave().await;
    assert_eq!(scene.lost().await.reason, Reason::Closed);
    assert_eq!(scene.ended(stop).await.verdict(), Verdict::Clean);
}
