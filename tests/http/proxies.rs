//! Proxies: the way to the tunnel, what is in it, and how it ends. The proxies are scripts of ours, and real ones.

mod real;
#[cfg(feature = "socks")]
mod socks;
mod stopping;
mod tunnels;

use exeunt::Proxy;
use tokio::{io::copy_bidirectional, net::TcpStream};

use crate::{
    peer::{Peer, Server},
    session::{Notes, ok},
};

/// The proxy at this port.
fn http(server: &Server) -> Proxy {
    server.http("").parse().unwrap()
}

/// A proxy that gives a tunnel to whomever it is asked for, on this host, and writes down what it was asked.
async fn obliging(notes: &Notes) -> Server {
    let notes = notes.clone();
    Server::plain(move |peer, _| oblige(peer, notes.clone())).await
}

async fn oblige(mut peer: Peer, notes: Notes) {
    let head = peer.head().await;
    notes.add(&head);
    peer.write("HTTP/1.1 200 Connection established\r\n\r\n").await;
    relay(peer, port_of(&head)).await;
}

/// The port of what a CONNECT asks for.
fn port_of(head: &str) -> u16 {
    let target =
        head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("{head}"));
    target.rsplit(':').next().unwrap().parse().unwrap()
}

/// A server without TLS that answers the first request with its head.
async fn showing() -> Server {
    Server::plain(|mut peer, _| async move {
        let head = peer.head().await;
        peer.write(ok(&head)).await;
        peer.silence().await;
    })
    .await
}

async fn relay(peer: Peer, port: u16) {
    let Peer::Plain(mut near) = peer else { panic!("a tunnel inside TLS is real proxies' business") };
    let mut far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let _ = copy_bidirectional(&mut near, &mut far).await;
}
