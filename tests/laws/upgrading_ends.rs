//! How TLS that is started on an open connection can fail, and what is refused: each is one `Lost` with its reason, or none at all. The names in the comments are CPython's and uvloop's rows; two of
//! them CPython itself fails, where `connection_lost` never comes.

use std::time::Duration;

use actix::Handler;
use exeunt::{Adopt, Events, HandshakeFailure, Owner, Phase, Reason, Role, StartTls, Supervisor, SwitchError};
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    stage::*,
    upgrading::{Plain, ROLES, read, start},
};

/// Law 1: whatever ends the handshake, there is one `Lost`, with its reason. test_start_tls_client_corrupted_ssl; a reset and a timeout are the two that CPython never tells.
#[actix::test]
async fn each_end_in_the_handshake_is_one_lost() {
    tokio::time::pause();
    for role in ROLES {
        let mut plain = Plain::open_with(role, PIPE, |adopt| adopt.handshake_timeout(SECOND * 3)).await;
        let failed = plain.connection.start_tls(start(role)).await.unwrap_err();
        let lost = plain.script.lost().await;
        assert_eq!(failed.lost(), Some(&lost), "the asker is told the same");
        assert_eq!((&lost.reason, lost.phase), (&Reason::TimedOut(Phase::Handshaking), Phase::Handshaking));
        assert!(is_about(lost.age, SECOND * 3));
        exeunt(plain.supervisor, plain.books).await;

        let plain = Plain::open(role).await;
        plain.connection.do_send(start(role).within(Duration::from_millis(500)));
        assert!(is_about(plain.lost().await.age, Duration::from_millis(500)));

        let mut plain = Plain::open(role).await;
        plain.connection.do_send(start(role));
        plain.peer.shutdown().await.unwrap();
        assert_eq!(plain.lost().await.reason, Reason::HandshakeFailed(HandshakeFailure::Eof));

        let mut plain = Plain::open(role).await;
        plain.connection.do_send(start(role));
        plain.peer.write_all(b"500 no such command\r\n").await.unwrap();
        let lost = plain.lost().await;
        assert!(matches!(lost.reason, Reason::HandshakeFailed(HandshakeFailure::Tls(_))), "{lost}");
    }
}

/// Law 1, over TCP: a reset in the handshake.
#[actix::test]
async fn a_reset_in_the_handshake_is_one_lost() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (owner, mut script) = Recorder::start_new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut theirs, _) = listener.accept().await.unwrap();
    let adopt = Adopt::plain(ours, "peer", Role::Client, Events::new(&Owner::new(owner)));
    let connection = supervisor.send(adopt).await.unwrap().unwrap();
    script.connected().await;
    connection.do_send(start(Role::Client));
    theirs.read_exact(&mut [0; 5]).await.unwrap();
    socket2::SockRef::from(&theirs).set_linger(Some(Duration::ZERO)).unwrap();
    drop(theirs);
    assert_eq!(script.lost().await.reason, Reason::HandshakeFailed(HandshakeFailure::Reset));
    exeunt(supervisor, books).await;
    script.assert_nothing_more();
}

/// test_start_tls_slow_client_cancel: whoever asked gives up while the peer is silent; the peer sees the end.
#[actix::test]
async fn giving_up_in_the_handshake_is_a_cancel() {
    for role in ROLES {
        let mut plain = Plain::open(role).await;
        let asked = plain.connection.send(start(role));
        plain.connection.info().await.unwrap();
        drop(asked);
        plain.peer.read_to_end(&mut Vec::new()).await.unwrap();
        let lost = plain.lost().await;
        assert_eq!((lost.reason, lost.phase), (Reason::Cancelled, Phase::Handshaking));
    }
}

/// A close in the handshake gives the connection up, and what waited is counted; an abort does; a stop does; the owner's end does.
#[actix::test]
async fn ends_of_ours_in_the_handshake() {
    tokio::time::pause();
    let plain = Plain::open(Role::Client).await;
    let asked = plain.connection.send(start(Role::Client));
    plain.connection.write("too early").await.unwrap();
    let lost = plain.connection.close().await;
    assert_eq!((&lost.reason, lost.phase, lost.bytes_unsent), (&Reason::Cancelled, Phase::Handshaking, 9));
    assert!(matches!(asked.await.unwrap(), Err(SwitchError::Lost(told)) if *told == lost));
    plain.lost().await;

    let plain = Plain::open(Role::Server).await;
    plain.connection.do_send(start(Role::Server));
    assert_eq!(plain.connection.abort().await.reason, Reason::Aborted);
    plain.lost().await;

    let Plain { supervisor, books, connection, mut script, peer: _peer, owner: _owner } =
        Plain::open(Role::Client).await;
    connection.do_send(start(Role::Client));
    connection.info().await.unwrap();
    let ledger = exeunt(supervisor, books).await;
    let row = &ledger.rows[0];
    assert_eq!((row.phase_at_stop, &row.lost.reason), (Phase::Handshaking, &Reason::Cancelled));
    assert_eq!(script.lost().await, row.lost);

    let Plain { supervisor, books, connection, script, peer: _peer, owner } = Plain::open(Role::Client).await;
    connection.do_send(start(Role::Client));
    owner.send(Leave).await.unwrap();
    drop(script);
    tokio::time::advance(SECOND * 3).await;
    assert_eq!(end_of(&connection).await.reason, Reason::OwnerGone);
    exeunt(supervisor, books).await;
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct Leave;

impl Handler<Leave> for Recorder {
    type Result = ();
    fn handle(&mut self, _: Leave, context: &mut actix::Context<Self>) {
        actix::ActorContext::stop(context);
    }
}

/// test_start_tls_wrong_args: what cannot be is refused, and the connection goes on as it was.
#[actix::test]
async fn what_cannot_be_is_refused() {
    let mut plain = Plain::open(Role::Client).await;
    let refused = plain.connection.start_tls(StartTls::client("", &client_tls())).await;
    assert!(matches!(refused, Err(SwitchError::Tls(_))), "{refused:?}");
    assert_eq!(plain.connection.stop_tls().await, Err(SwitchError::NotSecure));
    plain.connection.write("as before").await.unwrap();
    assert_eq!(read(&mut plain.peer, 9).await, b"as before");
    let first = plain.connection.send(start(Role::Client));
    assert_eq!(plain.connection.start_tls(start(Role::Client)).await, Err(SwitchError::UnderWay));
    assert!(first.now_or_never().is_none(), "which changes nothing for the first");
    plain.lost().await;

    let mut plain = Plain::open_with(Role::Client, PIPE, |adopt| adopt).await;
    plain.peer.shutdown().await.unwrap();
    assert!(matches!(plain.script.next().await, Seen::Eof { clean: true }));
    let refused = plain.connection.start_tls(start(Role::Client)).await;
    assert!(matches!(refused, Err(SwitchError::Closing | SwitchError::Lost(_))), "{refused:?}");
    plain.lost().await;
}

/// A record that is corrupted after the upgrade is told as on any connection by TLS.
#[actix::test]
async fn a_corrupt_record_after_it_is_a_tls_error() {
    let (mut secure, mut peer) = Plain::open(Role::Client).await.secure().await;
    peer.write_raw(b"\x17\x03\x03\x00\x20this is thirty-two bytes of junk").await;
    let lost = secure.script.lost().await;
    assert!(matches!(lost.reason, Reason::Tls(_)), "{lost}");
    exeunt(secure.supervisor, secure.books).await;
}
