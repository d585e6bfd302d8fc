//! awc's client on supervised connections, with its own TLS: makes requests, prints their statuses, ends, and tells how every connection of its pool ended.
//!
//! ```text
//! cargo run --release --features awc --example awc_client -- URL [--ca FILE | --insecure] [--requests N]
//! ```

mod common;

use std::{fmt, process::ExitCode, rc::Rc};

use common::{
    command::{self, Early},
    requests::Options,
};
use exeunt::awc::{Connector, connect_error};
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

/// awc's TLS is configured by the openssl crate itself.
fn tls(options: &Options) -> Result<SslConnector, Early> {
    let mut tls = SslConnector::builder(SslMethod::tls())?;
    if let Some(file) = &options.ca {
        tls.set_ca_file(file).map_err(|error| Early::wrong(format!("cannot trust {file}: {error}")))?;
    }
    if options.insecure {
        tls.set_verify(SslVerifyMode::NONE);
    }
    tls.set_alpn_protos(if options.http2 { b"\x02h2\x08http/1.1" } else { b"\x08http/1.1" })?;
    Ok(tls.build())
}

fn main() -> ExitCode {
    command::finish(awc_client())
}

fn awc_client() -> Result<ExitCode, Early> {
    let options = Options::from_arguments(USAGE)?;
    let (tls, url) = (tls(&options)?, Rc::from(&*options.url));
    Ok(options.run(move |supervisor| {
        let supervised = Connector::new(supervisor);
        let connector = awc::Connector::new().connector(supervised.clone()).openssl(tls);
        // Both ends of awc: where connections come from, and where it is known which request is under way.
        let client = awc::Client::builder().connector(connector).wrap(supervised).finish();
        move || {
            let (client, url): (_, Rc<str>) = (client.clone(), Rc::clone(&url));
            async move {
                let mut response = client.get(&*url).send().await.map_err(|error| {
                    // awc's own words are short.
                    connect_error(&error).map_or_else(|| error.to_string(), ToString::to_string)
                })?;
                let status = response.status().as_u16();
                let bytes = response.body().limit(MOST).await.map_err(|error| error.to_string())?.len();
                Ok(Answer { status, bytes })
            }
        }
    }))
}

#[derive(Serialize)]
struct Answer {
    status: u16,
    bytes: usize,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes", self.status, self.bytes)
    }
}

/// How large an answer may be, in bytes.
const MOST: usize = 1 << 30;
