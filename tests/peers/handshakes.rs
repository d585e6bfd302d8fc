//! How connections begin, or do not: silence, garbage, distrust, and what the two agree on.

use std::time::Duration;

use exeunt::{Close, HandshakeFailure, Phase, Reason, TlsAlert, tls::TlsVersion};

use super::{
    cast::{Cast, Knob, PUPPET, Peer, Tool},
    process::Process,
    stage::{Notify, Saw, Stage, in_its_words},
};

fn failed(failure: HandshakeFailure) -> Reason {
    Reason::HandshakeFailed(failure)
}

fn alerted(alert: u8) -> Reason {
    failed(HandshakeFailure::Alert(TlsAlert(alert)))
}

fn refused(words: &str) -> Reason {
    failed(HandshakeFailure::Tls(in_its_words(words)))
}

/// A socket without TLS meets us, in the role that is asked for, and then does this.
async fn plain(serves: bool, does: &str, reason: Reason, fin_seen: bool) {
    let mut stage = Stage::new();
    if matches!(reason, Reason::TimedOut(_)) {
        stage.options.handshake = Duration::from_millis(100);
    }
    let mut peer;
    if serves {
        peer = Process::start("python3", [PUPPET, "plain"]);
        stage.connect(peer.says("LISTENING ").await.parse().unwrap());
    } else {
        let port = stage.listen().await.port().to_string();
        peer = Process::start("python3", [PUPPET, "plain", &port]);
    }
    peer.says("MET").await;
    peer.tell(does);
    stage.ends(reason, Notify::Neither, fin_seen).await;
    stage.nothing_remains().await;
}

/// CONFORMANCE 1.2 "garbage in handshake".
#[actix::test]
async fn garbage_from_a_server() {
    plain(true, "garbage\n", refused("wrong version number"), false).await;
}

#[actix::test]
async fn garbage_from_a_client() {
    plain(false, "garbage\n", refused("wrong version number"), false).await;
}

/// CONFORMANCE 1.2 "FIN / RST in handshake", finding 0.3: one Lost each.
#[actix::test]
async fn fin_from_a_server() {
    plain(true, "fin\n", failed(HandshakeFailure::Eof), true).await;
}

#[actix::test]
async fn fin_from_a_client() {
    plain(false, "fin\n", failed(HandshakeFailure::Eof), true).await;
}

#[actix::test]
async fn reset_by_a_server() {
    plain(true, "wait\nreset\n", failed(HandshakeFailure::Reset), false).await;
}

#[actix::test]
async fn reset_by_a_client() {
    plain(false, "reset\n", failed(HandshakeFailure::Reset), false).await;
}

/// CONFORMANCE 1.2 "handshake timeout", finding 0.3: one Lost each.
#[actix::test]
async fn silence_of_a_server() {
    plain(true, "", Reason::TimedOut(Phase::Handshaking), false).await;
}

#[actix::test]
async fn silence_of_a_client() {
    plain(false, "", Reason::TimedOut(Phase::Handshaking), false).await;
}

/// The same from servers that do speak TLS, but are stopped: the system accepts for them.
async fn a_frozen_server(cast: Cast) {
    let mut stage = Stage::new();
    stage.options.handshake = Duration::from_millis(100);
    let mut peer = Peer::serve(cast, &stage, &[]).await;
    peer.process.freeze();
    stage.connect(peer.address.unwrap());
    stage.ends(Reason::TimedOut(Phase::Handshaking), Notify::Neither, false).await;
    stage.nothing_remains().await;
}

