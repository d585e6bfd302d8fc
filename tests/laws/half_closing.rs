//! A close of our direction alone: what is read after it, and how it ends.

use bytes::BytesMut;
use exeunt::{HalfClose, Io, Phase, Protocol, ProtocolError, Reason, Supervisor};
use tokio::sync::mpsc;

use crate::stage::*;

/// Half-close: our close_notify is out, and we read on for as long as the peer likes.
#[actix::test]
async fn a_half_close_reads_on() {
    tokio::time::pause();
    let mut scene = Scene::open().await;
    scene.connection.write("the question").await.unwrap();
    scene.connection.send(HalfClose).await.unwrap();
    assert_eq!(scene.peer.read_to_close_notify().await.unwrap(), b"the question");
    tokio::time::advance(SECOND * 3600).await;
    scene.peer.write(b"the answer").await;
    assert_eq!(scene.script.data(10).await, b"the answer");
    scene.peer.close().await;
    assert!(matches!(scene.script.next().await, Seen::Eof { clean: true }));
    let lost = scene.script.lost().await;
    assert_eq!((lost.reason, lost.bytes_in, lost.bytes_out), (Reason::Closed, 10, 12));
    scene.end().await;
}

/// Law 5 holds for what we read after a half-close.
#[actix::test]
async fn a_half_closed_connection_can_be_truncated() {
    let mut scene = Scene::open().await;
    scene.connection.send(HalfClose).await.unwrap();
    scene.peer.read_to_close_notify().await.unwrap();
    scene.peer.write(b"the ans").await;
    scene.peer.fin().await;
    scene.script.data(7).await;
    assert!(matches!(scene.script.next().await, Seen::Eof { clean: false }));
    assert_eq!(scene.script.lost().await.reason, Reason::Truncated);
    scene.end().await;
}

/// A half-close is not the end of what the protocol may find wrong: a peer that answers badly is told apart from one that answers.
#[actix::test]
async fn what_is_wrong_after_a_half_close_is_the_reason() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Picky).await;
    connection.send(HalfClose).await.unwrap();
    peer.read_to_close_notify().await.unwrap();
    peer.write(b"nonsense").await;
    peer.close().await;
    let lost = end_of(&connection).await;
    assert_eq!(lost.reason, Reason::Protocol("nonsense".into()));
    exeunt(supervisor, books).await;
}

struct Picky;
impl Protocol for Picky {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        Err(ProtocolError::new(String::from_utf8_lossy(data)))
    }
}

/// Dropping the last handle closes a half-closed connection, too: nobody is left who could, and its linger has a deadline.
#[actix::test]
async fn the_last_handle_of_a_half_closed_connection_closes_it() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Sink).await;
    connection.send(HalfClose).await.unwrap();
    peer.read_to_close_notify().await.unwrap();
    drop(connection);
    tokio::time::sleep(SECOND * 10).await;
    assert_eq!(books.outstanding(), 0, "the default linger is 5 s");
    exeunt(supervisor, books).await;
}

/// A protocol that lets go of the brake after a half-close is shown again what it had left.
#[actix::test]
async fn what_was_left_is_shown_again_after_a_half_close() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (sender, mut shown) = mpsc::unbounded_channel();
    let (connection, mut peer) = meet(&supervisor, Hesitant(sender)).await;
    connection.send(HalfClose).await.unwrap();
    peer.read_to_close_notify().await.unwrap();
    peer.write(b"the answer").await;
    assert_eq!(shown.recv().await, Some(10));
    connection.send(Release).await.unwrap();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shown.try_recv(), Ok(10));
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// Consumes nothing at first sight, and stops reading.
struct Hesitant(mpsc::UnboundedSender<usize>);
impl Protocol for Hesitant {
    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        let _ = self.0.send(data.len());
        io.hold_reading(true);
        Ok(())
    }
}
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Release;
impl actix::Handler<Release> for exeunt::Connection<Hesitant> {
    type Result = ();
    fn handle(&mut self, _: Release, context: &mut Self::Context) {
        self.parts(context).1.hold_reading(false);
    }
}

/// A half-closed connection on which nothing moves is as idle as an open one, and its end says so.
#[actix::test]
async fn a_half_closed_connection_can_idle_out() {
    tokio::time::pause();
    let mut scene = Scene::open_with(|adopt| adopt.idle_timeout(SECOND * 10)).await;
    scene.connection.half_close().await.unwrap();
    scene.peer.read_to_close_notify().await.unwrap();
    let lost = scene.script.lost().await;
    assert_eq!((lost.reason, lost.phase), (Reason::TimedOut(Phase::Open), Phase::Lingering));
    scene.end().await;
}
