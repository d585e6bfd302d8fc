//! Calls: replies in order, deadlines, and every unanswered call told of the end.

use bytes::Bytes;
use exeunt::{Call, CallError, Framed, Lines, Reason, Stop, StopPlan, Supervisor};
use tokio_util::codec::LengthDelimitedCodec;

use crate::stage::*;

/// Law 2: replies come in the order of the calls, however they are split and merged on the wire.
#[actix::test]
async fn replies_come_in_order() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Lines::default()).await;
    let calls: Vec<_> = (0..3).map(|n| connection.send(Call::new(format!("call {n}")))).collect();
    assert_eq!(peer.read_exactly(21).await, b"call 0\ncall 1\ncall 2\n");
    peer.write(b"fir").await;
    peer.write(b"st\nsecond\nth").await;
    peer.write(b"ird\n").await;
    for (call, expected) in calls.into_iter().zip(["first", "second", "third"]) {
        assert_eq!(call.await.unwrap().unwrap(), expected);
    }
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// Any codec.
#[actix::test]
async fn a_codec_with_lengths() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Framed::new(LengthDelimitedCodec::new())).await;
    let call = connection.send(Call::new(Bytes::from_static(b"ping")));
    assert_eq!(peer.read_exactly(8).await, b"\0\0\0\x04ping");
    peer.write(b"\0\0\0\x05pongs").await;
    assert_eq!(&call.await.unwrap().unwrap()[..], b"pongs");
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// A call's own deadline; its late reply is dropped, and the next call gets its own.
#[actix::test]
async fn a_call_that_is_not_answered_in_time_does_not_shift_the_others() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Lines::default()).await;
    let slow = connection.send(Call::new("slow").within(SECOND)).await.unwrap();
    assert_eq!(slow, Err(CallError::TimedOut(SECOND)));
    let next = connection.send(Call::new("next"));
    peer.write(b"slow reply\nnext reply\n").await;
    assert_eq!(next.await.unwrap().unwrap(), "next reply");
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// The default deadline of the protocol.
#[actix::test]
async fn calls_have_the_protocols_deadline() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, _peer) = meet(&supervisor, Lines::default().call_timeout(SECOND * 3)).await;
    assert_eq!(connection.send(Call::new("?")).await.unwrap(), Err(CallError::TimedOut(SECOND * 3)));
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// A caller that goes away does not shift the others.
#[actix::test]
async fn a_caller_that_goes_away_does_not_shift_the_others() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Lines::default()).await;
    let gone = connection.send(Call::new("gone"));
    let stays = connection.send(Call::new("stays"));
    assert_eq!(peer.read_exactly(11).await, b"gone\nstays\n");
    drop(gone);
    peer.write(b"for gone\nfor stays\n").await;
    assert_eq!(stays.await.unwrap().unwrap(), "for stays");
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// Law 1: every unanswered call fails with the reason, and says whether it was written.
#[actix::test]
async fn unanswered_calls_are_told_why() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet_with(&supervisor, Lines::default(), |adopt| adopt.write_marks(1000, 0)).await;
    let written = connection.send(Call::new("written".to_owned()));
    assert_eq!(peer.read_exactly(8).await, b"written\n");
    let stuck = connection.send(Call::new("x".repeat(1 << 20)));
    let held = connection.send(Call::new("held".to_owned()));
    peer.write(b"").await;
    peer.fin().await;
    let lost = async {
        // The peer reads no more: what is owed is flushed in vain until we give it up.
        while connection.phase() != exeunt::Phase::Flushing {
            tokio::task::yield_now().await;
        }
        connection.abort().await
    }
    .await;
    for (call, expected) in [(written, true), (stuck, false), (held, false)] {
        match call.await.unwrap() {
            Err(CallError::Lost { lost: told, written }) => assert_eq!((*told, written), (lost.clone(), expected)),
            other => panic!("{other:?}"),
        }
    }
    exeunt(supervisor, books).await;
}

/// A peer that closes in the middle of a frame has not answered, however cleanly it closes: what the codec says of the rest is the reason.
#[actix::test]
async fn a_frame_that_the_peers_close_cuts_short_is_told() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Framed::new(LengthDelimitedCodec::new())).await;
    let call = connection.send(Call::new(Bytes::from_static(b"ping")));
    peer.write(b"\0\0\0\x08half").await;
    peer.close().await;
    let Err(CallError::Lost { lost, written: true }) = call.await.unwrap() else { panic!("half a frame is no answer") };
    assert!(matches!(&lost.reason, Reason::Protocol(words) if words.contains("remaining")), "{lost}");
    assert!(lost.proof.close_notify_sent && lost.proof.close_notify_received);
    exeunt(supervisor, books).await;
}

/// The same of a last line that no call had asked for, and that only the end of the stream ends.
#[actix::test]
async fn a_last_frame_that_no_call_had_asked_for_is_told() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Lines::default()).await;
    peer.write(b"by the way").await;
    peer.close().await;
    let lost = end_of(&connection).await;
    assert!(matches!(&lost.reason, Reason::Protocol(words) if words.contains("no call")), "{lost}");
    exeunt(supervisor, books).await;
}

