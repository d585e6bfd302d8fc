//! By the clock, with criterion: `cargo bench --manifest-path benches/micro/Cargo.toml [-- NAME]`. What may not become dearer unseen is counted in instructions: `script/instructions`.

use std::{hint::black_box, time::Duration};

use actix::{Actor, System};
use bytes::BytesMut;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use exeunt::{
    Adopt, Books, GetInfo, Handle, Io, Protocol, ProtocolError, Role, Socket, Supervisor,
    lifecycle::{Event, Phase},
};

/// Keeps still.
struct Still;

impl Protocol for Still {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        data.clear();
        Ok(())
    }
}

/// A connection without TLS whose peer says nothing.
fn adopt() -> (Adopt<Still>, tokio::io::DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(64);
    (Adopt::plain(Socket::boxed(ours), "nobody", Role::Client, Still), theirs)
}

struct Stage {
    system: actix::SystemRunner,
    supervisor: actix::Addr<Supervisor>,
    books: Books,
}

impl Stage {
    fn new() -> Self {
        let system = System::new();
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        Stage { supervisor: system.block_on(async { supervisor.start() }), books, system }
    }

    fn open(&self) -> (Handle<Still>, tokio::io::DuplexStream) {
        let (adopt, theirs) = adopt();
        let answer = self.system.block_on(self.supervisor.send(adopt));
        (answer.expect("the supervisor lives").expect("it admits"), theirs)
    }
}

/// A message to a connection and its answer, one by one.
fn mailbox(criterion: &mut Criterion) {
    let stage = Stage::new();
    let (connection, _theirs) = stage.open();
    criterion.bench_function("mailbox call", |bencher| {
        bencher.iter(|| stage.system.block_on(connection.pause_reading()).expect("it lives"));
    });
    criterion.bench_function("mailbox call, GetInfo", |bencher| {
        bencher.iter(|| black_box(stage.system.block_on(connection.send(GetInfo)).expect("it lives")));
    });
}

/// Admitted, started, aborted, told; beside so many that live.
fn admission(criterion: &mut Criterion) {
    for alive in [0, 10_000] {
        let stage = Stage::new();
        let living: Vec<_> = (0..alive).map(|_| stage.open()).collect();
        criterion.bench_function(&format!("admission to Lost, {alive} alive"), |bencher| {
            bencher.iter(|| {
                let (connection, _theirs) = stage.open();
                stage.system.block_on(connection.abort())
            });
        });
        drop(living);
    }
}

fn lifecycle(criterion: &mut Criterion) {
    const LIFE: [Event; 5] = [Event::Dialed, Event::Secured, Event::CloseAsked, Event::Flushed, Event::PeerClosed];
    criterion.bench_function("lifecycle, five steps", |bencher| {
        bencher.iter(|| LIFE.iter().fold(black_box(Phase::Dialing), |phase, event| phase.after(black_box(*event))));
    });
}

/// The account of ten thousand that are alive: made, told to people, told as JSON.
fn ledger(criterion: &mut Criterion) {
    let stage = Stage::new();
    let living: Vec<_> = (0..10_000).map(|_| stage.open()).collect();
    criterion
        .bench_function("ledger, snapshot beside 10,000", |bencher| bencher.iter(|| black_box(stage.books.ledger())));
    let ledger = stage.system.block_on(stage.supervisor.send(exeunt::Stop::now())).expect("the supervisor lives");
    assert_eq!(ledger.rows.len(), living.len());
    criterion.bench_function("ledger of 10,000, verdict", |bencher| bencher.iter(|| black_box(ledger.verdict())));
    criterion.bench_function("ledger of 10,000, for people", |bencher| bencher.iter(|| black_box(ledger.to_string())));
    criterion.bench_function("ledger of 10,000, as JSON", |bencher| {
        bencher.iter_batched(|| (), |()| black_box(serde_json::to_vec(&*ledger)), BatchSize::PerIteration);
    });
}

criterion_group! {
    name = all;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    targets = mailbox, admission, lifecycle, ledger
}
criterion_main!(all);
