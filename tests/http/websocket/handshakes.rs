//! How a WebSocket begins, and how it does not: our server of a client that says what it is told, our session of such a server, and both of each other.

use std::net::SocketAddr;

use exeunt::{
    Listen, Reason,
    http::{
        Body, ErrorKind, RequestBody, UpgradeError, serve,
        websocket::{
            Accepting, CloseCode, WebSocket, WebSocketConnectError, WebSocketError, WebSocketOptions, WebSocketUpgrade,
        },
    },
};
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use tokio::sync::mpsc;
use tungstenite_key::accept;

use super::{Peer, TEXT};
use crate::{
    over_both,
    peer::{End, Peer as ServerPeer, Server},
    serving::server,
    session::{Notes, Scene as SessionScene},
    stage::{Over, Scene, server_tls, settled},
};

over_both!(
    a_server_accepts_what_is_asked
    a_server_says_what_is_wrong
    a_client_that_leaves_in_the_handshake_is_told
);

/// What a server has to answer to a key, by the openssl of the tests: RFC 6455, section 1.3.
mod tungstenite_key {
    pub fn accept(key: &str) -> String {
        let digest = openssl::sha::sha1(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11").as_bytes());
        openssl::base64::encode_block(&digest)
    }
}

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: keep-alive, Upgrade\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n";

type Sockets = mpsc::UnboundedReceiver<Result<WebSocket, UpgradeError>>;

/// Accepts every WebSocket, with the subprotocols `b` and `a`; the test has it.
async fn accepting(mut request: Request<RequestBody>, tell: mpsc::UnboundedSender<Accepting>) -> Response<Body> {
    match WebSocketUpgrade::of(&mut request) {
        Ok(asked) => {
            let asked = asked.protocols(["b", "a"]).options(WebSocketOptions::new().max_message(100));
            let (response, accepting) = asked.accept();
            tell.send(accepting).unwrap();
            response
        }
        Err(not) => not.response(),
    }
}

async fn open(over: Over) -> (Scene<impl exeunt::Protocol>, Sockets) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (give, sockets) = mpsc::unbounded_channel();
    actix::spawn(async move {
        while let Some(accepting) = told.recv().await {
            let accepting: Accepting = accepting;
            give.send(accepting.await).unwrap();
        }
    });
    let handler = move |request| accepting(request, tell.clone());
    (Scene::open(over, server(handler)).await, sockets)
}

async fn a_server_accepts_what_is_asked(over: Over) {
    for (offers, chosen) in [("a, b", Some("b")), ("x,a", Some("a")), ("x", None), ("", None)] {
        let (mut scene, mut sockets) = open(over).await;
        let offers = if offers.is_empty() { String::new() } else { format!("sec-websocket-protocol: {offers}\r\n") };
        // The first message comes with the head.
        let mut peer = Peer { client: scene.client, masks: true };
        let first = peer.frame(0x80 | TEXT, "early");
        peer.client.say([format!("{ASK}{offers}\r\n").as_bytes(), &first].concat()).await;
        let answer = peer.client.answer().await;
        assert_eq!(answer.status, 101);
        assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(answer.header("sec-websocket-protocol"), chosen);
        let mut socket = sockets.recv().await.unwrap().unwrap();
        assert_eq!(socket.protocol(), chosen);
        assert_eq!(socket.next().await.unwrap().unwrap(), "early".into());
        peer.say(TEXT, vec![b'x'; 101]).await;
        assert!(matches!(socket.next().await, Some(Err(WebSocketError::TooLarge { size: 101, limit: 100 }))));
        drop(socket);
        assert_eq!(peer.hear_close().await.0, CloseCode::TOO_LARGE);
        assert_eq!(peer.client.until_end().await.unwrap(), b"");
        peer.client.close().await;
        scene.client = peer.client;
        assert_eq!(scene.lost().await.reason, Reason::Closed);
        scene.end().await;
    }
}

