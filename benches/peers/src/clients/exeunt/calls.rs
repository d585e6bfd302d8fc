//! `Call` messages to connections that speak lines.

use exeunt::{Call, Handle, Lines};

use super::{
    super::{Client, Lane},
    Stage,
};
use crate::{Result, setup::Setup};

#[derive(Clone)]
pub struct Calls(Stage);

impl Calls {
    pub fn on(stage: Stage) -> Self {
        Calls(stage)
    }
}

pub struct Caller {
    connection: Handle<Lines>,
    line: String,
}

impl Client for Calls {
    type Lane = Caller;

    fn new(setup: &Setup) -> Result<Self> {
        Stage::new(setup).map(Calls)
    }

    async fn lane(&self) -> Result<Caller> {
        let connection = self.0.supervisor.send(self.0.connect(Lines::default())?).await??;
        Ok(Caller { connection, line: "x".repeat(99) })
    }

    async fn once(&self) -> Result<()> {
        let mut lane = self.lane().await?;
        lane.ask().await?;
        let lost = lane.connection.close().await;
        match lost.proof.close_notify_received {
            true => Ok(()),
            false => Err(lost.to_string().into()),
        }
    }

    async fn end(self, lanes: Vec<Caller>) -> Result<()> {
        self.0.stop().await?;
        drop(lanes);
        Ok(())
    }
}

impl Lane for Caller {
    async fn ask(&mut self) -> Result<()> {
        let reply = self.connection.send(Call::new(self.line.clone())).await??;
        super::super::bodies::is_whole(reply.len() as u64 + 1, 100)
    }
}
