//! Laws 1 and 3 when nobody asks: a runtime dropped, a thread torn down, a bare `System::stop`.

use std::{sync::mpsc, time::Duration};

use actix::{Actor, Arbiter, System};
use exeunt::{
    Adopt, Books, Connect, Handle, Io, Lines, Lost, Protocol, ProtocolError, Reason, Role, Socket, Stop, StopPlan,
    Supervisor, Verdict,
};

use crate::stage::*;

/// Says on a channel that outlives everything how it was lost.
struct Witness(mpsc::Sender<Lost>);

impl Protocol for Witness {
    fn data(&mut self, _: &mut Io<'_, Self>, _: &mut bytes::BytesMut) -> Result<(), ProtocolError> {
        Ok(())
    }
    fn lost(&mut self, lost: &Lost) {
        let _ = self.0.send(lost.clone());
    }
}

/// Law 1: a bare `System::stop()` without `run`: every ticket is spent, `Lost` says `Abandoned`, the ledger is readable afterwards, and one close_notify was attempted.
#[test]
fn a_bare_system_stop_abandons_and_tells() {
    let (witness, told) = mpsc::channel();
    let system = System::new();
    let (books, peer) = system.block_on(async {
        let (supervisor, books) = supervise(Supervisor::new());
        let (connection, peer) = meet(&supervisor, Witness(witness)).await;
        // Held by the system's own tasks, as an application would.
        actix::spawn(async move {
            let _held = (supervisor, connection);
            std::future::pending::<()>().await;
        });
        System::current().stop();
        (books, peer)
    });
    assert_eq!(books.outstanding(), 1);
    system.run().unwrap();
    assert_eq!(books.outstanding(), 0, "the ticket is spent with the system's thread");
    let lost = told.try_recv().expect("the protocol is told");
    assert_eq!(lost.reason, Reason::Abandoned);
    assert!(lost.proof.close_notify_sent, "there was room in the pipe for one close_notify");
    assert!(told.try_recv().is_err(), "once");
    assert_eq!(books.ledger().totals.by_reason["abandoned"], 1);
    let mut peer = peer;
    let received = System::new().block_on(async { peer.read_to_close_notify().await });
    assert_eq!(received.unwrap(), b"", "the peer saw a clean end, for nothing was unsent");
}

/// Law 5's other side: a teardown with bytes unsent sends no close_notify, so that the peer sees the truncation.
#[test]
fn a_teardown_with_bytes_unsent_lets_the_peer_see_the_truncation() {
    let system = System::new();
    let (books, mut peer, handles) = system.block_on(async {
        let (supervisor, books) = supervise(Supervisor::new());
        let (connection, peer) = meet_with(&supervisor, Sink, |adopt| adopt.write_marks(8 << 20, 0)).await;
        connection.write(vec![1; 1 << 20]).await.unwrap();
        (books, peer, (supervisor, connection))
    });
    drop(system);
    assert_eq!(books.outstanding(), 0);
    let lost = handles.1.lost().unwrap();
    assert_eq!(lost.reason, Reason::Abandoned);
    assert!(lost.bytes_unsent > 0 && !lost.proof.close_notify_sent);
    assert!(System::new().block_on(async { peer.read_to_close_notify().await }).is_err());
}

/// Law 1: never polled at all: admitted, and the runtime gone in the same breath.
#[test]
fn a_child_that_was_never_polled_is_told() {
    let (witness, told) = mpsc::channel();
    let books: Books = System::new().block_on(async {
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        let supervisor = supervisor.start();
        supervisor.do_send(Connect::to("localhost:1", Witness(witness)));
        while books.outstanding() == 0 && books.ledger().totals.admitted == 0 {
            tokio::task::yield_now().await;
        }
        books
    });
    assert_eq!(books.outstanding(), 0);
    assert_eq!(told.try_iter().count(), 1);
    assert_eq!(books.ledger().totals.lost, 1);
}

/// Law 1: the connection's thread is torn down under it: an arbiter that is stopped.
#[test]
fn a_stopped_arbiter_abandons_and_tells() {
    let system = System::new();
    system.block_on(async {
        let arbiter = Arbiter::new();
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        let supervisor = Supervisor::start_in_arbiter(&arbiter.handle(), |_| supervisor);
        let (_connection, _peer) = meet(&supervisor, Sink).await;
        arbiter.stop();
        arbiter.join().unwrap();
        assert_eq!(books.outstanding(), 0);
        assert_eq!(books.ledger().totals.by_reason["abandoned"], 1);
        assert!(supervisor.send(Stop::new()).await.is_err(), "it went with its thread");
    });
}

