//! How connections end, peer by peer: who closes, who vanishes, who says nothing.

use std::time::Duration;

use exeunt::{Close, LateData, Phase, Reason};

use super::{
    cast::{Cast, Knob, Peer, Tool},
    stage::{Notify, Stage},
};

/// Law 4, and CONFORMANCE 1.2 "local close(), peer answers close_notify or just FINs": the two are told apart.
async fn we_close(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.will_answer_close();
    connection.do_send(Close::new());
    if (cast.tool, cast.serves) == (Tool::Gnutls, false) {
        // gnutls-cli takes our close_notify for the end and exits without one of its own, which RFC 8446, section 6.1, lets it.
        stage.ends(Reason::Unanswered, Notify::Ours, true).await;
    } else {
        stage.ends(Reason::Closed, Notify::Both, false).await;
    }
    peer.saw_close_notify().await;
    stage.nothing_remains().await;
}

/// Law 2 and CONFORMANCE 1.2 "peer close_notify (+FIN)": data, end of stream, Lost. We answer before we go.
async fn the_peer_closes(cast: Cast) {
    let mut stage = Stage::new();
    // These two servers close with close_notify only after an answer over HTTP/1.0.
    let web = cast.serves && matches!(cast.tool, Tool::Openssl | Tool::Gnutls);
    let mut peer = Peer::enter(cast, &mut stage, if web { &[Knob::Web] } else { &[] }).await;
    let connection = stage.connected().await;
    if web {
        stage.send(&connection, &b"GET / HTTP/1.0\r\n\r\n"[..]).await;
        let page = String::from_utf8_lossy(&stage.receive_all().await).to_lowercase();
        assert!(page.contains("</html>"), "the page is cut short: {page}");
        stage.ends_after_eof(Reason::ClosedByPeer, Notify::Both, false).await;
    } else {
        peer.exchange(&mut stage, &connection).await;
        match cast.tool {
            Tool::Openssl => peer.process.tell("Q\n"),
            Tool::Gnutls => peer.process.close_stdin(),
            Tool::Python | Tool::Asyncio => peer.process.tell("close\n"),
        }
        stage.ends(Reason::ClosedByPeer, Notify::Both, false).await;
    }
    match cast.tool {
        // Only now does it return from `unwrap`: our close_notify has come.
        Tool::Python => drop(peer.process.says("CLOSED").await),
        Tool::Asyncio => drop(peer.process.says("LOST None").await),
        _ => {}
    }
    stage.nothing_remains().await;
}

/// Law 5: a peer that dies sends FIN and nothing else. It had read everything, or the system would send RST.
async fn the_peer_is_killed(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.kill();
    stage.ends(Reason::Truncated, Notify::Ours, true).await;
    stage.nothing_remains().await;
}

/// Law 5, CONFORMANCE 1.2 "peer FIN, no close_notify": a program that just closes its socket. What we are owed may be missing.
async fn the_peer_just_closes_its_socket(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    // `Q` makes s_server close its socket before it would say close_notify.
    peer.process.tell(if cast.tool == Tool::Openssl { "Q\n" } else { "fin\n" });
    stage.ends(Reason::Truncated, Notify::Ours, true).await;
    stage.nothing_remains().await;
}

/// CONFORMANCE 1.2 "peer RST".
async fn the_peer_resets(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.tell("reset\n");
    stage.ends(Reason::Reset, Notify::Neither, false).await;
    stage.nothing_remains().await;
}

/// CONFORMANCE 1.2 "local close(), peer silent": the linger bounds it, and that nobody answered is told.
async fn the_peer_is_frozen_when_we_close(cast: Cast) {
    let mut stage = Stage::new();
    stage.options.linger = Duration::from_millis(100);
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.freeze();
    connection.do_send(Close::new());
    let lost = stage.ends(Reason::Unanswered, Notify::Ours, false).await;
    assert_eq!(lost.phase, Phase::Lingering);
    stage.nothing_remains().await;
}

/// Laws 6 and 9: a stop closes what is alive, waits for it, and has a row for it.
async fn a_stop_finds_it_open(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.will_answer_close();
    let rows = stage.stop(1).await;
    assert_eq!(rows[0].phase_at_stop, Phase::Open);
    let answered = (cast.tool, cast.serves) != (Tool::Gnutls, false);
    assert_eq!(rows[0].lost.reason, if answered { Reason::Closed } else { Reason::Unanswered });
    peer.saw_close_notify().await;
}

