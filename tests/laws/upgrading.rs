//! TLS that is started on an open connection: STARTTLS, in both roles, and TLS in TLS. How it can fail is in `upgrading_ends`. The names in the comments are CPython's and uvloop's rows.

use actix::Addr;
use exeunt::{Adopt, Books, Events, Handle, Lost, Owner, Phase, Reason, Role, StartTls, Streamed, Supervisor};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::stage::*;

/// A connection of ours without TLS, its owner, and the other end of the pipe.
pub struct Plain {
    pub supervisor: Addr<Supervisor>,
    pub books: Books,
    pub connection: Handle<Events>,
    pub owner: Addr<Recorder>,
    pub script: Script,
    pub peer: DuplexStream,
}

impl Plain {
    pub async fn open(role: Role) -> Plain {
        Plain::open_with(role, PIPE, |adopt| adopt).await
    }

    pub async fn open_with(role: Role, size: usize, change: impl FnOnce(Adopt<Events>) -> Adopt<Events>) -> Plain {
        let (supervisor, books) = supervise(Supervisor::new());
        let (owner, mut script) = Recorder::start_new();
        let (ours, peer) = pipe(size);
        let adopt = change(Adopt::plain(ours, "peer", role, Events::new(&Owner::new(owner.clone()))));
        let connection = supervisor.send(adopt).await.unwrap().unwrap();
        script.connected().await;
        Plain { supervisor, books, connection, owner, script, peer }
    }

    /// Both ends are secured.
    pub async fn secure(self) -> (Secure, RawPeer) {
        let Plain { supervisor, books, connection, owner, script, peer } = self;
        let role = connection.send(exeunt::GetInfo).await.unwrap().role;
        let (secured, peer) = tokio::join!(connection.start_tls(start(role)), shake(role, peer));
        secured.unwrap();
        (Secure { supervisor, books, connection, script, _owner: owner }, peer)
    }

    /// The one `Lost` that must come, and that it was the last.
    pub async fn lost(mut self) -> Lost {
        let lost = self.script.lost().await;
        drop(self.connection);
        let ledger = exeunt(self.supervisor, self.books).await;
        assert_eq!((ledger.totals.connected, ledger.totals.lost), (1, 1));
        tokio::task::yield_now().await;
        self.script.assert_nothing_more();
        lost
    }
}

pub struct Secure {
    pub supervisor: Addr<Supervisor>,
    pub books: Books,
    pub connection: Handle<Events>,
    pub script: Script,
    _owner: Addr<Recorder>,
}

pub fn start(role: Role) -> StartTls {
    match role {
        Role::Client => StartTls::client("localhost", &client_tls()),
        Role::Server => StartTls::server(&server_tls()),
    }
}

/// The peer's handshake, against this role of ours.
pub async fn shake(role: Role, pipe: DuplexStream) -> RawPeer {
    match role {
        Role::Client => RawPeer::accept(pipe).await,
        Role::Server => RawPeer::connect(pipe).await,
    }
}

pub async fn read(pipe: &mut DuplexStream, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    pipe.read_exact(&mut bytes).await.unwrap();
    bytes
}

pub const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// Laws 1 and 2: `Connected` once, plain data, data by TLS, one `Lost`, which says that there was TLS. test_start_tls_client_reg_proto_1, test_start_tls_server_1.
#[actix::test]
async fn plain_then_tls_then_one_lost() {
    for role in ROLES {
        let mut plain = Plain::open(role).await;
        plain.connection.write("in plain").await.unwrap();
        assert_eq!(read(&mut plain.peer, 8).await, b"in plain");
        plain.peer.write_all(b"go on").await.unwrap();
        assert_eq!(plain.script.data(5).await, b"go on");
        assert!(plain.connection.info().await.unwrap().tls.is_none());
        let (mut secure, mut peer) = plain.secure().await;
        assert_eq!(secure.connection.phase(), Phase::Open);
        assert_eq!(secure.connection.info().await.unwrap().tls.unwrap().version, "TLSv1.3");
        secure.connection.write("by TLS").await.unwrap();
        assert_eq!(peer.read_exactly(6).await, b"by TLS");
        peer.write(b"heard").await;
        peer.close().await;
        assert_eq!(secure.script.data(5).await, b"heard");
        assert!(matches!(secure.script.next().await, Seen::Eof { clean: true }));
        let lost = secure.script.lost().await;
        assert_eq!((&lost.reason, lost.secure, lost.bytes_in, lost.bytes_out), (&Reason::ClosedByPeer, true, 10, 14));
        let ledger = exeunt(secure.supervisor, secure.books).await;
        assert_eq!((ledger.totals.connected, ledger.totals.lost), (1, 1));
        secure.script.assert_nothing_more();
    }
}

/// Law 4, and nobody's secret in plain: what was accepted before goes as it is, also what was waiting for room; what is accepted after waits, and goes encrypted.
#[actix::test]
async fn what_was_written_before_goes_before() {
    let plain = Plain::open_with(Role::Client, 1024, |adopt| adopt.write_marks(2000, 0)).await;
    let Plain { supervisor, books, connection, mut script, mut peer, owner: _owner } = plain;
    let before: Vec<_> = (0..4).map(|n| connection.send(exeunt::Write::new(vec![n; 1500]))).collect();
    let secured = connection.send(start(Role::Client));
    let after = connection.send(exeunt::Write::new("a secret"));
    let all = read(&mut peer, 6000).await;
    assert!(all.chunks(1500).zip(0..).all(|(chunk, n)| chunk == [n; 1500]), "in order");
    let (secured, mut peer) = tokio::join!(secured, RawPeer::accept(peer));
    secured.unwrap().unwrap();
    for write in before {
        write.await.unwrap().unwrap();
    }
    after.await.unwrap().unwrap();
    assert_eq!(peer.read_exactly(8).await, b"a secret");
    connection.abort().await;
    assert_eq!(script.lost().await.bytes_out, 6008);
    exeunt(supervisor, books).await;
}

