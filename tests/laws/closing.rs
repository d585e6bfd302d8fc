//! How we close: law 4 (close delivers), and what becomes of late data.

use exeunt::{Abort, Close, LateData, Phase, Reason, Write, WriteError};

use crate::stage::*;

/// Law 4: everything accepted before `Close` is on the wire, then close_notify, then `Lost`. Conformance: test_flush_before_shutdown, with its 4 MiB.
#[actix::test]
async fn a_close_delivers_everything_then_close_notify() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(8 << 20, 0)).await;
    let bytes: Vec<u8> = (0..4 << 20).map(|n: u32| n as u8).collect();
    scene.connection.write(bytes.clone()).await.unwrap();
    let (lost, received) = tokio::join!(scene.connection.close(), async {
        let received = scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.close().await;
        received
    });
    assert!(received == bytes, "{} bytes came", received.len());
    assert_eq!(lost.reason, Reason::Closed);
    assert_eq!((lost.bytes_out, lost.bytes_unsent), (4 << 20, 0));
    assert_eq!(scene.script.lost().await, lost);
    scene.end().await;
}

/// Law 1: a peer that does not answer costs one linger, and the reason says so. Conformance: test_shutdown_timeout.
#[actix::test]
async fn a_silent_peer_is_unanswered() {
    tokio::time::pause();
    let mut scene = Scene::open().await;
    let lost = scene.connection.close().await;
    assert_eq!((lost.reason, lost.phase), (Reason::Unanswered, Phase::Lingering));
    assert!(lost.proof.close_notify_sent && !lost.proof.close_notify_received && !lost.proof.fin_seen);
    assert!(is_about(lost.age, SECOND * 5), "the default linger, not {:?}", lost.age);
    scene.script.lost().await;
    scene.end().await;
}

/// Closing has a linger of its own.
#[actix::test]
async fn a_close_may_bring_its_own_linger() {
    tokio::time::pause();
    let mut scene = Scene::open().await;
    let lost = scene.connection.send(Close::new().linger(SECOND / 4)).await.unwrap();
    assert_eq!(lost.reason, Reason::Unanswered);
    assert!(is_about(lost.age, SECOND / 4), "{:?}", lost.age);
    scene.script.lost().await;
    scene.end().await;
}

/// A peer that answers our close_notify with a bare FIN has not answered.
#[actix::test]
async fn a_fin_is_no_answer_to_close_notify() {
    let mut scene = Scene::open().await;
    let (lost, ()) = tokio::join!(scene.connection.close(), async {
        scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.fin().await;
    });
    assert_eq!(lost.reason, Reason::Unanswered);
    assert!(lost.proof.fin_seen);
    scene.script.lost().await;
    scene.end().await;
}

/// Conformance: test_bpo_39951_discard_trailing_data. asyncio fails with APPLICATION_DATA_AFTER_CLOSE_NOTIFY here; we read it, throw it away, and close cleanly.
#[actix::test]
async fn late_data_is_discarded_and_the_close_is_clean() {
    let mut scene = Scene::open().await;
    let (lost, ()) = tokio::join!(scene.connection.close(), async {
        scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.write(&vec![7; 300_000]).await;
        scene.peer.close().await;
    });
    assert_eq!((lost.reason, lost.bytes_in), (Reason::Closed, 0));
    assert!(lost.proof.close_notify_received);
    scene.script.lost().await;
    scene.end().await;
}

/// The same with the other policy.
#[actix::test]
async fn late_data_is_delivered_when_asked_for() {
    let mut scene = Scene::open().await;
    let close = scene.connection.send(Close::new().late_data(LateData::Deliver));
    let (lost, ()) = tokio::join!(close, async {
        scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.write(b"one more thing").await;
        scene.peer.close().await;
    });
    let lost = lost.unwrap();
    assert_eq!((lost.reason, lost.bytes_in), (Reason::Closed, 14));
    assert_eq!(scene.script.data(14).await, b"one more thing");
    assert!(matches!(scene.script.next().await, Seen::Eof { clean: true }));
    scene.script.lost().await;
    scene.end().await;
}

