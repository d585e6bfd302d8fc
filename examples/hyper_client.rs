//! hyper-util's own client on supervised connections: makes requests, prints their statuses, ends, and tells how every connection of its pool ended.
//!
//! ```text
//! cargo run --release --features hyper-util --example hyper_client -- URL [--ca FILE | --insecure] [--requests N]
//! ```

mod common;

use std::{error::Error, fmt, process::ExitCode};

use bytes::Bytes;
use common::{
    command::{self, Early},
    requests::Options,
};
use exeunt::{ClientTls, ConnectionId, http::Connector};
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

fn tls(options: &Options) -> Result<ClientTls, Early> {
    let builder = ClientTls::builder();
    Ok(match &options.ca {
        Some(file) => builder.trust_file(file).build()?,
        None if options.insecure => builder.dangerously_accept_any_certificate().build()?,
        None => builder.build()?,
    })
}

fn main() -> ExitCode {
    command::finish(hyper_client())
}

fn hyper_client() -> Result<ExitCode, Early> {
    let options = Options::from_arguments(USAGE)?;
    let (tls, http2) = (tls(&options)?, options.http2);
    let uri: Uri =
        options.url.parse().map_err(|error| Early::wrong(format!("{:?} is not a URL: {error}", options.url)))?;
    Ok(options.run(move |supervisor| {
        let connector = Connector::new(supervisor).tls(&tls).http2(http2);
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        move || {
            let (client, uri) = (client.clone(), uri.clone());
            async move {
                let request = Request::get(uri).body(Empty::new())?;
                let response = client.request(request).await.map_err(|error| told(&error))?;
                // The connector leaves the number of the connection with each response.
                let connection = *response.extensions().get::<ConnectionId>().ok_or("no connection")?;
                let status = response.status().as_u16();
                let bytes = response.into_body().collect().await.map_err(|error| told(&error))?.to_bytes().len();
                Ok(Answer { status, bytes, connection })
            }
        }
    }))
}

#[derive(Serialize)]
struct Answer {
    status: u16,
    bytes: usize,
    connection: ConnectionId,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes, on connection {}", self.status, self.bytes, self.connection)
    }
}

/// An error with its causes: hyper-util's own says only where it happened.
fn told(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&(dyn Error + 'static)| (*cause).source());
    causes.fold(error.to_string(), |words, cause| format!("{words}: {cause}"))
}