/// test_first_data_after_wakeup: data in the last flight of the handshake comes after `Secured`.
#[actix::test]
async fn secured_is_told_before_the_first_data() {
    let Plain { supervisor, books, connection, mut script, peer, owner } = Plain::open(Role::Client).await;
    connection.do_send(start(Role::Client).tell(owner.recipient()));
    let mut peer = RawPeer::accept(peer).await;
    peer.write(b"at once").await;
    assert!(
        matches!(script.next().await, Seen::Secured(secured) if secured.id == connection.id() && secured.tls.peer_certificate.is_some())
    );
    assert_eq!(script.data(7).await, b"at once");
    connection.abort().await;
    script.lost().await;
    exeunt(supervisor, books).await;
}

/// gh-109051: a pause of reading, and the wait of a writer, outlive the handshake. A half-close in it is done after it.
#[actix::test]
async fn a_pause_and_a_half_close_outlive_the_handshake() {
    let plain = Plain::open(Role::Client).await;
    plain.connection.pause_reading().await.unwrap();
    let (mut secure, mut peer) = plain.secure().await;
    peer.write(b"waits").await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    secure.script.assert_nothing_more();
    secure.connection.resume_reading().await.unwrap();
    assert_eq!(secure.script.data(5).await, b"waits");
    secure.connection.abort().await;
    exeunt(secure.supervisor, secure.books).await;

    let Plain { supervisor, books, connection, script: _script, peer, owner: _owner } = Plain::open(Role::Client).await;
    connection.do_send(start(Role::Client));
    connection.half_close().await.unwrap();
    connection.do_send(exeunt::Write::new("not accepted after it, but before it is done"));
    let mut peer = RawPeer::accept(peer).await;
    peer.read_to_close_notify().await.unwrap();
    peer.close().await;
    assert_eq!(end_of(&connection).await.reason, Reason::Closed);
    exeunt(supervisor, books).await;
}

/// A connection as a stream: what its application has not read belongs to the handshake, and what it has written goes before it.
#[actix::test]
async fn a_stream_starts_tls() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (ours, mut peer) = pipe(PIPE);
    let mut stream = Adopt::plain(ours, "peer", Role::Server, Streamed::new()).open(&supervisor).await.unwrap();
    peer.write_all(b"STARTTLS\n").await.unwrap();
    assert_eq!(
        {
            let mut line = [0; 9];
            stream.read_exact(&mut line).await.unwrap();
            line
        },
        *b"STARTTLS\n"
    );
    stream.write_all(b"ready\n").await.unwrap();
    let (secured, mut peer) = tokio::join!(stream.start_tls(start(Role::Server)), async {
        assert_eq!(read(&mut peer, 6).await, b"ready\n");
        RawPeer::connect(peer).await
    });
    secured.unwrap();
    peer.write(b"by TLS").await;
    peer.close_notify().await;
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "by TLS");
    let lost = stream.closed();
    drop(stream);
    peer.read_to_close_notify().await.unwrap();
    assert!(lost.await.secure);
    exeunt(supervisor, books).await;
}

/// test_create_server_ssl_over_ssl: 25 clients, a mebibyte each way through TLS in TLS, and each layer closed; test_close_during_ssl_over_ssl.
#[actix::test]
async fn tls_in_tls_for_twenty_five_clients() {
    const MEBIBYTE: usize = 1 << 20;
    let clients = (0..25_u8).map(|n| async move {
        let (supervisor, books) = supervise(Supervisor::new());
        let (ours, theirs) = pipe(PIPE);
        let (owner, mut script) = Recorder::start_new();
        let client = Adopt::client(ours, "localhost", &client_tls(), Events::new(&Owner::new(owner)));
        let server = Adopt::server(exeunt::Socket::boxed(theirs), "peer", &server_tls(), Echo);
        let (client, server) = tokio::join!(supervisor.send(client), supervisor.send(server));
        let (client, server) = (client.unwrap().unwrap(), server.unwrap().unwrap());
        script.connected().await;
        let (inner, outer) = tokio::join!(client.start_tls(start(Role::Client)), server.start_tls(start(Role::Server)));
        inner.unwrap();
        outer.unwrap();
        let sent: Vec<u8> = (0..MEBIBYTE).map(|i| (i as u8).wrapping_mul(n + 1)).collect();
        let ((), received) = tokio::join!(
            async {
                for chunk in sent.chunks(50_000) {
                    client.write(chunk.to_vec()).await.unwrap();
                }
            },
            script.data(MEBIBYTE)
        );
        assert!(received == sent, "client {n}");
        if n % 5 == 4 {
            client.write(vec![n; 300_000]).await.unwrap();
        }
        let lost = client.close().await;
        assert_eq!((&lost.reason, lost.bytes_unsent, lost.secure), (&Reason::Closed, 0, true));
        assert_eq!(end_of(&server).await.reason, Reason::ClosedByPeer);
        exeunt(supervisor, books).await;
    });
    futures_util::future::join_all(clients).await;
}
