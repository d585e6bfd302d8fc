//! A protocol, frames with their length before them, each answered by a frame; and an application that asks.

use std::{collections::VecDeque, time::Duration};

use actix::{Handler, Message};
use bytes::{Buf, Bytes, BytesMut};
use exeunt::{
    Connect, Connection, EndOfStream, Io, Lost, Parked, Protocol, ProtocolError, Reply, Supervisor,
    sim::{Climate, Speech, World, pattern},
};
use tokio::time::Instant;

use crate::{SECOND, plan};

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
pub enum Defect {
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
pub async fn askers(world: World, climate: Climate, defect: Option<Defect>) {
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
