//! The dial: every way in which it can fail or be given up ends in one `Lost` (law 1), and closes its descriptor once (law 3).

use std::{io, net::SocketAddr};

use exeunt::{
    ClientTls, Connect, ConnectError, DialFailure, Lines, Lost, Phase, Reason, Refusal, Resolver, Stop, StopPlan,
    Supervisor,
};
use futures_util::{FutureExt, future::BoxFuture};

use crate::stage::*;

/// A resolver that never answers.
struct Silent;

impl Resolver for Silent {
    fn resolve(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        std::future::pending().boxed()
    }
}

/// A resolver that fails.
struct Failing;

impl Resolver for Failing {
    fn resolve(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        async { Err(io::Error::other("the name server is on holiday")) }.boxed()
    }
}

fn lost(answer: Result<exeunt::Handle<Lines>, ConnectError>) -> Lost {
    match answer {
        Err(ConnectError::Lost(lost)) => *lost,
        other => panic!("it was to be lost: {other:?}"),
    }
}

/// Law 1: a refused dial, with the operating system's words and the address.
#[actix::test]
async fn a_refused_dial_is_told_with_its_address() {
    let (supervisor, books) = supervise(Supervisor::new());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let connect = Connect::to(format!("127.0.0.1:{port}"), Lines::default()).tls(&client_tls());
    let lost = lost(supervisor.send(connect).await.unwrap());
    let Reason::DialFailed(DialFailure::Connect { attempts }) = &lost.reason else { panic!("{lost:?}") };
    assert_eq!(attempts[0].kind, io::ErrorKind::ConnectionRefused);
    assert!(lost.to_string().contains(&format!("127.0.0.1:{port}")), "{lost}");
    assert_eq!(lost.phase, Phase::Dialing);
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.by_reason["dial_failed"], 1);
}

/// Law 1: a name that cannot be resolved, with the resolver's words.
#[actix::test]
async fn an_unresolvable_name_is_told_with_the_resolvers_words() {
    let (supervisor, books) = supervise(Supervisor::new().resolver(Failing));
    let lost = lost(supervisor.send(Connect::to("nowhere.example:443", Lines::default())).await.unwrap());
    assert!(lost.to_string().contains("the name server is on holiday"), "{lost}");
    assert!(matches!(lost.reason, Reason::DialFailed(DialFailure::Resolve { .. })));
    exeunt(supervisor, books).await;
}

/// Law 1: a dial that takes too long.
#[actix::test]
async fn a_dial_has_a_deadline() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new().resolver(Silent));
    let lost = lost(supervisor.send(Connect::to("slow.example:443", Lines::default())).await.unwrap());
    assert_eq!((lost.reason, lost.phase), (Reason::TimedOut(Phase::Dialing), Phase::Dialing));
    assert!(is_about(lost.age, SECOND * 10), "the default, not {:?}", lost.age);
    exeunt(supervisor, books).await;
}

/// Law 1: whoever gives up the answer cancels the connect.
#[actix::test]
async fn dropping_the_answer_cancels_the_connect() {
    let (supervisor, books) = supervise(Supervisor::new().resolver(Silent));
    let connect = supervisor.send(Connect::to("slow.example:443", Lines::default()));
    supervisor.send(exeunt::Roll).await.unwrap();
    assert_eq!(books.outstanding(), 1);
    drop(connect);
    while books.outstanding() > 0 {
        tokio::task::yield_now().await;
    }
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.by_reason["cancelled"], 1);
}

/// Law 6: a stop cancels what is not open yet, at once, and whoever waits is told.
#[actix::test]
async fn a_stop_cancels_connects() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new().resolver(Silent));
    let connect = supervisor.send(Connect::to("slow.example:443", Lines::default()));
    let stop = supervisor.send(Stop::by(StopPlan::new()));
    let lost = lost(connect.await.unwrap());
    assert_eq!((lost.reason, lost.phase), (Reason::Cancelled, Phase::Dialing));
    assert!(is_about(lost.age, std::time::Duration::ZERO), "{:?}", lost.age);
    let ledger = stop.await.unwrap();
    assert_adds_up(&ledger, &books);
    assert_eq!(ledger.rows.len(), 1);
}

/// Law 6: after the stop began, nobody is admitted, and the refusal says why; it is counted.
#[actix::test]
async fn a_connect_after_the_stop_is_refused() {
    let (supervisor, books) = supervise(Supervisor::new());
    let ledger = exeunt(supervisor.clone(), books).await;
    assert_eq!(ledger.totals.refused, 0);
    let answer = supervisor.send(Connect::to("localhost:1", Lines::default())).await.unwrap();
    let Err(ConnectError::Refused(refusal)) = answer else { panic!("{answer:?}") };
    assert_eq!(refusal, Refusal::Stopping);
    assert!(refusal.to_string().contains("stopping"));
}

