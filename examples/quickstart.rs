//! The whole of it in one process: an echo server, clients, calls, a stop, and the ledger of how every connection ended.
//!
//! ```text
//! cargo run --release --example quickstart -- [--connections N] [--calls M] [--json]
//! ```

mod common;

use std::{error::Error, process::ExitCode, time::Instant};

use actix::Addr;
use common::{
    command::{self, Early},
    echo::{self, Echo},
    report,
};
use exeunt::{Call, Connect, Handle, Lines, Run, Stop, Supervisor};
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use indicatif::{ProgressBar, ProgressStyle};

const USAGE: &str = "\
usage: quickstart [--connections N] [--calls M] [--json]

Starts a TLS echo server with a certificate made for the occasion, connects to it,
makes calls on all connections at once, stops, and prints the ledger.

  --connections N  how many connections (default 100)
  --calls M        how many calls on each, one after the other (default 10)
  --json           print the ledger as one JSON object
";

/// Dials at a time. Chosen arbitrarily.
const AT_A_TIME: usize = 64;

#[derive(Clone, Copy)]
struct Options {
    connections: usize,
    calls: u64,
    json: bool,
}

impl Options {
    fn from_arguments() -> Result<Self, Early> {
        use lexopt::prelude::*;
        let mut options = Options { connections: 100, calls: 10, json: false };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                // A process has 28232 ephemeral ports to one target (man 7 ip).
                Long("connections") => options.connections = command::number(&mut parser, "--connections", 1..=28_000)?,
                Long("calls") => options.calls = command::number(&mut parser, "--calls", 0..=1_000_000_000)?,
                Long("json") => options.json = true,
                Short('h') | Long("help") => return Err(Early::Help(USAGE)),
                _ => return Err(argument.unexpected().into()),
            }
        }
        // Both ends of a connection are in this process.
        let needed = 2 * options.connections + command::OTHER_DESCRIPTORS;
        command::check_descriptors(&format!("--connections {}", options.connections), needed)?;
        Ok(options)
    }
}

fn main() -> ExitCode {
    command::finish(quickstart())
}

fn quickstart() -> Result<ExitCode, Early> {
    let options = Options::from_arguments()?;
    command::log("warn");
    let run = Run::new(Supervisor::new()).ledger(move |ledger| report::ledger(ledger, options.json));
    Ok(run.run(|supervisor| show(supervisor, options)))
}

async fn show(supervisor: Addr<Supervisor>, options: Options) -> Result<(), Box<dyn Error>> {
    let Options { connections, calls, json } = options;
    let say = |line: String| {
        if !json {
            report::told(report::line(line))
        }
    };
    // On a terminal only: indicatif looks.
    let bar = ProgressBar::new(connections as u64 * (1 + calls));
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    bar.set_message("handshakes and calls");

    let (target, tls) = echo::embedded(&supervisor, |_| Echo::default()).await?;
    let began = Instant::now();
    let open: Vec<Handle<Lines>> = stream::iter(0..connections)
        .map(|_| supervisor.send(Connect::to(&target, Lines::default()).tls(&tls)))
        .buffer_unordered(AT_A_TIME)
        .map(|answer| answer?.map_err(Box::<dyn Error>::from))
        .inspect(|_| bar.inc(1))
        .try_collect()
        .await?;
    let opened = format!("{connections} connections to {target} opened in {} ms", began.elapsed().as_millis());

    let began = Instant::now();
    try_join_all(open.iter().map(|connection| call(connection, calls, &bar))).await?;
    let took = began.elapsed();
    bar.finish_and_clear();
    say(opened);
    let all = connections as u64 * calls;
    let rate = all as f64 / took.as_secs_f64().max(1e-6);
    say(format!("{all} calls answered in {} ms, {rate:.0} a second", took.as_millis()));

    // While the connections are still held, so that the ledger has a row for both ends of each. `Run` joins this stop, and gets the same ledger.
    supervisor.send(Stop::new()).await?;
    drop(open);
    Ok(())
}

/// Makes `calls` calls, each when the one before is answered.
async fn call(connection: &Handle<Lines>, calls: u64, bar: &ProgressBar) -> Result<(), Box<dyn Error>> {
    for n in 0..calls {
        let asked = format!("call {n} on connection {}", connection.id());
        let answer = connection.send(Call::new(asked.clone())).await??;
        if answer != asked {
            return Err(format!("the echo of {asked:?} was {answer:?}").into());
        }
        bar.inc(1);
    }
    Ok(())
}