/// A peer that never stops sending costs one linger, too, and never grows our memory.
#[actix::test]
async fn a_peer_that_still_sends_costs_one_linger() {
    tokio::time::pause();
    let mut scene = Scene::open().await;
    let close = scene.connection.close();
    let talking = async {
        loop {
            scene.peer.write(&[7; 10_000]).await;
            tokio::time::sleep(SECOND / 10).await;
        }
    };
    let lost = tokio::select! {
        lost = close => lost,
        () = talking => unreachable!(),
    };
    assert_eq!((lost.reason, lost.bytes_in), (Reason::Unanswered, 0));
    scene.script.lost().await;
    scene.end().await;
}

/// Conformance: test_shutdown_while_pause_reading: unread data is discarded, and the end is clean.
#[actix::test]
async fn a_close_while_reading_is_paused_is_clean() {
    let mut scene = Scene::open().await;
    scene.connection.send(exeunt::PauseReading).await.unwrap();
    scene.peer.write(b"never read").await;
    let (lost, ()) = tokio::join!(scene.connection.close(), async {
        scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.close().await;
    });
    assert_eq!(lost.reason, Reason::Closed);
    scene.script.lost().await;
    scene.end().await;
}

/// Law 2 and conformance: closing twice is fine, and calls after the end say so and why. asyncio's transport breaks at the second `close`.
#[actix::test]
async fn closing_twice_is_fine_and_calls_after_the_end_say_why() {
    let mut scene = Scene::open().await;
    let (first, second, ()) = tokio::join!(scene.connection.close(), scene.connection.close(), async {
        scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.close().await;
    });
    assert_eq!(first, second);
    assert_eq!(scene.connection.close().await, first);
    assert_eq!(scene.connection.abort().await, first);
    let ended = scene.connection.send(Write::new("late")).await.unwrap_err();
    assert_eq!(ended.lost.as_deref(), Some(&first));
    assert!(ended.to_string().contains("closed, and the peer answered"), "{ended}");
    assert_eq!(scene.connection.write("late").await, Err(WriteError::Lost(Box::new(first.clone()))));
    assert_eq!(scene.connection.info().await.unwrap_err().lost.as_deref(), Some(&first));
    scene.script.lost().await;
    scene.end().await;
}

/// Nothing is accepted after a close was asked for.
#[actix::test]
async fn a_write_after_close_is_refused() {
    let mut scene = Scene::open().await;
    let close = scene.connection.send(Close::new());
    assert_eq!(scene.connection.write("late").await, Err(WriteError::Closing));
    let (lost, received) = tokio::join!(close, async {
        let received = scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.close().await;
        received
    });
    assert_eq!((lost.unwrap().reason, received), (Reason::Closed, vec![]));
    scene.script.lost().await;
    scene.end().await;
}

/// Law 1: abort while open: no close_notify, and the bytes that were not sent are counted.
#[actix::test]
async fn an_abort_counts_what_was_not_sent() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(8 << 20, 0)).await;
    scene.connection.write(vec![1; 1 << 20]).await.unwrap();
    let lost = scene.connection.send(Abort).await.unwrap();
    assert_eq!((lost.reason, lost.phase), (Reason::Aborted, Phase::Open));
    assert_eq!(lost.bytes_out + lost.bytes_unsent, 1 << 20);
    assert!(lost.bytes_unsent > 0 && !lost.proof.close_notify_sent);
    assert!(scene.peer.read_to_close_notify().await.is_err(), "the peer must be able to see the truncation");
    scene.script.lost().await;
    scene.end().await;
}

/// Law 1: abort while flushing, and while lingering.
#[actix::test]
async fn an_abort_ends_every_phase_of_closing() {
    for (bytes, phase) in [(1 << 20, Phase::Flushing), (0, Phase::Lingering)] {
        let mut scene = Scene::open_with(|adopt| adopt.write_marks(8 << 20, 0)).await;
        scene.connection.write(vec![1; bytes]).await.unwrap();
        let close = scene.connection.send(Close::new());
        while scene.connection.phase() != phase {
            tokio::task::yield_now().await;
        }
        let lost = scene.connection.abort().await;
        assert_eq!((&lost.reason, lost.phase), (&Reason::Aborted, phase));
        assert_eq!(close.await.unwrap(), lost);
        scene.script.lost().await;
        scene.end().await;
    }
}

