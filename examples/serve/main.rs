//! An HTTPS server: files, and paths to try a client with. It drains on SIGTERM, and tells how every request and every connection ended.

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod counting;
mod files;

use std::{
    cell::Cell,
    error::Error,
    net::{SocketAddr, ToSocketAddrs},
    path::PathBuf,
    process::ExitCode,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::Addr;
use answers::Answers;
use common::{
    command::{self, Early},
    identity, report,
};
use counting::Counts;
use exeunt::{
    Listen, Progress, Run, ServerTls, StopPlan, Subscribe, Subscription, Supervisor,
    http::{self, ServerOptions, Versions},
};
use serde::Serialize;

const USAGE: &str = "\
usage: serve --port P [options]

Serves HTTP/2 and HTTP/1.1 over TLS. SIGTERM or SIGINT: it stops listening, answers the requests that
it has received, closes, and prints the ledger.

  --port P      the port; 0 takes a free one
  --host A      the address, or a name of this machine (default 127.0.0.1)
  --cert FILE   the certificate, its intermediates after it (PEM)
  --key FILE    its private key (PEM); without the two it makes a certificate for localhost,
                127.0.0.1, ::1 and the host, and writes what a client has to trust to
                exeunt-serve-ca.pem
  --plain       without TLS
  --http1       HTTP/1.1 alone
  --root DIR    serve the files in there
  --drain MS    how long a stop lets requests finish (default 30000)
  --linger MS   how long a stop waits for clients to close (default 5000)
  --json        one JSON object a line: listening, request, lost, served and last the ledger

Paths, beside the files:
  /echo         sends the request's body back
  /delay/MS     answers after so many milliseconds
  /bytes/N      N bytes, with their length
  /stream/N     N chunks, without
  /status/CODE  this status, 200 to 599

Exit code: 0 clean, 1 connections were killed at the deadline of a stop, 2 bad input.
";

/// Where a client finds whom to trust.
const CA_FILE: &str = "exeunt-serve-ca.pem";

struct Options {
    port: u16,
    host: String,
    identity: Option<(String, String)>,
    plain: bool,
    versions: Versions,
    root: Option<PathBuf>,
    plan: StopPlan,
    json: bool,
}

impl Options {
    fn from_arguments() -> Result<Self, Early> {
        use lexopt::prelude::*;
        fn milliseconds(parser: &mut lexopt::Parser, option: &str) -> Result<Duration, Early> {
            const DAY: u64 = 24 * 60 * 60 * 1000;
            command::number(parser, option, 0..=DAY).map(Duration::from_millis)
        }
        let (mut port, mut host, mut cert, mut key) = (None, "127.0.0.1".to_owned(), None, None);
        let (mut plain, mut root, mut plan, mut json) = (false, None, StopPlan::new(), false);
        let mut versions = Versions::Auto;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("drain") => plan = plan.drain(milliseconds(&mut parser, "--drain")?),
                Long("linger") => plan = plan.linger(milliseconds(&mut parser, "--linger")?),
                Long("port") => port = Some(command::number(&mut parser, "--port", 0..=u16::MAX)?),
                Long("host") => host = command::text(&mut parser, "--host")?,
                Long("cert") => cert = Some(command::text(&mut parser, "--cert")?),
                Long("key") => key = Some(command::text(&mut parser, "--key")?),
                Long("root") => root = Some(files::root(&command::text(&mut parser, "--root")?)?),
                Long("plain") => plain = true,
                Long("http1") => versions = Versions::Http1,
                Long("json") => json = true,
                Short('h') | Long("help") => return Err(Early::Help(USAGE)),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let port = port.ok_or_else(|| Early::wrong("--port is missing (--help says more)"))?;
        let identity = match (cert, key) {
            (Some(_), Some(_)) if plain => return Err(Early::wrong("--plain has no use for a certificate")),
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(Early::wrong("--cert and --key belong together")),
        };
        Ok(Options { port, host, identity, plain, versions, root, plan, json })
    }

    fn address(&self) -> Result<SocketAddr, Early> {
        let addresses = (self.host.as_str(), self.port).to_socket_addrs();
        let unknown = |words: String| Early::wrong(format!("--host {:?} is no address: {words}", self.host));
        let mut addresses = addresses.map_err(|error| unknown(error.to_string()))?;
        addresses.next().ok_or_else(|| unknown("the name has none".into()))
    }

    /// `None`: without TLS.
    fn tls(&self) -> Result<Option<(ServerTls, Option<String>)>, Early> {
        let alpn = if self.versions == Versions::Http1 { &["http/1.1", "http/1.0"] } else { http::ALPN };
        (!self.plain).then(|| identity::server_tls(self.identity.as_ref(), &self.host, alpn)).transpose()
    }
}

fn main() -> ExitCode {
    command::finish(serve())
}

fn serve() -> Result<ExitCode, Early> {
    let options = Options::from_arguments()?;
    let address = options.address()?;
    let tls = options.tls()?;
    command::log("warn");

    // A connection is a descriptor, and so may be the file that is sent on it.
    let descriptors =
        command::descriptor_limit().map_or(usize::MAX, |limit| limit.saturating_sub(command::OTHER_DESCRIPTORS));
    let most = if options.root.is_some() { descriptors / 2 } else { descriptors };
    let supervisor = Supervisor::new().max_connections(most.max(1)).stop_plan(options.plan);
    let json = options.json;
    let counts = Arc::new(Counts::new(json));
    let answers = Arc::new(Answers::new(options.root, counts.clone()));
    // Whether we could not even begin.
    let wrong = Rc::new(Cell::new(true));
    let never_began = wrong.clone();
    let run = Run::new(supervisor).ledger(move |ledger| {
        if never_began.get() {
            return;
        }
        counts.tell();
        if json {
            report::ledger(ledger, true);
        } else {
            command::note(ledger);
        }
    });
    let code = run.run(async |supervisor| {
        // Before anybody can connect, so that no end is missed.
        let progress = supervisor.send(Subscribe).await?;
        let protocol = ServerOptions::new().versions(options.versions);
        begin(&supervisor, address, tls, protocol, answers, json).await?;
        wrong.set(false);
        tell(progress, json).await;
        Ok(())
    });
    Ok(if wrong.get() { ExitCode::from(command::WRONG) } else { code })
}

/// Listens, and says where.
async fn begin(
    supervisor: &Addr<Supervisor>,
    address: SocketAddr,
    tls: Option<(ServerTls, Option<String>)>,
    protocol: ServerOptions,
    answers: Arc<Answers>,
    json: bool,
) -> Result<(), Box<dyn Error>> {
    let protocol = protocol.serve(move |request| answers.clone().answer(request));
    let listen = match &tls {
        Some((tls, _)) => Listen::on(address, tls, protocol),
        None => Listen::plain_on(address, protocol),
    };
    let address = supervisor.send(listen).await??.address();
    let ca = tls.and_then(|(_, ca)| ca);
    // After the socket is ours, so that a second server which finds the port taken does not overwrite the first one's file; before anybody is told of it.
    if let Some(pem) = &ca {
        std::fs::write(CA_FILE, pem).map_err(|error| format!("cannot write {CA_FILE}: {error}"))?;
    }
    report::told(if json {
        #[derive(Serialize)]
        struct Fields {
            host: String,
            port: u16,
        }
        report::event("listening", Fields { host: address.ip().to_string(), port: address.port() })
    } else {
        report::line(format_args!("listening on {address}"))
    });
    if ca.is_some() {
        report::told(if json {
            #[derive(Serialize)]
            struct Fields {
                file: &'static str,
            }
            report::event("ca", Fields { file: CA_FILE })
        } else {
            report::line(format_args!("made a certificate; clients trust it by {CA_FILE}, written here"))
        });
    }
    Ok(())
}

/// Tells the ends of connections, as they come, until the stop is acknowledged.
async fn tell(mut progress: Subscription, json: bool) {
    #[derive(Serialize)]
    struct Fields {
        count: u64,
    }
    while let Some(progress) = progress.next().await {
        match progress {
            Ok(Progress::Lost(lost)) if json => report::told(report::event("lost", &lost)),
            Err(count) if json => report::told(report::event("missed", Fields { count })),
            _ => {}
        }
    }
}
