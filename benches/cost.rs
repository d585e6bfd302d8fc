//! What one connection costs, against a bare tokio-openssl loop in the same run: `cargo bench --bench cost`.
//!
//! The server is a bare loop, too, in a process of its own, so that its work and its memory are not counted. CPU is that of the client's thread
//! (`/proc/thread-self/schedstat`), the runs alternate, and what is printed is the median of each and the ratio of the medians: a ratio holds where a noisy machine's
//! microseconds do not.

mod common;

use std::{process::Command, time::Duration};

use actix::{Actor, System};
use common::{Result, Secured, Server, connect, connector, cpu, median};
use exeunt::{Call, ClientTls, Connect, Handle, Lines, Stop, StopPlan, Supervisor};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CALLS: usize = 40_000;
const RUNS: usize = 7;
const IDLE: usize = 5_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--serve") {
        return System::new().block_on(common::serve(echo));
    }
    if let Some(at) = arguments.iter().position(|argument| argument == "--idle") {
        let (whose, port, ca) = (&arguments[at + 1], &arguments[at + 2], &arguments[at + 3]);
        return System::new().block_on(idle(whose, port, &std::fs::read_to_string(ca)?));
    }
    let server = Server::start()?;
    println!(
        "100-byte calls, one at a time on each connection, CPU µs a call of the client's thread, {RUNS} runs of {CALLS}"
    );
    println!("{:>12} {:>10} {:>10} {:>8}", "connections", "bare loop", "exeunt", "ratio");
    for connections in [1, 64, 512] {
        let calls = if connections == 1 { CALLS / 2 } else { CALLS };
        let mut samples = [Vec::new(), Vec::new()];
        for _ in 0..RUNS {
            samples[0].push(System::new().block_on(bare(&server, connections, calls))?);
            samples[1].push(System::new().block_on(ours(&server, connections, calls))?);
        }
        let [bare, ours] = samples.map(median);
        println!("{connections:>12} {bare:>10.2} {ours:>10.2} {:>8.2}", ours / bare);
    }
    println!("\nmemory of an idle client connection, RSS over {IDLE}, each in a process of its own");
    for whose in ["bare", "exeunt"] {
        let program = std::env::current_exe()?;
        let status =
            Command::new(program).args(["--idle", whose, &server.port.to_string(), &server.ca_file]).status()?;
        if !status.success() {
            return Err(format!("measuring {whose}: {status}").into());
        }
    }
    Ok(())
}

fn line() -> String {
    "x".repeat(99)
}

/// The limit: a prepared request, a read, nothing else, with the same TLS settings as ours.
async fn bare(server: &Server, connections: usize, calls: usize) -> Result<f64> {
    let connector = connector(&server.ca_pem)?;
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(connect(&connector, server.port).await?);
    }
    let each = calls / connections;
    let began = cpu()?;
    let tasks: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            actix::spawn(async move {
                let request = format!("{}\n", line());
                let mut reply = [0; 4096];
                for _ in 0..each {
                    stream.write_all(request.as_bytes()).await?;
                    let mut read = 0;
                    while read < request.len() {
                        read += stream.read(&mut reply).await?;
                    }
                }
                std::io::Result::Ok(stream)
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok((cpu()? - began).as_secs_f64() * 1e6 / (each * connections) as f64)
}

/// The same by messages to connection actors.
async fn ours(server: &Server, connections: usize, calls: usize) -> Result<f64> {
    let supervisor = Supervisor::new().start();
    let tls = ClientTls::builder().trust_pem(&server.ca_pem).build()?;
    let mut handles: Vec<Handle<Lines>> = Vec::new();
    for _ in 0..connections {
        let connect = Connect::to(format!("localhost:{}", server.port), Lines::default()).tls(&tls);
        handles.push(supervisor.send(connect).await??);
    }
    let each = calls / connections;
    let began = cpu()?;
    let tasks: Vec<_> = handles
        .iter()
        .map(|connection| {
            let connection = connection.clone();
            actix::spawn(async move {
                let request = line();
                for _ in 0..each {
                    let reply = connection.send(Call::new(request.clone())).await.map_err(|e| e.to_string())?;
                    reply.map_err(|e| e.to_string())?;
                }
                std::result::Result::<(), String>::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    let spent = cpu()? - began;
    supervisor.send(Stop::by(StopPlan::new().drain(Duration::from_secs(1)))).await?;
    Ok(spent.as_secs_f64() * 1e6 / (each * connections) as f64)
}

/// Opens so many, lets them fall idle, and says what each costs.
async fn idle(whose: &str, port: &str, ca: &str) -> Result<()> {
    let port: u16 = port.parse()?;
    let before = resident()?;
    let cost = match whose {
        "bare" => {
            let connector = connector(ca)?;
            let mut streams = Vec::new();
            for _ in 0..IDLE {
                let mut stream = connect(&connector, port).await?;
                stream.write_all(b"x\n").await?;
                stream.read_exact(&mut [0; 2]).await?;
                streams.push(stream);
            }
            resident()? - before
        }
        _ => {
            let supervisor = Supervisor::new().start();
            let tls = ClientTls::builder().trust_pem(ca).build()?;
            let mut handles: Vec<Handle<Lines>> = Vec::new();
            for _ in 0..IDLE {
                let connect = Connect::to(format!("localhost:{port}"), Lines::default()).tls(&tls);
                let connection = supervisor.send(connect).await??;
                connection.send(Call::new("x")).await??;
                handles.push(connection);
            }
            // Two looks of the supervisor's: then idle connections have given back their buffers.
            let early = resident()? - before;
            tokio::time::sleep(Duration::from_millis(2500)).await;
            println!("{:>12} {:>7.1} KB before they are known to be idle", whose, early / IDLE as f64);
            let cost = resident()? - before;
            supervisor.send(Stop::new()).await?;
            cost
        }
    };
    println!("{whose:>12} {:>7.1} KB", cost / IDLE as f64);
    Ok(())
}

/// KB of resident memory.
fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?)
}

/// What the other process does with a connection: an echo without an actor.
async fn echo(mut stream: Secured) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    let _ = stream.shutdown().await;
}