/// And the connection is as good as before.
async fn a_server_says_what_is_wrong(over: Over) {
    let (mut scene, _sockets) = open(over).await;
    for (wrong, status) in [
        (ASK.replace("version: 13", "version: 8"), 426),
        (ASK.replace("upgrade: websocket", "upgrade: h2c"), 426),
        (ASK.replace("dGhl", "dGh"), 400),
    ] {
        scene.client.say(format!("{wrong}\r\n")).await;
        let answer = scene.client.answer().await;
        assert_eq!((answer.status, answer.header("sec-websocket-version")), (status, Some("13")));
    }
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// Law 1: the handler is dropped, and whoever waits for the WebSocket learns why there is none.
async fn a_client_that_leaves_in_the_handshake_is_told(over: Over) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let handler = move |mut request: Request<RequestBody>| {
        let (response, accepting) = WebSocketUpgrade::of(&mut request).unwrap().accept();
        let tell = tell.clone();
        actix::spawn(async move { tell.send(accepting.await.map(drop)) });
        async {
            std::future::pending::<()>().await;
            response
        }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(format!("{ASK}\r\n")).await;
    settled().await;
    scene.client.fin().await;
    let reason = if over == Over::Tls { Reason::Truncated } else { Reason::ClosedByPeer };
    assert_eq!(told.recv().await.unwrap(), Err(UpgradeError::Lost(Some(reason.clone()))));
    assert_eq!(scene.lost().await.reason, reason);
    scene.end().await;
}

/// A server whose every answer is this, with the right `accept` where it says KEY, and a message in place of FRAME.
async fn answering(answer: &'static str, heads: &Notes) -> Server {
    let heads = heads.clone();
    Server::tls(move |mut peer: ServerPeer, _| {
        let heads = heads.clone();
        async move {
            loop {
                let head = peer.head().await;
                if head.is_empty() {
                    return peer.end(End::CloseNotify).await;
                }
                let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap_or_default();
                let accept = accept(key);
                heads.add(head);
                let answer = answer.replace("KEY", &accept);
                match answer.strip_suffix("FRAME") {
                    Some(head) => peer.write([head.as_bytes(), b"\x81\x05early"].concat()).await,
                    None => peer.write(answer).await,
                };
            }
        }
    })
    .await
}

fn wss(server: &Server) -> String {
    format!("wss://localhost:{}/chat?room=1", server.address.port())
}

#[actix::test]
async fn a_session_asks_as_it_should() {
    let heads = Notes::default();
    let answer = "HTTP/1.1 101 Yes\r\nupgrade: WebSocket\r\nconnection: upgrade\r\nsec-websocket-accept: KEY\r\n\
        sec-websocket-protocol: v1\r\n\r\nFRAME";
    let server = answering(answer, &heads).await;
    let scene = SessionScene::new();
    let asked = scene.session.websocket(&wss(&server)).protocols(["v2", "v1"]).header("origin", "https://localhost");
    let mut socket = asked.connect().await.unwrap();
    assert_eq!(socket.protocol(), Some("v1"));
    let head = heads.last().to_lowercase();
    for line in [
        "get /chat?room=1 http/1.1",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-protocol: v2, v1",
        "origin: https://localhost",
    ] {
        assert!(head.contains(line), "{line} is not in {head}");
    }
    assert!(!head.contains("extensions") && !head.contains("accept-encoding"), "{head}");
    assert_eq!(socket.next().await.unwrap().unwrap(), "early".into());
    drop(socket);
    scene.exeunt().await;
}

#[actix::test]
async fn a_session_believes_no_other_answer() {
    let yes = "HTTP/1.1 101 Yes\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: KEY\r\n";
    for (answer, words) in [
        (
            "HTTP/1.1 101 Yes\r\nupgrade: h2c\r\nconnection: upgrade\r\nsec-websocket-accept: KEY\r\n\r\n".to_owned(),
            "other than WebSocket",
        ),
        ("HTTP/1.1 101 Yes\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n".to_owned(), "answer our key"),
        (format!("{yes}sec-websocket-protocol: v3\r\n\r\n"), "not offered"),
        (format!("{yes}sec-websocket-extensions: permessage-deflate\r\n\r\n"), "extension"),
    ] {
        let server = answering(Box::leak(answer.into_boxed_str()), &Notes::default()).await;
        let scene = SessionScene::new();
        let error = scene.session.websocket(&wss(&server)).protocols(["v2"]).connect().await.unwrap_err();
        let WebSocketConnectError::Handshake(said) = &error else { panic!("{error}") };
        assert!(said.contains(words), "{said}");
        let ledger = scene.exeunt().await;
        assert_eq!(ledger.totals.lost, 1, "{ledger}");
    }
}

/// The response is there to be read, and the connection is as good as before.
#[actix::test]
async fn a_refusal_is_a_response() {
    let server = answering("HTTP/1.1 403 No\r\ncontent-length: 3\r\n\r\nwhy", &Notes::default()).await;
    let scene = SessionScene::new();
    for _ in 0..2 {
        let error = scene.session.websocket(&wss(&server)).connect().await.unwrap_err();
        let WebSocketConnectError::Refused(response) = error else { panic!("{error}") };
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (403, "why"));
    }
    assert_eq!(server.accepted(), 1);
    let redirect = answering("HTTP/1.1 302 There\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", &Notes::default()).await;
    let error = scene.session.websocket(&wss(&redirect)).connect().await.unwrap_err();
    assert!(matches!(error, WebSocketConnectError::Refused(response) if response.status() == 302));
    let error = scene.session.websocket("ftp://localhost").connect().await.unwrap_err();
    assert!(matches!(error, WebSocketConnectError::Request(error) if matches!(error.kind(), ErrorKind::Request(_))));
    assert_eq!(server.accepted(), 1);
    drop(redirect);
    scene.exeunt().await;
}

