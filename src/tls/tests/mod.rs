//! Two peers, one scene, then what both of them saw. No test sleeps.

mod bulk;
mod close;
mod config;
mod handshake;
mod nested;
mod resumption;
mod verify;

use std::{future::poll_fn, task::Poll};

use bytes::{Bytes, BytesMut};
use tokio::net::{TcpListener, TcpStream};

use super::{generate::self_signed_between, *};
use crate::fate::HandshakeFailure;

pub(super) const NAMES: &[&str] = &["localhost", "127.0.0.1", "::1", "*.example.com"];

/// An authority and a server's certificate, made once.
pub(super) fn credentials() -> &'static SelfSigned {
    static MADE: std::sync::OnceLock<SelfSigned> = std::sync::OnceLock::new();
    MADE.get_or_init(|| self_signed(NAMES).unwrap())
}

pub(super) fn client() -> ClientTlsBuilder {
    ClientTls::builder().trust_pem(&credentials().ca_pem)
}

pub(super) fn server() -> ServerTlsBuilder {
    ServerTls::builder().identity_pem(&credentials().certificate_pem, &credentials().key_pem)
}

pub(super) const VERSIONS: [TlsVersion; 2] = [TlsVersion::Tls12, TlsVersion::Tls13];

/// Client and server of one version, over TCP and over memory.
pub(super) async fn every_pair() -> Vec<(TlsStream, TlsStream)> {
    let mut pairs = Vec::new();
    for version in VERSIONS {
        let (client, server) =
            (client().max_version(version).min_version(version).build().unwrap(), server().build().unwrap());
        for sockets in [tcp().await, memory()] {
            pairs.push(secured(&client, &server, sockets).await);
        }
    }
    pairs
}

pub(super) async fn pair() -> (TlsStream, TlsStream) {
    secured(&client().build().unwrap(), &server().build().unwrap(), tcp().await).await
}

pub(super) async fn secured(
    client: &ClientTls,
    server: &ServerTls,
    sockets: (Socket, Socket),
) -> (TlsStream, TlsStream) {
    let (ours, theirs, mut client, mut server) = shake(client, "localhost", server, sockets).await;
    ours.unwrap();
    theirs.unwrap();
    // The tickets of TLS 1.3 come before the first data.
    send(&mut server, b"welcome").await.unwrap();
    assert_eq!(receive(&mut client).await, Ok("welcome".into()));
    (client, server)
}

type Shaken = (Result<(), HandshakeFailure>, Result<(), HandshakeFailure>, TlsStream, TlsStream);

/// A side that fails ends its direction, as an owner would: so the other one is never left waiting.
pub(super) async fn shake(client: &ClientTls, name: &str, server: &ServerTls, (near, far): (Socket, Socket)) -> Shaken {
    async fn one(mut stream: TlsStream) -> (Result<(), HandshakeFailure>, TlsStream) {
        let result = poll_fn(|cx| stream.poll_handshake(cx)).await;
        if result.is_err() {
            fin(&mut stream).await;
        }
        (result, stream)
    }
    let client = TlsStream::client(client, name, 443, None, near).unwrap();
    let server = TlsStream::server(server, far).unwrap();
    let ((ours, client), (theirs, server)) = tokio::join!(one(client), one(server));
    (ours, theirs, client, server)
}

pub(super) async fn tcp() -> (Socket, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap().into(), far.unwrap().0.into())
}

pub(super) fn memory() -> (Socket, Socket) {
    let (near, far) = tokio::io::duplex(1024);
    (Socket::boxed(near), Socket::boxed(far))
}

pub(super) async fn send(stream: &mut TlsStream, mut bytes: &[u8]) -> Result<(), StreamFailure> {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| stream.poll_write(cx, bytes)).await?;
        bytes = &bytes[n..];
    }
    poll_fn(|cx| stream.poll_flush(cx)).await
}

pub(super) async fn event(stream: &mut TlsStream) -> Result<ReadEvent, StreamFailure> {
    poll_fn(|cx| stream.poll_read(cx, &mut BytesMut::new())).await
}

pub(super) async fn receive(stream: &mut TlsStream) -> Result<Bytes, StreamFailure> {
    let mut buf = BytesMut::with_capacity(100);
    match poll_fn(|cx| stream.poll_read(cx, &mut buf)).await? {
        ReadEvent::Data(n) => assert_eq!(n, buf.len()),
        end => panic!("{end:?} where data was expected"),
    }
    Ok(buf.freeze())
}

pub(super) async fn close_notify(stream: &mut TlsStream) -> Result<(), StreamFailure> {
    poll_fn(|cx| stream.poll_close_notify(cx)).await
}

pub(super) async fn fin(stream: &mut TlsStream) {
    poll_fn(|cx| stream.poll_fin(cx)).await;
}

/// Whether there is nothing to read now. What a peer on this machine has sent before is there at once, but the reactor must have looked.
pub(super) async fn is_silent(stream: &mut TlsStream) -> bool {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    poll_fn(|cx| Poll::Ready(stream.poll_read(cx, &mut BytesMut::new()).is_pending())).await
}

/// A directory that is removed again.
pub(super) struct Scratch(pub(super) std::path::PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("exeunt-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> std::path::PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
