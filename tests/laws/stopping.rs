//! Law 6: a stop waits for everybody, and for nobody longer than its plan; law 9: and tells how it went.

use exeunt::{
    Adopt, Lines, Phase, Progress, Reason, Roll, Socket, Stage, Stop, StopPlan, Subscribe, Supervisor, Verdict,
    WaitingFor,
};

use crate::stage::*;

/// A stop of nothing is acknowledged at once, and says so.
#[actix::test]
async fn a_stop_of_nothing_is_clean() {
    let (supervisor, books) = supervise(Supervisor::new());
    let ledger = exeunt(supervisor, books).await;
    assert_eq!((ledger.verdict(), ledger.rows.len()), (Verdict::Clean, 0));
}

/// Law 9: a row for each that was alive when the stop began, with the phase then; those before are counted.
#[actix::test]
async fn the_ledger_has_a_row_for_each_that_was_alive() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (gone, _peer) = meet(&supervisor, Sink).await;
    gone.abort().await;
    let (_open, mut answering) = meet(&supervisor, Sink).await;
    let (lingering, mut silent) = meet(&supervisor, Sink).await;
    let close = lingering.send(exeunt::Close::new().linger(SECOND * 60));
    while lingering.phase() != Phase::Lingering {
        tokio::task::yield_now().await;
    }
    let (handshaking, _held) = pipe(PIPE);
    let _never = supervisor.send(Adopt::client(handshaking, "localhost", &client_tls(), Sink));
    let plan = StopPlan::new().drain(SECOND).linger(SECOND);
    let (ledger, ()) = tokio::join!(exeunt_by(supervisor, books, plan), async {
        answering.read_to_close_notify().await.unwrap();
        answering.close().await;
    });
    let rows: Vec<_> = ledger.rows.iter().map(|row| (row.phase_at_stop, row.lost.reason.clone())).collect();
    assert_eq!(
        rows,
        [
            (Phase::Open, Reason::Closed),
            (Phase::Lingering, Reason::Unanswered),
            (Phase::Handshaking, Reason::Cancelled)
        ]
    );
    assert_eq!((ledger.totals.admitted, ledger.totals.connected), (4, 3));
    assert_eq!(ledger.totals.by_reason["aborted"], 1);
    assert_eq!(ledger.verdict(), Verdict::Clean);
    assert!(close.await.is_ok());
    silent.read_to_close_notify().await.unwrap();
}

/// Law 6: what does not end by the deadline is killed, and the verdict says how many.
#[actix::test]
async fn a_peer_that_takes_nothing_is_killed_at_the_deadline() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, _peer) = meet_with(&supervisor, Sink, |adopt| adopt.write_marks(8 << 20, 0)).await;
    connection.write(vec![1; 1 << 20]).await.unwrap();
    let ledger = exeunt_by(supervisor, books, StopPlan::new().drain(SECOND * 3).linger(SECOND * 2)).await;
    assert_eq!(ledger.verdict(), Verdict::Forced(1));
    let lost = &ledger.rows[0].lost;
    assert_eq!((&lost.reason, lost.phase), (&Reason::Killed, Phase::Flushing));
    assert_eq!(lost.bytes_out + lost.bytes_unsent, 1 << 20);
    assert!(is_about(ledger.elapsed, SECOND * 5), "{:?}", ledger.elapsed);
}

/// Law 6: a second stop shortens the first, and gets the same ledger.
#[actix::test]
async fn a_second_stop_shortens_and_gets_the_same_ledger() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (_connection, _peer) = meet(&supervisor, Sink).await;
    let first = supervisor.send(Stop::by(StopPlan::new().linger(SECOND * 60)));
    tokio::time::sleep(SECOND).await;
    let (first, second) = tokio::join!(first, supervisor.send(Stop::now()));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    assert_adds_up(&first, &books);
    assert!(is_about(first.elapsed, SECOND), "{:?}", first.elapsed);
    assert_eq!(first.rows[0].lost.reason, Reason::Killed, "its linger was cut short");
    let third = supervisor.send(Stop::new()).await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &third), "also after the acknowledgement");
}