/// CONFORMANCE 1.2 "cert verify failure": we say why, and the server is told by an alert.
async fn we_do_not_trust_the_server(cast: Cast) {
    let mut stage = Stage::new();
    let stranger = stage.files.path().join("stranger.pem");
    stage.client = exeunt::ClientTls::builder().trust_file(stranger).build().unwrap();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    // X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY.
    let message = "unable to get local issuer certificate".to_owned();
    stage.ends(failed(HandshakeFailure::Certificate { code: 20, message }), Notify::Neither, false).await;
    match cast.tool {
        Tool::Openssl => drop(peer.process.says("alert unknown ca").await),
        Tool::Python => drop(peer.process.says("FAILED TLSV1_ALERT_UNKNOWN_CA").await),
        // OpenSSL sends this alert in the clear until its Finished, which GnuTLS does not take in TLS 1.3: see what s_client makes gnutls-serv say.
        Tool::Gnutls if cast.version == "1.3" && !cfg!(feature = "aws-lc") => {
            drop(peer.process.says("Error in handshake: Decryption has failed").await)
        }
        Tool::Gnutls => drop(peer.process.says("Error in handshake: A TLS fatal alert has been received").await),
        // A failed handshake is not told to an asyncio server.
        Tool::Asyncio => {}
    }
    stage.nothing_remains().await;
}

/// The other way round: the client's alert comes inside our handshake in TLS 1.3 too, because the server waits for the client's Finished.
async fn the_client_does_not_trust_us(cast: Cast) {
    let mut stage = Stage::new();
    let _peer = Peer::enter(cast, &mut stage, &[Knob::Distrusting]).await;
    match cast.tool {
        // OpenSSL's alert is in the clear, which AWS-LC does not take in TLS 1.3 either.
        Tool::Openssl | Tool::Python if cfg!(feature = "aws-lc") && cast.version == "1.3" => {
            let words = "BAD_PACKET_LENGTH; DECRYPTION_FAILED_OR_BAD_RECORD_MAC".to_owned();
            stage.ends(failed(HandshakeFailure::Tls(words)), Notify::Neither, false).await
        }
        Tool::Openssl | Tool::Python => stage.ends(alerted(48), Notify::Neither, false).await,
        // bad_certificate, whatever is wrong with it.
        Tool::Gnutls => stage.ends(alerted(42), Notify::Neither, false).await,
        // asyncio closes the socket and leaves the alert in its buffer.
        Tool::Asyncio => stage.ends(failed(HandshakeFailure::Eof), Notify::Neither, true).await,
    };
    stage.nothing_remains().await;
}

/// The peer speaks the one version, we the other.
async fn there_is_no_common_version(cast: Cast) {
    let mut stage = Stage::new();
    if cast.version == "1.2" {
        stage.client = Stage::client_tls(&stage.files).min_version(TlsVersion::Tls13).build().unwrap();
        stage.server = Stage::server_tls(&stage.files).min_version(TlsVersion::Tls13).build().unwrap();
    } else {
        stage.client = Stage::client_tls(&stage.files).max_version(TlsVersion::Tls12).build().unwrap();
        stage.server = Stage::server_tls(&stage.files).max_version(TlsVersion::Tls12).build().unwrap();
    }
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    if cast.serves {
        match cast.tool {
            Tool::Openssl | Tool::Python => stage.ends(alerted(70), Notify::Neither, false).await,
            // handshake_failure: it finds no common cipher suite first.
            Tool::Gnutls => stage.ends(alerted(40), Notify::Neither, false).await,
            // asyncio closes the socket and leaves the alert in its buffer.
            Tool::Asyncio => stage.ends(failed(HandshakeFailure::Eof), Notify::Neither, true).await,
        };
    } else {
        stage.ends(refused("unsupported protocol"), Notify::Neither, false).await;
        match cast.tool {
            Tool::Openssl => drop(peer.process.says("alert protocol version").await),
            Tool::Python | Tool::Asyncio => drop(peer.process.says("FAILED TLSV1_ALERT_PROTOCOL_VERSION").await),
            Tool::Gnutls => drop(peer.process.says("Error in protocol version").await),
        }
    }
    stage.nothing_remains().await;
}

