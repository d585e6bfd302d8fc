//! SOCKS5, by a script: what is different from CONNECT.

use exeunt::{Proxy, ProxyFailure, Reason, fate::DialFailure};

use super::*;
use crate::session::{Scene, ok};

fn socks(server: &Server) -> Proxy {
    format!("socks5://user:secret@localhost:{}", server.address.port()).parse().unwrap()
}

/// Both `https` and `http` go through a tunnel, and the request is in its usual form.
#[actix::test]
async fn requests_by_socks() {
    let script = |mut peer: Peer, _| async move {
        while let head = peer.head().await
            && !head.is_empty()
        {
            peer.write(ok(head.lines().next().unwrap())).await;
        }
        peer.end(crate::peer::End::CloseNotify).await;
    };
    let (secure, plain) = (Server::tls(script).await, Server::plain(script).await);
    let proxy = Server::plain(|mut peer, _| async move {
        // The methods, the user and the password, and the request for `localhost`, which has 9 letters.
        assert_eq!(peer.body(4).await, b"\x05\x02\x00\x02");
        peer.write(b"\x05\x02").await;
        assert_eq!(peer.body(13).await, b"\x01\x04user\x06secret");
        peer.write(b"\x01\x00").await;
        let asked = peer.body(16).await;
        assert_eq!(asked[..14], *b"\x05\x01\x00\x03\x09localhost");
        peer.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01").await;
        relay(peer, u16::from_be_bytes([asked[14], asked[15]])).await;
    })
    .await;
    let scene = Scene::with(|session| session.proxy(&socks(&proxy)));
    for url in [secure.https("/x"), plain.http("/x")] {
        for _ in 0..2 {
            let response = scene.session.get(&url).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "GET /x HTTP/1.1");
        }
    }
    assert_eq!(proxy.accepted(), 2);
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.lost, 2, "{ledger}");
}

#[actix::test]
async fn a_refusal_is_one_lost() {
    let proxy = Server::plain(|mut peer, _| async move {
        peer.body(4).await;
        peer.write(b"\x05\x00").await;
        peer.body(16).await;
        peer.write(b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00").await;
        peer.silence().await;
    })
    .await;
    let scene = Scene::with(|session| session.proxy(&socks(&proxy)));
    let error = scene.session.get("https://localhost:1/").send().await.unwrap_err();
    match error.lost().map(|lost| &lost.reason) {
        Some(Reason::DialFailed(DialFailure::Proxy {
            failure: ProxyFailure::Refused { status: None, message },
            ..
        })) => {
            assert!(message.contains("Connection refused") && message.contains("localhost:1"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.by_reason["dial_failed"], 1, "{ledger}");
}
