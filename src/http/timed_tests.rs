use std::sync::atomic::AtomicBool;

use futures_util::FutureExt;
use http_body_util::BodyExt;
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    time::{advance, pause, sleep},
};

use super::*;

const PATIENCE: Duration = Duration::from_secs(3);

/// A body that is fed by hand; `true` when it was dropped.
struct Fed {
    frames: tokio::sync::mpsc::UnboundedReceiver<&'static str>,
    gone: Arc<AtomicBool>,
}

impl Body for Fed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.frames.poll_recv(cx).map(|frame| frame.map(|data| Ok(Frame::data(Bytes::from(data)))))
    }
}

impl Drop for Fed {
    fn drop(&mut self) {
        self.gone.store(true, Relaxed);
    }
}

fn fed(
    between_reads: Option<Duration>,
    until: Option<Instant>,
) -> (UnboundedSender<&'static str>, Timed<Fed>, Arc<AtomicBool>) {
    let (peer, frames) = unbounded_channel();
    let gone = Arc::default();
    (peer, Timed::new(Fed { frames, gone: Arc::clone(&gone) }, between_reads, until), gone)
}

async fn data(body: &mut Timed<Fed>) -> Result<Option<Bytes>, BodyError> {
    body.frame().await.transpose().map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

#[actix::test]
async fn a_peer_that_stalls_is_given_up_and_one_that_trickles_is_not() {
    pause();
    let (peer, mut body, gone) = fed(Some(PATIENCE), None);
    let trickle = actix_rt::spawn(async move {
        for _ in 0..10 {
            sleep(PATIENCE - Duration::from_millis(1)).await;
            peer.send("ab").unwrap();
        }
        peer
    });
    for _ in 0..10 {
        assert_eq!(data(&mut body).await, Ok(Some("ab".into())));
    }
    let peer = trickle.await.unwrap();
    let began = Instant::now();
    let stalled = BodyError::TimedOut { deadline: BodyDeadline::BetweenReads(PATIENCE), received: 20 };
    assert_eq!(data(&mut body).await, Err(stalled));
    assert_eq!(Instant::now() - began, PATIENCE + Duration::from_millis(1), "tokio rounds up");
    assert!(gone.load(Relaxed), "the connection is given up at once");
    assert!(peer.send("late").is_err());
    assert_eq!(data(&mut body).await, Ok(None), "after an error it is over");
    assert!(body.is_end_stream());
}

#[actix::test]
async fn a_reader_that_is_slow_is_not_held_against_the_peer() {
    pause();
    let (peer, mut body, _) = fed(Some(PATIENCE), None);
    for _ in 0..5 {
        assert!(body.frame().now_or_never().is_none());
        advance(PATIENCE / 2).await;
        peer.send("here").unwrap();
        advance(10 * PATIENCE).await;
        assert_eq!(data(&mut body).await, Ok(Some("here".into())));
        advance(10 * PATIENCE).await;
    }
}

#[actix::test]
async fn the_total_timeout_is_the_bodys_too() {
    pause();
    let until = Instant::now() + PATIENCE;
    let too_late = |received| BodyError::TimedOut { deadline: BodyDeadline::Total, received };
    let (peer, mut waiting, _) = fed(Some(PATIENCE * 2 / 3), Some(until));
    let (slow, mut read_late, _) = fed(None, Some(until));
    slow.send("was here in time").unwrap();
    advance(PATIENCE / 2).await;
    peer.send("ab").unwrap();
    assert_eq!(data(&mut waiting).await, Ok(Some("ab".into())));
    assert_eq!(data(&mut waiting).await, Err(too_late(2)), "the nearer of the two");
    assert_eq!(data(&mut read_late).await, Err(too_late(0)), "total means the reader, too");
}

#[actix::test]
async fn no_timer_is_made_that_is_not_needed() {
    pause();
    let (_peer, mut without, _) = fed(None, None);
    assert!(without.frame().now_or_never().is_none());
    assert!(without.timer.is_none());
    let (peer, mut with, _) = fed(Some(PATIENCE), Some(Instant::now() + PATIENCE));
    peer.send("there").unwrap();
    assert!(data(&mut with).await.is_ok());
    assert!(with.timer.is_none(), "nobody had to wait");
    let (_peer, mut for_ever, _) = fed(Some(Duration::MAX), None);
    assert!(for_ever.frame().now_or_never().is_none());
    assert!(for_ever.timer.is_none(), "a deadline that does not come");
}
