//! A protocol of your own, with messages of its own: a client and a server of a small key-value store, in one process.
//!
//! On the wire: `set KEY VALUE` is answered by `ok`, `get KEY` by `ok VALUE` or `none`, each a line.

mod common;

use std::{
    collections::{HashMap, VecDeque},
    error::Error,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
};

use actix::{Addr, Context, Handler, Message};
use bytes::BytesMut;
use common::command::say;
use exeunt::{Connect, Connection, Io, Lost, Parked, Protocol, ProtocolError, Reply, Supervisor};
use tokio::time::Instant;

// The client: a protocol, and two messages.

/// Asks questions, and is answered in the same order.
#[derive(Default)]
struct Client {
    asked: VecDeque<Reply<Answer>>,
    draining: bool,
}

/// What the server said, or why it did not.
type Answer = Result<Option<String>, String>;

impl Client {
    /// Writes a line; the answer comes later.
    fn ask(&mut self, io: &mut Io<'_, Self>, line: String) -> Parked<Answer> {
        if self.draining || !io.write(line.as_bytes()) {
            return Parked::now(Err("the connection is closing".into()));
        }
        let (reply, parked) = Reply::later();
        self.asked.push_back(reply);
        parked
    }
}

impl Protocol for Client {
    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        while let Some(line) = take_line(data)? {
            let answer = match line.split_once(' ') {
                _ if line == "ok" || line == "none" => Ok(None),
                Some(("ok", value)) => Ok(Some(value.to_owned())),
                _ => Err(format!("the server said {line:?}")),
            };
            let asked = self.asked.pop_front().ok_or_else(|| ProtocolError::new("an answer that nobody asked for"))?;
            asked.send(answer);
        }
        if self.draining && self.asked.is_empty() {
            io.close();
        }
        Ok(())
    }

    /// A stop has begun: what was asked is still answered.
    fn drain(&mut self, io: &mut Io<'_, Self>, _: Instant) {
        self.draining = true;
        if self.asked.is_empty() {
            io.close();
        }
    }

    fn lost(&mut self, lost: &Lost) {
        self.asked.drain(..).for_each(|asked| asked.send(Err(lost.to_string())));
    }
}

/// What is the value of this key?
#[derive(Message)]
#[rtype(result = "Answer")]
struct Get(&'static str);

impl Handler<Get> for Connection<Client> {
    type Result = Parked<Answer>;

    fn handle(&mut self, Get(key): Get, context: &mut Context<Self>) -> Self::Result {
        let (client, mut io) = self.parts(context);
        client.ask(&mut io, format!("get {key}\n"))
    }
}

/// Let this be the value of this key.
#[derive(Message)]
#[rtype(result = "Answer")]
struct Set(&'static str, &'static str);

impl Handler<Set> for Connection<Client> {
    type Result = Parked<Answer>;

    fn handle(&mut self, Set(key, value): Set, context: &mut Context<Self>) -> Self::Result {
        let (client, mut io) = self.parts(context);
        client.ask(&mut io, format!("set {key} {value}\n"))
    }
}

// The server: a protocol alone. Each connection has one, and they share the values.

#[derive(Clone, Default)]
struct Store(Arc<Mutex<HashMap<String, String>>>);

impl Protocol for Store {
    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        let mut values = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(line) = take_line(data)? {
            let words: Vec<&str> = line.splitn(3, ' ').collect();
            let answer = match words[..] {
                ["set", key, value] => {
                    values.insert(key.to_owned(), value.to_owned());
                    "ok\n".to_owned()
                }
                ["get", key] => values.get(key).map_or_else(|| "none\n".to_owned(), |value| format!("ok {value}\n")),
                // Ends the connection, with these words as its reason.
                _ => return Err(ProtocolError::new(format!("the client said {line:?}"))),
            };
            io.write(answer.as_bytes());
        }
        Ok(())
    }

    // Back-pressure: answers that nobody reads are not piled up.
    fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {
        io.hold_reading(on);
    }
}

/// Takes the first line, without its end. What is left, a part of a line perhaps, is shown again with what comes next.
fn take_line(data: &mut BytesMut) -> Result<Option<String>, ProtocolError> {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let line = data.split_to(end + 1).split_to(end);
    String::from_utf8(line.to_vec()).map(Some).map_err(|error| ProtocolError::new(error.to_string()))
}

fn main() -> ExitCode {
    common::command::log("warn");
    exeunt::run(Supervisor::new(), run)
}

async fn run(supervisor: Addr<Supervisor>) -> Result<(), Box<dyn Error>> {
    let store = Store::default();
    let (target, tls) = common::echo::embedded(&supervisor, move |_| store.clone()).await?;

    let one = supervisor.send(Connect::to(&target, Client::default()).tls(&tls)).await??;
    let another = supervisor.send(Connect::to(&target, Client::default()).tls(&tls)).await??;
    say(format_args!("before: {:?}", one.send(Get("play")).await??));
    one.send(Set("play", "The Winter's Tale")).await??;
    // Asked before the first is answered: they go out together, and are answered in turn.
    let (play, direction) = tokio::join!(another.send(Get("play")), another.send(Get("direction")));
    say(format_args!("after:  {:?} and {:?}", play??, direction??));

    // A protocol error: the server ends the connection, and whoever asked is told that there is no answer.
    say(format_args!("a bad question: {:?}", another.send(Get("play with many words")).await?));
    Ok(())
}
