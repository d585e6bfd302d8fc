//! A TLS server that sends everything back, drains on SIGTERM, and tells how every connection ended.

mod common;

use std::{
    cell::Cell,
    error::Error,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

use actix::Addr;
use common::{
    command::{self, Early},
    echo::Echo,
    identity, report,
};
use exeunt::{Listen, Progress, Run, ServerTls, StopPlan, Subscribe, Subscription, Supervisor};
use serde::Serialize;

const USAGE: &str = "\
usage: echo_server --port P [options]

Listens for TLS connections and sends back what they send. SIGTERM or SIGINT: it stops
listening, finishes what it has received, closes, and prints the ledger.

  --port P             the port; 0 takes a free one (not needed when systemd passes a socket)
  --host A             the address, or a name of this machine (default 127.0.0.1)
  --cert FILE          the certificate, its intermediates after it (PEM)
  --key FILE           its private key (PEM); without the two it makes a certificate for
                       localhost, 127.0.0.1, ::1 and the host, and writes what a client
                       has to trust to exeunt-echo-ca.pem
  --max-connections N  so many at a time; more wait (default: as the descriptors allow)
  --drain MS           how long a stop lets connections finish (default 30000)
  --json               one JSON object a line: listening, lost, and last the ledger

Exit code: 0 clean, 1 connections were killed at the deadline of a stop, 2 bad input.
";

/// Where a client finds whom to trust.
const CA_FILE: &str = "exeunt-echo-ca.pem";

struct Options {
    port: Option<u16>,
    host: String,
    identity: Option<(String, String)>,
    max_connections: usize,
    drain: Option<Duration>,
    json: bool,
}

impl Options {
    fn from_arguments() -> Result<Self, Early> {
        use lexopt::prelude::*;
        const DAY: u64 = 24 * 60 * 60 * 1000;
        let (mut port, mut host, mut cert, mut key) = (None, "127.0.0.1".to_owned(), None, None);
        let (mut max_connections, mut drain, mut json) = (None, None, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => port = Some(command::number(&mut parser, "--port", 0..=u16::MAX)?),
                Long("host") => host = command::text(&mut parser, "--host")?,
                Long("cert") => cert = Some(command::text(&mut parser, "--cert")?),
                Long("key") => key = Some(command::text(&mut parser, "--key")?),
                Long("max-connections") => {
                    max_connections = Some(command::number(&mut parser, "--max-connections", 1..=10_000_000)?);
                }
                Long("drain") => {
                    drain = Some(Duration::from_millis(command::number(&mut parser, "--drain", 0..=DAY)?));
                }
                Long("json") => json = true,
                Short('h') | Long("help") => return Err(Early::Help(USAGE)),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(Early::wrong("--cert and --key belong together")),
        };
        let max_connections = match (max_connections, command::descriptor_limit()) {
            (Some(most), _) => {
                let needed = most + command::OTHER_DESCRIPTORS;
                command::check_descriptors(&format!("--max-connections {most}"), needed)?;
                most
            }
            (None, Some(limit)) => limit.saturating_sub(command::OTHER_DESCRIPTORS).max(1),
            (None, None) => usize::MAX,
        };
        Ok(Options { port, host, identity, max_connections, drain, json })
    }

    /// The address to listen on, where no socket is passed.
    fn address(&self) -> Result<SocketAddr, Early> {
        let port = self.port.ok_or_else(|| Early::wrong("--port is missing (--help says more)"))?;
        let addresses = (self.host.as_str(), port).to_socket_addrs();
        let unknown = |words: String| Early::wrong(format!("--host {:?} is no address: {words}", self.host));
        let mut addresses = addresses.map_err(|error| unknown(error.to_string()))?;
        addresses.next().ok_or_else(|| unknown("the name has none".into()))
    }
}

fn main() -> ExitCode {
    command::finish(echo_server())
}

fn echo_server() -> Result<ExitCode, Early> {
    let options = Options::from_arguments()?;
    let listen = match passed_socket()? {
        Some(socket) => On::Socket(socket),
        None => On::Address(options.address()?),
    };
    let (tls, ca) = identity::server_tls(options.identity.as_ref(), &options.host, &[])?;
    command::log("warn");

    let mut supervisor = Supervisor::new().max_connections(options.max_connections);
    if let Some(drain) = options.drain {
        supervisor = supervisor.stop_plan(StopPlan::new().drain(drain));
    }
    // Whether we could not even begin.
    let wrong = Rc::new(Cell::new(true));
    let (never_began, json) = (wrong.clone(), options.json);
    let run = Run::new(supervisor).ledger(move |ledger| match (never_began.get(), json) {
        (true, _) => {}
        (false, true) => report::ledger(ledger, true),
        (false, false) => command::note(ledger),
    });
    let code = run.run(async |supervisor| {
        // Before anybody can connect, so that no end is missed.
        let progress = supervisor.send(Subscribe).await?;
        begin(&supervisor, listen, &tls, ca, json).await?;
        wrong.set(false);
        tell(progress, json).await;
        Ok(())
    });
    Ok(if wrong.get() { ExitCode::from(command::WRONG) } else { code })
}

/// Where to listen.
enum On {
    Address(SocketAddr),
    Socket(TcpListener),
}

/// The first socket that systemd has passed to us, if it has.
fn passed_socket() -> Result<Option<TcpListener>, Early> {
    #[cfg(feature = "systemd")]
    {
        let sockets = exeunt::sockets_from_systemd();
        let sockets = sockets.map_err(|error| Early::wrong(format!("the socket passed by systemd: {error}")))?;
        Ok(sockets.into_iter().next())
    }
    #[cfg(not(feature = "systemd"))]
    Ok(None)
}

/// Listens, and says where.
async fn begin(
    supervisor: &Addr<Supervisor>,
    on: On,
    tls: &ServerTls,
    ca: Option<String>,
    json: bool,
) -> Result<(), Box<dyn Error>> {
    let listen = match on {
        On::Address(address) => Listen::on(address, tls, |_| Echo::default()),
        On::Socket(socket) => Listen::adopt(socket, tls, |_| Echo::default()),
    };
    let address = supervisor.send(listen).await??.address();
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
