//! WebSockets of peers that we did not write: Python's websockets and aiohttp in both directions, Node's as a client. They are brought by script/setup.

use std::{net::SocketAddr, sync::Arc};

use exeunt::{
    Ledger, Listen, Reason, Verdict,
    http::{
        RequestBody, serve,
        websocket::{CloseCode, Closed, WebSocket, WebSocketError, WebSocketUpgrade},
    },
};
use futures_util::{SinkExt, StreamExt};
use http::Request;
use tokio::sync::mpsc;

use crate::{
    process::Process,
    servers::{Directory, python},
    session::Scene,
    stage::{server_tls, signed},
};

const LIBRARIES: [&str; 2] = ["websockets", "aiohttp"];

fn script(name: &str) -> String {
    format!("{}/tests/http/websocket/peers/by_{name}", env!("CARGO_MANIFEST_DIR"))
}

/// What that library answers to a close frame of ours: the code that it heard, as RFC 6455 (section 5.5.1) would have it, or always the same.
fn answered(library: &str, code: CloseCode) -> CloseCode {
    if library == "aiohttp" { CloseCode::NORMAL } else { code }
}

/// A server of that library, and the beginning of its URLs.
async fn server(library: &str) -> (Process, String, Directory) {
    let directory = Directory::new();
    let arguments =
        [script(&format!("{library}.py")), "serve".into(), directory.path("cert.pem"), directory.path("key.pem")];
    let mut process = Process::start(python(library), arguments);
    let port = process.says("listening ").await;
    (process, format!("wss://localhost:{}", port.trim()), directory)
}

async fn connect(scene: &Scene, url: &str) -> WebSocket {
    let socket = scene.session.websocket(url).protocols(["v1"]).connect().await.unwrap();
    assert_eq!(socket.protocol(), Some("v1"));
    socket
}

#[actix::test]
async fn their_servers_echo_and_hear_our_close() {
    for library in LIBRARIES {
        let (mut process, url, _directory) = server(library).await;
        let scene = Scene::new();
        let mut socket = connect(&scene, &url).await;
        for message in ["", "grüße", &"large ".repeat(100_000)] {
            socket.send(message.into()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message.into());
        }
        let bytes: Vec<u8> = (0..1_000_000).map(|n: u32| (n / 7) as u8).collect();
        socket.send(bytes.clone().into()).await.unwrap();
        assert!(socket.next().await.unwrap().unwrap() == bytes.into());
        let closed = socket.close(CloseCode::new(4001), "done").await;
        assert_eq!((closed.code, closed.clean), (answered(library, CloseCode::new(4001)), true), "{library}");
        assert!(process.says("closed ").await.starts_with("4001"), "{library}");
        let ledger = scene.exeunt().await;
        assert_eq!((ledger.totals.lost, ledger.verdict()), (1, Verdict::Clean), "{library}: {ledger}");
    }
}

#[actix::test]
async fn their_servers_close_is_told() {
    for library in LIBRARIES {
        let (_process, url, _directory) = server(library).await;
        let scene = Scene::new();
        let mut socket = connect(&scene, &format!("{url}/close")).await;
        assert_eq!(socket.next().await.unwrap().unwrap(), "last words".into());
        assert!(socket.next().await.is_none());
        let closed = socket.closed().await;
        assert_eq!((closed.code, closed.reason.as_str(), closed.clean), (CloseCode::new(4000), "bye", true));
        scene.exeunt().await;
    }
}

/// Law 5: neither of these has sent a close frame, nor a close_notify.
#[actix::test]
async fn their_servers_abort_is_told() {
    for library in LIBRARIES {
        let (_process, url, _directory) = server(library).await;
        let scene = Scene::new();
        let mut socket = connect(&scene, &format!("{url}/abort")).await;
        assert_eq!(socket.next().await.unwrap().unwrap(), "last words".into());
        let error = socket.next().await.unwrap().unwrap_err();
        let WebSocketError::Connection(inner) = &error else { panic!("{library}: {error}") };
        assert!(matches!(inner.reason(), Some(Reason::Truncated | Reason::Reset)), "{library}: {inner:?}");
        let closed = socket.closed().await;
        assert_eq!((closed.code, closed.clean), (CloseCode::ABNORMAL, false));
        scene.exeunt().await;
    }
}

