//! Rows of the conformance list that are not a law's own scene: see the table in `tests/README.md`.

use std::net::SocketAddr;

use bytes::BytesMut;
use exeunt::{
    Adopt, Connect, ConnectError, Events, Evict, Io, Lines, Listen, Owner, Phase, Protocol, ProtocolError, Reason,
    Roll, Socket, Supervisor,
};
use futures_util::future::join_all;

use crate::stage::*;

const MEBIBYTE: usize = 1 << 20;
const CLIENTS: usize = 25;

/// test_create_server_ssl_1, test_create_connection_ssl_1: 25 clients, by address and by a socket that was connected before, 1 MiB each way, in order.
#[actix::test]
async fn twenty_five_clients_and_a_mebibyte_each_way() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listen = Listen::on("127.0.0.1:0".parse().unwrap(), &server_tls(), |_| Echo);
    let address: SocketAddr = supervisor.send(listen).await.unwrap().unwrap().address();
    let clients = (0..CLIENTS).map(|n| {
        let supervisor = supervisor.clone();
        async move {
            let (owner, mut script) = Recorder::start_new();
            let events = Events::new(&Owner::new(owner));
            let handle = if n % 2 == 0 {
                let connect = Connect::to(address.to_string(), events).tls(&client_tls());
                supervisor.send(connect).await.unwrap().unwrap()
            } else {
                let socket = tokio::net::TcpStream::connect(address).await.unwrap();
                supervisor.send(Adopt::client(socket, "localhost", &client_tls(), events)).await.unwrap().unwrap()
            };
            script.connected().await;
            let sent: Vec<u8> = (0..MEBIBYTE).map(|i| (i * (n + 1)) as u8).collect();
            let (written, received) = tokio::join!(
                async {
                    for chunk in sent.chunks(10_000) {
                        handle.write(chunk.to_vec()).await.unwrap();
                    }
                },
                script.data(MEBIBYTE)
            );
            let () = written;
            assert!(received == sent, "client {n}");
            let lost = handle.close().await;
            assert_eq!(
                (lost.reason, lost.bytes_in, lost.bytes_out),
                (Reason::Closed, MEBIBYTE as u64, MEBIBYTE as u64)
            );
        }
    });
    join_all(clients).await;
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.by_reason["closed"], CLIENTS as u64);
    assert_eq!(ledger.totals.by_reason["closed_by_peer"], CLIENTS as u64);
}

/// test_ssl_handshake_timeout: whoever asked gives up in the handshake; the peer sees the end, and nothing remains.
#[actix::test]
async fn giving_up_in_the_handshake_ends_the_connection() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (ours, mut theirs) = pipe(PIPE);
    let asked = supervisor.send(Adopt::client(ours, "localhost", &client_tls(), Sink));
    let mut hello = [0; 5];
    tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut hello).await.unwrap();
    assert_eq!(hello[0], 22, "a handshake record");
    drop(asked);
    tokio::io::AsyncReadExt::read_to_end(&mut theirs, &mut Vec::new()).await.unwrap();
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.by_reason["cancelled"], 1);
}

/// Law 1: an abort in every phase, the early ones included, where nobody has a handle yet.
#[actix::test]
async fn an_eviction_aborts_in_the_dial_and_in_the_handshake() {
    let (supervisor, books) = supervise(Supervisor::new().resolver(Pending));
    let dialing = supervisor.send(Connect::to("slow.example:443", Lines::default()));
    let (held, _theirs) = pipe(PIPE);
    let handshaking = supervisor.send(Adopt::client(held, "localhost", &client_tls(), Lines::default()));
    let roll = supervisor.send(Roll).await.unwrap();
    assert_eq!(roll.iter().map(|entry| entry.phase).collect::<Vec<_>>(), [Phase::Dialing, Phase::Handshaking]);
    for entry in &roll {
        assert!(supervisor.send(Evict::abort(entry.id)).await.unwrap());
    }
    for (answer, phase) in [(dialing.await, Phase::Dialing), (handshaking.await, Phase::Handshaking)] {
        let Err(ConnectError::Lost(lost)) = answer.unwrap() else { panic!("it was aborted") };
        assert_eq!((lost.reason, lost.phase), (Reason::Aborted, phase));
    }
    assert!(!supervisor.send(Evict::close(roll[0].id)).await.unwrap(), "it is gone");
    exeunt(supervisor, books).await;
}

struct Pending;
impl exeunt::Resolver for Pending {
    fn resolve(&self, _: &str, _: u16) -> futures_util::future::BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
        Box::pin(std::future::pending())
    }
}

/// What a protocol does as soon as it is connected.
enum First {
    Panic,
    Abort,
    Close,
}

impl Protocol for First {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        match self {
            First::Panic => panic!("in connected"),
            First::Abort => io.abort(),
            First::Close => {
                assert!(io.write(b"hello and goodbye"));
                io.close();
                assert!(!io.write(b"too late"));
            }
        }
    }
    fn data(&mut self, _: &mut Io<'_, Self>, _: &mut BytesMut) -> Result<(), ProtocolError> {
        panic!("nothing comes after the end")
    }
}