/// In TLS 1.2 the refusal is in the handshake; in TLS 1.3 the client is done before the server has looked, so the alert comes to an open connection.
async fn the_server_demands_a_certificate_that_we_lack(cast: Cast) {
    let mut stage = Stage::new();
    let _peer = Peer::enter(cast, &mut stage, &[Knob::Demanding]).await;
    if cast.version == "1.2" {
        // handshake_failure; gnutls-serv takes the empty list of certificates for a decode_error.
        let alert = if cast.tool == Tool::Gnutls { 50 } else { 40 };
        stage.ends(alerted(alert), Notify::Neither, false).await;
    } else {
        stage.connected().await;
        stage.ends(Reason::Alert(TlsAlert(116)), Notify::Neither, false).await;
    }
    stage.nothing_remains().await;
}

async fn the_server_demands_a_certificate_that_we_have(cast: Cast) {
    let mut stage = Stage::new();
    let identity = Stage::client_tls(&stage.files).identity_files(stage.files.certificate(), stage.files.key());
    stage.client = identity.build().unwrap();
    let mut peer = Peer::enter(cast, &mut stage, &[Knob::Demanding]).await;
    let connection = stage.connected().await;
    peer.exchange(&mut stage, &connection).await;
    peer.will_answer_close();
    connection.do_send(Close::new());
    stage.ends(Reason::Closed, Notify::Both, false).await;
    stage.nothing_remains().await;
}

async fn we_demand_a_certificate_that_the_client_lacks(cast: Cast) {
    let mut stage = Stage::new();
    stage.server = Stage::server_tls(&stage.files).client_ca_file(stage.files.ca()).build().unwrap();
    let _peer = Peer::enter(cast, &mut stage, &[]).await;
    stage.ends(refused("peer did not return a certificate"), Notify::Neither, false).await;
    stage.nothing_remains().await;
}

async fn a_protocol_is_agreed_on(cast: Cast) {
    let mut stage = Stage::new();
    stage.client = Stage::client_tls(&stage.files).alpn(["other", "exeunt/1"]).build().unwrap();
    stage.server = Stage::server_tls(&stage.files).alpn(["other", "exeunt/1"]).build().unwrap();
    let _peer = Peer::enter(cast, &mut stage, &[Knob::Alpn("exeunt/1")]).await;
    let connection = stage.connected().await;
    let tls = connection.info().await.unwrap().tls.unwrap();
    assert_eq!((tls.alpn.as_deref(), tls.version), (Some(&b"exeunt/1"[..]), &*format!("TLSv{}", cast.version)));
    connection.do_send(exeunt::Abort);
    stage.ends(Reason::Aborted, Notify::Neither, false).await;
    stage.nothing_remains().await;
}

async fn there_is_no_common_protocol(cast: Cast) {
    let mut stage = Stage::new();
    stage.server = Stage::server_tls(&stage.files).alpn(["exeunt/1"]).build().unwrap();
    let _peer = Peer::enter(cast, &mut stage, &[Knob::Alpn("other")]).await;
    stage.ends(refused("no application protocol"), Notify::Neither, false).await;
    stage.nothing_remains().await;
}

/// The second connection of one `ClientTls` resumes the first's session.
async fn we_resume(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[]).await;
    for resumed in [false, true] {
        let connection = stage.connected().await;
        peer.exchange(&mut stage, &connection).await;
        assert_eq!(connection.info().await.unwrap().tls.unwrap().resumed, resumed);
        peer.will_answer_close();
        connection.do_send(Close::new());
        stage.ends(Reason::Closed, Notify::Both, false).await;
        if !resumed {
            if cast.tool == Tool::Python {
                peer.process.tell("again\n");
            }
            stage.connect(peer.address.unwrap());
        }
    }
    stage.nothing_remains().await;
}

