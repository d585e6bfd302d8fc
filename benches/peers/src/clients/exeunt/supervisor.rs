//! What the supervisor costs: children that are admitted and end at once, beside so many that live.

use actix::Actor;
use bytes::BytesMut;
use exeunt::{Adopt, Io, Protocol, ProtocolError, Role, Socket, Stop, Supervisor};
use serde::Serialize;

use super::nothing::Nothing;
use crate::{
    Result,
    measure::{Stretch, median, tell},
    setup::Setup,
};

/// Lives, or ends as soon as it is there.
struct Child {
    lives: bool,
}

impl Protocol for Child {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        if !self.lives {
            io.abort();
        }
    }

    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> std::result::Result<(), ProtocolError> {
        data.clear();
        Ok(())
    }
}

fn adopt(lives: bool) -> Adopt<Child> {
    Adopt::plain(Socket::boxed(Nothing), "nobody", Role::Client, Child { lives })
}

#[derive(Serialize)]
struct Figures {
    /// A child's whole life: message, admission, actor, end, `Lost`, and the supervisor's hearing of it.
    cpu_ns: f64,
    rows: usize,
}

/// Children that are admitted at a time: what waits in the mailbox should not be what is measured.
const BATCH: usize = 64;

pub async fn supervisor(setup: &Setup) -> Result<()> {
    let supervisor = Supervisor::new();
    let books = supervisor.books();
    let supervisor = supervisor.start();
    let mut living = Vec::new();
    for _ in 0..setup.connections {
        living.push(supervisor.send(adopt(true)).await??);
    }
    let mut samples = Vec::new();
    // The first tenth warms up.
    for round in 0..setup.requests / BATCH {
        let stretch = Stretch::begin();
        for _ in 0..BATCH {
            supervisor.do_send(adopt(false));
        }
        loop {
            // The first turn lets the supervisor admit, so none is outstanding only when all have ended.
            tokio::task::yield_now().await;
            if books.outstanding() == living.len() {
                break;
            }
        }
        if round >= setup.requests / BATCH / 10 {
            samples.push(stretch.end().cpu_us * 1e3 / BATCH as f64);
        }
    }
    let ledger = supervisor.send(Stop::now()).await?;
    tell(&Figures { cpu_ns: median(&mut samples), rows: ledger.rows.len() })?;
    match ledger.totals.lost as usize == living.len() + setup.requests / BATCH * BATCH {
        true => Ok(()),
        false => Err(format!("{} were lost", ledger.totals.lost).into()),
    }
}
