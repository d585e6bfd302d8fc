//! What happens to a connection that is open: much data, corruption, new keys.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use exeunt::{Abort, Close, CloseProof, Phase, Reason, TlsAlert};

use super::{
    cast::{Cast, Peer, Tool},
    relay::Relay,
    soon,
    stage::{Notify, Stage, in_its_words},
};

/// CONFORMANCE 2.1 test_create_connection_ssl_1: a megabyte each way, every byte.
async fn a_megabyte_each_way(cast: Cast) {
    const MUCH: usize = 1 << 20;
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    let bytes: Vec<u8> = (0..MUCH).map(|n| (n % 251) as u8).collect();
    peer.process.tell(&format!("echo {MUCH}\n"));
    stage.send(&connection, bytes.clone()).await;
    assert!(stage.receive(MUCH).await == bytes, "what comes back is not what was sent");
    peer.will_answer_close();
    connection.do_send(Close::new());
    stage.ends(Reason::Closed, Notify::Both, false).await;
    stage.nothing_remains().await;
}

/// CONFORMANCE 1.2 "corrupt record mid-stream", on its way to us: we say what OpenSSL says, and the peer is told by an alert.
async fn what_comes_is_corrupt(cast: Cast) {
    let (mut stage, relay) = (Stage::new(), Relay::default());
    let mut peer = Peer::enter_through(cast, &mut stage, &[], |address| relay.before(address)).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    let spoil = if cast.serves { &relay.spoil_from_server } else { &relay.spoil_from_client };
    spoil.store(true, SeqCst);
    stage.send(&connection, "hello\n").await;
    peer.answer_hello().await;
    let lost = stage.lost().await;
    // OpenSSL 3.6 has a word more.
    let ending = match cfg!(feature = "vendored") {
        true => "decryption failed or bad record mac; record layer failure".to_owned(),
        false => in_its_words("decryption failed or bad record mac"),
    };
    assert!(matches!(&lost.reason, Reason::Tls(words) if words.ends_with(&ending)), "{lost}");
    assert_eq!(
        (lost.proof, lost.bytes_in, lost.bytes_out),
        (CloseProof::default(), 6, 12),
        "the corrupt bytes are not given to anybody"
    );
    match cast.tool {
        Tool::Openssl => drop(peer.process.says("alert bad record mac").await),
        Tool::Python => {
            peer.process.tell("end\n");
            peer.process.says("FAILED SSLV3_ALERT_BAD_RECORD_MAC").await;
        }
        Tool::Asyncio => drop(peer.process.says("LOST SSLError").await),
        Tool::Gnutls if !cast.serves => drop(peer.process.says("Bad record MAC").await),
        // gnutls-serv tells nobody.
        Tool::Gnutls => {}
    }
    stage.nothing_remains().await;
}

/// On its way to the peer: its alert is the reason, and nothing is said after a fatal alert.
async fn what_goes_is_corrupt(cast: Cast) {
    let (mut stage, relay) = (Stage::new(), Relay::default());
    let mut peer = Peer::enter_through(cast, &mut stage, &[], |address| relay.before(address)).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    let spoil = if cast.serves { &relay.spoil_from_client } else { &relay.spoil_from_server };
    spoil.store(true, SeqCst);
    if cast.tool == Tool::Python {
        peer.process.tell("end\n");
    }
    stage.send(&connection, "hello\n").await;
    match (cast.tool, cast.serves) {
        // These two say nothing, and close their socket.
        (Tool::Asyncio, _) | (Tool::Gnutls, false) => stage.ends(Reason::Truncated, Notify::Ours, true).await,
        _ => stage.ends(Reason::Alert(TlsAlert(20)), Notify::Neither, false).await,
    };
    stage.nothing_remains().await;
}

/// RFC 8446, section 4.6.3: new keys from the peer, and from us when it asks for ours; then bytes both ways under them.
async fn keys_are_updated(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    for update in ["k\n", "K\n", "k\n"] {
        peer.process.tell(update);
        if !cast.serves {
            peer.process.says("KEYUPDATE").await;
        }
        peer.exchange(&mut stage, &connection).await;
    }
    connection.do_send(Close::new());
    stage.ends(Reason::Closed, Notify::Both, false).await;
    stage.nothing_remains().await;
}

/// Law 2: what came before the end is told before the `Lost`, also to an owner that had no time for it until then.
async fn the_owner_is_busy_to_the_end(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    let release = stage.occupy_owner().await;
    peer.process.tell("send 6\nend\nclose\n");
    // It is in the owner's mailbox when it has been counted.
    let counted = async { while connection.info().await.unwrap().bytes_in < 12 {} };
    soon(counted).await.expect("what was sent does not come");
    let lost = soon(connection.close()).await.expect("the close is not answered");
    drop(release);
    assert_eq!(stage.receive(6).await, b"pppppp");
    assert_eq!(stage.ends(Reason::Closed, Notify::Both, false).await, lost);
    stage.nothing_remains().await;
}

