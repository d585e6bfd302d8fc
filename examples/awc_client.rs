//! awc's client on supervised connections, with its own TLS: makes requests, prints their statuses, ends, and tells how every connection of its pool ended.
//!
//! ```text
//! cargo run --release --features awc --example awc_client -- URL [--ca FILE | --insecure] [--requests N]
//! ```

mod common;

use std::{error::Error, process::ExitCode};

use actix::Addr;
use common::{
    command::{self, Early},
    report,
};
use exeunt::{
    Run, Supervisor,
    awc::{Connector, connect_error},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use serde::Serialize;

const USAGE: &str = "\
usage: awc_client URL [options]

Makes requests with awc, whose TCP connections are supervised and whose TLS is its own,
prints the status of each answer, stops, and prints the ledger: how every connection ended.

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
    url: String,
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
        let (mut url, mut ca, mut insecure, mut requests) = (None, None, false, 1);
        let (mut at_a_time, mut http2, mut json) = (1, false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(text) if url.is_none() => url = Some(text.string()?),
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
        let url = url.ok_or_else(|| Early::wrong("URL is missing (--help says more)"))?;
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Early::wrong(format!("{url} does not begin with http:// or https://")));
        }
        if insecure && ca.is_some() {
            return Err(Early::wrong("--ca and --insecure exclude each other"));
        }
        command::check_descriptors(&format!("--at-a-time {at_a_time}"), at_a_time + command::OTHER_DESCRIPTORS)?;
        Ok(Options { url, ca, insecure, requests, at_a_time, http2, json })
    }

    /// awc's TLS is configured by the openssl crate itself.
    fn tls(&self) -> Result<SslConnector, Early> {
        let mut tls = SslConnector::builder(SslMethod::tls())?;
        if let Some(file) = &self.ca {
            tls.set_ca_file(file).map_err(|error| Early::wrong(format!("cannot trust {file}: {error}")))?;
        }
        if self.insecure {
            tls.set_verify(SslVerifyMode::NONE);
        }
        tls.set_alpn_protos(if self.http2 { b"\x02h2\x08http/1.1" } else { b"\x08http/1.1" })?;
        Ok(tls.build())
    }
}

fn main() -> ExitCode {
    command::finish(awc_client())
}

fn awc_client() -> Result<ExitCode, Early> {
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
}

async fn ask(supervisor: Addr<Supervisor>, options: Options, tls: SslConnector) -> Result<(), Box<dyn Error>> {
    let supervised = Connector::new(&supervisor);
    let connector = awc::Connector::new().connector(supervised.clone()).openssl(tls);
    // Both ends of awc: where connections come from, and where it is known which request is under way.
    let client = awc::Client::builder().connector(connector).wrap(supervised).finish();
    let one = || async {
        let mut response = client.get(&options.url).send().await.map_err(|error| {
            // awc's own words are short.
            connect_error(&error).map_or_else(|| error.to_string(), ToString::to_string)
        })?;
        let status = response.status().as_u16();
        let bytes = response.body().limit(MOST).await.map_err(|error| error.to_string())?.len();
        let answer = Answer { status, bytes };
        report::told(match options.json {
            true => report::event("answer", &answer),
            false => report::line(format!("{status}, {bytes} bytes")),
        });
        Ok::<_, Box<dyn Error>>(())
    };
    stream::iter(0..options.requests).map(|_| one()).buffer_unordered(options.at_a_time).try_collect().await
}

/// How large an answer may be, in bytes.
const MOST: usize = 1 << 30;
