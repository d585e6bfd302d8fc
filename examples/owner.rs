//! An actor that owns its connections: what happens to them comes as messages, and reading pauses while it is busy.
//!
//! The scene: two connections to an echo server. The owner sends a piece of work on each, takes its time over what comes back, and, when the stop begins, says goodbye, waits for the echo of that, and
//! closes.

mod common;

use std::{collections::HashMap, error::Error, process::ExitCode, time::Duration};

use actix::{Actor, Addr, Context, Handler, ResponseActFuture, WrapFuture, fut::ActorFutureExt};
use common::{
    command::say,
    echo::{self, Echo},
};
use exeunt::{
    Close, Connect, Connected, ConnectionId, Data, Draining, Eof, Events, Handle, Lost, Owner, Role, Roll, Supervisor,
    Write,
};
use tokio::sync::oneshot;

const CONNECTIONS: usize = 2;

/// How much is sent on each connection, and so how much comes back.
const WORK: usize = 100_000;

/// How long the owner takes over each piece of data.
const THOUGHT: Duration = Duration::from_millis(20);

const GOODBYE: &[u8] = b"goodbye";

/// The owner.
struct Reader {
    reading: HashMap<ConnectionId, Reading>,
    /// Told when all the work has come back.
    done: Option<oneshot::Sender<()>>,
}

/// A connection of the owner's.
struct Reading {
    connection: Handle<Events>,
    received: usize,
    pieces: usize,
    /// While a piece is being thought over.
    busy: bool,
}

impl Actor for Reader {
    type Context = Context<Self>;
}

impl Handler<Connected> for Reader {
    type Result = ();

    fn handle(&mut self, connected: Connected, _: &mut Self::Context) {
        let Connected { id, peer, connection } = connected;
        say(format_args!("{id}: connected to {peer}"));
        // Not awaited: it is the only write, so nothing has to be slowed down.
        connection.do_send(Write::new(vec![b'.'; WORK]));
        self.reading.insert(id, Reading { connection, received: 0, pieces: 0, busy: false });
    }
}

impl Handler<Data> for Reader {
    type Result = ResponseActFuture<Self, ()>;

    /// Until the future is done, nothing more is read from this connection's socket; the owner itself goes on with its other messages.
    fn handle(&mut self, Data { id, bytes }: Data, _: &mut Self::Context) -> Self::Result {
        if let Some(reading) = self.reading.get_mut(&id) {
            if reading.busy {
                say(format_args!("{id}: this is never printed: one piece at a time"));
            }
            reading.busy = true;
        }
        let thought = tokio::time::sleep(THOUGHT).into_actor(self);
        Box::pin(thought.map(move |(), reader, _| reader.digested(id, bytes.len())))
    }
}

impl Reader {
    fn digested(&mut self, id: ConnectionId, bytes: usize) {
        let Some(reading) = self.reading.get_mut(&id) else { return };
        reading.busy = false;
        reading.pieces += 1;
        reading.received += bytes;
        if reading.received == WORK {
            say(format_args!("{id}: {WORK} bytes in {} pieces, one at a time", reading.pieces));
        }
        if reading.received == WORK + GOODBYE.len() {
            // All that we wanted. From here on no data comes, and the next message is the `Lost`.
            reading.connection.do_send(Close::new());
        }
        let all = self.reading.len() == CONNECTIONS && self.reading.values().all(|reading| reading.received >= WORK);
        if let Some(done) = self.done.take_if(|_| all) {
            let _ = done.send(());
        }
    }
}

impl Handler<Draining> for Reader {
    type Result = ();

    /// The stop waits for us, until `until`: there is time for a word and its echo.
    fn handle(&mut self, Draining { id, until }: Draining, _: &mut Self::Context) {
        let left = until.saturating_duration_since(tokio::time::Instant::now());
        say(format_args!("{id}: draining; there are {:.0} s to finish", left.as_secs_f64()));
        if let Some(reading) = self.reading.get(&id) {
            reading.connection.do_send(Write::new(GOODBYE));
        }
    }
}

impl Handler<Eof> for Reader {
    type Result = ();

    /// When this returns, the connection closes by itself.
    fn handle(&mut self, Eof { id, clean }: Eof, _: &mut Self::Context) {
        say(format_args!("{id}: the peer will send no more{}", if clean { "" } else { ", and did not say so" }));
    }
}

impl Handler<Lost> for Reader {
    type Result = ();

    fn handle(&mut self, lost: Lost, _: &mut Self::Context) {
        say(format_args!("{}: {}", lost.id, lost.reason));
        self.reading.remove(&lost.id);
    }
}

fn main() -> ExitCode {
    common::command::log("warn");
    exeunt::run(Supervisor::new(), scene)
}

async fn scene(supervisor: Addr<Supervisor>) -> Result<(), Box<dyn Error>> {
    let (target, tls) = echo::embedded(&supervisor, |_| Echo::default()).await?;
    let (done, all_came) = oneshot::channel();
    let owner = Owner::new(Reader { reading: HashMap::new(), done: Some(done) }.start());
    for _ in 0..CONNECTIONS {
        // The answer is a handle. The owner gets one too, in `Connected`, so this one is not kept.
        supervisor.send(Connect::to(&target, Events::new(&owner)).tls(&tls)).await??;
    }
    tokio::time::sleep(THOUGHT / 2).await;
    for entry in supervisor.send(Roll).await?.iter().filter(|entry| entry.role == Role::Client) {
        say(format_args!("{}: {}, waits for {}", entry.id, entry.phase, entry.waiting_for));
    }
    all_came.await?;
    Ok(())
}
