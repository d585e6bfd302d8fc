//! What happens to a connection that is open: much data, corruption, new keys.

use std::sync::atomic::Ordering::SeqCst;

use exeunt::{Close, CloseProof, Reason, TlsAlert};

use super::{
    cast::{Cast, Peer, Tool},
    relay::Relay,
    stage::{Notify, Stage},
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
    assert!(
        matches!(&lost.reason, Reason::Tls(words) if words.ends_with("decryption failed or bad record mac")),
        "{lost}"
    );
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

every_peer!(what_comes_is_corrupt);
every_peer!(what_goes_is_corrupt);
plays!(a_megabyte_each_way: python_server[tls12 tls13] python_client[tls12 tls13] asyncio_server[tls12 tls13] asyncio_client[tls12 tls13]);
plays!(keys_are_updated: openssl_server[tls13] openssl_client[tls13]);
