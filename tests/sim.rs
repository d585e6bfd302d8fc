//! `exeunt::sim` as a user has it: a protocol and an owner of one's own, stopped at any moment in any weather; and applications with a defect, which it has to find.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message};
use bytes::{Buf, Bytes, BytesMut};
use exeunt::{
    Adopt, Close, Connect, Connected, Connection, ConnectionId, Data, Draining, EndOfStream, Eof, Events, Handle, Io,
    Lost, Owner, Parked, Protocol, ProtocolError, Reply, StopPlan, Supervisor, Write,
    sim::{self, Climate, Failure, Seeds, Speech, Without, World, pattern},
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A drain that is longer than any span and all that is done here.
fn plan() -> StopPlan {
    StopPlan::new().drain(SECOND * 300).linger(SECOND * 5)
}

// A protocol: frames with their length before them, each answered by a frame.

fn frame(body: &[u8]) -> Bytes {
    [&(body.len() as u16).to_be_bytes(), body].concat().into()
}

fn take_frame(data: &mut BytesMut) -> Option<Bytes> {
    let len = usize::from(u16::from_be_bytes(data.get(..2)?.try_into().ok()?));
    data.get(2..2 + len)?;
    data.advance(2);
    Some(data.split_to(len).freeze())
}

/// Answers every frame with its bytes in reverse.
fn reverser() -> Speech {
    Speech::new(|heard| {
        let mut answers = BytesMut::new();
        while let Some(body) = take_frame(heard) {
            answers.extend_from_slice(&frame(&reversed(&body)));
        }
        answers.freeze()
    })
}

fn reversed(body: &[u8]) -> Bytes {
    body.iter().rev().copied().collect()
}

type Answer = Result<Bytes, String>;

#[derive(Message)]
#[rtype(result = "Answer")]
struct Ask(Bytes);

#[derive(Default)]
struct Asker {
    asked: VecDeque<Reply<Answer>>,
    draining: bool,
    defect: Option<Defect>,
}

#[derive(Clone, Copy, PartialEq)]
enum Defect {
    /// Takes what one read brought for a whole frame.
    OnePiece,
    /// Waits for an end that nobody will make.
    IgnoresTheDrain,
    Panics,
}

impl Protocol for Asker {
    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        while let Some(body) = take_frame(data) {
            let asked = self.asked.pop_front().ok_or_else(|| ProtocolError::new("an answer that nobody asked for"))?;
            asked.send(Ok(body));
        }
        match self.defect {
            Some(Defect::OnePiece) if !data.is_empty() => return Err(ProtocolError::new("half a frame")),
            Some(Defect::Panics) if self.draining => panic!("a drain, and an answer after it"),
            _ => {}
        }
        if self.draining && self.asked.is_empty() {
            io.close();
        }
        Ok(())
    }

    fn drain(&mut self, io: &mut Io<'_, Self>, _: Instant) {
        self.draining = true;
        if self.asked.is_empty() && self.defect != Some(Defect::IgnoresTheDrain) {
            io.close();
        }
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, _: EndOfStream) {
        io.close();
    }

    fn lost(&mut self, lost: &Lost) {
        self.asked.drain(..).for_each(|asked| asked.send(Err(lost.to_string())));
    }
}

impl Handler<Ask> for Connection<Asker> {
    type Result = Parked<Answer>;

    fn handle(&mut self, Ask(body): Ask, context: &mut Self::Context) -> Parked<Answer> {
        let (asker, mut io) = self.parts(context);
        if asker.draining || !io.write_bytes(frame(&body)) {
            return Parked::now(Err("it is closing".into()));
        }
        let (reply, parked) = Reply::later();
        asker.asked.push_back(reply);
        parked
    }
}

