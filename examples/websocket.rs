//! WebSockets of both sides: a server that sends everything back, and a client that asks it. Ctrl-C parts with every peer by a close frame, and prints the ledger.

mod common;

use std::{
    cell::Cell,
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use actix::Addr;
use common::{
    command::{self, Early},
    identity, report,
};
use exeunt::{
    ClientTls, Listen, Run, Subscribe, Supervisor,
    http::{
        self, Body, RequestBody, Session,
        websocket::{CloseCode, Closed, WebSocket, WebSocketUpgrade},
    },
};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;

const USAGE: &str = "\
usage: websocket serve --port P [--host A] [--json]
       websocket connect URL [--ca FILE | --insecure] [--message TEXT]... [--hold] [--json]

serve: sends every message back, over TLS, with a certificate that it makes; what a client has
to trust is written to exeunt-websocket-ca.pem. connect: sends the messages, prints the answers,
and closes. SIGTERM or SIGINT, on either side: each WebSocket is closed with 1001, its answer is
awaited, and the ledger is printed.

  --port P         the port; 0 takes a free one
  --host A         the address (default 127.0.0.1)
  --ca FILE        trust these certificates (PEM) instead of the system's
  --insecure       trust anybody
  --message TEXT   a message to send (default \"hello\")
  --hold           when the answers are there, stay until the server closes or a signal comes
  --json           one JSON object a line, and last the ledger

Exit code: 0 clean, 1 connections were killed at the deadline of a stop, 2 bad input, 3 the
WebSocket was not had, or it ended without a close frame.
";

/// Where a client finds whom to trust.
const CA_FILE: &str = "exeunt-websocket-ca.pem";

enum Do {
    Serve { address: SocketAddr },
    Connect { url: String, tls: Option<ClientTls>, messages: Vec<String>, hold: bool },
}

fn main() -> ExitCode {
    command::finish(websocket())
}

fn websocket() -> Result<ExitCode, Early> {
    let (what, json) = arguments()?;
    command::log("warn");
    let wrong = Rc::new(Cell::new(false));
    let (never_began, is_json) = (wrong.clone(), json);
    let run = Run::new(Supervisor::new()).ledger(move |ledger| match (never_began.get(), is_json) {
        (true, _) => {}
        (false, true) => report::ledger(ledger, true),
        (false, false) => command::note(ledger),
    });
    let code = run.run(async |supervisor| match what {
        Do::Serve { address } => {
            wrong.set(true);
            serve(&supervisor, address, json, &wrong).await
        }
        Do::Connect { url, tls, messages, hold } => connect(&supervisor, &url, tls, messages, hold, json).await,
    });
    Ok(if wrong.get() { ExitCode::from(command::WRONG) } else { code })
}

fn arguments() -> Result<(Do, bool), Early> {
    use lexopt::prelude::*;
    let (mut words, mut port, mut host) = (Vec::new(), None, "127.0.0.1".to_owned());
    let (mut ca, mut insecure, mut messages, mut hold, mut json) = (None, false, Vec::new(), false, false);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(word) => words.push(word.string()?),
            Long("port") => port = Some(command::number(&mut parser, "--port", 0..=u16::MAX)?),
            Long("host") => host = command::text(&mut parser, "--host")?,
            Long("ca") => ca = Some(command::text(&mut parser, "--ca")?),
            Long("insecure") => insecure = true,
            Long("message") => messages.push(command::text(&mut parser, "--message")?),
            Long("hold") => hold = true,
            Long("json") => json = true,
            Short('h') | Long("help") => return Err(Early::Help(USAGE)),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let what = match words[..] {
        ["serve"] => {
            let port = port.ok_or_else(|| Early::wrong("--port is missing (--help says more)"))?;
            let host = host.parse().map_err(|_| Early::wrong(format!("--host {host:?} is no IP address")))?;
            Do::Serve { address: SocketAddr::new(host, port) }
        }
        ["connect", url] => {
            let tls = match (ca, insecure) {
                (Some(_), true) => return Err(Early::wrong("--ca and --insecure exclude each other")),
                (Some(ca), false) => Some(ClientTls::builder().trust_file(ca).build()?),
                (None, true) => Some(ClientTls::builder().dangerously_accept_any_certificate().build()?),
                (None, false) => None,
            };
            if messages.is_empty() {
                messages.push("hello".into());
            }
            Do::Connect { url: url.to_owned(), tls, messages, hold }
        }
        _ => return Err(Early::wrong("say `serve` or `connect URL` (--help says more)")),
    };
    Ok((what, json))
}

type Failure = Box<dyn std::error::Error>;

async fn serve(
    supervisor: &Addr<Supervisor>,
    address: SocketAddr,
    json: bool,
    wrong: &Cell<bool>,
) -> Result<(), Failure> {
    let (tls, ca) =
        identity::server_tls(None, &address.ip().to_string(), &[]).map_err(|_| "no certificate could be made")?;
    let mut progress = supervisor.send(Subscribe).await?;
    let answer = move |request| async move { answer(request, json) };
    let listening = supervisor.send(Listen::on(address, &tls, http::serve(answer))).await??;
    std::fs::write(CA_FILE, ca.unwrap_or_default())?;
    wrong.set(false);
    let address = listening.address();
    report::told(match json {
        true => report::event("listening", json!({ "address": address, "port": address.port(), "ca": CA_FILE })),
        false => report::line(format_args!("listening on wss://{address}/ ; clients trust {CA_FILE}")),
    });
    // Until the stop is over, and every end is told: the ledger comes last.
    while progress.next().await.is_some() {}
    while UNTOLD.load(Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// WebSockets whose end was not told yet.
static UNTOLD: AtomicUsize = AtomicUsize::new(0);

/// Accepts what is asked for, and leaves it to a task of its own.
fn answer(mut request: ::http::Request<RequestBody>, json: bool) -> ::http::Response<Body> {
    let (response, accepting) = match WebSocketUpgrade::of(&mut request) {
        Ok(asked) => asked.accept(),
        Err(not) => return not.response(),
    };
    actix::spawn(async move {
        let Ok(mut socket) = accepting.await else { return };
        UNTOLD.fetch_add(1, Relaxed);
        while let Some(Ok(message)) = socket.next().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
        tell(&socket.closed().await, json);
        UNTOLD.fetch_sub(1, Relaxed);
    });
    response
}

async fn connect(
    supervisor: &Addr<Supervisor>,
    url: &str,
    tls: Option<ClientTls>,
    messages: Vec<String>,
    hold: bool,
    json: bool,
) -> Result<(), Failure> {
    let mut session = Session::builder();
    if let Some(tls) = &tls {
        session = session.tls(tls);
    }
    let session = session.start(supervisor)?;
    let mut socket: WebSocket = session.websocket(url).connect().await?;
    for message in &messages {
        socket.send(message.as_str().into()).await?;
        let Some(answer) = socket.next().await.transpose()? else { break };
        let text = String::from_utf8_lossy(answer.as_bytes());
        report::told(match json {
            true => report::event("message", json!({ "text": text })),
            false => report::line(&text),
        });
    }
    let closed = match hold {
        true => socket.closed().await,
        false => socket.close(CloseCode::NORMAL, "").await,
    };
    tell(&closed, json);
    if closed.clean { Ok(()) } else { Err("the WebSocket ended without a close frame".into()) }
}

fn tell(closed: &Closed, json: bool) {
    report::told(match json {
        true => report::event(
            "closed",
            json!({ "id": closed.id.get(), "code": closed.code.as_u16(), "reason": closed.reason, "clean": closed.clean, "lost": closed.lost }),
        ),
        false => report::line(closed),
    });
}
