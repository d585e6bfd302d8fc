//! A connection as a stream: how it is let go, by its application and by a stop, in both roles.

use std::{io::ErrorKind, pin::pin};

use exeunt::{Adopt, ConnectError, Lost, Phase, Reason, Refusal, StopPlan, Streamed, Supervisor, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    stage::*,
    streams::{Play, ROLES, inner, is_pending},
};

/// Ends the peer as it should, and tells how the connection ended.
async fn part(peer: &mut RawPeer, closed: impl Future<Output = Lost>) -> (Vec<u8>, Lost) {
    let bytes = peer.read_to_close_notify().await.unwrap();
    peer.close().await;
    (bytes, closed.await)
}

/// Law 4: a drop closes gracefully, in whatever the stream is: with bytes under way, after the peer's end, in the middle of a shutdown, after it.
#[actix::test]
async fn a_drop_is_a_graceful_close_in_every_phase() {
    for role in ROLES {
        // Bytes under way, and unread ones, which are nobody's any more.
        let mut play = Play::open_with(role, Streamed::new(), |adopt| adopt.write_marks(8 << 20, 0)).await;
        play.peer.write(&[9; 100]).await;
        play.stream.write_all(&vec![7; 4 << 20]).await.unwrap();
        let closed = play.stream.closed();
        drop(play.stream);
        let (bytes, lost) = part(&mut play.peer, closed).await;
        assert!(bytes == vec![7; 4 << 20], "{} bytes came", bytes.len());
        assert_eq!((lost.reason, lost.bytes_unsent), (Reason::Closed, 0));
        exeunt(play.supervisor, play.books).await;

        // In the middle of a shutdown: the peer has taken nothing yet.
        let mut play = Play::open_with(role, Streamed::new(), |adopt| adopt.write_marks(8 << 20, 0)).await;
        play.stream.write_all(&vec![7; 1 << 20]).await.unwrap();
        assert!(is_pending(pin!(play.stream.shutdown())));
        let closed = play.stream.closed();
        drop(play.stream);
        let (bytes, lost) = part(&mut play.peer, closed).await;
        assert_eq!((bytes.len(), lost.reason), (1 << 20, Reason::Closed));
        exeunt(play.supervisor, play.books).await;
    }
}

/// Law 1: a stream that is dropped after its shutdown leaves one linger to the peer, unread bytes or not.
#[actix::test]
async fn a_drop_after_the_shutdown_costs_one_linger() {
    tokio::time::pause();
    for role in ROLES {
        let mut play = Play::open_with(role, Streamed::new().read_mark(1), |adopt| adopt.linger(SECOND)).await;
        play.stream.shutdown().await.unwrap();
        play.peer.write(&[9; 50_000]).await;
        tokio::time::sleep(SECOND * 60).await;
        assert_eq!((play.stream.lost(), play.stream.handle().phase()), (None, Phase::Lingering));
        let closed = play.stream.closed();
        drop(play.stream);
        let lost = closed.await;
        assert_eq!(lost.reason, Reason::Unanswered);
        assert!(is_about(lost.age, SECOND * 61), "{:?}", lost.age);
        exeunt(play.supervisor, play.books).await;
    }
}

/// A peer that ends without close_notify after the stream was dropped cuts nothing short, for nobody reads any more: it has not answered, and that is all.
#[actix::test]
async fn a_fin_after_the_drop_is_no_truncation() {
    for role in ROLES {
        let mut play = Play::open(role).await;
        play.stream.shutdown().await.unwrap();
        play.peer.read_to_close_notify().await.unwrap();
        let (handle, closed) = (play.stream.handle().clone(), play.stream.closed());
        drop(play.stream);
        // The answer comes when the connection was polled, and so has closed.
        handle.info().await.unwrap();
        play.peer.fin().await;
        assert_eq!(closed.await.reason, Reason::Unanswered);
        exeunt(play.supervisor, play.books).await;
    }
}

/// Law 1: a connect that is given up is cancelled, and a stream that nobody takes is closed as soon as it is open.
#[actix::test]
async fn what_nobody_takes_is_closed() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (ours, _theirs) = pipe(PIPE);
    {
        let mut open = pin!(Adopt::client(ours, "localhost", &client_tls(), Streamed::new()).open(&supervisor));
        assert!(is_pending(open.as_mut()));
        while books.outstanding() == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (handle, mut peer) = meet(&supervisor, Streamed::new()).await;
    peer.read_to_close_notify().await.unwrap();
    peer.close().await;
    assert_eq!(end_of(&handle).await.reason, Reason::Closed);
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.by_reason["cancelled"], 1);
}

/// Law 6: a stop tells the stream, which finishes; law 4: what it had written is delivered.
#[actix::test]
async fn a_stop_with_bytes_under_way_lets_them_finish() {
    tokio::time::pause();
    for role in ROLES {
        let Play { supervisor, books, mut stream, mut peer } =
            Play::open_with(role, Streamed::new(), |adopt| adopt.write_marks(8192, 0)).await;
        let draining = stream.draining();
        let work = async move {
            stream.write_all(&vec![3; 500_000]).await.unwrap();
            let until = draining.await.expect("a drain");
            assert!(stream.is_draining() && until > tokio::time::Instant::now());
            stream.write_all(&vec![4; 500_000]).await.unwrap();
        };
        let reading = async {
            tokio::time::sleep(SECOND).await;
            let bytes = peer.read_to_close_notify().await.unwrap();
            peer.close().await;
            bytes
        };
        let (ledger, (), bytes) = tokio::join!(exeunt(supervisor, books), work, reading);
        assert_eq!(bytes.len(), 1_000_000);
        assert_eq!((ledger.verdict(), &ledger.rows[0].lost.reason), (Verdict::Clean, &Reason::Closed));
    }
}

/// Law 6: a stream that does not care is closed at the end of the drain, and law 4: what it had written is delivered. Whoever comes after is refused.
#[actix::test]
async fn a_stream_that_does_not_care_is_closed_at_the_end_of_the_drain() {
    tokio::time::pause();
    for role in ROLES {
        let Play { supervisor, books, mut stream, mut peer } = Play::open(role).await;
        let plan = StopPlan::new().drain(SECOND * 3).linger(SECOND);
        let stopping = supervisor.clone();
        let work = async {
            stream.write_all(b"the last").await.unwrap();
            let error = stream.read(&mut [0; 1]).await.unwrap_err();
            assert_eq!((error.kind(), inner(&error).lost()), (ErrorKind::ConnectionAborted, None));
            assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            let (ours, _theirs) = pipe(PIPE);
            let refused = Adopt::client(ours, "localhost", &client_tls(), Streamed::new()).open(&stopping).await;
            assert!(matches!(refused, Err(ConnectError::Refused(Refusal::Stopping))), "{refused:?}");
            stream.closed().await
        };
        let reading = async {
            let bytes = peer.read_to_close_notify().await.unwrap();
            peer.close().await;
            bytes
        };
        let (ledger, lost, bytes) = tokio::join!(exeunt_by(supervisor, books, plan), work, reading);
        assert_eq!((bytes.as_slice(), lost.reason), (&b"the last"[..], Reason::Closed));
        assert!(is_about(lost.age, SECOND * 3), "{:?}", lost.age);
        assert_eq!(ledger.verdict(), Verdict::Clean);
    }
}
