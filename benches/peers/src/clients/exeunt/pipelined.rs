//! Calls on one connection, so many of them outstanding at a time: what they write in one poll goes together.

use std::rc::Rc;

use exeunt::{Call, Lines};
use serde::Serialize;

use super::Stage;
use crate::{
    Result,
    measure::{Stretch, tell},
    setup::Setup,
};

#[derive(Serialize)]
struct Figures {
    cpu_us: f64,
    wall_us: f64,
}

pub async fn pipelined(setup: &Setup) -> Result<()> {
    let stage = Stage::new(setup)?;
    let connection = Rc::new(stage.supervisor.send(stage.connect(Lines::default())?).await??);
    let part = (setup.requests / setup.busy).max(1);
    let round = async |part: usize| -> Result<()> {
        let callers: Vec<_> = (0..setup.busy)
            .map(|_| {
                let connection = connection.clone();
                tokio::task::spawn_local(async move {
                    let line = "x".repeat(99);
                    for _ in 0..part {
                        let reply = connection.send(Call::new(line.clone())).await;
                        reply.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
                    }
                    std::result::Result::<(), String>::Ok(())
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        Ok(())
    };
    round((part / 10).max(1)).await?;
    let stretch = Stretch::begin();
    round(part).await?;
    let spent = stretch.end();
    let calls = (part * setup.busy) as f64;
    tell(&Figures { cpu_us: spent.cpu_us / calls, wall_us: spent.wall_us / calls })?;
    drop(connection);
    stage.stop().await
}
