//! How a connection of ours is asked for, and what its application does with it.

use std::{io, net::SocketAddr, rc::Rc, time::Duration};

use actix::{Message, dev::ToEnvelope};
use exeunt::{
    Abort, Adopt, Call, CallError, Close, Connect, ConnectError, Connection, Ended, Events, Evict, GetInfo, HalfClose,
    HandOver, Handle, LateData, Lines, Lost, PauseReading, Protocol, Resolver, ResumeReading, Socket, Supervisor,
    Write, WriteError,
    sim::{client_tls, server_tls},
};
use futures_util::future::{BoxFuture, FutureExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    cast::Chaos,
    plan::{Asks, Op, Side, Speaks},
    play::Stage,
    script::{By, Fate, What, name},
};

pub struct Entrance {
    pub who: usize,
    pub side: Side,
    pub server: bool,
    pub old: bool,
    pub wrong_name: bool,
    pub way: Way,
}

pub enum Way {
    Socket(Socket),
    /// A name that has no address: after a while, or never.
    Nowhere(Option<Duration>),
}

struct Nobody(Option<Duration>);

impl Resolver for Nobody {
    fn resolve(&self, _: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let after = self.0;
        async move {
            match after {
                Some(after) => sleep(after).await,
                None => std::future::pending().await,
            }
            Err(io::ErrorKind::NotFound.into())
        }
        .boxed()
    }
}

pub fn enter(stage: &Rc<Stage>, entrance: Entrance) {
    let who = entrance.who;
    match entrance.side.speaks.clone() {
        Speaks::Events { owner, half_open } => {
            stage.script.look().parts[who].owner = Some(owner);
            ask(stage, entrance, Events::new(&stage.owners[owner]).half_open(half_open));
        }
        Speaks::Lines { within: None } => ask(stage, entrance, Lines::default()),
        Speaks::Lines { within: Some(within) } => ask(stage, entrance, Lines::default().call_timeout(within)),
        Speaks::Chaos(plan) => ask(stage, entrance, Chaos::new(who, plan, stage.script.clone())),
    }
}

fn ask<P: Acts>(stage: &Rc<Stage>, entrance: Entrance, protocol: P) {
    let Entrance { who, side, server, old, way, .. } = entrance;
    let called = if entrance.wrong_name { format!("s{who}.wrong.test") } else { name(who) };
    match way {
        Way::Nowhere(after) => {
            let connect = Connect::to(format!("{}:1", name(who)), protocol).tls(&client_tls(old).unwrap());
            send(stage, who, side.clone(), connect.resolver(Nobody(after)).options(side.options));
        }
        Way::Socket(socket) if server => {
            let adopt = Adopt::server(socket, &called, &server_tls().unwrap(), protocol);
            send(stage, who, side.clone(), adopt.options(side.options));
        }
        Way::Socket(socket) => {
            let adopt = Adopt::client(socket, called, &client_tls(old).unwrap(), protocol);
            send(stage, who, side.clone(), adopt.options(side.options));
        }
    }
}

fn send<P, M>(stage: &Rc<Stage>, who: usize, side: Side, message: M)
where
    P: Acts,
    M: Message<Result = Result<Handle<P>, ConnectError>> + Send + 'static,
    Supervisor: actix::Handler<M>,
    actix::Context<Supervisor>: ToEnvelope<Supervisor, M>,
{
    stage.script.tell(who, By::Play, What::Did("asks".into()));
    let begin = Instant::now();
    let asked = match side.asks {
        Asks::DoSends => return stage.supervisor.do_send(message),
        Asks::Awaits | Asks::GivesUp(_) => stage.supervisor.send(message),
    };
    let own = stage.clone();
    stage.spawn(async move {
        let answer = match side.asks {
            Asks::GivesUp(after) => timeout(after, asked).await.ok(),
            _ => own.within("a connect", asked).await,
        };
        match answer {
            None => own.script.tell(who, By::Play, What::Did("gives up".into())),
            Some(Ok(Ok(handle))) => act(own, who, begin, side, handle).await,
            Some(Ok(Err(ConnectError::Lost(lost)))) => own.script.tell(who, By::Answer, What::Lost(lost)),
            Some(Ok(Err(ConnectError::Refused(_)))) => own.script.tell(who, By::Answer, What::Refused),
            Some(other) => own.script.wrong(format!("s{who} was answered {other:?}")),
        }
    });
}