/// Law 6: it can not lengthen it.
#[actix::test]
async fn a_second_stop_cannot_lengthen() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (_connection, _peer) = meet(&supervisor, Sink).await;
    let first = supervisor.send(Stop::by(StopPlan::new().drain(SECOND).linger(SECOND)));
    let second = supervisor.send(Stop::by(StopPlan::new().drain(SECOND * 500).linger(SECOND * 500)));
    let (first, _) = tokio::join!(first, second);
    let ledger = first.unwrap();
    assert_adds_up(&ledger, &books);
    assert!(ledger.elapsed < SECOND * 3, "{:?}", ledger.elapsed);
}

/// A message handler that waits for ever blocks its actor's mailbox; it does not outlast the kill.
#[actix::test]
async fn a_handler_that_never_ends_does_not_outlast_the_kill() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, _peer) = meet(&supervisor, Stubborn).await;
    connection.do_send(WaitForEver);
    let ledger = exeunt_by(supervisor, books, StopPlan::new().drain(SECOND).linger(SECOND)).await;
    assert_eq!(ledger.verdict(), Verdict::Forced(1));
    assert!(is_about(ledger.elapsed, SECOND * 2), "{:?}", ledger.elapsed);
}

struct Stubborn;
impl exeunt::Protocol for Stubborn {
    fn data(&mut self, _: &mut exeunt::Io<'_, Self>, _: &mut bytes::BytesMut) -> Result<(), exeunt::ProtocolError> {
        Ok(())
    }
}
#[derive(actix::Message)]
#[rtype(result = "()")]
struct WaitForEver;
impl actix::Handler<WaitForEver> for exeunt::Connection<Stubborn> {
    type Result = actix::AtomicResponse<Self, ()>;
    fn handle(&mut self, _: WaitForEver, _: &mut Self::Context) -> Self::Result {
        actix::AtomicResponse::new(Box::pin(actix::fut::wrap_future(std::future::pending())))
    }
}

/// The lame duck: what the application asks for is refused at once, what a listener accepts is still served, and has a row.
#[actix::test]
async fn a_lame_duck_still_accepts() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (other, others) = supervise(Supervisor::new());
    let listen = exeunt::Listen::on("127.0.0.1:0".parse().unwrap(), &server_tls(), |_| Echo);
    let listening = supervisor.send(listen).await.unwrap().unwrap();
    let mut progress = supervisor.send(Subscribe).await.unwrap();
    let stop = supervisor.send(Stop::by(StopPlan::new().lame_duck(SECOND * 3600)));
    assert!(matches!(
        progress.next().await,
        Some(Ok(Progress::Stopping(remaining))) if remaining.stage == Stage::LameDuck
    ));
    let connect = || exeunt::Connect::to(listening.address().to_string(), Lines::default()).tls(&client_tls());
    assert!(supervisor.send(connect()).await.unwrap().is_err(), "a stop has begun");
    let connection = other.send(connect()).await.unwrap().unwrap();
    assert_eq!(connection.send(exeunt::Call::new("quack")).await.unwrap().unwrap(), "quack");
    let (ledger, again) = tokio::join!(stop, supervisor.send(Stop::by(StopPlan::new())));
    let (ledger, _) = (ledger.unwrap(), again.unwrap());
    assert_adds_up(&ledger, &books);
    assert_eq!(ledger.rows.len(), 1);
    exeunt(other, others).await;
}

/// `Roll`: who is alive, since when, and what it waits for.
#[actix::test]
async fn the_roll_says_what_each_waits_for() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (connection, _peer) = meet_with(&supervisor, Sink, |adopt| adopt.write_marks(8 << 20, 0)).await;
    let (held, _theirs) = pipe(PIPE);
    let handshaking = supervisor.send(Adopt::client(held, "localhost", &client_tls(), Sink));
    tokio::time::sleep(SECOND * 3).await;
    let waits = |roll: &[exeunt::RollEntry]| roll.iter().map(|e| (e.phase, e.waiting_for)).collect::<Vec<_>>();
    let roll = supervisor.send(Roll).await.unwrap();
    assert_eq!(waits(&roll), [(Phase::Open, WaitingFor::Peer), (Phase::Handshaking, WaitingFor::Handshake)]);
    assert!(is_about(roll[0].age, SECOND * 3) && is_about(roll[0].since_progress, SECOND * 3), "{roll:?}");
    connection.write(vec![0; 1 << 20]).await.unwrap();
    connection.do_send(exeunt::PauseReading);
    tokio::time::sleep(SECOND / 10).await;
    assert_eq!(supervisor.send(Roll).await.unwrap()[0].waiting_for, WaitingFor::PeerToRead);
    connection.abort().await;
    assert_eq!(supervisor.send(Roll).await.unwrap().len(), 1);
    drop(handshaking);
    exeunt(supervisor, books).await;
}

