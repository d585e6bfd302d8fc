//! The listener: one bad client never hurts the others, and limits wait rather than refuse.

use std::{net::SocketAddr, time::Duration};

use actix::Addr;
use exeunt::{Call, Connect, ConnectError, Handle, Lines, Listen, ListenError, Listening, Reason, Roll, Supervisor};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::stage::*;

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn listen(supervisor: &Addr<Supervisor>, change: impl FnOnce(Listen<Echo>) -> Listen<Echo>) -> Listening {
    supervisor.send(change(Listen::on(anywhere(), &server_tls(), |_| Echo))).await.unwrap().unwrap()
}

async fn call(supervisor: &Addr<Supervisor>, listening: &Listening) -> Result<Handle<Lines>, ConnectError> {
    let connect = Connect::to(listening.address().to_string(), Lines::default()).tls(&client_tls());
    let connection = supervisor.send(connect).await.unwrap()?;
    assert_eq!(connection.send(Call::new("ping")).await.unwrap().unwrap(), "ping");
    Ok(connection)
}

/// Conformance: handshake failures of some clients never hurt the others: garbage, silence, an early FIN.
#[actix::test]
async fn bad_clients_do_not_hurt_the_others() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listening = listen(&supervisor, |listen| listen.handshake_timeout(Duration::from_secs(30))).await;
    let mut garbage = TcpStream::connect(listening.address()).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let silent = TcpStream::connect(listening.address()).await.unwrap();
    drop(TcpStream::connect(listening.address()).await.unwrap());
    let good = call(&supervisor, &listening).await.unwrap();
    let _ = garbage.read_to_end(&mut Vec::new()).await;
    good.close().await;
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.by_reason["handshake_failed"], 2);
    assert_eq!(ledger.totals.by_reason["cancelled"], 1, "the silent one, by the stop");
    drop(silent);
}

/// Law 1: a client that is silent in the handshake is lost at the deadline.
#[actix::test]
async fn a_silent_client_is_lost_at_the_handshake_deadline() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listening = listen(&supervisor, |listen| listen.handshake_timeout(Duration::from_millis(30))).await;
    let mut silent = TcpStream::connect(listening.address()).await.unwrap();
    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is closed");
    while books.outstanding() > 0 {
        tokio::task::yield_now().await;
    }
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.by_reason["handshake_timeout"], 1);
}

/// The limit of concurrent handshakes: the next one waits in the backlog until one is over.
#[actix::test]
async fn handshakes_are_limited() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listening = listen(&supervisor, |listen| listen.max_handshakes(1)).await;
    let silent = TcpStream::connect(listening.address()).await.unwrap();
    while supervisor.send(Roll).await.unwrap().is_empty() {}
    let waiting = actix::spawn({
        let (supervisor, listening) = (supervisor.clone(), listening.clone());
        async move { call(&supervisor, &listening).await.unwrap() }
    });
    // The client is connected (the operating system saw to that) and in its handshake; nobody has accepted it.
    while supervisor.send(Roll).await.unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(supervisor.send(Roll).await.unwrap().len(), 2, "the silent one and the client, but no second server");
    drop(silent);
    let connection = waiting.await.unwrap();
    connection.close().await;
    exeunt(supervisor, books).await;
}

/// The listener's own limit of connections, and the supervisor's: more wait in the backlog, and come in when there is room.
#[actix::test]
async fn connections_are_limited_and_wait() {
    let (clients, clients_books) = supervise(Supervisor::new());
    for (servers, own) in [(Supervisor::new(), 1), (Supervisor::new().max_connections(1), usize::MAX)] {
        let (servers, books) = supervise(servers);
        let listening = listen(&servers, |listen| listen.max_connections(own)).await;
        let first = call(&clients, &listening).await.unwrap();
        let second = actix::spawn({
            let (clients, listening) = (clients.clone(), listening.clone());
            async move { call(&clients, &listening).await.unwrap() }
        });
        while clients.send(Roll).await.unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(books.outstanding(), 1);
        first.close().await;
        second.await.unwrap().close().await;
        let ledger = exeunt(servers, books).await;
        assert_eq!((ledger.totals.admitted, ledger.totals.refused), (2, 0), "nobody was refused");
    }
    exeunt(clients, clients_books).await;
}

/// Suspended, it does not accept, and the backlog keeps who comes; resumed, it does.
#[actix::test]
async fn a_listener_is_suspended_and_resumed() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listening = listen(&supervisor, |listen| listen).await;
    listening.suspend().await.unwrap();
    listening.suspend().await.unwrap();
    let waiting = actix::spawn({
        let (supervisor, listening) = (supervisor.clone(), listening.clone());
        async move { call(&supervisor, &listening).await.unwrap() }
    });
    while supervisor.send(Roll).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(books.outstanding(), 1, "the client alone");
    listening.resume().await.unwrap();
    waiting.await.unwrap().close().await;
    exeunt(supervisor, books).await;
}

/// A listener that is closed leaves its connections alone, and its port is free.
#[actix::test]
async fn a_closed_listener_leaves_its_connections_alone() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listening = listen(&supervisor, |listen| listen).await;
    let connection = call(&supervisor, &listening).await.unwrap();
    listening.close();
    while listening.suspend().await.is_ok() {}
    assert!(TcpStream::connect(listening.address()).await.is_err());
    assert_eq!(connection.send(Call::new("still here")).await.unwrap().unwrap(), "still here");
    let again = supervisor.send(Listen::on(listening.address(), &server_tls(), |_| Echo)).await.unwrap();
    again.expect("SO_REUSEADDR: the port is free although connections of it live");
    exeunt(supervisor, books).await;
}