/// Limits refuse clearly, and make room again.
#[actix::test]
async fn a_full_supervisor_refuses() {
    let (supervisor, books) = supervise(Supervisor::new().max_connections(1).resolver(Silent));
    let first = supervisor.send(Connect::to("slow.example:443", Lines::default()));
    let second = supervisor.send(Connect::to("slow.example:443", Lines::default())).await.unwrap();
    assert!(matches!(second, Err(ConnectError::Refused(Refusal::Limit(1)))), "{second:?}");
    drop(first);
    while books.outstanding() > 0 {
        tokio::task::yield_now().await;
    }
    let third = supervisor.send(Connect::to("slow.example:443", Lines::default()));
    supervisor.send(exeunt::Roll).await.unwrap();
    assert_eq!(books.outstanding(), 1);
    drop(third);
    let ledger = exeunt(supervisor, books).await;
    assert_eq!((ledger.totals.admitted, ledger.totals.refused), (2, 1));
}

/// What is the caller's to blame is told before anything is admitted.
#[actix::test]
async fn bad_arguments_are_told_and_nothing_is_admitted() {
    let (supervisor, books) = supervise(Supervisor::new());
    for target in ["", "localhost", "localhost:0", "localhost:99999", "https://localhost:443", "::1:443"] {
        let answer = supervisor.send(Connect::to(target, Lines::default())).await.unwrap();
        assert!(matches!(answer, Err(ConnectError::Target(_))), "{target:?}: {answer:?}");
    }
    let answer =
        supervisor.send(Connect::to("localhost:1", Lines::default()).trust_file("/no/such/file")).await.unwrap();
    assert!(
        matches!(&answer, Err(ConnectError::Tls(error)) if error.to_string().contains("/no/such/file")),
        "{answer:?}"
    );
    let ledger = exeunt(supervisor, books).await;
    assert_eq!((ledger.totals.admitted, ledger.totals.refused), (0, 0));
}

/// Law 3: a cancelled dial closes its descriptor, and only that. 192.0.2.1 (RFC 5737) answers nobody; where the machine has no route to it, the dial fails at once, which is as good here.
#[actix::test]
async fn a_cancelled_dial_leaves_no_descriptor() {
    let (supervisor, books) = supervise(Supervisor::new());
    let tls = ClientTls::builder().trust_pem(&signed().ca_pem).build().unwrap();
    let one = |n: u16| Connect::to(format!("192.0.2.1:{}", 1000 + n), Lines::default()).tls(&tls);
    drop(supervisor.send(one(0)).now_or_never());
    let connects: Vec<_> = (1..50).map(|n| supervisor.send(one(n))).collect();
    supervisor.send(exeunt::Roll).await.unwrap();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    drop(connects);
    let ledger = exeunt(supervisor, books).await;
    assert_eq!(ledger.totals.admitted, ledger.totals.lost);
    assert_eq!(sockets_to("192.0.2.1"), 0);
}

/// Sockets of this process whose peer is that address, as the kernel lists them.
fn sockets_to(address: &str) -> usize {
    let ip: std::net::Ipv4Addr = address.parse().unwrap();
    let hex = format!("{:08X}", u32::from_le_bytes(ip.octets()));
    let own: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let fields = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[2].starts_with(&hex) && own.iter().any(|inode| inode == fields[9])).count()
}

/// A dial that may take for ever is no panic.
#[actix::test]
async fn an_endless_dial_is_no_panic() {
    let (supervisor, books) = supervise(Supervisor::new());
    let connect = Connect::to("nowhere.example:443", Lines::default()).resolver(Silent);
    let asking = supervisor.send(connect.dial_timeout(std::time::Duration::MAX));
    let (asked, ledger) = tokio::join!(asking, exeunt(supervisor.clone(), books));
    assert_eq!(asked.unwrap().unwrap_err().lost().unwrap().reason, Reason::Cancelled);
    assert_eq!(ledger.totals.admitted, 1);
}

/// Whoever asked gives up in the very moment in which it is opened: a connection that nobody can reach is closed.
#[actix::test]
async fn a_connect_that_is_given_up_as_it_opens_is_closed() {
    tokio::time::pause();
    let (supervisor, books) = supervise(Supervisor::new());
    let (ours, theirs) = pipe(PIPE);
    let asking = Asking::default();
    let request = supervisor.send(exeunt::Adopt::client(ours, "localhost", &client_tls(), GivesUp(asking.clone())));
    *asking.lock().unwrap() = Some(Box::new(request));
    let mut peer = RawPeer::accept(theirs).await;
    tokio::time::timeout(SECOND * 60, peer.read_to_close_notify()).await.expect("it is closed").unwrap();
    exeunt(supervisor, books).await;
}

type Asking = std::sync::Arc<std::sync::Mutex<Option<Box<dyn Send>>>>;
struct GivesUp(Asking);
impl exeunt::Protocol for GivesUp {
    fn connected(&mut self, _: &mut exeunt::Io<'_, Self>) {
        drop(self.0.lock().unwrap().take());
    }
    fn data(&mut self, _: &mut exeunt::Io<'_, Self>, _: &mut bytes::BytesMut) -> Result<(), exeunt::ProtocolError> {
        Ok(())
    }
}
