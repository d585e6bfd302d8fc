//! hyper-util's own client on supervised connections: makes requests, prints their statuses, ends, and tells how every connection of its pool ended.
//!
//! ```text
//! cargo run --release --features hyper-util --example hyper_client -- URL [--ca FILE | --insecure] [--requests N]
//! ```

mod common;

use std::{error::Error, process::ExitCode};

use actix::Addr;
use bytes::Bytes;
use common::{
    command::{self, Early},
    report,
};
use exeunt::{ClientTls, ConnectionId, Run, Supervisor, http::Connector};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Serialize;

const USAGE: &str = "\
usage: hyper_client URL [options]

Makes requests with hyper-util's client, whose connections are supervised, prints the
status of each answer, stops, and prints the ledger: how every connection ended.

  --ca FILE        trust the certificates in this PEM file (default: the system's)
  --insecure       accept any certificate: anyone on the way can read and change everything
  --requests N     how many requests (default 1)
  --at-a-time M    how many of them at a time (default 1)
  --http2          offer HTTP/2
  --json           one JSON object a line: answer, and last the ledger

Exit code: 0 clean, 1 connections were killed at the deadline of the stop, 2 bad input,
3 a request failed.
";

struct Options {
    uri: Uri,
    ca: Option<String>,
    insecure: bool,
    requests: u64,
    at_a_time: usize,
    http2: bool,
    json: bool,
}

impl Options {
    fn from_arguments() -> Result<Self, Early> {
        use lexopt::prelude::*;
        let (mut uri, mut ca, mut insecure, mut requests) = (None, None, false, 1);
        let (mut at_a_time, mut http2, mut json) = (1, false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(text) if uri.is_none() => {
                    let text = text.to_string_lossy();
                    let parsed = text.parse::<Uri>().map_err(|error| format!("{text:?} is not a URL: {error}"));
                    uri = Some(parsed.map_err(Early::wrong)?);
                }
                Long("ca") => ca = Some(command::text(&mut parser, "--ca")?),
                Long("insecure") => insecure = true,
                Long("requests") => requests = command::number(&mut parser, "--requests", 0..=1_000_000_000)?,
                Long("at-a-time") => at_a_time = command::number(&mut parser, "--at-a-time", 1..=28_000)?,
                Long("http2") => http2 = true,
                Long("json") => json = true,
                Short('h') | Long("help") => return Err(Early::Help(USAGE)),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let uri = uri.ok_or_else(|| Early::wrong("URL is missing (--help says more)"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(Early::wrong(format!("{uri} does not begin with http:// or https://")));
        }
        if insecure && ca.is_some() {
            return Err(Early::wrong("--ca and --insecure exclude each other"));
        }
        command::check_descriptors(&format!("--at-a-time {at_a_time}"), at_a_time + command::OTHER_DESCRIPTORS)?;
        Ok(Options { uri, ca, insecure, requests, at_a_time, http2, json })
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
    command::finish(hyper_client())
}

fn hyper_client() -> Result<ExitCode, Early> {
    let options = Options::from_arguments()?;
    let tls = options.tls()?;
    command::log("warn");
    let json = options.json;
    let run = Run::new(Supervisor::new()).ledger(move |ledger| report::ledger(ledger, json));
    Ok(run.run(move |supervisor| ask(supervisor, options, tls)))
}

#[derive(Serialize)]
struct Answer {
    status: u16,
    bytes: usize,
    connection: ConnectionId,
}

async fn ask(supervisor: Addr<Supervisor>, options: Options, tls: ClientTls) -> Result<(), Box<dyn Error>> {
    let connector = Connector::new(&supervisor).tls(&tls).http2(options.http2);
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
    let one = || async {
        let request = Request::get(options.uri.clone()).body(Empty::new())?;
        let response = client.request(request).await.map_err(|error| told(&error))?;
        // The connector leaves the number of the connection with each response.
        let connection = *response.extensions().get::<ConnectionId>().ok_or("no connection")?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.map_err(|error| told(&error))?.to_bytes().len();
        let answer = Answer { status, bytes, connection };
        report::told(match options.json {
            true => report::event("answer", &answer),
            false => report::line(format!("{status}, {bytes} bytes, on connection {connection}")),
        });
        Ok::<_, Box<dyn Error>>(())
    };
    stream::iter(0..options.requests).map(|_| one()).buffer_unordered(options.at_a_time).try_collect().await
}

/// An error with its causes: hyper-util's own says only where it happened.
fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}
