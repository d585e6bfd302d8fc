//! A TLS client: sends lines, prints what comes back, closes, and tells how every connection ended.
//!
//! One actor owns all connections and is told of them by messages: [`Connected`], [`Data`], [`Eof`], [`Draining`], [`Lost`].

mod common;

use std::{
    collections::{HashMap, HashSet},
    error::Error,
    io::{self, Read},
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

use actix::prelude::*;
use bytes::Bytes;
use common::{
    command::{self, Early},
    report,
};
use exeunt::{
    ClientTls, Close, Connect, Connected, ConnectionId, Data, Draining, Eof, Events, Handle, Ledger, Lost, Owner, Run,
    StopPlan, Supervisor, Target,
};
use futures_util::{StreamExt, future::join_all, stream};
use serde::Serialize;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

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

/// Where nothing has come for so long after everything was sent, nothing is expected.
const QUIET: Duration = Duration::from_secs(1);

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
    Ok(run.run(|supervisor| converse(supervisor, options, tls, printer)))
}

/// Connects, sends, and waits until every connection has ended.
async fn converse(
    supervisor: Addr<Supervisor>,
    options: Options,
    tls: ClientTls,
    printer: Rc<Printer>,
) -> Result<(), Box<dyn Error>> {
    let (told, mut telling) = watch::channel(Told::default());
    let talker = Talker { printer, hold: options.hold, talks: HashMap::new(), told }.start();
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

/// What `converse` waits for.
#[derive(Default)]
struct Told {
    lost: u64,
    /// The first connection that did not end as it should.
    unexpected: Option<Lost>,
    /// Standard output is closed or broken.
    output: Option<(io::ErrorKind, String)>,
}

/// The owner of all connections.
struct Talker {
    printer: Rc<Printer>,
    hold: bool,
    talks: HashMap<ConnectionId, Talk>,
    told: watch::Sender<Told>,
}

/// A connection, as its owner sees it.
struct Talk {
    connection: Handle<Events>,
    /// How much, once everything was sent.
    sent: Option<u64>,
    received: u64,
    heard: Instant,
}

impl Talk {
    /// Closes when everything was sent and there is nothing more to expect. It may be said more than once.
    fn close_if_done(&self, now: Instant) {
        if self.sent.is_some_and(|sent| sent == self.received || now - self.heard >= QUIET) {
            self.connection.do_send(Close::new());
        }
    }
}

/// Everything was accepted for sending.
#[derive(Message)]
#[rtype(result = "()")]
struct Sent {
    id: ConnectionId,
    bytes: u64,
}

impl Talker {
    fn printed(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.told.send_modify(|told| told.output = Some((error.kind(), error.to_string())));
        }
    }
}

impl Actor for Talker {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if !self.hold {
            context.run_interval(QUIET / 10, |talker, _| {
                let now = Instant::now();
                talker.talks.values().for_each(|talk| talk.close_if_done(now));
            });
        }
    }
}

impl Handler<Connected> for Talker {
    type Result = ();

    fn handle(&mut self, connected: Connected, _: &mut Self::Context) {
        let printed = self.printer.connected(&connected);
        self.printed(printed);
        let Connected { id, connection, .. } = connected;
        self.talks.insert(id, Talk { connection, sent: None, received: 0, heard: Instant::now() });
    }
}

impl Handler<Data> for Talker {
    type Result = ();

    fn handle(&mut self, data: Data, _: &mut Self::Context) {
        let printed = self.printer.data(&data);
        self.printed(printed);
        if let Some(talk) = self.talks.get_mut(&data.id) {
            talk.received += data.bytes.len() as u64;
            talk.heard = Instant::now();
            if !self.hold {
                talk.close_if_done(talk.heard);
            }
        }
    }
}

impl Handler<Sent> for Talker {
    type Result = ();

    fn handle(&mut self, Sent { id, bytes }: Sent, _: &mut Self::Context) {
        if let Some(talk) = self.talks.get_mut(&id) {
            talk.sent = Some(bytes);
            talk.heard = Instant::now();
            if !self.hold {
                talk.close_if_done(talk.heard);
            }
        }
    }
}

impl Handler<Eof> for Talker {
    type Result = ();

    /// When this returns, the connection closes by itself.
    fn handle(&mut self, eof: Eof, _: &mut Self::Context) {
        let printed = self.printer.eof(eof);
        self.printed(printed);
    }
}

impl Handler<Draining> for Talker {
    type Result = ();

    /// Whoever sends us a signal does not want to wait for an answer: what was accepted is sent, and that is all.
    fn handle(&mut self, draining: Draining, _: &mut Self::Context) {
        if let Some(talk) = self.talks.get(&draining.id) {
            talk.connection.do_send(Close::new());
        }
    }
}

impl Handler<Lost> for Talker {
    type Result = ();

    fn handle(&mut self, lost: Lost, _: &mut Self::Context) {
        self.talks.remove(&lost.id);
        let printed = self.printer.lost(&lost);
        self.printed(printed);
        self.told.send_modify(|told| {
            told.lost += 1;
            if !lost.reason.is_expected() {
                told.unexpected.get_or_insert(lost);
            }
        });
    }
}

/// Prints for people or as JSON. A write to standard output may block, and everything waits with it: like any filter, we are no faster than whoever reads us.
struct Printer {
    json: bool,
    /// Of whom the end was printed.
    ended: std::cell::RefCell<HashSet<ConnectionId>>,
}

impl Printer {
    fn new(json: bool) -> Self {
        Printer { json, ended: Default::default() }
    }

    fn connected(&self, connected: &Connected) -> io::Result<()> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: u64,
            peer: &'a str,
            address: Option<String>,
        }
        let Connected { id, peer, .. } = connected;
        if self.json {
            let address = peer.address.map(|address| address.to_string());
            return report::event("connected", Fields { id: id.get(), peer: &peer.name, address });
        }
        command::note(format_args!("connection {id} ({peer}) is open"));
        Ok(())
    }

    fn data(&self, Data { id, bytes }: &Data) -> io::Result<()> {
        #[derive(Serialize)]
        struct Fields<'a> {
            id: u64,
            bytes: usize,
            text: &'a str,
        }
        if self.json {
            let text = String::from_utf8_lossy(bytes);
            return report::event("data", Fields { id: id.get(), bytes: bytes.len(), text: &text });
        }
        report::bytes(bytes)
    }

    fn eof(&self, Eof { id, clean }: Eof) -> io::Result<()> {
        #[derive(Serialize)]
        struct Fields {
            id: u64,
            clean: bool,
        }
        if self.json {
            return report::event("eof", Fields { id: id.get(), clean });
        }
        let how = if clean { "by close_notify" } else { "without close_notify" };
        command::note(format_args!("connection {id}: the peer will send no more, it said so {how}"));
        Ok(())
    }

    fn lost(&self, lost: &Lost) -> io::Result<()> {
        if !self.ended.borrow_mut().insert(lost.id) {
            return Ok(());
        }
        if self.json {
            return report::event("lost", lost);
        }
        command::note(lost);
        Ok(())
    }

    /// The last that is printed. The ends of a stop are all in it; those which are still in the owner's mailbox are printed first.
    fn ledger(&self, ledger: &Ledger) {
        for row in &ledger.rows {
            report::told(self.lost(&row.lost));
        }
        match self.json {
            true => report::ledger(ledger, true),
            false => command::note(ledger),
        }
    }
}
