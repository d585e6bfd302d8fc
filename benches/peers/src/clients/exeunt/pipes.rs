//! As many connections in one process as no limit of descriptors would allow: both ends of pipes in memory, TLS on them, a call on each, and a stop.

use actix::Actor;
use exeunt::{Adopt, Call, Lines, Socket, Stop, StopPlan, Supervisor, Verdict};
use serde::Serialize;

use super::peer::Peer;
use crate::{
    Result,
    measure::{Stretch, memory, tell},
    setup::Setup,
};

#[derive(Serialize)]
struct Figures {
    rows: usize,
    clean: bool,
    close_notify_both_ways: usize,
    admitted_and_used_s: f64,
    stopped_s: f64,
    stop_cpu_us_each: f64,
    resident_mb: f64,
    peak_mb: f64,
}

/// Handshakes at a time, and sessions that are kept, so that all but the first resume one.
const AT_A_TIME: usize = 64;

/// What a pipe holds at most.
const PIPE: usize = 16 * 1024;

pub async fn pipes(setup: &Setup) -> Result<()> {
    let peer = Peer::new(AT_A_TIME)?;
    let supervisor = Supervisor::new().start();

    let begin = Stretch::begin();
    let mut handles = Vec::with_capacity(setup.connections);
    while handles.len() < setup.connections {
        let some = AT_A_TIME.min(setup.connections - handles.len());
        let opened = (0..some).map(|_| {
            let adopt = Adopt::client(Socket::boxed(peer.socket(PIPE)), "localhost", &peer.tls, Lines::default());
            let supervisor = supervisor.clone();
            async move {
                let handle = supervisor.send(adopt).await??;
                handle.send(Call::new("ping")).await??;
                Result::Ok(handle)
            }
        });
        handles.extend(futures_util::future::try_join_all(opened).await?);
    }
    let used = begin.end();
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    let resident_mb = memory("VmRSS:")? / 1024.0;

    let stop = Stretch::begin();
    let ledger = supervisor.send(Stop::by(StopPlan::new().linger(std::time::Duration::from_secs(60)))).await?;
    let stopped = stop.end();
    let both = |row: &&exeunt::Row| row.lost.proof.close_notify_sent && row.lost.proof.close_notify_received;
    tell(&Figures {
        rows: ledger.rows.len(),
        clean: ledger.verdict() == Verdict::Clean,
        close_notify_both_ways: ledger.rows.iter().filter(both).count(),
        admitted_and_used_s: used.wall_us / 1e6,
        stopped_s: stopped.wall_us / 1e6,
        stop_cpu_us_each: stopped.cpu_us / setup.connections as f64,
        resident_mb,
        peak_mb: memory("VmHWM:")? / 1024.0,
    })
}
