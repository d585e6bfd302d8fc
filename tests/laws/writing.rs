//! Law 8: bounded memory, by back-pressure that is real.

use bytes::BytesMut;
use exeunt::{Flush, Io, Protocol, ProtocolError, Reason, Supervisor, Write, WriteError};
use tokio::sync::mpsc;

use crate::stage::*;

const MARK: usize = 100_000;

/// A write resolves when it is accepted, and it is accepted when less than the mark waits: a writer is slowed by its peer.
#[actix::test]
async fn a_writer_is_slowed_by_its_peer() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(MARK, 0)).await;
    let mut accepted = 0;
    let mut stuck = loop {
        let mut write = Box::pin(scene.connection.write(vec![1; 10_000]));
        tokio::select! {
            biased;
            answer = &mut write => { answer.unwrap(); accepted += 10_000; }
            () = turns(50) => break write,
        }
    };
    // The mark, one write over it, what TLS has in hand, and what the pipe holds.
    assert!(accepted <= MARK + 10_000 + 17_000 + PIPE, "{accepted} bytes were accepted and nobody reads");
    let (answer, _) = tokio::join!(&mut stuck, scene.peer.read_exactly(accepted));
    answer.unwrap();
    drop(stuck);
    scene.connection.abort().await;
    scene.script.lost().await;
    scene.end().await;
}

async fn turns(n: usize) {
    for _ in 0..n {
        tokio::task::yield_now().await;
    }
}

/// `Flush` resolves when what was accepted before it has been taken, not before.
#[actix::test]
async fn a_flush_resolves_when_the_bytes_are_gone() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(1 << 20, 0)).await;
    scene.connection.flush().await.unwrap();
    scene.connection.write(vec![1; 200_000]).await.unwrap();
    let flush = scene.connection.send(Flush);
    tokio::pin!(flush);
    tokio::select! {
        biased;
        _ = &mut flush => panic!("the pipe holds {PIPE} bytes only"),
        () = turns(50) => {}
    }
    let (flushed, _) = tokio::join!(flush, scene.peer.read_exactly(200_000));
    flushed.unwrap().unwrap();
    assert_eq!(scene.connection.info().await.unwrap().bytes_waiting, 0);
    scene.connection.abort().await;
    scene.script.lost().await;
    scene.end().await;
}

/// Writes that wait when the connection ends are told how it ended, and counted.
#[actix::test]
async fn waiting_writes_are_told_of_the_end() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(MARK, 0)).await;
    let writes: Vec<_> = (0..2).map(|_| scene.connection.send(Write::new(vec![1; MARK]))).collect();
    let flush = scene.connection.send(Flush);
    let lost = scene.connection.abort().await;
    let mut refused = 0;
    for write in writes {
        match write.await.unwrap() {
            Ok(()) => {}
            Err(WriteError::Lost(told)) => {
                assert_eq!(*told, lost);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(refused, 1);
    assert_eq!(flush.await.unwrap(), Err(WriteError::Lost(Box::new(lost.clone()))));
    assert_eq!(lost.bytes_out + lost.bytes_unsent, 2 * MARK as u64);
    scene.script.lost().await;
    scene.end().await;
}

/// Writers that do not await are bounded, too, and told.
#[actix::test]
async fn too_many_waiting_writes_are_refused() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(MARK, 0)).await;
    let writes: Vec<_> = (0..20).map(|_| scene.connection.send(Write::new(vec![1; MARK]))).collect();
    scene.connection.do_send(exeunt::Abort);
    let mut overrun = 0;
    for write in writes {
        // Those that did not fit the mailbox come after the abort, and are told of that.
        overrun += usize::from(matches!(write.await, Ok(Err(WriteError::Overrun))));
    }
    assert!(overrun >= 10, "{overrun}");
    scene.script.lost().await;
    scene.end().await;
}

/// With `do_send` nobody can be told, and a stream with a hole is worse than none.
#[actix::test]
async fn an_overrun_that_nobody_awaits_ends_the_connection() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(MARK, 0)).await;
    for _ in 0..20 {
        scene.connection.do_send(Write::new(vec![1; MARK]));
    }
    let (lost, received) = tokio::join!(end_of(&scene.connection), async {
        let received = scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.close().await;
        received
    });
    assert!(matches!(&lost.reason, Reason::Protocol(words) if words.contains("do_send")), "{lost:?}");
    assert_eq!(received.len() as u64, lost.bytes_out, "what was accepted is delivered all the same");
    scene.script.lost().await;
    scene.end().await;
}

/// Writes what it is told to, and tells of pressure.
struct Gusher(mpsc::UnboundedSender<(bool, bool)>);

impl Protocol for Gusher {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        assert!(io.write(&[7; MARK * 2]));
    }
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        data.clear();
        Ok(())
    }
    fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {
        self.0.send((on, io.is_writable())).unwrap();
    }
}

