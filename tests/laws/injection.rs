//! What was read before TLS is started on an open connection: it belongs to the handshake, and plaintext that somebody has slipped in is never taken for data.

use actix::Addr;
use bytes::BytesMut;
use exeunt::{
    Adopt, Books, EndOfStream, Handle, HandshakeFailure, Io, Lost, Phase, Protocol, ProtocolError, Reason, Role,
    StartTls, Supervisor, SwitchError,
};
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

use crate::{
    stage::*,
    upgrading::{Plain, read, start},
};

/// Speaks as much of a protocol as it needs: `STARTTLS` and a newline is answered with `ready`, and TLS.
#[derive(Default)]
struct Upgrading {
    tell: Option<mpsc::UnboundedSender<String>>,
}

impl Upgrading {
    fn new() -> (Upgrading, mpsc::UnboundedReceiver<String>) {
        let (tell, told) = mpsc::unbounded_channel();
        (Upgrading { tell: Some(tell) }, told)
    }

    fn say(&self, words: impl Into<String>) {
        let _ = self.tell.as_ref().map(|tell| tell.send(words.into()));
    }
}

impl Protocol for Upgrading {
    fn connected(&mut self, _: &mut Io<'_, Self>) {
        self.say("connected");
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return Ok(()) };
        let line = String::from_utf8_lossy(&data.split_to(end + 1)).trim_end().to_owned();
        self.say(line.clone());
        if line == "STARTTLS" {
            io.write(b"ready\n");
            io.start_tls(StartTls::server(&server_tls())).unwrap();
            assert_eq!(io.start_tls(StartTls::server(&server_tls())), Err(SwitchError::UnderWay), "a double start");
            io.write(b"welcome");
        }
        Ok(())
    }

    fn secured(&mut self, io: &mut Io<'_, Self>) {
        assert_eq!(io.phase(), Phase::Open);
        self.say("secured");
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, _: EndOfStream) {
        self.say("end");
        io.close();
    }

    fn lost(&mut self, lost: &Lost) {
        self.say(lost.reason.code());
    }
}

async fn upgrading() -> (Addr<Supervisor>, Books, Handle<Upgrading>, mpsc::UnboundedReceiver<String>, DuplexStream) {
    let (supervisor, books) = supervise(Supervisor::new());
    let (protocol, told) = Upgrading::new();
    let (ours, peer) = pipe(PIPE);
    let adopt = Adopt::plain(ours, "peer", Role::Server, protocol);
    let connection = supervisor.send(adopt).await.unwrap().unwrap();
    (supervisor, books, connection, told, peer)
}

async fn all(mut told: mpsc::UnboundedReceiver<String>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(words) = told.recv().await {
        all.push(words);
    }
    all
}

/// A client that does not wait for the answer: its ClientHello is read with the command, left in the buffer, and belongs to the handshake.
#[actix::test]
async fn what_was_read_and_not_consumed_belongs_to_the_handshake() {
    let (supervisor, books, connection, told, mut peer) = upgrading().await;
    let (near, mut far) = tokio::io::duplex(PIPE);
    let relay = tokio::spawn(async move {
        let header = read(&mut far, 5).await;
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        let hello = read(&mut far, length).await;
        peer.write_all(&[b"STARTTLS\n", &header[..], &hello[..]].concat()).await.unwrap();
        assert_eq!(read(&mut peer, 6).await, b"ready\n");
        tokio::io::copy_bidirectional(&mut far, &mut peer).await.unwrap();
    });
    let mut peer = RawPeer::connect(near).await;
    assert_eq!(peer.read_exactly(7).await, b"welcome");
    peer.write(b"hello\n").await;
    peer.close().await;
    assert_eq!(end_of(&connection).await.reason, Reason::ClosedByPeer);
    drop((connection, peer));
    relay.await.unwrap();
    exeunt(supervisor, books).await;
    assert_eq!(all(told).await, ["connected", "STARTTLS", "secured", "hello", "end", "closed_by_peer"]);
}

/// CVE-2011-0411: what somebody slips in behind the command, in plain, fails the handshake and is never taken for data.
#[actix::test]
async fn plaintext_behind_the_command_is_never_data() {
    let (supervisor, books, connection, told, mut peer) = upgrading().await;
    peer.write_all(b"STARTTLS\nMAIL FROM:<mallory@example>\n").await.unwrap();
    let lost = end_of(&connection).await;
    assert!(matches!(lost.reason, Reason::HandshakeFailed(HandshakeFailure::Tls(_))), "{lost}");
    assert_eq!((lost.phase, lost.secure), (Phase::Handshaking, true));
    drop((connection, peer));
    exeunt(supervisor, books).await;
    assert_eq!(all(told).await, ["connected", "STARTTLS", "handshake_failed"]);
}

/// The same behind the server's answer (CVE-2021-23222), where an owner gives back what came with it.
#[actix::test]
async fn plaintext_behind_the_answer_is_never_data() {
    let mut plain = Plain::open(Role::Client).await;
    plain.peer.write_all(b"S and an error of mallory's").await.unwrap();
    let answer = plain.script.data(27).await;
    let failed = plain.connection.start_tls(start(Role::Client).already_read(answer[1..].to_vec())).await;
    assert!(
        matches!(&failed, Err(SwitchError::Lost(lost)) if matches!(lost.reason, Reason::HandshakeFailed(_))),
        "{failed:?}"
    );
    plain.lost().await;
}
