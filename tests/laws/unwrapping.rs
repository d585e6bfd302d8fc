//! TLS that is ended on a connection that goes on: trio's `unwrap`, with the bytes that come behind it.

use actix::Addr;
use bytes::BytesMut;
use exeunt::{
    Adopt, Books, ClientTls, EndOfStream, Handle, Io, LateData, Lost, Phase, Protocol, ProtocolError, Reason, Role,
    ServerTls, StartTls, Supervisor, SwitchError,
};
use tokio::sync::mpsc;

use crate::stage::*;

/// The TLS of a client that does not read ahead.
fn exact_client() -> ClientTls {
    ClientTls::builder().trust_pem(&signed().ca_pem).read_ahead(false).build().unwrap()
}

fn exact_server() -> ServerTls {
    let builder = ServerTls::builder().identity_pem(&signed().certificate_pem, &signed().key_pem);
    builder.read_ahead(false).build().unwrap()
}

/// Tells what it is told, in its order.
struct Telling {
    tell: mpsc::UnboundedSender<String>,
    /// Answers the peer's close_notify by ending TLS, and not the connection.
    goes_on: bool,
}

impl Protocol for Telling {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        let _ = self.tell.send(String::from_utf8_lossy(&data.split()).into_owned());
        Ok(())
    }

    fn secured(&mut self, _: &mut Io<'_, Self>) {
        let _ = self.tell.send("[secured]".into());
    }

    fn unwrapped(&mut self, io: &mut Io<'_, Self>) {
        assert!(matches!(io.phase(), Phase::Open | Phase::Flushing), "{}", io.phase());
        let _ = self.tell.send("[unwrapped]".into());
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        let _ = self.tell.send(format!("[{end:?}]"));
        match self.goes_on && end == EndOfStream::CloseNotify {
            true => io.stop_tls().unwrap(),
            false => io.close(),
        }
    }

    fn lost(&mut self, lost: &Lost) {
        let _ = self.tell.send(format!("[{}]", lost.reason.code()));
    }
}

struct Open {
    supervisor: Addr<Supervisor>,
    books: Books,
    connection: Handle<Telling>,
    peer: RawPeer,
    told: mpsc::UnboundedReceiver<String>,
}

async fn open() -> Open {
    open_with(false, |adopt| adopt).await
}

async fn open_with(goes_on: bool, change: impl FnOnce(Adopt<Telling>) -> Adopt<Telling>) -> Open {
    let (supervisor, books) = supervise(Supervisor::new());
    let (tell, told) = mpsc::unbounded_channel();
    let (ours, theirs) = pipe(PIPE);
    let adopt = change(Adopt::client(ours, "localhost", &exact_client(), Telling { tell, goes_on }));
    let (connection, peer) = tokio::join!(supervisor.send(adopt), RawPeer::accept(theirs));
    Open { supervisor, books, connection: connection.unwrap().unwrap(), peer, told }
}

impl Open {
    /// The end, all that was told before it, and that nothing remains.
    async fn end(mut self) -> (Lost, String) {
        let mut all = String::new();
        while let Some(words) = self.told.recv().await {
            all += &words;
        }
        let lost = end_of(&self.connection).await;
        drop((self.connection, self.peer));
        let ledger = exeunt(self.supervisor, self.books).await;
        assert_eq!((ledger.totals.connected, ledger.totals.lost), (1, 1));
        (lost, all)
    }
}

/// What was accepted before goes by TLS, what is accepted after it goes plain; what the peer still says by TLS is delivered, and what comes behind its close_notify, in the same segment, is told apart.
#[actix::test]
async fn tls_ends_and_the_connection_goes_on() {
    let mut scene = open().await;
    scene.connection.write("by TLS").await.unwrap();
    let unwrapped = scene.connection.send(exeunt::StopTls);
    scene.connection.write("in plain").await.unwrap();
    assert_eq!(scene.peer.read_to_close_notify().await.unwrap(), b"by TLS");
    scene.peer.write(b"last words by TLS").await;
    scene.peer.close_notify().await;
    scene.peer.write_raw(b" and behind it").await;
    unwrapped.await.unwrap().unwrap();
    assert_eq!(scene.peer.read_raw(8).await, b"in plain");
    assert!(scene.connection.info().await.unwrap().tls.is_none());
    scene.peer.fin().await;
    let (lost, told) = scene.end().await;
    assert_eq!(told, "last words by TLS[unwrapped] and behind it[Fin][closed_by_peer]");
    assert_eq!((lost.secure, lost.bytes_in, lost.bytes_out, lost.bytes_unsent), (false, 31, 14, 0));
    assert!(!lost.proof.close_notify_sent && !lost.proof.close_notify_received && lost.proof.fin_seen);
}

