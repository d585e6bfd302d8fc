//! A TLS client: sends lines, prints what comes back, closes, and tells how every connection ended.
//!
//! One actor, [`Talker`], owns all connections and is told of them by messages; this file asks for them and sends.

#[path = "../common/mod.rs"]
mod common;
mod printer;
mod talker;

use std::{
    error::Error,
    io::{self, Read},
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

use actix::{Actor, Addr};
use bytes::Bytes;
use common::command::{self, Early};
use exeunt::{ClientTls, Connect, Events, Handle, Owner, Run, StopPlan, Supervisor, Target};
use futures_util::{StreamExt, future::join_all, stream};
use printer::Printer;
use talker::{Sent, Talker, Told};
use tokio::sync::{mpsc, watch};

const USAGE: &str = "\
usage: talk HOST:PORT [options]

Connects by TLS, sends lines, prints what comes back, closes and tells how it ended.
When everything is sent, a connection closes as soon as as many bytes have come back
(the peer is an echo), or when nothing has come for a second, or when the peer closes.

  --ca FILE        trust the certificates in this PEM file (default: the system's)
  --insecure       accept any certificate: anyone on the way can read and change everything
  --lines N        send N lines of its own (default: the lines of standard input)
  --connections C  so many connections, each sent the same (default 1)
  --hold           keep them open until SIGINT or SIGTERM; sends nothing without --lines
  --linger MS      how long to wait for the peer's close_notify (default 5000)
  --drain MS       how long a stop lets connections finish (default 30000)
  --workers N      threads for the connections (default 0: all on one)
  --json           one JSON object a line on standard output: connected, data, eof, lost,
                   and last the ledger (default: data on standard output, the rest on
                   standard error)

Exit code: 0 clean, 1 connections were killed at the deadline of a stop, 2 bad input,
3 a peer could not be reached or trusted, or a connection did not end as it should.
";

/// Dials at a time, at most. Chosen arbitrarily.
const AT_A_TIME: usize = 64;

struct Options {
    target: Target,
    ca: Option<String>,
    insecure: bool,
    lines: Option<u64>,
    connections: usize,
    at_a_time: usize,
    hold: bool,
    plan: StopPlan,
    workers: usize,
    json: bool,
}

impl Options {
    fn from_arguments() -> Result<Self, Early> {
        use lexopt::prelude::*;
        const DAY: u64 = 24 * 60 * 60 * 1000;
        let (mut target, mut ca, mut insecure, mut lines) = (None, None, false, None);
        let (mut connections, mut hold, mut workers, mut json) = (1, false, 0, false);
        let mut plan = StopPlan::new();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(text) if target.is_none() => target = Some(text.to_string_lossy().parse::<Target>()?),
                Long("ca") => ca = Some(command::text(&mut parser, "--ca")?),
                Long("insecure") => insecure = true,
                Long("lines") => lines = Some(command::number(&mut parser, "--lines", 0..=u64::from(u32::MAX))?),
                Long("connections") => connections = command::number(&mut parser, "--connections", 1..=1_000_000)?,
                Long("hold") => hold = true,
                Long("linger") => {
                    plan = plan.linger(Duration::from_millis(command::number(&mut parser, "--linger", 0..=DAY)?));
                }
                Long("drain") => {
                    plan = plan.drain(Duration::from_millis(command::number(&mut parser, "--drain", 0..=DAY)?));
                }
                Long("workers") => workers = command::number(&mut parser, "--workers", 0..=256)?,
                Long("json") => json = true,
                Short('h') | Long("help") => return Err(Early::Help(USAGE)),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let target = target.ok_or_else(|| Early::wrong("HOST:PORT is missing (--help says more)"))?;
        if insecure && ca.is_some() {
            return Err(Early::wrong("--ca and --insecure exclude each other"));
        }
        // Each worker has a runtime, which has descriptors of its own.
        let needed = connections + command::OTHER_DESCRIPTORS + 4 * workers;
        command::check_descriptors(&format!("--connections {connections}"), needed)?;
        // A dial has more open than its connection will have: the resolver's files, addresses that are raced.
        let spare = command::descriptor_limit().map_or(usize::MAX, |limit| limit.saturating_sub(needed));
        let at_a_time = (spare / 4).clamp(1, AT_A_TIME);
        Ok(Options { target, ca, insecure, lines, connections, at_a_time, hold, plan, workers, json })
    }

    fn tls(&self) -> Result<ClientTls, Early> {
        let builder = ClientTls::builder();
        Ok(match &self.ca {
            Some(file) => builder.trust_file(file).build()?,
            None if self.insecure => builder.dangerously_accept_any_certificate().build()?,
            None => builder.build()?,
        })
    }
}

fn main() -> ExitCode {
    command::finish(talk())
}

fn talk() -> Result<ExitCode, Early> {
    let options = Options::from_arguments()?;
    let tls = options.tls()?;
    // Every end is printed anyway.
    command::log("off");
    let supervisor = Supervisor::new().workers(options.workers).stop_plan(options.plan);
    let printer = Rc::new(Printer::new(options.json));
    let last = printer.clone();
    let run = Run::new(supervisor).ledger(move |ledger| last.ledger(ledger));
    let (told, telling) = watch::channel(Told::default());
    let at_last = telling.clone();
    let talker = Talker::new(printer, options.hold, told);
    let code = run.run(|supervisor| converse(supervisor, options, tls, talker, telling));
    Ok(command::or_failed(code, at_last.borrow().unexpected.is_some()))
}

/// Connects, sends, and waits until every connection has ended.
async fn converse(
    supervisor: Addr<Supervisor>,
    options: Options,
    tls: ClientTls,
    talker: Talker,
    mut telling: watch::Receiver<Told>,
) -> Result<(), Box<dyn Error>> {
    let talker = talker.start();
    let owner = Owner::new(talker.clone());
    let target = options.target.to_string();
    let connect = || Connect::to(&target, Events::new(&owner)).tls(&tls).linger(options.plan.linger);
    let mut answers =
        stream::iter(0..options.connections).map(|_| supervisor.send(connect())).buffer_unordered(options.at_a_time);
    let mut listeners = Vec::new();
    while let Some(answer) = answers.next().await {
        // The first that fails ends it: the others close gracefully in the stop.
        let connection = answer??;
        match options.lines {
            Some(lines) => drop(actix::spawn(send_lines(connection, lines, talker.clone()))),
            // The owner has a handle to it.
            None if options.hold => {}
            None => listeners.push(connection),
        }
    }
    let all = options.connections as u64;
    let over = telling.wait_for(|told| told.lost == all || told.output.is_some());
    let over = if options.lines.is_some() || options.hold {
        over.await
    } else {
        let mut over = std::pin::pin!(over);
        tokio::select! {
            fed = feed(listeners, talker) => { fed?; over.await }
            told = &mut over => told,
        }
    };
    match &*over? {
        Told { output: Some((io::ErrorKind::BrokenPipe, _)), .. } => Ok(()),
        Told { output: Some((_, words)), .. } => Err(format!("standard output: {words}").into()),
        Told { unexpected: Some(lost), .. } => Err(lost.to_string().into()),
        _ => Ok(()),
    }
}

/// A write is about so long: what fits a TLS record.
const PIECE: usize = 16 * 1024;

/// Sends so many lines. Awaiting each write lets a slow peer slow us.
async fn send_lines(connection: Handle<Events>, lines: u64, talker: Addr<Talker>) {
    let (mut bytes, mut piece) = (0, String::new());
    for n in 1..=lines {
        piece.push_str(&format!("line {n} of {lines}\n"));
        if n == lines || piece.len() >= PIECE {
            bytes += piece.len() as u64;
            // How a connection ended is told by its `Lost`.
            if connection.write(std::mem::take(&mut piece)).await.is_err() {
                return;
            }
        }
    }
    talker.do_send(Sent { id: connection.id(), bytes });
}

/// Sends standard input to each connection, as fast as the slowest takes it.
async fn feed(connections: Vec<Handle<Events>>, talker: Addr<Talker>) -> Result<(), Box<dyn Error>> {
    let mut input = read_input()?;
    let (mut bytes, mut last) = (0, b'\n');
    while let Some(piece) = input.recv().await {
        let piece = piece.map_err(|error| format!("standard input: {error}"))?;
        bytes += piece.len() as u64;
        last = piece.last().copied().unwrap_or(last);
        let written = join_all(connections.iter().map(|connection| connection.write(piece.clone()))).await;
        if written.iter().all(Result::is_err) {
            return Ok(());
        }
    }
    // A last line without its end is ended: peers that read lines wait for it.
    if last != b'\n' {
        bytes += 1;
        join_all(connections.iter().map(|connection| connection.write("\n"))).await;
    }
    for connection in connections {
        talker.do_send(Sent { id: connection.id(), bytes });
    }
    Ok(())
}

/// Standard input, piece by piece. A thread of its own reads it, and is left behind: nothing can interrupt it while it waits for a terminal.
fn read_input() -> io::Result<mpsc::Receiver<io::Result<Bytes>>> {
    let mut stdin = io::stdin();
    if io::IsTerminal::is_terminal(&stdin) {
        command::note("sending what you type, line by line; Ctrl-D ends it");
    }
    let (sender, receiver) = mpsc::channel(1);
    std::thread::Builder::new().name("stdin".into()).spawn(move || {
        let mut buffer = vec![0; PIECE];
        loop {
            let piece = match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(n) => Ok(Bytes::copy_from_slice(&buffer[..n])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = piece.is_err();
            if sender.blocking_send(piece).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(receiver)
}