async fn act<P: Acts>(stage: Rc<Stage>, who: usize, begin: Instant, side: Side, handle: Handle<P>) {
    stage.script.meet(who, handle.id());
    let weak = handle.address().downgrade();
    stage.dead.borrow_mut().push((who, Box::new(move || weak.upgrade().is_none_or(|address| !address.connected()))));
    for (at, op) in side.does {
        sleep_until(begin + at).await;
        stage.script.tell(who, By::Play, What::Did(format!("{op:?}")));
        match op {
            Op::DropHandle => return,
            Op::Special(die) => P::special(&stage, &handle, who, die),
            op => perform(&stage, &handle, who, op),
        }
    }
    stage.kept.borrow_mut().push((who, Box::new(move || handle.lost())));
}

fn perform<P: Acts>(stage: &Rc<Stage>, handle: &Handle<P>, who: usize, op: Op) {
    match op {
        Op::Write(len) => write(stage, handle, who, len),
        Op::Burst(lens) => lens.into_iter().for_each(|len| write(stage, handle, who, len)),
        Op::DoWrite(len) => handle.do_send(Write(stage.script.bytes_for(who, len).1)),
        Op::Flush => {
            let sent: usize = stage.script.look().parts[who].accepted();
            answer(stage, who, "flush", handle.send(exeunt::Flush), move |stage, flushed| {
                if matches!(flushed, Ok(Ok(()))) {
                    let part = &mut stage.script.look().parts[who];
                    part.flushed = part.flushed.max(sent);
                }
                told(flushed.map(|flushed| format!("{}", flushed.is_ok())))
            });
        }
        Op::Close { linger, discard } => {
            let close = linger.map_or(Close::new(), |linger| Close::new().linger(linger));
            let close = if discard { close.late_data(LateData::Discard) } else { close };
            answer(stage, who, "close", handle.send(close), |_, lost| ended(lost));
        }
        Op::Abort => answer(stage, who, "abort", handle.send(Abort), |_, lost| ended(lost)),
        Op::HalfClose => {
            answer(stage, who, "half-close", handle.send(HalfClose), |_, done| told(done.map(|()| "done")))
        }
        Op::Pause => handle.do_send(PauseReading),
        Op::Resume => handle.do_send(ResumeReading),
        Op::Info => answer(stage, who, "info", handle.send(GetInfo), |_, info| {
            told(info.map(|info| format!("{} in {} out {}", info.phase, info.bytes_in, info.bytes_out)))
        }),
        Op::Evict { abort } => {
            let evict = if abort { Evict::abort(handle.id()) } else { Evict::close(handle.id()) };
            answer(stage, who, "evict", stage.supervisor.send(evict), |_, found| {
                Some(What::Answered(format!("evicted: {found:?}")))
            });
        }
        Op::Special(_) | Op::DropHandle => {}
    }
}

fn write<P: Acts>(stage: &Rc<Stage>, handle: &Handle<P>, who: usize, len: usize) {
    let (n, bytes) = stage.script.bytes_for(who, len);
    answer(stage, who, "write", handle.send(Write(bytes)), move |stage, written| {
        let fate = match &written {
            Ok(Ok(())) => Fate::Accepted,
            Ok(Err(WriteError::Lost(_))) | Err(_) => Fate::Lost,
            Ok(Err(_)) => Fate::Refused,
        };
        stage.script.sent(who, n, fate);
        told(written.map(|written| written.map_or_else(|error| error.to_string(), |()| "written".into())))
    });
}

