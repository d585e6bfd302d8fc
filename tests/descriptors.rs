//! A process that runs out of file descriptors. Alone in its program, because it takes all there are.

use std::fs::File;

use actix::Actor;
use exeunt::{
    Adopt, Call, ClientTls, Io, Lines, Listen, Progress, Protocol, ProtocolError, Reason, ServerTls, Socket, Stop,
    Subscribe, Supervisor,
};
use tokio::net::{TcpSocket, TcpStream};

struct Echo;

impl Protocol for Echo {
    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut bytes::BytesMut) -> Result<(), ProtocolError> {
        io.write_bytes(data.split().freeze());
        Ok(())
    }
}

/// Takes every descriptor that the process may have.
fn take_all() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Conformance: EMFILE pauses the listener, which says so, and accepts again when there is room; nobody who came in the meantime is lost. And law 3: at the end every descriptor is closed, once.
#[actix::test]
async fn a_listener_without_descriptors_pauses_and_says_so() {
    let signed = exeunt::tls::self_signed(&["localhost"]).unwrap();
    let server_tls = ServerTls::builder().identity_pem(&signed.certificate_pem, &signed.key_pem).build().unwrap();
    let client_tls = ClientTls::builder().trust_pem(&signed.ca_pem).build().unwrap();
    let supervisor = Supervisor::new().start();
    // The first use of each opens what stays open: the reactor, the directory's own descriptor.
    let before = open_descriptors();

    let mut progress = supervisor.send(Subscribe).await.unwrap();
    let listen = Listen::on("127.0.0.1:0".parse().unwrap(), &server_tls, |_| Echo);
    let address = supervisor.send(listen).await.unwrap().unwrap().address();
    let socket = TcpSocket::new_v4().unwrap();
    let taken = take_all();
    let socket: TcpStream = socket.connect(address).await.unwrap();
    match progress.next().await.unwrap().unwrap() {
        Progress::ListenerStuck(words) => assert!(words.contains("Too many open files"), "{words}"),
        other => panic!("{other:?}"),
    }
    drop(taken);

    let adopt = Adopt::client(socket, "localhost", &client_tls, Lines::default());
    let connection = supervisor.send(adopt).await.unwrap().unwrap();
    assert_eq!(connection.send(Call::new("patience")).await.unwrap().unwrap(), "patience");
    assert_eq!(connection.close().await.reason, Reason::Closed);
    let ledger = supervisor.send(Stop::new()).await.unwrap();
    assert_eq!((ledger.totals.admitted, ledger.totals.lost), (2, 2));
    assert_eq!(open_descriptors(), before, "a descriptor is left, or one too many was closed");

    workers_without_descriptors(&server_tls, &client_tls).await;
    assert_eq!(open_descriptors(), before);
}

/// A thread that could not start must not draw every connection to its end: it has the fewest of all. They run on the supervisor's own thread instead.
async fn workers_without_descriptors(server_tls: &ServerTls, client_tls: &ClientTls) {
    let taken = take_all();
    let supervisor = Supervisor::new().workers(2).start();
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let server = supervisor.send(Adopt::server(Socket::boxed(theirs), "a client", server_tls, Echo));
    let client = supervisor.send(Adopt::client(Socket::boxed(ours), "localhost", client_tls, Lines::default()));
    let (server, client) = tokio::join!(server, client);
    drop(taken);
    let (_server, client) = (server.unwrap().unwrap(), client.unwrap().unwrap());
    assert_eq!(client.send(Call::new("here")).await.unwrap().unwrap(), "here");
    let ledger = supervisor.send(Stop::new()).await.unwrap();
    assert_eq!(ledger.totals.connected, 2);
}