/// Law 3: when the stop is acknowledged, the listening socket is closed.
#[actix::test]
async fn a_stop_closes_the_listener() {
    let (supervisor, books) = supervise(Supervisor::new());
    let listening = listen(&supervisor, |listen| listen).await;
    exeunt(supervisor.clone(), books).await;
    assert!(TcpStream::connect(listening.address()).await.is_err());
    let error = supervisor.send(Listen::on(anywhere(), &server_tls(), |_| Echo)).await.unwrap().unwrap_err();
    assert!(matches!(error, ListenError::Refused(_)), "{error}");
}

/// A socket that somebody else has bound: socket activation.
#[actix::test]
async fn a_listening_socket_is_adopted() {
    let (supervisor, books) = supervise(Supervisor::new());
    let socket = std::net::TcpListener::bind(anywhere()).unwrap();
    let listening = supervisor.send(Listen::adopt(socket, &server_tls(), |_| Echo)).await.unwrap().unwrap();
    call(&supervisor, &listening).await.unwrap().close().await;
    exeunt(supervisor, books).await;
}

/// An address that is taken is told with the address.
#[actix::test]
async fn an_address_in_use_is_told() {
    let (supervisor, books) = supervise(Supervisor::new());
    let taken = std::net::TcpListener::bind(anywhere()).unwrap();
    let address = taken.local_addr().unwrap();
    let error = supervisor.send(Listen::on(address, &server_tls(), |_| Echo)).await.unwrap().unwrap_err();
    assert!(error.to_string().contains(&format!("listen on {address}")), "{error}");
    exeunt(supervisor, books).await;
}

/// Listeners work with threads of the supervisor's own: the accepted socket moves to the thread of its connection.
#[actix::test]
async fn a_listener_feeds_workers() {
    let (supervisor, books) = supervise(Supervisor::new().workers(2));
    let listening = listen(&supervisor, |listen| listen).await;
    for _ in 0..4 {
        call(&supervisor, &listening).await.unwrap().close().await;
    }
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.connected, 8);
}

/// The certificate is changed without dropping a connection: new handshakes get the new one.
#[actix::test]
async fn a_certificate_is_reloaded_without_dropping_connections() {
    let (supervisor, books) = supervise(Supervisor::new());
    let directory = std::env::temp_dir().join(format!("exeunt-reload-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
    let write = |signed: &exeunt::tls::SelfSigned| {
        std::fs::write(&chain, &signed.certificate_pem).unwrap();
        std::fs::write(&key, &signed.key_pem).unwrap();
    };
    write(signed());
    let tls = exeunt::ServerTls::builder().identity_files(&chain, &key).build().unwrap();
    let listening = supervisor.send(Listen::on(anywhere(), &tls, |_| Echo)).await.unwrap().unwrap();
    let before = call(&supervisor, &listening).await.unwrap();
    write(&exeunt::tls::self_signed(&["127.0.0.1"]).unwrap());
    tls.reload().unwrap();
    let Err(ConnectError::Lost(lost)) = call(&supervisor, &listening).await else {
        panic!("the old CA trusts the new one")
    };
    assert!(matches!(lost.reason, Reason::HandshakeFailed(_)), "{lost}");
    assert_eq!(before.send(Call::new("still here")).await.unwrap().unwrap(), "still here");
    std::fs::remove_dir_all(&directory).unwrap();
    exeunt(supervisor, books).await;
}

/// A burst is no way around the supervisor's limit: who is too many waits in the backlog, and is not turned away.
#[actix::test]
async fn a_burst_waits_for_room() {
    let (supervisor, books) = supervise(Supervisor::new().max_connections(1));
    let listening = listen(&supervisor, |listen| listen).await;
    listening.suspend().await.unwrap();
    let mut burst = Vec::new();
    for _ in 0..5 {
        burst.push(TcpStream::connect(listening.address()).await.unwrap());
    }
    listening.resume().await.unwrap();
    for admitted in 1..=5 {
        while books.ledger().totals.admitted < admitted {
            assert_eq!(books.ledger().totals.refused, 0, "who comes later waits");
            tokio::task::yield_now().await;
        }
        assert_eq!(books.outstanding(), 1);
        drop(burst.remove(0));
    }
    let ledger = exeunt(supervisor, books).await;
    assert_eq!((ledger.totals.admitted, ledger.totals.refused), (5, 0));
}

/// A panic where a protocol is made costs that connection, not the listener.
#[actix::test]
async fn a_panic_in_the_making_of_a_protocol_does_not_end_the_listener() {
    let (supervisor, books) = supervise(Supervisor::new());
    let mut made = 0;
    let listen = Listen::on(anywhere(), &server_tls(), move |_| {
        made += 1;
        assert!(made > 1, "the first one goes wrong");
        Echo
    });
    let listening = supervisor.send(listen).await.unwrap().unwrap();
    let mut unlucky = TcpStream::connect(listening.address()).await.unwrap();
    assert_eq!(unlucky.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is closed");
    call(&supervisor, &listening).await.unwrap().close().await;
    exeunt(supervisor, books).await;
}
