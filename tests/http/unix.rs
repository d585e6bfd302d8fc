//! Unix-domain sockets: the session against nginx on one, our server on one, and the file that it is found by.

use std::os::unix::{
    fs::{FileTypeExt, PermissionsExt},
    net::{UnixListener as StdListener, UnixStream as StdStream},
};

use actix::Actor;
use exeunt::{
    Adopt, Connect, ConnectError, Lines, Listen, ListenError, Reason, Roll, Stop, Streamed, Supervisor, Verdict,
    fate::DialFailure,
    http::{Body, RequestBody, Session, serve},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use crate::{
    servers::{Directory, Server},
    session::Scene,
    stage::server_tls,
};

async fn hello(_: http::Request<RequestBody>) -> Result<http::Response<Body>, std::io::Error> {
    Ok(http::Response::new(Body::from("hello")))
}

/// Whatever the URL's host, to the socket: plain and with TLS, for a session and for a request; each way is a key of its own.
#[actix::test]
async fn nginx_on_a_unix_socket() {
    let server = Server::nginx().await;
    let (plain, secure) = (server.path("plain.sock"), server.path("tls.sock"));
    let scene = Scene::with(|session| session.unix_socket(&plain));
    let get = async |request: exeunt::http::RequestBuilder| {
        let response = request.send().await.unwrap();
        assert_eq!(response.peer(), None, "a Unix-domain socket has no address");
        let reused = response.reused();
        (response.text().await.unwrap(), reused)
    };
    for again in [false, true] {
        let hello = ("hello from nginx".to_owned(), again);
        assert_eq!(get(scene.session.get("http://any.example/hello")).await, hello);
        assert_eq!(get(scene.session.get("https://localhost/hello").unix_socket(&secure)).await, hello);
    }
    let direct = scene.session.get(&server.url("/hello")).directly().send().await.unwrap();
    assert!(direct.peer().is_some());
    direct.bytes().await.unwrap();
    // The certificate is for localhost, and the URL's host is what it must bear.
    let error = scene.session.get("https://other.example/hello").unix_socket(&secure).send().await.unwrap_err();
    assert!(matches!(error.lost().map(|lost| &lost.reason), Some(Reason::HandshakeFailed(_))), "{error}");
    let ledger = scene.session.close().await;
    let peers: Vec<_> = ledger.rows.iter().map(|row| row.lost.peer.to_string()).collect();
    assert!(peers.contains(&format!("unix:{plain}")) && peers.contains(&format!("unix:{secure}")), "{peers:?}");
    assert_eq!(scene.exeunt().await.verdict(), Verdict::Clean);
}

#[actix::test]
async fn a_path_that_is_none_is_told() {
    let directory = Directory::new();
    let scene = Scene::new();
    let path = directory.path("nobody.sock");
    let error = scene.session.get("http://x/").unix_socket(&path).send().await.unwrap_err();
    match error.lost().map(|lost| &lost.reason) {
        Some(reason @ Reason::DialFailed(DialFailure::Unix { path: of, kind: std::io::ErrorKind::NotFound, .. })) => {
            assert_eq!((of, reason.code()), (&path, "dial_failed"));
        }
        other => panic!("{error}: {other:?}"),
    }
    for (wrong, words) in [("", "is missing"), (&*"x".repeat(200), "at most"), ("a\0b", "zero byte")] {
        let error = scene.session.get("http://x/").unix_socket(wrong).send().await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        let answer = scene.supervisor.send(Connect::plain_unix(wrong, Lines::default())).await.unwrap();
        assert!(matches!(answer, Err(ConnectError::Target(_))));
        assert!(Session::builder().unix_socket(wrong).start(&scene.supervisor).is_err());
    }
    // A path is no name that a certificate could bear.
    let answer = scene.supervisor.send(Connect::to(format!("unix:{path}"), Lines::default())).await.unwrap();
    let Err(ConnectError::Tls(error)) = answer else { panic!("{answer:?}") };
    assert!(error.to_string().contains("server_name"), "{error}");
    scene.exeunt().await;
}

/// Our server on a path, with TLS and without, on this thread and on another; who connects is shown with user and process; the file goes with the listener.
#[actix::test]
async fn our_server_on_a_path() {
    for workers in [0, 1] {
        let directory = Directory::new();
        let supervisor = if workers > 0 { Supervisor::new().workers(workers) } else { Supervisor::new() }.start();
        let (plain, secure) = (directory.path("plain.sock"), directory.path("tls.sock"));
        let listening = supervisor.send(Listen::plain_unix(&plain, serve(hello)).mode(0o600)).await.unwrap().unwrap();
        assert_eq!(listening.path().to_str(), Some(&*plain));
        supervisor.send(Listen::unix(&secure, &server_tls(), serve(hello))).await.unwrap().unwrap();
        let mode = std::fs::metadata(&plain).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let tls = exeunt::ClientTls::builder().trust_pem(&crate::stage::signed().ca_pem).build().unwrap();
        let scene = Scene::with(|session| session.tls(&tls));
        for (url, path) in [("http://localhost/", &plain), ("https://localhost/", &secure)] {
            let response = scene.session.get(url).unix_socket(path).send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "hello");
        }
        let roll = supervisor.send(Roll).await.unwrap();
        let expected = format!("unix:{plain} (uid {}, pid {})", uid(&plain), std::process::id());
        assert!(roll.iter().any(|entry| *entry.peer.name == *expected), "{expected}: {roll:?}");
        scene.exeunt().await;
        let ledger = supervisor.send(Stop::new()).await.unwrap();
        assert_eq!(ledger.totals.lost, 2, "{ledger}");
        assert!(!std::path::Path::new(&plain).exists() && !std::path::Path::new(&secure).exists());
    }
}