/// Finding 0.5: data after our close_notify neither fails the close nor counts, and the peer's close_notify behind it is still seen.
async fn late_data_is_discarded(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.tell("end\nsend 100000\nclose\n");
    connection.do_send(Close::new());
    stage.ends(Reason::Closed, Notify::Both, false).await;
    peer.process.says("CLOSED").await;
    stage.nothing_remains().await;
}

/// The same, from a peer that then ends TCP only: everything of ours went out, so it is not a truncation of what nobody wanted.
async fn late_data_is_discarded_and_no_answer_comes(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.tell("end\nsend 100000\nfin\n");
    connection.do_send(Close::new());
    stage.ends(Reason::Unanswered, Notify::Ours, true).await;
    stage.nothing_remains().await;
}

/// Finding 0.5: who wants what comes after the close gets it, and it counts.
async fn late_data_is_delivered(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.tell("end\nsend 100000\nclose\n");
    connection.do_send(Close::new().late_data(LateData::Deliver));
    assert_eq!(stage.receive_all().await, vec![b'p'; 100_000]);
    stage.ends_after_eof(Reason::Closed, Notify::Both, false).await;
    stage.nothing_remains().await;
}

/// Law 5 holds for late data that somebody wants: a bare FIN behind it is a truncation.
async fn late_data_is_delivered_and_cut_short(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.process.tell("end\nsend 6\nfin\n");
    connection.do_send(Close::new().late_data(LateData::Deliver));
    stage.receive(6).await;
    stage.ends(Reason::Truncated, Notify::Ours, true).await;
    stage.nothing_remains().await;
}

/// CONFORMANCE 2.1 test_remote_shutdown_receives_trailing_data: what was accepted before the peer's close_notify goes out all the same, then ours. The peer sleeps until
/// both have begun.
async fn a_backlog_is_flushed_after_the_peer_has_closed(cast: Cast) {
    const BACKLOG: usize = 4 << 20;
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    let before = peer.process.count(b'~');
    peer.process.freeze();
    stage.send(&connection, vec![b'~'; BACKLOG]).await;
    peer.process.close_stdin();
    peer.process.thaw();
    stage.ends(Reason::ClosedByPeer, Notify::Both, false).await;
    peer.process.ends().await;
    assert_eq!(peer.process.count(b'~') - before, BACKLOG);
    stage.nothing_remains().await;
}

/// The half-close of TLS 1.3 (RFC 8446, section 6.1): our direction ends, the other goes on.
async fn we_half_close(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    connection.send(exeunt::HalfClose).await.unwrap();
    peer.process.tell("end\n");
    peer.process.says("END close_notify").await;
    peer.process.tell("send 100000\nclose\n");
    assert_eq!(stage.receive_all().await.len(), 100_000);
    stage.ends_after_eof(Reason::Closed, Notify::Both, false).await;
    stage.nothing_remains().await;
}

every_peer!(we_close);
every_peer!(the_peer_closes);
every_peer!(the_peer_is_killed);
every_peer!(the_peer_is_frozen_when_we_close);
every_peer!(a_stop_finds_it_open);
plays!(the_peer_just_closes_its_socket: openssl_server[tls12 tls13] python_server[tls12 tls13] python_client[tls12 tls13]
    asyncio_server[tls12 tls13] asyncio_client[tls12 tls13]);
plays!(the_peer_resets: python_server[tls12 tls13] python_client[tls12 tls13]
    asyncio_server[tls12 tls13] asyncio_client[tls12 tls13]);
plays!(late_data_is_discarded: python_server[tls12 tls13] python_client[tls12 tls13]);
plays!(late_data_is_discarded_and_no_answer_comes: python_server[tls12 tls13] python_client[tls12 tls13]);
plays!(late_data_is_delivered: python_server[tls12 tls13] python_client[tls12 tls13]);
plays!(late_data_is_delivered_and_cut_short: python_server[tls12 tls13] python_client[tls12 tls13]);
plays!(a_backlog_is_flushed_after_the_peer_has_closed: gnutls_client[tls12 tls13]);
plays!(we_half_close: python_server[tls12 tls13] python_client[tls12 tls13]);