/// A peer that takes nothing of what it is owed: the flush has a deadline of its own, and law 4 says what was lost.
#[actix::test]
async fn a_peer_that_does_not_read_times_the_flush_out() {
    tokio::time::pause();
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(8 << 20, 0)).await;
    scene.connection.write(vec![1; 1 << 20]).await.unwrap();
    let lost = scene.connection.close().await;
    assert_eq!((lost.reason, lost.phase), (Reason::TimedOut(Phase::Flushing), Phase::Flushing));
    assert_eq!(lost.bytes_out + lost.bytes_unsent, 1 << 20);
    assert!(is_about(lost.age, SECOND * 30), "the default, not {:?}", lost.age);
    scene.script.lost().await;
    scene.end().await;
}

/// Conformance: test_remote_shutdown_receives_trailing_data (a): the peer has sent close_notify while we hold 4 MiB; all of it arrives, then our close_notify.
#[actix::test]
async fn a_backlog_is_delivered_after_the_peers_close_notify() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(8 << 20, 0)).await;
    scene.connection.write(vec![9; 4 << 20]).await.unwrap();
    scene.peer.close_notify().await;
    assert_eq!(scene.peer.read_to_close_notify().await.unwrap().len(), 4 << 20);
    assert!(matches!(scene.script.next().await, Seen::Eof { clean: true }));
    let lost = scene.script.lost().await;
    assert_eq!((lost.reason, lost.bytes_out, lost.bytes_unsent), (Reason::ClosedByPeer, 4 << 20, 0));
    assert!(lost.proof.close_notify_sent);
    scene.end().await;
}

/// Law 4: the peer has closed its direction and takes nothing of what it is owed. That is why bytes were not sent, and not its clean close.
#[actix::test]
async fn a_backlog_that_the_peer_does_not_take_after_its_close_notify_is_told() {
    tokio::time::pause();
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(8 << 20, 0)).await;
    scene.connection.write(vec![9; 4 << 20]).await.unwrap();
    scene.peer.close_notify().await;
    assert!(matches!(scene.script.next().await, Seen::Eof { clean: true }));
    let lost = scene.script.lost().await;
    assert_eq!(lost.reason, Reason::TimedOut(Phase::Flushing));
    assert_eq!(lost.bytes_out + lost.bytes_unsent, 4 << 20);
    assert!(lost.bytes_unsent > 0 && lost.proof.close_notify_received && !lost.proof.close_notify_sent);
    scene.end().await;
}

/// The same, (b): a FIN without close_notify while we hold 4 MiB. It is a truncation, and yet all that we owe arrives.
#[actix::test]
async fn a_backlog_is_delivered_after_the_peers_fin() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(8 << 20, 0)).await;
    scene.connection.write(vec![9; 4 << 20]).await.unwrap();
    scene.peer.fin().await;
    let received = scene.peer.read_to_close_notify().await.unwrap();
    assert_eq!(received.len(), 4 << 20);
    assert!(matches!(scene.script.next().await, Seen::Eof { clean: false }));
    let lost = scene.script.lost().await;
    assert_eq!((lost.reason, lost.bytes_unsent), (Reason::Truncated, 0));
    assert!(lost.proof.close_notify_sent && lost.proof.fin_seen);
    scene.end().await;
}

/// Conformance: data and the end arrive while reading is paused; they are delivered on resume, then the end.
#[actix::test]
async fn what_came_while_reading_was_paused_is_delivered_on_resume() {
    let mut scene = Scene::open().await;
    scene.connection.send(exeunt::PauseReading).await.unwrap();
    scene.peer.write(b"patience").await;
    scene.peer.close().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    scene.script.assert_nothing_more();
    assert_eq!(scene.connection.phase(), Phase::Open);
    scene.connection.send(exeunt::ResumeReading).await.unwrap();
    assert_eq!(scene.script.data(8).await, b"patience");
    assert!(matches!(scene.script.next().await, Seen::Eof { clean: true }));
    assert_eq!(scene.script.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// A deadline that the clock cannot say is never, and no panic.
#[actix::test]
async fn an_endless_deadline_is_no_panic() {
    let mut options = exeunt::Options::default();
    options.handshake = std::time::Duration::MAX;
    options.idle = Some(std::time::Duration::MAX);
    options.flush = std::time::Duration::MAX;
    let mut scene = Scene::open_with(|adopt| adopt.options(options)).await;
    let close = scene.connection.send(Close::new().linger(std::time::Duration::MAX));
    let (lost, ()) = tokio::join!(close, async {
        scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.close().await;
    });
    assert_eq!(lost.unwrap().reason, Reason::Closed);
    scene.script.lost().await;
    scene.end().await;
}