/// Waits for an answer beside everything else.
fn answer<T: 'static>(
    stage: &Rc<Stage>,
    who: usize,
    what: &'static str,
    asked: impl Future<Output = T> + 'static,
    then: impl FnOnce(&Stage, T) -> Option<What> + 'static,
) {
    let own = stage.clone();
    stage.spawn(async move {
        if let Some(answer) = own.within(&format!("{what} of s{who}"), asked).await
            && let Some(what) = then(&own, answer)
        {
            own.script.tell(who, By::Answer, what);
        }
    });
}

/// An end of a connection that was told is `Lost`; one without would be an answer that was dropped.
fn told(answer: Result<impl ToString, Ended>) -> Option<What> {
    Some(match answer {
        Ok(words) => What::Answered(words.to_string()),
        Err(Ended { lost: Some(lost), .. }) => What::Lost(lost),
        Err(_) => What::Answered("DROPPED".into()),
    })
}

fn ended(answer: Result<Lost, Ended>) -> Option<What> {
    match answer {
        Ok(lost) => Some(What::Lost(Box::new(lost))),
        Err(error) => told(Err::<String, _>(error)),
    }
}

/// What an application does with one protocol and not with another.
pub trait Acts: Protocol {
    fn special(stage: &Rc<Stage>, handle: &Handle<Self>, who: usize, die: u64);
}

impl Acts for Events {
    fn special(stage: &Rc<Stage>, handle: &Handle<Self>, who: usize, die: u64) {
        let owner = die as usize % stage.owners.len();
        let asked = handle.send(HandOver(stage.owners[owner].clone()));
        answer(stage, who, "hand over", asked, move |stage, done| {
            if done.is_ok() {
                stage.script.look().parts[who].owner = Some(owner);
            }
            told(done.map(|()| format!("owned by {owner}")))
        });
    }
}

impl Acts for Lines {
    fn special(stage: &Rc<Stage>, handle: &Handle<Self>, who: usize, die: u64) {
        let n = stage.script.look().parts[who].sent.len();
        let line = format!("{n} of s{who} {}", "x".repeat(die as usize % 3_000));
        stage.script.look().parts[who].sent.push((format!("{line}\n").into(), Fate::Unknown));
        let call: Call<_, String> = Call::new(line.clone());
        let call = if die.is_multiple_of(3) { call.within(Duration::from_millis(1 + die % 1_777)) } else { call };
        answer(stage, who, "call", handle.send(call), move |stage, reply| {
            let fate = match &reply {
                Ok(Ok(reply)) => {
                    stage.script.look().parts[who].calls.push((line.clone(), reply.clone()));
                    Fate::Accepted
                }
                Ok(Err(CallError::Lost { written: true, .. })) => Fate::Accepted,
                Ok(Err(CallError::TimedOut(_))) => Fate::Unknown,
                Ok(Err(CallError::Lost { .. })) | Err(_) => Fate::Lost,
                Ok(Err(_)) => Fate::Refused,
            };
            stage.script.sent(who, n, fate);
            told(
                reply.map(|reply| {
                    reply.map_or_else(|error| error.to_string(), |reply| format!("{} bytes", reply.len()))
                }),
            )
        });
    }
}

impl Acts for Chaos {
    fn special(stage: &Rc<Stage>, handle: &Handle<Self>, who: usize, die: u64) {
        answer(stage, who, "chaos", handle.send(Wreak(die.is_multiple_of(4))), |_, done| told(done.map(|()| "done")));
    }
}

/// Panics in a handler, or does not.
#[derive(Message)]
#[rtype(result = "()")]
struct Wreak(bool);

impl actix::Handler<Wreak> for Connection<Chaos> {
    type Result = ();
    fn handle(&mut self, Wreak(panics): Wreak, _: &mut Self::Context) {
        assert!(!panics, "{}", crate::cast::PLANNED);
    }
}