/// Law 8: calls are bounded.
#[actix::test]
async fn too_many_calls_are_refused() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, _peer) = meet(&supervisor, Lines::default().most_calls(2)).await;
    let calls: Vec<_> = (0..2).map(|_| connection.send(Call::new("?"))).collect();
    assert_eq!(connection.send(Call::new("?")).await.unwrap(), Err(CallError::TooMany));
    connection.abort().await;
    drop(calls);
    exeunt(supervisor, books).await;
}

/// What the codec cannot encode is the caller's, and costs the connection nothing.
#[actix::test]
async fn a_call_that_cannot_be_encoded_is_told() {
    let (supervisor, books) = supervise(Supervisor::new());
    let codec = LengthDelimitedCodec::builder().max_frame_length(4).new_codec();
    let (connection, mut peer) = meet(&supervisor, Framed::new(codec)).await;
    let error = connection.send(Call::new(Bytes::from_static(b"too long"))).await.unwrap().unwrap_err();
    assert!(matches!(error, CallError::Encode(_)), "{error}");
    let call = connection.send(Call::new(Bytes::from_static(b"fits")));
    assert_eq!(peer.read_exactly(8).await, b"\0\0\0\x04fits");
    peer.write(b"\0\0\0\x02ok").await;
    assert_eq!(&call.await.unwrap().unwrap()[..], b"ok");
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// A codec may end its last frame with the stream: but only with a clean one (law 5).
#[actix::test]
async fn the_end_of_the_stream_ends_a_frame_only_when_it_is_clean() {
    for clean in [true, false] {
        let (supervisor, books) = supervise(Supervisor::new());
        let (connection, mut peer) = meet(&supervisor, Lines::default()).await;
        let call = connection.send(Call::new("?"));
        peer.read_exactly(2).await;
        peer.write(b"no newline").await;
        if clean {
            peer.close().await;
            assert_eq!(call.await.unwrap().unwrap(), "no newline");
        } else {
            peer.fin().await;
            let error = call.await.unwrap().unwrap_err();
            assert!(matches!(&error, CallError::Lost { lost, .. } if lost.reason == Reason::Truncated), "{error}");
        }
        exeunt(supervisor, books).await;
    }
}

/// Law 6: a drain finishes the calls that were asked, refuses new ones, and closes.
#[actix::test]
async fn a_drain_finishes_the_calls() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Lines::default()).await;
    let call = connection.send(Call::new("last words"));
    assert_eq!(peer.read_exactly(11).await, b"last words\n");
    let stop = supervisor.send(Stop::by(StopPlan::new()));
    // The mailbox is in order: when this is answered, the stop has begun.
    supervisor.send(exeunt::Roll).await.unwrap();
    let late = connection.send(Call::new("too late"));
    assert_eq!(late.await.unwrap(), Err(CallError::Closing));
    peer.write(b"heard\n").await;
    assert_eq!(call.await.unwrap().unwrap(), "heard");
    assert_eq!(peer.read_to_close_notify().await.unwrap(), b"");
    peer.close().await;
    let ledger = stop.await.unwrap();
    assert_adds_up(&ledger, &books);
    assert_eq!(ledger.rows[0].lost.reason, Reason::Closed);
}

/// A deadline that the clock cannot say is never, and no panic.
#[actix::test]
async fn an_endless_call_is_no_panic() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Lines::default().call_timeout(std::time::Duration::MAX)).await;
    let call = connection.send(Call::new("ping"));
    peer.read_exactly(5).await;
    peer.write(b"pong\n").await;
    assert_eq!(call.await.unwrap().unwrap(), "pong");
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// A frame that comes before anything of the call has left is not its answer: the peer cannot have known of it.
#[actix::test]
async fn a_frame_is_no_answer_to_a_call_that_was_not_sent() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet_with(&supervisor, Lines::default(), |adopt| adopt.write_marks(1, 0)).await;
    let first = connection.send(Call::new("a".repeat(PIPE * 2)));
    let held = connection.send(Call::new("b"));
    peer.write(b"no\nforged\n").await;
    assert_eq!(first.await.unwrap().unwrap(), "no");
    let error = held.await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::Lost { written: false, .. }), "{error}");
    exeunt_by(supervisor, books, StopPlan::now()).await;
}

/// In a drain, a caller that goes away is waited for no longer.
#[actix::test]
async fn a_drain_does_not_wait_for_a_caller_that_went_away() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Lines::default()).await;
    let call = connection.send(Call::new("ping"));
    peer.read_exactly(5).await;
    let stop = supervisor.send(Stop::by(StopPlan::new().drain(SECOND * 30)));
    tokio::time::sleep(SECOND).await;
    drop(call);
    peer.read_to_close_notify().await.unwrap();
    peer.close().await;
    let ledger = stop.await.unwrap();
    assert_adds_up(&ledger, &books);
    assert!(ledger.elapsed < SECOND * 5, "{:?}", ledger.elapsed);
}
