//! What a request costs, against bare `hyper::client::conn` and a bare loop with the same TLS settings in the same run: `cargo bench --features http --bench http [-- CONNECTIONS...]`.
//!
//! As `benches/cost.rs`: the server is a bare loop in a process of its own, CPU is that of the client's thread, the runs alternate, medians.

mod common;

use std::time::Duration;

use actix::{Actor, System};
use common::{Result, Secured, Server, connect, connector, cpu, median};
use exeunt::{
    ClientTls, Stop, StopPlan, Supervisor,
    http::{Body, Limits, Session},
};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const REQUESTS: usize = 40_000;
const RUNS: usize = 9;

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "--serve") {
        return System::new().block_on(common::serve(answer));
    }
    let server = Server::start()?;
    println!(
        "GET, 100-byte body, one at a time on each connection, CPU µs a request of the client's thread, {RUNS} runs of {REQUESTS}"
    );
    println!(
        "{:>12} {:>10} {:>10} {:>10} {:>10} {:>16} {:>16}",
        "connections", "bare loop", "bare hyper", "execute", "get..send", "execute / hyper", "execute / loop"
    );
    let asked: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    for connections in if asked.is_empty() { vec![1, 64, 512] } else { asked } {
        let requests = if connections == 1 { REQUESTS / 2 } else { REQUESTS };
        let mut samples = [const { Vec::new() }; 4];
        for _ in 0..RUNS {
            samples[0].push(System::new().block_on(bare(&server, connections, requests))?);
            samples[1].push(System::new().block_on(hyper(&server, connections, requests))?);
            samples[2].push(System::new().block_on(session(&server, connections, requests, true))?);
            samples[3].push(System::new().block_on(session(&server, connections, requests, false))?);
        }
        let [bare, hyper, execute, send] = samples.map(median);
        println!(
            "{connections:>12} {bare:>10.2} {hyper:>10.2} {execute:>10.2} {send:>10.2} {:>16.2} {:>16.2}",
            execute / hyper,
            execute / bare
        );
    }
    Ok(())
}

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789";

/// What the other process does with a connection: the same answer to every head.
async fn answer(mut stream: Secured) {
    let (mut buffer, mut head) = ([0; 16 * 1024], Vec::new());
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        head.extend_from_slice(&buffer[..n]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            if stream.write_all(RESPONSE).await.is_err() {
                break;
            }
        }
    }
    let _ = stream.shutdown().await;
}

/// Runs `each` on all connections at once, so often, and gives the CPU of it.
async fn measure<C, F>(connections: Vec<C>, requests: usize, each: impl Fn(C, usize) -> F) -> Result<f64>
where
    F: Future<Output = std::result::Result<C, String>> + 'static,
    C: 'static,
{
    let count = connections.len();
    let part = requests / count;
    let began = cpu()?;
    let tasks: Vec<_> = connections.into_iter().map(|connection| actix::spawn(each(connection, part))).collect();
    let mut kept = Vec::new();
    for task in tasks {
        kept.push(task.await??);
    }
    Ok((cpu()? - began).as_secs_f64() * 1e6 / (part * count) as f64)
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The limit: a prepared request, a read, nothing else.
async fn bare(server: &Server, connections: usize, requests: usize) -> Result<f64> {
    let connector = connector(&server.ca_pem)?;
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(connect(&connector, server.port).await?);
    }
    measure(streams, requests, |mut stream, requests| async move {
        let mut reply = [0; 4096];
        for _ in 0..requests {
            stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n").await.map_err(words)?;
            let mut read = 0;
            while read < RESPONSE.len() {
                read += stream.read(&mut reply).await.map_err(words)?;
            }
        }
        Ok(stream)
    })
    .await
}

async fn hyper(server: &Server, connections: usize, requests: usize) -> Result<f64> {
    let connector = connector(&server.ca_pem)?;
    let mut senders = Vec::new();
    for _ in 0..connections {
        let stream = connect(&connector, server.port).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        actix::spawn(connection);
        senders.push(sender);
    }
    measure(senders, requests, |mut sender, requests| async move {
        for _ in 0..requests {
            let request = http::Request::get("/").header("host", "localhost").header("accept", "*/*");
            let request = request.body(Empty::<bytes::Bytes>::new()).map_err(words)?;
            sender.ready().await.map_err(words)?;
            let response = sender.send_request(request).await.map_err(words)?;
            let body = response.into_body().collect().await.map_err(words)?.to_bytes();
            assert_eq!(body.len(), 100);
        }
        Ok(sender)
    })
    .await
}

async fn session(server: &Server, connections: usize, requests: usize, prepared: bool) -> Result<f64> {
    let supervisor = Supervisor::new().start();
    let tls = ClientTls::builder().trust_pem(&server.ca_pem).build()?;
    let session = Session::builder().tls(&tls).limits(Limits { total: connections, ..Limits::default() });
    let session = session.no_default_headers().header("accept", "*/*").decode(false).start(&supervisor)?;
    let url = format!("https://localhost:{}/", server.port);
    session.pre_warm(&url, connections)?;
    while session.pool().idle < connections {
        tokio::task::yield_now().await;
    }
    let uri: http::Uri = url.parse()?;
    let sessions = vec![session.clone(); connections];
    let cost = measure(sessions, requests, |session, requests| {
        let (url, uri) = (url.clone(), uri.clone());
        async move {
            for _ in 0..requests {
                let response = if prepared {
                    let request = http::Request::get(uri.clone()).body(Body::empty()).map_err(words)?;
                    session.execute(request).await
                } else {
                    session.get(&url).send().await
                };
                assert_eq!(response.map_err(words)?.bytes().await.map_err(words)?.len(), 100);
            }
            Ok(session)
        }
    })
    .await?;
    supervisor.send(Stop::by(StopPlan::new().drain(Duration::from_secs(1)))).await?;
    Ok(cost)
}
