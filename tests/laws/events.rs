//! The events protocol: credit, hand-over, drain.

use actix::{Actor, Context, Handler, ResponseFuture};
use exeunt::{
    Connect, Connected, Data, Draining, Eof, Events, HandOver, Lost, Owner, PauseReading, Phase, Reason, ResumeReading,
    StaticResolver, Stop, StopPlan, Supervisor,
};
use tokio::sync::{mpsc, oneshot};

use crate::stage::*;

/// An owner whose handler of data is busy until the test says so.
struct Busy(mpsc::UnboundedSender<(usize, oneshot::Sender<()>)>);

impl Actor for Busy {
    type Context = Context<Self>;
}
impl Handler<Data> for Busy {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, data: Data, _: &mut Context<Self>) -> Self::Result {
        let (done, wait) = oneshot::channel();
        let _ = self.0.send((data.bytes.len(), done));
        Box::pin(async move {
            let _ = wait.await;
        })
    }
}
macro_rules! ignore {
    ($($message:ty),*) => {$(
        impl Handler<$message> for Busy {
            type Result = ();
            fn handle(&mut self, _: $message, _: &mut Context<Self>) {}
        }
    )*};
}
ignore!(Connected, Eof, Draining, Lost);

/// Law 8: reading pauses while the owner's handler is busy; what the peer sends then stays in the socket.
#[actix::test]
async fn reading_pauses_while_the_owner_is_busy() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (sender, mut handled) = mpsc::unbounded_channel();
    let owner = Owner::new(Busy(sender).start());
    let (connection, mut peer) = meet(&supervisor, Events::new(&owner)).await;
    let sent = async {
        for _ in 0..20 {
            peer.write(&[5; 16_000]).await;
        }
    };
    let taken = async {
        let mut taken = 0;
        while taken < 20 * 16_000 {
            let (n, done) = handled.recv().await.unwrap();
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            assert!(handled.try_recv().is_err(), "a second Data while the first is in hand");
            taken += n;
            assert!(connection.info().await.unwrap().bytes_in <= taken as u64, "read ahead of the owner");
            done.send(()).unwrap();
        }
    };
    tokio::join!(sent, taken);
    connection.abort().await;
    exeunt(supervisor, books).await;
}

/// Ownership can be handed over; the new owner gets what follows, the `Lost` included.
#[actix::test]
async fn ownership_is_handed_over() {
    let mut scene = Scene::open().await;
    scene.peer.write(b"for the first").await;
    scene.script.data(13).await;
    let (heir, mut script) = Recorder::start_new();
    scene.connection.send(HandOver(Owner::new(heir))).await.unwrap();
    scene.peer.write(b"for the heir").await;
    assert_eq!(script.data(12).await, b"for the heir");
    scene.peer.close().await;
    assert!(matches!(script.next().await, Seen::Eof { clean: true }));
    assert_eq!(script.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}

/// Pause and resume are idempotent, and nothing is lost between them.
#[actix::test]
async fn pause_and_resume() {
    let mut scene = Scene::open().await;
    scene.connection.send(PauseReading).await.unwrap();
    scene.connection.send(PauseReading).await.unwrap();
    scene.peer.write(b"kept").await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    scene.script.assert_nothing_more();
    scene.connection.send(ResumeReading).await.unwrap();
    scene.connection.send(ResumeReading).await.unwrap();
    assert_eq!(scene.script.data(4).await, b"kept");
    scene.connection.abort().await;
    scene.script.lost().await;
    scene.end().await;
}

/// Law 6: a drain tells the owner, who may finish until it ends.
#[actix::test]
async fn a_drain_lets_the_owner_finish() {
    tokio::time::pause();
    let mut scene = Scene::open().await;
    let stop = scene.supervisor.send(Stop::by(StopPlan::new().drain(SECOND * 10)));
    assert!(matches!(scene.script.next().await, Seen::Draining));
    tokio::time::advance(SECOND * 9).await;
    assert_eq!(scene.connection.phase(), Phase::Open);
    scene.connection.write("the last of it").await.unwrap();
    let (lost, received) = tokio::join!(scene.connection.close(), async {
        let received = scene.peer.read_to_close_notify().await.unwrap();
        scene.peer.close().await;
        received
    });
    assert_eq!((lost.reason, received), (Reason::Closed, b"the last of it".to_vec()));
    scene.script.lost().await;
    assert_adds_up(&stop.await.unwrap(), &scene.books);
}

/// An owner that does not finish in time is closed for it, gracefully.
#[actix::test]
async fn the_end_of_the_drain_closes_gracefully() {
    tokio::time::pause();
    let mut scene = Scene::open().await;
    let stop = scene.supervisor.send(Stop::by(StopPlan::new().drain(SECOND * 10)));
    assert!(matches!(scene.script.next().await, Seen::Draining));
    assert_eq!(scene.peer.read_to_close_notify().await.unwrap(), b"");
    scene.peer.close().await;
    let lost = scene.script.lost().await;
    assert_eq!(lost.reason, Reason::Closed);
    assert!(lost.age >= SECOND * 10);
    let ledger = stop.await.unwrap();
    assert_adds_up(&ledger, &scene.books);
    assert_eq!(ledger.verdict(), exeunt::Verdict::Clean);
}

/// With `half_open`, the owner may write on after the peer's close_notify, until it closes.
#[actix::test]
async fn a_half_open_connection_writes_on_after_the_peers_end() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (owner, mut script) = Recorder::start_new();
    let events = Events::new(&Owner::new(owner)).half_open(true);
    let (connection, mut peer) = meet(&supervisor, events).await;
    script.connected().await;
    peer.close_notify().await;
    assert!(matches!(script.next().await, Seen::Eof { clean: true }));
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(connection.phase(), Phase::Open);
    connection.write("an epilogue").await.unwrap();
    let (lost, received) = tokio::join!(connection.close(), peer.read_to_close_notify());
    assert_eq!(received.unwrap(), b"an epilogue");
    assert_eq!(lost.reason, Reason::ClosedByPeer);
    exeunt(supervisor, books).await;
}