/// Our own client and our own server, under one supervisor, with large messages, and with the session's close.
#[actix::test]
async fn our_own_client_is_served() {
    let scene = SessionScene::new();
    let echo = |mut request: Request<RequestBody>| async move {
        let (response, accepting) = WebSocketUpgrade::of(&mut request).unwrap().protocols(["echo"]).accept();
        actix::spawn(async move {
            let mut socket = accepting.await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
            socket.closed().await
        });
        response
    };
    for secure in [true, false] {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = match secure {
            true => Listen::on(address, &server_tls(), serve(echo)),
            false => Listen::plain_on(address, serve(echo)),
        };
        let listening = scene.supervisor.send(listen).await.unwrap().unwrap();
        let scheme = if secure { "WSS" } else { "ws" };
        let url = format!("{scheme}://localhost:{}/", listening.address().port());
        let tls = exeunt::ClientTls::builder().trust_pem(&crate::stage::signed().ca_pem).build().unwrap();
        let asked = scene.session.websocket(&url).protocols(["echo"]).request(|request| request.tls(&tls));
        let mut socket = asked.connect().await.unwrap();
        for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
            let message = vec![size as u8; size];
            socket.send(message.clone().into()).await.unwrap();
            assert!(socket.next().await.unwrap().unwrap() == message.into());
        }
        let closed = socket.close(CloseCode::NORMAL, "done").await;
        assert_eq!((closed.code, closed.reason.as_str(), closed.clean), (CloseCode::NORMAL, "done", true));
        assert_eq!(closed.lost.reason, Reason::ClosedByPeer);
    }
    // It has the servers' ends, too, which are not the session's.
    let ledger = scene.session.close().await;
    assert_eq!((ledger.totals.lost, ledger.totals.by_reason["closed_by_peer"]), (2, 2), "{ledger}");
    let all = scene.supervisor.send(exeunt::Stop::new()).await.unwrap();
    assert_eq!((all.totals.lost, all.totals.by_reason["closed"]), (4, 2), "{all}");
}