/// test_handle_exception_in_connection_made, test_handle_abort_in_connection_made, and a close there: each is one `Lost` with its reason.
#[actix::test]
async fn connected_may_panic_abort_or_close() {
    for (first, expected) in [
        (First::Panic, Reason::Panicked("in connected".into())),
        (First::Abort, Reason::Aborted),
        (First::Close, Reason::Closed),
    ] {
        let (supervisor, books) = supervise(Supervisor::new());
        let (ours, theirs) = pipe(PIPE);
        let adopt = supervisor.send(Adopt::client(ours, "localhost", &client_tls(), first));
        let peer = async {
            // The client may be gone before the server's tickets are out.
            let Ok(mut peer) = RawPeer::try_accept(theirs).await else { return };
            if let Ok(bytes) = peer.read_to_close_notify().await {
                assert_eq!(bytes, b"hello and goodbye");
                peer.close().await;
            }
        };
        let (answer, ()) = tokio::join!(adopt, peer);
        let lost = match answer.unwrap() {
            Ok(handle) => end_of(&handle).await,
            Err(ConnectError::Lost(lost)) => *lost,
            Err(other) => panic!("{other}"),
        };
        assert_eq!(lost.reason, expected);
        exeunt(supervisor, books).await;
    }
}

/// trio's send_all_fails_in_the_middle: a reset under a write; what was not taken is counted.
#[actix::test]
async fn a_reset_in_the_middle_of_a_write_is_counted() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let raw = socket2::SockRef::from(&theirs).try_clone().unwrap();
    let adopt = Adopt::client(ours, "localhost", &client_tls(), Sink).write_marks(64 << 20, 0);
    let (peer, client) =
        tokio::join!(supervisor.send(Adopt::server(theirs, "peer", &server_tls(), Mute)), supervisor.send(adopt));
    let (peer, client) = (peer.unwrap().unwrap(), client.unwrap().unwrap());
    client.write(vec![1; 32 << 20]).await.unwrap();
    raw.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(raw);
    peer.abort().await;
    let lost = end_of(&client).await;
    assert_eq!(lost.reason, Reason::Reset);
    assert_eq!(lost.bytes_out + lost.bytes_unsent, 32 << 20);
    assert!(lost.bytes_unsent > 0);
    exeunt(supervisor, books).await;
}

/// Reads nothing.
struct Mute;
impl Protocol for Mute {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        io.hold_reading(true);
    }
    fn data(&mut self, _: &mut Io<'_, Self>, _: &mut BytesMut) -> Result<(), ProtocolError> {
        Ok(())
    }
}

/// A reset in the handshake; asyncio's `start_tls` never says `connection_lost` here.
#[actix::test]
async fn a_reset_in_the_handshake_is_told() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connect = supervisor.send(Connect::to(address.to_string(), Sink).tls(&client_tls()));
    let (answer, ()) = tokio::join!(connect, async {
        let (mut theirs, _) = listener.accept().await.unwrap();
        tokio::io::AsyncReadExt::read_exact(&mut theirs, &mut [0; 5]).await.unwrap();
        socket2::SockRef::from(&theirs).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    });
    let Err(ConnectError::Lost(lost)) = answer.unwrap() else { panic!("it was reset") };
    assert_eq!(lost.reason, Reason::HandshakeFailed(exeunt::HandshakeFailure::Reset));
    exeunt(supervisor, books).await;
}

/// test_create_server dual stack: an IPv6 listener beside an IPv4 one, on the same port.
#[actix::test]
async fn ipv4_and_ipv6_side_by_side() {
    let (supervisor, books) = supervise(Supervisor::new());
    let four = supervisor.send(Listen::on("127.0.0.1:0".parse().unwrap(), &server_tls(), |_| Echo)).await;
    let port = four.unwrap().unwrap().address().port();
    let six = supervisor.send(Listen::on(SocketAddr::new("::1".parse().unwrap(), port), &server_tls(), |_| Echo)).await;
    match six.unwrap() {
        Ok(six) => assert_eq!(six.address().port(), port),
        // A machine without IPv6, which is no defect of ours; the IPv4 half is asserted all the same.
        Err(error) => assert!(std::net::TcpListener::bind("[::1]:0").is_err(), "{error}"),
    }
    exeunt(supervisor, books).await;
}

/// Resumption: the second connection to the same peer resumes the first one's session, on by default; in TLS 1.3 by a ticket that is used once.
#[actix::test]
async fn the_second_connection_resumes() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listen = Listen::on("127.0.0.1:0".parse().unwrap(), &server_tls(), |_| Echo);
    let address = supervisor.send(listen).await.unwrap().unwrap().address();
    let tls = exeunt::ClientTls::builder().trust_pem(&signed().ca_pem).build().unwrap();
    let mut resumed = Vec::new();
    for _ in 0..3 {
        let connection =
            supervisor.send(Connect::to(address.to_string(), Lines::default()).tls(&tls)).await.unwrap().unwrap();
        connection.send(exeunt::Call::new("tickets come with the first read")).await.unwrap().unwrap();
        resumed.push(connection.info().await.unwrap().tls.unwrap().resumed);
        connection.close().await;
    }
    assert_eq!(resumed, [false, true, true]);
    exeunt(supervisor, books).await;
}

/// TLS information survives until the end, and the peer's certificate is there.
#[actix::test]
async fn the_info_of_a_connection() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let server = supervisor.send(Adopt::server(Socket::boxed(theirs), "a client", &server_tls(), Echo));
    let client = supervisor.send(Adopt::client(Socket::boxed(ours), "localhost", &client_tls(), Lines::default()));
    let (server, client) = tokio::join!(server, client);
    let (_server, client) = (server.unwrap().unwrap(), client.unwrap().unwrap());
    let info = client.info().await.unwrap();
    let tls = info.tls.unwrap();
    assert_eq!((info.phase, tls.version), (Phase::Open, "TLSv1.3"));
    assert!(tls.cipher.is_some() && tls.peer_certificate.is_some() && !tls.peer_chain.is_empty());
    assert_eq!(info.peer.name.as_ref(), "localhost");
    exeunt(supervisor, books).await;
}