/// Law 2, with more connections than a busy owner's mailbox has places: no `Data` is forgotten because it was full.
async fn a_crowd_speaks_at_once(cast: Cast) {
    const MANY: usize = 64;
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let mut crowd = vec![stage.connected().await];
    peer.exchange(&mut stage, &crowd[0]).await;
    peer.process.tell(&format!("crowd {}\n", MANY - 1));
    for _ in 1..MANY {
        stage.connect(peer.address.unwrap());
        crowd.push(stage.connected().await);
    }
    peer.process.says("CROWDED").await;
    let release = stage.occupy_owner().await;
    peer.process.tell("send_all 6\n");
    for (connection, count) in crowd.iter().zip([12].into_iter().chain([6; MANY - 1])) {
        let counted = async { while connection.info().await.unwrap().bytes_in < count {} };
        soon(counted).await.expect("what was sent does not come");
    }
    drop(release);
    stage.receive_from_any(MANY * 6).await;
    for connection in &crowd {
        connection.do_send(Abort);
        assert_eq!(stage.lost().await.reason, Reason::Aborted);
    }
    stage.nothing_remains().await;
}

/// Law 4: a peer that takes nothing costs the flush deadline, and every byte that did not leave is counted.
async fn the_peer_takes_nothing(cast: Cast) {
    const MUCH: usize = 32 << 20;
    let mut stage = Stage::new();
    stage.options.flush = Duration::from_millis(100);
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.freeze();
    connection.write(vec![0; MUCH]).await.unwrap();
    connection.do_send(Close::new());
    let lost = stage.lost().await;
    assert_eq!((&lost.reason, lost.proof), (&Reason::TimedOut(Phase::Flushing), CloseProof::default()));
    assert!(lost.bytes_unsent > 0, "the system took all of it");
    assert_eq!(lost.bytes_out + lost.bytes_unsent, 6 + MUCH as u64);
    stage.nothing_remains().await;
}

/// What a peer has not read when it dies, the system answers with RST: it is known that the last bytes were not read.
async fn the_peer_is_killed_before_it_reads(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.freeze();
    stage.send(&connection, "hello\n").await;
    connection.flush().await.unwrap();
    peer.process.kill();
    stage.ends(Reason::Reset, Notify::Neither, false).await;
    stage.nothing_remains().await;
}

/// CONFORMANCE 2.3 test_renegotiation: a server of TLS 1.2 may ask for new keys, and gets them.
async fn the_server_renegotiates(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.tell("r\n");
    peer.process.says("SSL_do_handshake -> 1").await;
    if cfg!(feature = "aws-lc") {
        // AWS-LC's clients take no part in it.
        stage.ends(Reason::Tls("NO_RENEGOTIATION".to_owned()), Notify::Neither, false).await;
    } else {
        peer.exchange(&mut stage, &connection).await;
        connection.do_send(Close::new());
        stage.ends(Reason::Closed, Notify::Both, false).await;
    }
    stage.nothing_remains().await;
}

/// A client may not: it costs the server more than the client.
async fn the_client_renegotiates(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.tell("R\n");
    peer.process.says("RENEGOTIATING").await;
    let reason = match cfg!(feature = "aws-lc") {
        true => Reason::Tls("NO_RENEGOTIATION".to_owned()),
        // handshake_failure: what s_client makes of our no_renegotiation.
        false => Reason::Alert(TlsAlert(40)),
    };
    stage.ends(reason, Notify::Neither, false).await;
    stage.nothing_remains().await;
}

every_peer!(the_peer_takes_nothing);
every_peer!(the_peer_is_killed_before_it_reads);
plays!(the_owner_is_busy_to_the_end: python_server[tls12 tls13] python_client[tls12 tls13]);
plays!(a_crowd_speaks_at_once: python_server[tls12 tls13]);
plays!(the_server_renegotiates: openssl_server[tls12]);
plays!(the_client_renegotiates: openssl_client[tls12]);
every_peer!(what_comes_is_corrupt);
every_peer!(what_goes_is_corrupt);
plays!(a_megabyte_each_way: python_server[tls12 tls13] python_client[tls12 tls13] asyncio_server[tls12 tls13] asyncio_client[tls12 tls13]);
plays!(keys_are_updated: openssl_server[tls13] openssl_client[tls13]);