/// Several connections that ask, one after the other; whatever comes instead of an answer is borne.
async fn askers(world: World, climate: Climate, defect: Option<Defect>) {
    world.host("reverse.sim.test:99", climate, reverser);
    world.expect_prompt();
    let supervisor = world.supervise(Supervisor::new());
    world.stop_within(&supervisor, world.span() * 2, plan());
    // Held to the end: a connection whose last handle is dropped closes by itself.
    let mut pool = Vec::new();
    for n in 0..3 {
        if n > 0 && !world.perhaps(&format!("asker{n}"), 60) {
            continue;
        }
        let protocol = Asker { defect, ..Asker::default() };
        let connect = Connect::to("reverse.sim.test:99", protocol).tls(&world.client_tls());
        let Ok(Ok(connection)) = supervisor.send(connect).await else { continue };
        let dice = &mut world.dice(&format!("asker{n}"));
        for ask in 0..10 {
            let body = pattern(n, ask, dice.bytes() % 60_000);
            match connection.send(Ask(body.clone())).await {
                Ok(Ok(answer)) if answer == reversed(&body) => {}
                Ok(Ok(answer)) => world.fail(format!("the wrong answer: {} bytes for {}", answer.len(), body.len())),
                Ok(Err(_)) => break,
                Err(ended) => {
                    // It ended before the question was looked at; whoever asked is told how.
                    if ended.lost.is_none() {
                        world.fail("nobody answered");
                    }
                    break;
                }
            }
            tokio::time::sleep(dice.moment(Duration::ZERO..world.span() / 5)).await;
        }
        pool.push(connection);
    }
    tokio::time::sleep(world.span() * 2 + SECOND * 400).await;
}

#[test]
fn a_protocol_of_ones_own_is_stopped_at_any_moment() {
    sim::seeds(0..200, |world| askers(world, Climate::Any, None));
}

// An owner: it asks a feed for so many bytes and closes when it has them.

const FEED: usize = 50_000;

fn feed() -> Speech {
    Speech::new(|heard| {
        let asked = heard.ends_with(b"go\n");
        heard.clear();
        if asked { pattern(0, 0, FEED) } else { Bytes::new() }
    })
}

struct Reader {
    world: World,
    reading: BTreeMap<ConnectionId, (Handle<Events>, Vec<u8>)>,
    lost: Rc<RefCell<Vec<Lost>>>,
}

impl Actor for Reader {
    type Context = Context<Self>;
}

impl Handler<Connected> for Reader {
    type Result = ();

    fn handle(&mut self, Connected { id, connection, .. }: Connected, _: &mut Self::Context) {
        connection.do_send(Write::new("go\n"));
        self.reading.insert(id, (connection, Vec::new()));
    }
}

impl Handler<Data> for Reader {
    type Result = ();

    fn handle(&mut self, Data { id, bytes }: Data, _: &mut Self::Context) {
        let Some((connection, read)) = self.reading.get_mut(&id) else {
            return self.world.fail(format!("law 2: data of {id}, which is not open"));
        };
        read.extend_from_slice(&bytes);
        if read.len() == FEED {
            connection.do_send(Close::new());
        }
    }
}

impl Handler<Eof> for Reader {
    type Result = ();

    fn handle(&mut self, _: Eof, _: &mut Self::Context) {}
}

impl Handler<Draining> for Reader {
    type Result = ();

    fn handle(&mut self, Draining { id, .. }: Draining, _: &mut Self::Context) {
        if let Some((connection, _)) = self.reading.get(&id) {
            connection.do_send(Close::new());
        }
    }
}

impl Handler<Lost> for Reader {
    type Result = ();

    fn handle(&mut self, lost: Lost, _: &mut Self::Context) {
        if let Some((_, read)) = self.reading.remove(&lost.id)
            && !pattern(0, 0, FEED).starts_with(&read)
        {
            self.world.fail(format!("law 5: {} bytes that are not the feed's: {lost}", read.len()));
        }
        self.lost.borrow_mut().push(lost);
    }
}

async fn readers(world: World) {
    world.host("feed.sim.test:80", Climate::Any, feed);
    let supervisor = world.supervise(Supervisor::new());
    let lost = Rc::default();
    let reader = Reader { world: world.clone(), reading: BTreeMap::new(), lost: Rc::clone(&lost) };
    let owner: Addr<Reader> = Reader::create(|context| {
        // An owner may go at any moment, too.
        if world.perhaps("the owner goes", 20) {
            context.run_later(world.dice("goes").moment(Duration::ZERO..world.span()), |_, context| {
                actix::ActorContext::stop(context);
            });
        }
        reader
    });
    world.stop_within(&supervisor, world.span() * 2, plan());
    let mut admitted = 0;
    for n in 0..4 {
        if n == 0 || world.perhaps(&format!("reader{n}"), 60) {
            let connect = Connect::to("feed.sim.test:80", Events::new(&Owner::new(owner.clone())));
            match supervisor.send(connect.tls(&world.client_tls())).await {
                Ok(Ok(_)) => admitted += 1,
                Ok(Err(refused)) => admitted += usize::from(refused.lost().is_some()),
                Err(_) => world.fail("the supervisor is gone"),
            }
        }
    }
    // An owner that lives is told of each, before the world is over.
    tokio::time::sleep(SECOND * 1_000).await;
    let told = lost.borrow().len();
    if owner.connected() && told != admitted {
        world.fail(format!("law 1: {admitted} were admitted, and the owner was told of {told}"));
    }
}

