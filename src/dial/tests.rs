//! Dials on real sockets of this host. Nothing here waits for a time to pass.

use std::{future::Future, net::Ipv6Addr};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::net::TcpListener;

use super::*;
use crate::fate::Attempt;

/// The socket alone.
async fn dial(target: &Target, options: &DialOptions, resolver: &Arc<dyn Resolver>) -> Result<TcpStream, DialFailure> {
    super::dial(target, options, resolver).await.map(|(socket, _)| socket)
}

/// Answers every name with these addresses, ports and all.
struct Answer(Vec<SocketAddr>);

impl Resolver for Answer {
    fn resolve(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let addresses = self.0.clone();
        async { Ok(addresses) }.boxed()
    }
}

fn answer(addresses: &[SocketAddr]) -> Arc<dyn Resolver> {
    Arc::new(Answer(addresses.to_vec()))
}

fn system() -> Arc<dyn Resolver> {
    Arc::new(SystemResolver)
}

/// A port that is ours and refuses: bound, so that nobody else is given it, and not listening.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn to(address: SocketAddr) -> Target {
    address.to_string().parse().unwrap()
}

fn named() -> Target {
    "somewhere.example:443".parse().unwrap()
}

fn resolve_message(result: Result<TcpStream, DialFailure>) -> String {
    match result {
        Err(DialFailure::Resolve { host, message }) if host == "somewhere.example" => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_dial_connects_and_the_socket_is_set_up() {
    let (listener, address) = listening().await;
    let options = DialOptions { local_address: Some([127, 0, 0, 1].into()), ..DialOptions::default() };
    let stream = dial(&to(address), &options, &system()).await.unwrap();
    let (_accepted, from) = listener.accept().await.unwrap();
    assert_eq!((stream.peer_addr().unwrap(), stream.local_addr().unwrap()), (address, from));
    assert!(stream.nodelay().unwrap());
    assert!(SockRef::from(&stream).keepalive().unwrap());
}

#[tokio::test]
async fn a_refused_port_is_told_in_the_systems_words() {
    let (_held, address) = refusing();
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    let failure = dial(&to(address), &DialOptions::default(), &system()).await.unwrap_err();
    let attempt = Attempt { address, kind: io::ErrorKind::ConnectionRefused, message: refused.to_string() };
    assert_eq!(failure, DialFailure::Connect { attempts: vec![attempt] });
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses_and_each_only_once() {
    let (_held, refusing) = refusing();
    let (_listener, listening) = listening().await;
    let options = DialOptions::default();
    let stream = dial(&named(), &options, &answer(&[refusing, refusing, listening])).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), listening);

    match dial(&named(), &options, &answer(&[refusing, refusing])).await {
        Err(DialFailure::Connect { attempts }) => assert_eq!(attempts.len(), 1),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_without_an_address_is_said_to_have_none() {
    assert_eq!(resolve_message(dial(&named(), &DialOptions::default(), &answer(&[])).await), "it has no address");
}

#[tokio::test]
async fn the_resolvers_words_are_kept() {
    let resolver: Arc<dyn Resolver> = Arc::new(StaticResolver::new());
    assert_eq!(
        resolve_message(dial(&named(), &DialOptions::default(), &resolver).await),
        "no address is pinned for it"
    );
}

#[tokio::test]
async fn with_a_local_address_only_its_family_is_tried() {
    let (_listener, listening) = listening().await;
    let elsewhere = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), listening.port());
    let from_ipv6 = DialOptions { local_address: Some(Ipv6Addr::LOCALHOST.into()), ..DialOptions::default() };
    assert_eq!(
        resolve_message(dial(&named(), &from_ipv6, &answer(&[listening])).await),
        "it has no IPv6 address, and the local address is ::1"
    );
    let from_ipv4 = DialOptions { local_address: Some([127, 0, 0, 1].into()), ..DialOptions::default() };
    let stream = dial(&named(), &from_ipv4, &answer(&[elsewhere, listening])).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), listening);
}

#[tokio::test]
async fn a_local_address_that_is_not_ours_is_told() {
    let (_listener, address) = listening().await;
    // 192.0.2.0/24 is for documentation (RFC 5737), so this host does not have it.
    let options = DialOptions { local_address: Some([192, 0, 2, 1].into()), ..DialOptions::default() };
    match dial(&to(address), &options, &system()).await {
        Err(DialFailure::Connect { attempts }) => assert_eq!(attempts[0].kind, io::ErrorKind::AddrNotAvailable),
        other => panic!("{other:?}"),
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_socket_that_met_itself_is_refused() {
    let (socket, address) = refusing();
    let stream = socket.connect(address).await.unwrap();
    assert_eq!(refuse_ourselves(&stream, address).map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn a_target_that_was_built_by_hand_is_an_error_and_no_panic() {
    for host in ["", "a\0b", "127.0.0.1"] {
        let target = Target { host: host.into(), port: 0 };
        assert!(dial(&target, &DialOptions::default(), &system()).await.is_err(), "{host:?}");
    }
}

#[test]
fn a_dial_can_be_awaited_on_any_thread() {
    fn is_send(_: impl Future + Send) {}
    is_send(dial(&named(), &DialOptions::default(), &system()));
}
