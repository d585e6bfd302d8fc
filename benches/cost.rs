//! What one connection costs, against a bare tokio-openssl loop in the same run: `cargo bench --bench cost`.
//!
//! The server is a bare loop, too, in a process of its own, so that its work and its memory are not counted. CPU is that of the client's thread
//! (`/proc/thread-self/schedstat`), the runs alternate, and what is printed is the median of each and the ratio of the medians: a ratio holds where a noisy machine's
//! microseconds do not.

use std::{
    error::Error,
    io::{BufRead, BufReader, Write},
    pin::Pin,
    process::{Child, Command, Stdio},
    time::Duration,
};

use actix::{Actor, System};
use exeunt::{Call, ClientTls, Connect, Handle, Lines, Stop, StopPlan, Supervisor};
use openssl::ssl::{Ssl, SslAcceptor, SslContext, SslMethod, SslMode, SslVerifyMode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_openssl::SslStream;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const CALLS: usize = 40_000;
const RUNS: usize = 7;
const IDLE: usize = 5_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--serve") {
        return System::new().block_on(serve());
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

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// CPU time of this thread.
fn cpu() -> Result<Duration> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = line.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(nanos.parse()?))
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

/// The settings that are best for the bare loop: read-ahead, and buffers that are kept. `SslConnector` would set `RELEASE_BUFFERS`, and nothing clears a mode again.
fn connector(ca: &str) -> Result<SslContext> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    for certificate in openssl::x509::X509::stack_from_pem(ca.as_bytes())? {
        builder.cert_store_mut().add_cert(certificate)?;
    }
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_read_ahead(true);
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
    Ok(builder.build())
}

async fn connect(connector: &SslContext, port: u16) -> Result<Pin<Box<SslStream<TcpStream>>>> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let mut ssl = Ssl::new(connector)?;
    ssl.set_hostname("localhost")?;
    ssl.param_mut().set_host("localhost")?;
    let mut stream = Box::pin(SslStream::new(ssl, socket)?);
    stream.as_mut().connect().await?;
    Ok(stream)
}

/// The other process: an echo without an actor.
async fn serve() -> Result<()> {
    let signed = exeunt::tls::self_signed(&["localhost"])?;
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_certificate(&*openssl::x509::X509::from_pem(signed.certificate_pem.as_bytes())?)?;
    builder.set_private_key(&*openssl::pkey::PKey::private_key_from_pem(signed.key_pem.as_bytes())?)?;
    let acceptor = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let ca_file = std::env::temp_dir().join(format!("exeunt-cost-{}.pem", std::process::id()));
    std::fs::write(&ca_file, &signed.ca_pem)?;
    println!("{} {}", listener.local_addr()?.port(), ca_file.display());
    std::io::stdout().flush()?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let mut stream = Box::pin(SslStream::new(Ssl::new(acceptor.context())?, socket)?);
        actix::spawn(async move {
            if stream.as_mut().accept().await.is_err() {
                return;
            }
            let mut buffer = [0; 16 * 1024];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                if stream.write_all(&buffer[..n]).await.is_err() {
                    break;
                }
            }
            let _ = stream.shutdown().await;
        });
    }
}

struct Server {
    process: Child,
    port: u16,
    ca_file: String,
    ca_pem: String,
}

impl Server {
    fn start() -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?).arg("--serve").stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no standard output")?).read_line(&mut line)?;
        let (port, ca_file) = line.trim().split_once(' ').ok_or("the server did not start")?;
        let ca_pem = std::fs::read_to_string(ca_file)?;
        Ok(Server { process, port: port.parse()?, ca_file: ca_file.to_owned(), ca_pem })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.ca_file);
    }
}