fn uid(path: &str) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(path).unwrap())
}

/// What a killed program leaves behind is replaced; what is in use, or is no socket, is an error and left alone; and a file that has taken our name is not ours to remove.
#[actix::test]
async fn the_file_of_a_socket_is_handled_with_care() {
    let directory = Directory::new();
    let supervisor = Supervisor::new().start();
    let listen = async |path: &str| supervisor.send(Listen::plain_unix(path, serve(hello))).await.unwrap();

    let stale = directory.path("stale.sock");
    drop(StdListener::bind(&stale).unwrap());
    assert!(std::fs::metadata(&stale).unwrap().file_type().is_socket());
    let listening = listen(&stale).await.unwrap();
    UnixStream::connect(&stale).await.unwrap();

    let Err(ListenError::Io { what, error }) = listen(&stale).await else { panic!("taken from its owner") };
    assert_eq!((what, error.kind()), (format!("listen on unix:{stale}"), std::io::ErrorKind::AddrInUse));
    UnixStream::connect(&stale).await.unwrap();

    directory.write("file", "precious");
    let Err(ListenError::Io { error, .. }) = listen(&directory.path("file")).await else {
        panic!("a file was removed")
    };
    assert!(error.to_string().contains("not a socket"), "{error}");
    assert_eq!(std::fs::read(directory.path("file")).unwrap(), b"precious");

    // Its name goes to somebody else before it ends.
    std::fs::remove_file(&stale).unwrap();
    let other = StdListener::bind(&stale).unwrap();
    listening.close();
    supervisor.send(Stop::new()).await.unwrap();
    StdStream::connect(&stale).unwrap();
    drop(other);
}

/// A socket that is given to us keeps its file.
#[actix::test]
async fn adopted_sockets() {
    let directory = Directory::new();
    let path = directory.path("theirs.sock");
    let supervisor = Supervisor::new().start();
    let listening = supervisor
        .send(Listen::adopt_plain_unix(StdListener::bind(&path).unwrap(), serve(hello)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(listening.path().to_str(), Some(&*path));
    let scene = Scene::with(|session| session.unix_socket(&path));
    assert_eq!(scene.session.get("http://x/").send().await.unwrap().text().await.unwrap(), "hello");
    scene.exeunt().await;

    // A pair of connected ones, with TLS between them.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let tls = exeunt::ClientTls::builder().trust_pem(&crate::stage::signed().ca_pem).build().unwrap();
    let server = Adopt::server(theirs, "the other end", &server_tls(), Streamed::new()).open(&supervisor);
    let client = Adopt::client(ours, "localhost", &tls, Streamed::new()).open(&supervisor);
    let (server, client) = tokio::join!(server, client);
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    client.write_all(b"across").await.unwrap();
    client.shutdown().await.unwrap();
    let mut heard = String::new();
    server.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "across");
    server.shutdown().await.unwrap();
    assert_eq!(client.closed().await.reason, Reason::Closed);
    assert_eq!(&*server.peer().name, "the other end");
    supervisor.send(Stop::new()).await.unwrap();
    assert!(std::path::Path::new(&path).exists());
}