/// Progress is a stream: connected, lost, the stages, and the ledger last.
#[actix::test]
async fn progress_is_told_to_whoever_subscribes() {
    let (supervisor, books) = supervise(Supervisor::new());
    let mut progress = supervisor.send(Subscribe).await.unwrap();
    let (connection, _peer) = meet(&supervisor, Sink).await;
    let lost = connection.abort().await;
    let ledger = exeunt(supervisor.clone(), books).await;
    let mut told = Vec::new();
    while let Some(event) = progress.next().await {
        told.push(match event.unwrap() {
            Progress::Connected { id, .. } if id == lost.id => "connected",
            Progress::Lost(told) if told == lost => "lost",
            Progress::Stopping(_) => "stopping",
            Progress::Stopped(told) if std::sync::Arc::ptr_eq(&told, &ledger) => "stopped",
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(told, ["connected", "lost", "stopping", "stopped"]);
    assert!(supervisor.send(Subscribe).await.unwrap().next().await.is_none());
}

/// Law 3: when a stop is acknowledged, the sockets are closed, the supervisor's timers are gone, and it ends with its last address.
#[actix::test]
async fn nothing_remains_after_the_acknowledgement() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (first, second) = tokio::io::duplex(PIPE);
    let server = supervisor.send(Adopt::server(Socket::boxed(second), "a client", &server_tls(), Echo));
    let client = supervisor.send(Adopt::client(Socket::boxed(first), "localhost", &client_tls(), Lines::default()));
    let (server, client) = tokio::join!(server, client);
    let handles = (server.unwrap().unwrap(), client.unwrap().unwrap());
    let weak = supervisor.downgrade();
    exeunt(supervisor, books).await;
    while weak.upgrade().is_some_and(|supervisor| supervisor.connected()) {
        tokio::task::yield_now().await;
    }
    while handles.0.address().connected() || handles.1.address().connected() {
        tokio::task::yield_now().await;
    }
}

#[cfg(feature = "serde")]
/// The ledger prints as a table, and serializes with the documented names.
#[actix::test]
async fn the_ledger_reads_well_and_serializes() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (_open, mut peer) = meet(&supervisor, Sink).await;
    let (ledger, ()) = tokio::join!(exeunt(supervisor, books), async {
        peer.read_to_close_notify().await.unwrap();
        peer.close().await;
    });
    let table = ledger.to_string();
    assert!(table.starts_with("stop: clean in"), "{table}");
    assert!(table.contains("closed, and the peer answered"), "{table}");
    assert!(table.contains("1 admitted, 1 connected, 1 lost, 0 refused (1 closed)"), "{table}");
    let json = serde_json::to_value(&*ledger).unwrap();
    for field in ["verdict", "admitted", "connected", "lost", "by_reason", "elapsed_ms", "rows"] {
        assert!(!json[field].is_null(), "{field}");
    }
    assert_eq!(json["by_reason"]["closed"], 1);
    let row = &json["rows"][0];
    for field in ["id", "peer", "role", "phase", "reason", "close_notify_sent", "close_notify_received"] {
        assert!(!row[field].is_null(), "{field}");
    }
    for field in ["bytes_in", "bytes_out", "bytes_unsent", "age_ms"] {
        assert!(row[field].is_u64(), "{field}");
    }
}

/// Law 9: who subscribes is told of every end before the stop is acknowledged, also of those that come at one moment.
#[actix::test]
async fn subscribers_are_told_of_all_who_end_at_the_deadline() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let mut progress = supervisor.send(Subscribe).await.unwrap();
    let mut met = Vec::new();
    for _ in 0..5 {
        met.push(meet(&supervisor, Sink).await);
    }
    exeunt(supervisor, books).await;
    let mut told = Vec::new();
    while let Some(event) = progress.next().await {
        match event.unwrap() {
            Progress::Lost(lost) => told.push(lost.id.get()),
            Progress::Stopped(ledger) => assert_eq!(told.len() as u64, ledger.totals.lost),
            _ => {}
        }
    }
    // At one moment, so in no order.
    told.sort_unstable();
    assert_eq!(told, [1, 2, 3, 4, 5]);
}