/// Clients come back with the tickets that we gave them. s_client keeps its session in a file between two processes.
async fn the_client_resumes(cast: Cast) {
    let mut stage = Stage::new();
    let file = stage.files.path().join("session.pem");
    let address = stage.listen().await;
    let openssl = cast.tool == Tool::Openssl;
    let knobs = if openssl { vec![Knob::SessionTo(file.clone())] } else { vec![] };
    let mut peer = Peer::call(cast, &stage, &knobs, address);
    for resumed in [false, true] {
        let connection = stage.connected().await;
        assert_eq!(connection.info().await.unwrap().tls.unwrap().resumed, resumed);
        peer.exchange(&mut stage, &connection).await;
        peer.will_answer_close();
        connection.do_send(Close::new());
        stage.ends(Reason::Closed, Notify::Both, false).await;
        if openssl && !resumed {
            peer.process.ends().await;
            peer = Peer::call(cast, &stage, &[Knob::SessionFrom(file.clone())], address);
        } else if !resumed {
            peer.process.tell("again\n");
        }
    }
    stage.nothing_remains().await;
}

/// gnutls-cli takes one connection to get a session and another to resume it.
async fn the_client_resumes_by_itself(cast: Cast) {
    let mut stage = Stage::new();
    let mut peer = Peer::enter(cast, &mut stage, &[Knob::Resuming]).await;
    stage.connected().await;
    if cfg!(feature = "vendored") && cast.version == "1.3" {
        // OpenSSL sends the two tickets of TLS 1.3 by two calls, and gnutls-cli shuts the connection down at the first. On 3.6 the second comes too late: it is answered with a reset, which our close_notify meets. 3.0 does the same when it is slowed down (by strace, say).
        assert!(matches!(stage.next().await, Saw::Eof { clean: true }));
        let lost = stage.lost().await;
        assert!(lost.reason == Reason::ClosedByPeer && lost.proof.close_notify_received, "{lost}");
    } else {
        stage.ends(Reason::ClosedByPeer, Notify::Both, false).await;
    }
    let connection = stage.connected().await;
    // AWS-LC sends its tickets of TLS 1.3 with the first bytes that it is given, and here there were none.
    let resumed = !cfg!(feature = "aws-lc") || cast.version == "1.2";
    assert_eq!(connection.info().await.unwrap().tls.unwrap().resumed, resumed);
    peer.exchange(&mut stage, &connection).await;
    peer.process.close_stdin();
    stage.ends(Reason::ClosedByPeer, Notify::Both, false).await;
    stage.nothing_remains().await;
}

plays!(a_frozen_server: openssl_server[tls12 tls13] python_server[tls12 tls13] asyncio_server[tls12 tls13] gnutls_server[tls12 tls13]);
plays!(we_do_not_trust_the_server: openssl_server[tls12 tls13] python_server[tls12 tls13] asyncio_server[tls12 tls13]
    gnutls_server[tls12 tls13]);
plays!(the_client_does_not_trust_us: openssl_client[tls12 tls13] python_client[tls12 tls13] asyncio_client[tls12 tls13]
    gnutls_client[tls12 tls13]);
every_peer!(there_is_no_common_version);
plays!(the_server_demands_a_certificate_that_we_lack: openssl_server[tls12 tls13] python_server[tls12 tls13] gnutls_server[tls12 tls13]);
plays!(the_server_demands_a_certificate_that_we_have: openssl_server[tls12 tls13] python_server[tls12 tls13] gnutls_server[tls12 tls13]);
plays!(we_demand_a_certificate_that_the_client_lacks: openssl_client[tls12 tls13] python_client[tls12 tls13] asyncio_client[tls12 tls13]
    gnutls_client[tls12 tls13]);
plays!(a_protocol_is_agreed_on: openssl_server[tls12 tls13] openssl_client[tls12 tls13] python_server[tls12 tls13] python_client[tls12 tls13]
    gnutls_server[tls12 tls13] gnutls_client[tls12 tls13]);
plays!(there_is_no_common_protocol: openssl_client[tls12 tls13] python_client[tls12 tls13] gnutls_client[tls12 tls13]);
plays!(we_resume: openssl_server[tls12 tls13] python_server[tls12 tls13] gnutls_server[tls12 tls13]);
plays!(the_client_resumes: openssl_client[tls12 tls13] python_client[tls12 tls13]);
plays!(the_client_resumes_by_itself: gnutls_client[tls12 tls13]);