/// Write pressure is told on and off, once each, alternating.
#[actix::test]
async fn pressure_comes_and_goes() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (sender, mut pressure) = mpsc::unbounded_channel();
    let (connection, mut peer) =
        meet_with(&supervisor, Gusher(sender), |adopt| adopt.write_marks(MARK, MARK / 4)).await;
    assert_eq!(pressure.recv().await, Some((true, false)));
    peer.read_exactly(MARK * 2).await;
    assert_eq!(pressure.recv().await, Some((false, true)));
    assert!(pressure.try_recv().is_err());
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// Conformance: many small writes arrive in order and whole.
#[actix::test]
async fn many_small_writes_arrive_in_order() {
    let mut scene = Scene::open().await;
    let expected: Vec<u8> = (0..50_000u32).flat_map(|n| n.to_be_bytes()).collect();
    let (written, received) = tokio::join!(
        async {
            for chunk in expected.chunks(4) {
                scene.connection.write(chunk.to_vec()).await.unwrap();
            }
        },
        scene.peer.read_exactly(expected.len())
    );
    let () = written;
    assert!(received == expected);
    scene.connection.abort().await;
    scene.script.lost().await;
    scene.end().await;
}

/// An empty write is accepted and nothing is sent.
#[actix::test]
async fn an_empty_write_is_nothing() {
    let mut scene = Scene::open().await;
    scene.connection.write("").await.unwrap();
    scene.connection.flush().await.unwrap();
    let lost = scene.connection.abort().await;
    assert_eq!((lost.bytes_out, lost.bytes_unsent), (0, 0));
    scene.script.lost().await;
    scene.end().await;
}

/// A socket that holds back what it was given until it is flushed (a tunnel, say) is flushed until it is done, however often that is pending.
#[actix::test]
async fn a_socket_that_holds_back_is_flushed_to_the_end() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (ours, theirs) = tokio::io::duplex(1024);
    let socket = exeunt::Socket::boxed(tokio::io::BufWriter::with_capacity(1 << 20, ours));
    let adopt = exeunt::Adopt::client(socket, "localhost", &client_tls(), Sink);
    let (connection, mut peer) = tokio::join!(supervisor.send(adopt), RawPeer::accept(theirs));
    let connection = connection.unwrap().unwrap();
    connection.write(vec![1; 100_000]).await.unwrap();
    let received = tokio::time::timeout(SECOND * 60, peer.read_exactly(100_000)).await;
    assert_eq!(received.expect("all of it comes").len(), 100_000);
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// Law 8: when a long message was taken, the buffer that it came in is not kept.
#[actix::test]
async fn the_buffer_of_a_long_message_is_not_kept() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (sender, mut taken) = mpsc::unbounded_channel();
    let (connection, mut peer) = meet(&supervisor, Long(sender)).await;
    peer.write(&[5; MARK]).await;
    let bytes: bytes::Bytes = taken.recv().await.unwrap();
    turns(50).await;
    assert!(bytes.is_unique(), "the connection holds on to what it was read into");
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// Waits for all of a message, and takes it.
struct Long(mpsc::UnboundedSender<bytes::Bytes>);

impl Protocol for Long {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        if data.len() >= MARK {
            let _ = self.0.send(data.split().freeze());
        }
        Ok(())
    }
}

/// The marks mean the same whichever way they were given.
#[actix::test]
async fn marks_that_make_no_sense_are_mended() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (sender, mut pressure) = mpsc::unbounded_channel();
    let mut options = exeunt::Options::default();
    options.write_high = 0;
    options.write_low = MARK;
    let (connection, mut peer) = meet_with(&supervisor, Gusher(sender), |adopt| adopt.options(options)).await;
    assert_eq!(pressure.recv().await, Some((true, false)));
    turns(50).await;
    assert!(pressure.try_recv().is_err(), "nothing of it was taken yet");
    peer.read_exactly(MARK * 2).await;
    assert_eq!(pressure.recv().await, Some((false, true)));
    connection.write("more").await.unwrap();
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// Law 4: a record that has left is counted as sent, also while the next one is stuck behind it.
#[actix::test]
async fn a_record_that_has_left_is_told_as_sent() {
    let record = 16 * 1024;
    let (ours, theirs) = pipe(10_000);
    let (supervisor, books) = supervise(Supervisor::new());
    let adopt = exeunt::Adopt::client(ours, "localhost", &client_tls(), Sink);
    let (connection, peer) = tokio::join!(supervisor.send(adopt), RawPeer::accept(theirs));
    let (connection, mut peer) = (connection.unwrap().unwrap(), peer);
    connection.write(vec![1; 4 * record]).await.unwrap();
    turns(50).await;
    peer.read_exactly(record).await;
    turns(50).await;
    let lost = connection.abort().await;
    assert_eq!((lost.bytes_out, lost.bytes_unsent), (record as u64, 3 * record as u64));
    drop(connection);
    exeunt(supervisor, books).await;
}

/// Writes of a byte are bounded, too: what it takes to wait counts.
#[actix::test]
async fn too_many_small_waiting_writes_are_refused() {
    let mut scene = Scene::open_with(|adopt| adopt.write_marks(1000, 0)).await;
    scene.connection.write(vec![1; 200_000]).await.unwrap();
    for _ in 0..1000 {
        scene.connection.do_send(Write::new("x"));
    }
    let lost = scene.connection.abort().await;
    assert!(lost.bytes_unsent < 200_000 + 1000 / 20, "{lost:?}");
    scene.script.lost().await;
    scene.end().await;
}