#[test]
fn an_owner_of_ones_own_is_stopped_at_any_moment() {
    sim::seeds(0..200, readers);
}

/// A server: sockets that were accepted elsewhere, with simulated clients at their other ends.
async fn served(world: World) {
    /// Says everything back.
    struct Echo;
    impl Protocol for Echo {
        fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
            io.write_bytes(data.split().freeze());
            Ok(())
        }
        fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {
            io.hold_reading(on);
        }
    }
    let supervisor = world.supervise(Supervisor::new().max_connections(5));
    world.stop_within(&supervisor, world.span(), plan());
    for n in 0..8 {
        let client = format!("client{n}.sim.test");
        let words = pattern(n, 0, world.dice(&client).bytes());
        let socket = world.client(&client, Climate::Any, Speech::none().opening(words));
        supervisor.do_send(Adopt::server(socket, &client, &world.server_tls(), Echo));
        tokio::time::sleep(world.dice("pause").moment(Duration::ZERO..world.span() / 5)).await;
    }
}

#[test]
fn a_server_of_ones_own_is_stopped_at_any_moment() {
    sim::seeds(0..200, served);
}

/// A seed decides everything: the script of a run, to the millisecond.
#[test]
fn a_seed_plays_the_same_twice() {
    for seed in 0..50 {
        let play = || sim::play(seed, &Without::default(), |world| askers(world, Climate::Any, None));
        assert_eq!(play().script, play().script, "seed {seed}");
    }
}

// What it has to find.

fn found<F: Future<Output = ()>>(scenario: impl Fn(World) -> F) -> Failure {
    let seeds = Seeds::of(0..300);
    let failure = *seeds.explore(|seed, without| sim::play(seed, without, &scenario)).expect_err("it was not found");
    // What was found can be replayed, small as it is; and nothing more can be left out of it.
    let replay = |without: &Without| sim::play(failure.seed, without, &scenario).wrong;
    assert_eq!(replay(&failure.shrunk.without), failure.smallest.wrong);
    for part in &failure.shrunk.parts {
        let less = format!("{},{}", failure.shrunk.without, part.key);
        assert!(replay(&less.as_str().into()).is_empty(), "it fails without {part} as well:\n{failure}");
    }
    failure
}

#[track_caller]
fn assert_says(failure: &Failure, words: &str) {
    let said = failure.smallest.wrong.iter().any(|wrong| wrong.contains(words));
    assert!(said, "{failure}");
}

#[test]
fn finds_a_protocol_that_takes_a_piece_for_the_whole() {
    let failure = found(|world| askers(world, Climate::Any, Some(Defect::OnePiece)));
    assert_says(&failure, "the application's own fault");
    assert!(failure.shrunk.parts.len() <= 1, "{failure}");
}

#[test]
fn finds_a_protocol_that_does_not_heed_the_drain() {
    let failure = found(|world| askers(world, Climate::Fair, Some(Defect::IgnoresTheDrain)));
    assert_says(&failure, "somebody does not heed it");
    assert!(failure.shrunk.parts.len() <= 2, "{failure}");
}

#[test]
fn finds_a_protocol_that_panics_in_the_drain() {
    let failure = found(|world| askers(world, Climate::Any, Some(Defect::Panics)));
    assert_says(&failure, "a drain, and an answer after it");
    assert!(failure.shrunk.parts.iter().any(|part| part.key.starts_with("stop")), "{failure}");
}

#[test]
fn finds_a_socket_that_is_kept() {
    thread_local! {
        static KEPT: RefCell<Vec<exeunt::Socket>> = const { RefCell::new(Vec::new()) };
    }
    let failure = found(|world| async move {
        let socket = world.server("lost.sim.test", Climate::Any, Speech::none());
        if world.perhaps("it is forgotten", 10) {
            KEPT.with_borrow_mut(|kept| kept.push(socket));
        }
    });
    assert_says(&failure, "still open after every stop");
    assert_eq!(failure.shrunk.parts.len(), 1, "{failure}");
}

#[test]
fn finds_a_scenario_that_never_ends() {
    let failure = found(|world| async move {
        if world.perhaps("it hangs", 10) {
            std::future::pending::<()>().await;
        }
    });
    assert_says(&failure, "did not come to its end");
}