/// Law 6: the close of a session goes away.
#[actix::test]
async fn their_servers_are_told_of_a_sessions_close() {
    for library in LIBRARIES {
        let (mut process, url, _directory) = server(library).await;
        let scene = Scene::new();
        let socket = connect(&scene, &url).await;
        let (ledger, closed) = tokio::join!(scene.session.close(), socket.closed());
        assert_eq!((closed.code, closed.clean), (answered(library, CloseCode::GOING_AWAY), true), "{library}");
        assert_eq!((ledger.rows.len(), ledger.verdict()), (1, Verdict::Clean), "{library}: {ledger}");
        assert!(process.says("closed ").await.starts_with("1001"), "{library}");
        scene.exeunt().await;
    }
}

/// An echo server of ours, and how its WebSockets end.
struct Ours {
    scene: Scene,
    url: String,
    ends: mpsc::UnboundedReceiver<Closed>,
    directory: Directory,
}

impl Ours {
    async fn start() -> Self {
        let scene = Scene::new();
        let (tell, ends) = mpsc::unbounded_channel();
        let echo = move |mut request: Request<RequestBody>| {
            let tell = tell.clone();
            let (response, accepting) = match WebSocketUpgrade::of(&mut request) {
                Ok(asked) => asked.protocols(["v2", "v1"]).accept(),
                Err(not) => panic!("{not}"),
            };
            actix::spawn(async move {
                let mut socket = accepting.await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if socket.send(message).await.is_err() {
                        break;
                    }
                }
                tell.send(socket.closed().await)
            });
            async move { response }
        };
        let listen = Listen::on(SocketAddr::from(([127, 0, 0, 1], 0)), &server_tls(), serve(echo));
        let listening = scene.supervisor.send(listen).await.unwrap().unwrap();
        let url = format!("wss://localhost:{}/", listening.address().port());
        let directory = Directory::new();
        directory.write("ca.pem", &signed().ca_pem);
        Ours { scene, url, ends, directory }
    }

    fn client(&self, library: &str, mode: &str) -> Process {
        match library {
            "node" => Process::start("node", ["--experimental-websocket", &script("node.js"), mode, &self.url]),
            _ => {
                let script = script(&format!("{library}.py"));
                Process::start(python(library), [&script, mode, &self.url, &self.directory.path("ca.pem")])
            }
        }
    }

    async fn stop(&self) -> Arc<Ledger> {
        self.scene.supervisor.send(exeunt::Stop::new()).await.unwrap()
    }
}

#[actix::test]
async fn their_clients_are_echoed_and_close() {
    for library in ["websockets", "aiohttp", "node"] {
        let mut ours = Ours::start().await;
        let mut client = ours.client(library, "close");
        client.says("echoed").await;
        assert!(client.says("closed ").await.starts_with("4001"), "{library}");
        let closed = ours.ends.recv().await.unwrap();
        assert_eq!(
            (closed.code, closed.reason.as_str(), closed.clean),
            (CloseCode::new(4001), "done", true),
            "{library}"
        );
        client.ends().await;
        let ledger = ours.stop().await;
        assert_eq!((ledger.totals.lost, ledger.totals.admitted), (1, 1), "{library}: {ledger}");
    }
}

/// Law 6: and they see no reset.
#[actix::test]
async fn their_clients_are_told_of_a_stop() {
    for library in ["websockets", "aiohttp", "node"] {
        let mut ours = Ours::start().await;
        let mut client = ours.client(library, "stay");
        client.says("echoed").await;
        let ledger = ours.stop().await;
        assert!(client.says("closed ").await.starts_with("1001"), "{library}");
        let closed = ours.ends.recv().await.unwrap();
        assert_eq!((closed.code, closed.clean), (answered(library, CloseCode::GOING_AWAY), true), "{library}");
        assert_eq!((ledger.rows.len(), ledger.verdict()), (1, Verdict::Clean), "{library}: {ledger}");
    }
}
