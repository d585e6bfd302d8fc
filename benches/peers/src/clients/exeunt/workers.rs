//! Callers on the workers' own threads: each connection's caller is a task that its protocol spawns when it is open, which is on the thread that the supervisor chose for it.

use actix::{Actor, Context, Handler, Message};
use bytes::BytesMut;
use exeunt::{Connection, Handle, Io, Parked, Protocol, ProtocolError, Reply, Supervisor};
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::Stage;
use crate::{
    Result,
    measure::{Stretch, tell},
    setup::Setup,
};

/// When callers call, and to whom they say that they have.
#[derive(Clone)]
struct Bell {
    rung: watch::Receiver<usize>,
    done: mpsc::UnboundedSender<std::thread::ThreadId>,
}

struct Echoed {
    bell: Bell,
    awaited: usize,
    asked: Option<Reply<()>>,
}

impl Protocol for Echoed {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        actix::spawn(call(io.handle(), self.bell.clone()));
    }

    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> std::result::Result<(), ProtocolError> {
        self.awaited = self.awaited.saturating_sub(data.len());
        data.clear();
        if self.awaited == 0
            && let Some(asked) = self.asked.take()
        {
            asked.send(());
        }
        Ok(())
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ask;

const LINE: &[u8; 100] =
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n";

impl Handler<Ask> for Connection<Echoed> {
    type Result = Parked<()>;

    fn handle(&mut self, _: Ask, context: &mut Context<Self>) -> Parked<()> {
        let (echoed, mut io) = self.parts(context);
        io.write(LINE);
        let (reply, parked) = Reply::later();
        (echoed.awaited, echoed.asked) = (LINE.len(), Some(reply));
        parked
    }
}

/// Calls so often each time that the bell is rung.
async fn call(connection: Handle<Echoed>, mut bell: Bell) {
    while bell.rung.changed().await.is_ok() {
        let times = *bell.rung.borrow_and_update();
        for _ in 0..times {
            if connection.send(Ask).await.is_err() {
                return;
            }
        }
        let _ = bell.done.send(std::thread::current().id());
    }
}

#[derive(Serialize)]
struct Figures {
    cpu_us: f64,
    wall_us: f64,
    threads: usize,
}

pub async fn workers(setup: &Setup) -> Result<()> {
    let supervisor = Supervisor::new().workers(setup.workers).start();
    let stage = Stage::under(supervisor, setup)?;
    let (ring, rung) = watch::channel(0);
    let (done, mut all) = mpsc::unbounded_channel();
    let bell = Bell { rung, done };
    let mut handles = Vec::new();
    for _ in 0..setup.connections {
        let protocol = Echoed { bell: bell.clone(), awaited: 0, asked: None };
        handles.push(stage.supervisor.send(stage.connect(protocol)?).await??);
    }
    let part = (setup.requests / setup.connections).max(1);
    let mut threads = std::collections::HashSet::new();
    let mut round = async |times| -> Result<()> {
        ring.send(times)?;
        for _ in 0..setup.connections {
            threads.insert(all.recv().await.ok_or("the callers have gone")?);
        }
        Ok(())
    };
    round((part / 10).max(1)).await?;
    let stretch = Stretch::begin();
    round(part).await?;
    let spent = stretch.end();
    let requests = (part * setup.connections) as f64;
    tell(&Figures { cpu_us: spent.cpu_us / requests, wall_us: spent.wall_us / requests, threads: threads.len() })?;
    drop((ring, handles));
    stage.stop().await
}
