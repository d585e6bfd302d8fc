//! What the measurements share: a server in a process of its own, a connection of a bare loop, and the clock.

use std::{
    error::Error,
    future::Future,
    io::{BufRead, BufReader, Write},
    pin::Pin,
    process::{Child, Command, Stdio},
    time::Duration,
};

use openssl::ssl::{Ssl, SslAcceptor, SslContext, SslMethod, SslMode, SslVerifyMode};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A TLS connection without an actor.
pub type Secured = Pin<Box<SslStream<TcpStream>>>;

pub fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// CPU time of this thread.
pub fn cpu() -> Result<Duration> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = line.split_whitespace().next().ok_or("schedstat is empty")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// The settings that are best for the bare loop: read-ahead, and buffers that are kept. `SslConnector` would set `RELEASE_BUFFERS`, and nothing clears a mode again.
pub fn connector(ca: &str) -> Result<SslContext> {
    let mut builder = SslContext::builder(SslMethod::tls_client())?;
    for certificate in openssl::x509::X509::stack_from_pem(ca.as_bytes())? {
        builder.cert_store_mut().add_cert(certificate)?;
    }
    builder.set_verify(SslVerifyMode::PEER);
    builder.set_read_ahead(true);
    builder.set_mode(SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
    Ok(builder.build())
}

pub async fn connect(connector: &SslContext, port: u16) -> Result<Secured> {
    let socket = TcpStream::connect(("127.0.0.1", port)).await?;
    socket.set_nodelay(true)?;
    let mut ssl = Ssl::new(connector)?;
    ssl.set_hostname("localhost")?;
    ssl.param_mut().set_host("localhost")?;
    let mut stream = Box::pin(SslStream::new(ssl, socket)?);
    stream.as_mut().connect().await?;
    Ok(stream)
}

/// The other process: every connection that is accepted is secured and given to `each`.
pub async fn serve<F: Future<Output = ()> + 'static>(each: fn(Secured) -> F) -> Result<()> {
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
            if stream.as_mut().accept().await.is_ok() {
                each(stream).await;
            }
        });
    }
}

pub struct Server {
    process: Child,
    pub port: u16,
    pub ca_file: String,
    pub ca_pem: String,
}

impl Server {
    pub fn start() -> Result<Self> {
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