/// Law 1: an owner is told of a connection that never opened: by `Lost` alone.
#[actix::test]
async fn a_connection_that_never_opened_is_lost_to_its_owner() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (owner, mut script) = Recorder::start_new();
    let connect = Connect::to("nowhere.example:443", Events::new(&Owner::new(owner))).resolver(StaticResolver::new());
    supervisor.do_send(connect);
    let lost = script.lost().await;
    assert!(matches!(lost.reason, Reason::DialFailed(_)), "{lost:?}");
    exeunt(supervisor, books).await;
    script.assert_nothing_more();
}

/// Law 2: what the owner has in its mailbox when the connection ends is still told, before `Lost`.
#[actix::test]
async fn data_on_its_way_to_the_owner_outlives_the_connection() {
    let mut scene = Scene::open().await;
    scene.peer.write(b"in the mailbox").await;
    while scene.connection.info().await.unwrap().bytes_in < 14 {}
    scene.connection.do_send(exeunt::Abort);
    assert_eq!(scene.script.data(14).await, b"in the mailbox");
    scene.script.lost().await;
    scene.end().await;
}

/// Law 2: also when nothing is left that knows the owner, and it comes to its mailbox only then.
#[actix::test]
async fn data_on_its_way_to_the_owner_outlives_everything_that_sent_it() {
    let (supervisor, books) = supervise(Supervisor::new());
    let (sender, mut seen) = mpsc::unbounded_channel();
    let owner = Late(sender).start();
    let (connection, mut peer) = meet(&supervisor, Events::new(&Owner::new(owner.clone()))).await;
    assert_eq!(seen.recv().await, Some("connected"));
    let (release, wait) = oneshot::channel();
    owner.do_send(Hold(wait));
    peer.write(b"last words").await;
    while connection.info().await.unwrap().bytes_in < 10 {}
    connection.abort().await;
    drop(connection);
    exeunt(supervisor, books).await;
    release.send(()).unwrap();
    assert_eq!(seen.recv().await, Some("data"));
    assert_eq!(seen.recv().await, Some("lost"));
}

/// An owner that can be held up: nothing in its mailbox is handled meanwhile.
struct Late(mpsc::UnboundedSender<&'static str>);
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Hold(oneshot::Receiver<()>);

impl Actor for Late {
    type Context = Context<Self>;
}
impl Handler<Hold> for Late {
    type Result = actix::AtomicResponse<Self, ()>;
    fn handle(&mut self, Hold(wait): Hold, _: &mut Context<Self>) -> Self::Result {
        actix::AtomicResponse::new(Box::pin(actix::fut::wrap_future(async move {
            let _ = wait.await;
        })))
    }
}
macro_rules! tell {
    ($($message:ty => $word:literal),*) => {$(
        impl Handler<$message> for Late {
            type Result = ();
            fn handle(&mut self, _: $message, _: &mut Context<Self>) {
                let _ = self.0.send($word);
            }
        }
    )*};
}
tell!(Connected => "connected", Data => "data", Eof => "eof", Draining => "draining", Lost => "lost");

/// Law 6: an heir in the drain is told that there is one.
#[actix::test]
async fn an_heir_is_told_of_the_drain() {
    tokio::time::pause();
    let mut scene = Scene::open().await;
    let stop = scene.supervisor.send(Stop::by(StopPlan::new().drain(SECOND * 10)));
    assert!(matches!(scene.script.next().await, Seen::Draining));
    let (heir, mut script) = Recorder::start_new();
    scene.connection.send(HandOver(Owner::new(heir))).await.unwrap();
    assert!(matches!(script.next().await, Seen::Draining));
    scene.connection.abort().await;
    script.lost().await;
    assert_adds_up(&stop.await.unwrap(), &scene.books);
}