/// The peer may be first: a protocol that ends TLS there, in place of closing, goes on.
#[actix::test]
async fn the_peer_may_be_first() {
    let mut scene = open_with(true, |adopt| adopt).await;
    scene.peer.close_notify().await;
    scene.peer.write_raw(b"behind it").await;
    assert_eq!(scene.peer.read_to_close_notify().await.unwrap(), b"");
    scene.connection.write("likewise").await.unwrap();
    assert_eq!(scene.peer.read_raw(8).await, b"likewise");
    scene.peer.fin().await;
    let (lost, told) = scene.end().await;
    assert_eq!(told, "[CloseNotify][unwrapped]behind it[Fin][closed_by_peer]");
    assert_eq!(lost.reason, Reason::ClosedByPeer);
}

/// What cannot be is refused, and the connection goes on as it was.
#[actix::test]
async fn what_reads_ahead_cannot_be_unwrapped() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, mut peer) = meet(&supervisor, Sink).await;
    assert_eq!(connection.stop_tls().await, Err(SwitchError::ReadsAhead));
    connection.write("as before").await.unwrap();
    assert_eq!(peer.read_exactly(9).await, b"as before");
    connection.abort().await;
    exeunt(supervisor, books).await;

    let scene = open().await;
    scene.connection.do_send(exeunt::StopTls);
    assert_eq!(scene.connection.stop_tls().await, Err(SwitchError::UnderWay));
    assert_eq!(
        scene.connection.start_tls(StartTls::client("localhost", &exact_client())).await,
        Err(SwitchError::UnderWay)
    );
    scene.connection.abort().await;
    scene.end().await;
}

/// Law 1: a peer that does not answer ends the connection; what waited to go behind it is counted, and the reason says that something is missing.
#[actix::test]
async fn a_peer_that_does_not_answer_ends_it() {
    tokio::time::pause();
    let mut scene = open_with(false, |adopt| adopt.linger(SECOND * 3)).await;
    let asked = scene.connection.send(exeunt::StopTls);
    scene.peer.read_to_close_notify().await.unwrap();
    let (lost, _) = scene.end().await;
    assert_eq!((&lost.reason, lost.phase), (&Reason::Unanswered, Phase::Lingering));
    assert!(is_about(lost.age, SECOND * 3));
    assert!(matches!(asked.await.unwrap(), Err(SwitchError::Lost(told)) if *told == lost));

    let scene = open_with(false, |adopt| adopt.linger(SECOND * 3)).await;
    scene.connection.do_send(exeunt::StopTls);
    scene.connection.write("behind it").await.unwrap();
    let (lost, _) = scene.end().await;
    assert_eq!((lost.reason, lost.bytes_unsent), (Reason::TimedOut(Phase::Flushing), 9));
}

/// Law 5: an end without close_notify is a truncation here, too; and an abort is an abort.
#[actix::test]
async fn other_ends_in_the_middle_of_it() {
    let mut scene = open().await;
    scene.connection.do_send(exeunt::StopTls);
    scene.peer.read_to_close_notify().await.unwrap();
    scene.peer.write(b"half a sen").await;
    scene.peer.fin().await;
    let (lost, told) = scene.end().await;
    assert_eq!((lost.reason, told.as_str()), (Reason::Truncated, "half a sen[Truncated][truncated]"));

    let mut scene = open().await;
    scene.connection.do_send(exeunt::StopTls);
    scene.peer.read_to_close_notify().await.unwrap();
    scene.connection.abort().await;
    assert_eq!(scene.end().await.0.reason, Reason::Aborted);
}