/// `workers(n)`: connections run on threads of the supervisor's, placed by least connections, and joined at the stop.
#[actix::test]
async fn workers_are_placed_and_joined() {
    let (supervisor, books) = supervise(Supervisor::new().workers(3));
    let mut met = Vec::new();
    for _ in 0..6 {
        met.push(meet(&supervisor, WhereAmI).await);
    }
    let mut threads = Vec::new();
    for (connection, _) in &met {
        threads.push(connection.send(Where).await.unwrap());
    }
    let here = std::thread::current().name().map(str::to_owned);
    assert!(threads.iter().all(|thread| *thread != here), "{threads:?}");
    for n in 0..3 {
        let name = Some(format!("exeunt-{n}"));
        assert_eq!(threads.iter().filter(|thread| **thread == name).count(), 2, "{threads:?}");
    }
    let (ledger, ()) = tokio::join!(exeunt(supervisor, books), async {
        for (_, peer) in &mut met {
            peer.read_to_close_notify().await.unwrap();
            peer.close().await;
        }
    });
    assert_eq!((ledger.verdict(), ledger.rows.len()), (Verdict::Clean, 6));
    // Law 3: joined, so that no thread of that name is left when the stop is acknowledged.
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let left: Vec<_> = names.filter(|name| threads.iter().flatten().any(|thread| name.trim() == thread)).collect();
    assert!(left.len() <= other_tests_threads(), "{left:?}");
}

/// Another test may have workers of its own at the same time; they have the same names.
fn other_tests_threads() -> usize {
    2
}

struct WhereAmI;
impl Protocol for WhereAmI {
    fn data(&mut self, _: &mut Io<'_, Self>, _: &mut bytes::BytesMut) -> Result<(), ProtocolError> {
        Ok(())
    }
}
#[derive(actix::Message)]
#[rtype(result = "Option<String>")]
struct Where;
impl actix::Handler<Where> for exeunt::Connection<WhereAmI> {
    type Result = Option<String>;
    fn handle(&mut self, _: Where, _: &mut Self::Context) -> Option<String> {
        std::thread::current().name().map(str::to_owned)
    }
}
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Hang(mpsc::Receiver<()>);
impl actix::Handler<Hang> for exeunt::Connection<WhereAmI> {
    type Result = ();
    fn handle(&mut self, Hang(until): Hang, _: &mut Self::Context) {
        let _ = until.recv();
    }
}

/// Law 6: a thread that hangs in somebody's code does not answer to the kill; it is written off, and the stop is acknowledged all the same.
#[actix::test]
async fn a_thread_that_hangs_is_written_off() {
    let (supervisor, books) = supervise(Supervisor::new().workers(1));
    let (connection, _peer) = meet(&supervisor, WhereAmI).await;
    let (release, until) = mpsc::channel();
    connection.do_send(Hang(until));
    let plan = StopPlan::new().drain(Duration::from_millis(20)).linger(Duration::from_millis(20));
    let ledger = exeunt_by(supervisor, books, plan).await;
    assert_eq!(ledger.verdict(), Verdict::Abandoned(1));
    drop(release);
}

/// A supervisor that is dropped without a stop takes its threads with it, and the books are right when its drop returns.
#[test]
fn a_supervisor_dropped_with_workers_abandons_and_tells() {
    let system = System::new();
    let (books, handle, _peer): (Books, Handle<Lines>, RawPeer) = system.block_on(async {
        let (supervisor, books) = supervise(Supervisor::new().workers(2));
        let (connection, peer) = meet(&supervisor, Lines::default()).await;
        (books, connection, peer)
    });
    drop(system);
    assert_eq!(books.outstanding(), 0);
    assert_eq!(handle.lost().unwrap().reason, Reason::Abandoned);
}

/// Both roles, and a server that dies with its runtime while a client elsewhere lives on: each tells its own end.
#[test]
fn two_runtimes_tell_their_own_ends() {
    System::new().block_on(async {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (accepted, gone) = mpsc::channel();
        let server = std::thread::spawn(move || {
            let system = System::new();
            system.block_on(async {
                let (supervisor, books) = supervise(Supervisor::new());
                let adopt = Adopt::server(Socket::boxed(theirs), "the client", &server_tls(), Sink);
                let handle = supervisor.send(adopt).await.unwrap().unwrap();
                accepted.send((books, handle)).unwrap();
            });
        });
        let (supervisor, books) = supervise(Supervisor::new());
        let (owner, mut script) = Recorder::start_new();
        let events = exeunt::Events::new(&exeunt::Owner::new(owner));
        supervisor.do_send(Adopt::client(Socket::boxed(ours), "localhost", &client_tls(), events));
        script.connected().await;
        assert!(matches!(script.next().await, Seen::Eof { clean: true }));
        let lost = script.lost().await;
        assert_eq!((lost.reason, lost.role), (Reason::ClosedByPeer, Role::Client));
        server.join().unwrap();
        let (servers, handle) = gone.recv().unwrap();
        assert_eq!((servers.outstanding(), handle.lost().unwrap().reason), (0, Reason::Abandoned));
        exeunt(supervisor, books).await;
    });
}

/// An adopted TCP socket moves to the reactor of the thread that its connection is placed on.
#[actix::test]
async fn an_adopted_socket_moves_to_its_thread() {
    let (supervisor, books) = supervise(Supervisor::new().workers(1));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = listener.accept().await.unwrap();
    let (server, client) = tokio::join!(
        supervisor.send(Adopt::server(theirs, "peer", &server_tls(), Echo)),
        supervisor.send(Adopt::client(ours, "localhost", &client_tls(), Lines::default()))
    );
    let (_server, client) = (server.unwrap().unwrap(), client.unwrap().unwrap());
    assert_eq!(client.send(exeunt::Call::new("over there")).await.unwrap().unwrap(), "over there");
    assert_eq!(client.close().await.reason, Reason::Closed);
    exeunt(supervisor, books).await;
}
