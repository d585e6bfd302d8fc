//! Law 7: many peers that never answer cost one deadline; and law 9 at ten thousand.

use std::time::Instant;

use exeunt::{Adopt, Connect, Lines, Phase, Reason, Resolver, Roll, Socket, Stop, StopPlan, Supervisor, Verdict};
use futures_util::{FutureExt, future::join_all};

use crate::stage::*;

struct Silent;

impl Resolver for Silent {
    fn resolve(
        &self,
        _: &str,
        _: u16,
    ) -> futures_util::future::BoxFuture<'static, std::io::Result<Vec<std::net::SocketAddr>>> {
        std::future::pending().boxed()
    }
}

/// A thousand that never answer, a third in the dial, a third in the handshake, a third in the close: the stop takes one linger, and the roll is answered all the while.
#[actix::test]
async fn a_thousand_silent_peers_cost_one_deadline() {
    tokio::time::pause();
    const EACH: usize = 334;
    let (supervisor, books) = supervise(Supervisor::new().resolver(Silent));
    // Spawned, because actix enqueues what is beyond a mailbox's capacity only when it is polled.
    let dialing: Vec<_> =
        (0..EACH).map(|_| actix::spawn(supervisor.send(Connect::to("slow.example:443", Lines::default())))).collect();
    let mut held = Vec::new();
    let mut handshaking = Vec::new();
    for _ in 0..EACH {
        let (ours, theirs) = pipe(PIPE);
        handshaking.push(actix::spawn(supervisor.send(Adopt::client(ours, "localhost", &client_tls(), Sink))));
        held.push(theirs);
    }
    let mut closing = Vec::new();
    let mut silent = Vec::new();
    for _ in 0..EACH {
        let (connection, peer) = meet(&supervisor, Sink).await;
        connection.do_send(exeunt::Close::new().linger(SECOND * 60));
        closing.push(connection);
        silent.push(peer);
    }
    supervisor.send(Roll).await.unwrap();
    let stop = supervisor.send(Stop::by(StopPlan::new().drain(SECOND * 3).linger(SECOND * 2)));
    let mut slowest = std::time::Duration::ZERO;
    let watch = async {
        while books.outstanding() > 0 {
            let asked = Instant::now();
            let roll = supervisor.send(Roll).await.unwrap();
            slowest = slowest.max(asked.elapsed());
            assert!(roll.iter().all(|entry| entry.phase != Phase::Open));
            tokio::time::sleep(SECOND / 20).await;
        }
    };
    let (ledger, ()) = tokio::join!(stop, watch);
    let ledger = ledger.unwrap();
    assert_adds_up(&ledger, &books);
    assert_eq!(ledger.rows.len(), 3 * EACH);
    assert!(ledger.elapsed <= SECOND * 5 + SECOND / 10, "one deadline, not {:?}", ledger.elapsed);
    assert_eq!(ledger.verdict(), Verdict::Clean, "nothing was cut: everything was sent, and they are silent");
    let count = |reason: &Reason| ledger.rows.iter().filter(|row| row.lost.reason == *reason).count();
    assert_eq!((count(&Reason::Cancelled), count(&Reason::Unanswered)), (2 * EACH, EACH));
    // Printed and not asserted: a slow minute of the machine is no defect. The median of it is in the notes.
    println!("the slowest roll of {} took {slowest:?}", 3 * EACH);
    drop((dialing, handshaking, held, closing, silent));
}

/// Law 9: ten thousand connections over in-memory pipes: one stop, ten thousand rows, and every one of them clean.
#[actix::test]
async fn ten_thousand_connections_are_ten_thousand_rows() {
    const PAIRS: usize = 5_000;
    let (supervisor, books) = supervise(Supervisor::new());
    let mut handles = Vec::with_capacity(2 * PAIRS);
    for _ in 0..PAIRS / 100 {
        let batch = (0..100).map(|_| {
            let (ours, theirs) = tokio::io::duplex(8 * 1024);
            let server = supervisor.send(Adopt::server(Socket::boxed(theirs), "a client", &server_tls(), Sink));
            let client = supervisor.send(Adopt::client(Socket::boxed(ours), "localhost", &client_tls(), Sink));
            async { tokio::join!(server, client) }
        });
        for (server, client) in join_all(batch).await {
            handles.push((server.unwrap().unwrap(), client.unwrap().unwrap()));
        }
    }
    assert_eq!(supervisor.send(Roll).await.unwrap().len(), 2 * PAIRS);
    let ledger = exeunt_by(supervisor, books, StopPlan::new()).await;
    assert_eq!(ledger.rows.len(), 2 * PAIRS);
    assert_eq!(ledger.verdict(), Verdict::Clean);
    let both =
        ledger.rows.iter().filter(|row| row.lost.proof.close_notify_sent && row.lost.proof.close_notify_received);
    assert_eq!(both.count(), 2 * PAIRS);
    assert!(ledger.to_string().lines().count() < 20, "many clean ends are folded");
}