/// Law 4: a close in the middle of it delivers. If nothing waits behind the TLS, its end is the connection's; if something does, that is written first.
#[actix::test]
async fn a_close_in_the_middle_of_it_delivers() {
    let mut scene = open().await;
    let asked = scene.connection.send(exeunt::StopTls);
    let closed = scene.connection.send(exeunt::Close::new().late_data(LateData::Discard));
    scene.peer.read_to_close_notify().await.unwrap();
    scene.peer.close().await;
    assert_eq!(closed.await.unwrap().reason, Reason::Closed);
    assert_eq!(asked.await.unwrap(), Err(SwitchError::Closing));
    assert!(scene.end().await.0.proof.close_notify_received);

    let mut scene = open().await;
    scene.connection.do_send(exeunt::StopTls);
    scene.connection.write("behind it").await.unwrap();
    let closed = scene.connection.send(exeunt::Close::new());
    assert_eq!(scene.connection.write("too late").await, Err(exeunt::WriteError::Closing));
    scene.peer.read_to_close_notify().await.unwrap();
    scene.peer.close_notify().await;
    assert_eq!(scene.peer.read_raw(9).await, b"behind it");
    scene.peer.fin().await;
    assert_eq!(closed.await.unwrap().reason, Reason::Closed);
    let (lost, told) = scene.end().await;
    assert_eq!((lost.secure, lost.bytes_unsent, told.as_str()), (false, 0, "[unwrapped][closed]"));
}

/// Law 6: a stop in the middle of it drains as any, and there is a row with the right reason.
#[actix::test]
async fn a_stop_in_the_middle_of_it() {
    tokio::time::pause();
    let mut scene = open().await;
    scene.connection.do_send(exeunt::StopTls);
    scene.peer.read_to_close_notify().await.unwrap();
    let Open { supervisor, books, connection, peer: _peer, .. } = scene;
    let ledger = exeunt(supervisor, books).await;
    let row = &ledger.rows[0];
    assert_eq!((row.phase_at_stop, &row.lost.reason), (Phase::Lingering, &Reason::Unanswered));
    drop(connection);
}

/// TLS in TLS: the end of the inner leaves the outer. And what has ended may be started again.
#[actix::test]
async fn it_ends_one_layer_and_may_be_started_again() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (tell, mut told) = mpsc::unbounded_channel();
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let client = Adopt::plain(exeunt::Socket::boxed(ours), "peer", Role::Client, Sink);
    let telling = Telling { tell, goes_on: true };
    let server = Adopt::plain(exeunt::Socket::boxed(theirs), "peer", Role::Server, telling);
    let (client, server) = tokio::join!(supervisor.send(client), supervisor.send(server));
    let (client, server) = (client.unwrap().unwrap(), server.unwrap().unwrap());
    let version = |handle: Handle<Sink>| async move { handle.info().await.unwrap().tls.map(|tls| tls.version) };
    for _ in 0..3 {
        for _ in 0..2 {
            let start = (StartTls::client("localhost", &exact_client()), StartTls::server(&exact_server()));
            let (ours, theirs) = tokio::join!(client.start_tls(start.0), server.start_tls(start.1));
            ours.unwrap();
            theirs.unwrap();
            client.write("#").await.unwrap();
        }
        client.stop_tls().await.unwrap();
        client.write("in one").await.unwrap();
        assert_eq!(version(client.clone()).await, Some("TLSv1.3"));
        client.stop_tls().await.unwrap();
        client.write("in none").await.unwrap();
        assert_eq!(version(client.clone()).await, None);
    }
    client.close().await;
    let lost = end_of(&server).await;
    assert_eq!((lost.reason, lost.secure), (Reason::ClosedByPeer, false));
    drop((client, server));
    exeunt(supervisor, books).await;
    let mut all = String::new();
    while let Some(words) = told.recv().await {
        all += &words;
    }
    let once = "[secured]#[secured]#[CloseNotify][unwrapped]in one[CloseNotify][unwrapped]in none";
    assert_eq!(all, once.repeat(3) + "[Fin][closed_by_peer]");
}
