//! The one server of all clients: bare tokio-openssl, HTTP/1.1 and lines, and an account of how every connection ended.
//!
//! Commands on standard input, a line each: `reset` forgets and listens on another port, which it says; `ends` tells (to be asked when the client has gone); the end of input ends it.
//!
//! Another port for each run, because Linux looks for a local one among those that are in `TIME_WAIT` with the same server. That is the client's time: after many thousands in a minute it was longer than a resumed handshake (`__inet_hash_connect`).

mod ends;
mod talk;
mod tap;

use std::{io::Write, rc::Rc};

use ends::Ends;
use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslAcceptor, SslContext, SslMethod, SslVersion},
    x509::X509,
};
use tap::Tap;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    task::{LocalSet, spawn_local},
};
use tokio_openssl::SslStream;

use crate::Result;

pub fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve())
}

/// A connection, as the server has it.
type Secured = std::pin::Pin<Box<SslStream<Tap>>>;

async fn serve() -> Result<()> {
    let signed = exeunt::tls::self_signed(&["localhost"])?;
    let context = context(&signed)?;
    let ca_file = std::env::temp_dir().join(format!("exeunt-peers-{}.pem", std::process::id()));
    std::fs::write(&ca_file, &signed.ca_pem)?;
    let ends = Rc::new(Ends::default());
    let begin = || -> Result<_> {
        let listener = listen()?;
        let port = listener.local_addr()?.port();
        Ok((port, spawn_local(accept(listener, context.clone(), ends.clone()))))
    };
    let (port, mut accepting) = begin()?;
    tell(format_args!("{port} {}", ca_file.display()))?;
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Some(command) = commands.next_line().await? {
        match command.as_str() {
            "reset" => {
                ends.forget();
                accepting.abort();
                let (port, again) = begin()?;
                accepting = again;
                tell(format_args!("{port}"))?;
            }
            "ends" => tell(format_args!("{}", serde_json::to_string(&ends.tell())?))?,
            other => return Err(format!("the server does not know the command {other:?}").into()),
        }
    }
    std::fs::remove_file(&ca_file)?;
    Ok(())
}

/// Says a line to whoever has started the server, and now.
fn tell(line: std::fmt::Arguments<'_>) -> Result<()> {
    println!("{line}");
    Ok(std::io::stdout().flush()?)
}

/// Thousands dial at once. Linux cuts this to `net.core.somaxconn`, which is 4096 by default.
const BACKLOG: u32 = 16 * 1024;

fn listen() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    Ok(socket.listen(BACKLOG)?)
}

/// TLS 1.3 with tickets, by which a session may be resumed.
fn context(signed: &exeunt::tls::SelfSigned) -> Result<SslContext> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_certificate(&*X509::from_pem(signed.certificate_pem.as_bytes())?)?;
    builder.set_private_key(&*PKey::private_key_from_pem(signed.key_pem.as_bytes())?)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    builder.set_session_id_context(b"peers")?;
    Ok(builder.build().into_context())
}

async fn accept(listener: TcpListener, context: SslContext, ends: Rc<Ends>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                spawn_local(attend(socket, context.clone(), ends.clone()));
            }
            // Descriptors have ended. The clients will tell, by what they miss.
            Err(error) => {
                eprintln!("peers serve: accepting: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

async fn attend(socket: TcpStream, context: SslContext, ends: Rc<Ends>) {
    let episode = ends.accepted();
    let _ = socket.set_nodelay(true);
    let socket = Rc::new(socket);
    let stream = Ssl::new(&context).and_then(|ssl| SslStream::new(ssl, Tap::new(socket.clone())));
    let mut stream: Secured = match stream {
        Ok(stream) => Box::pin(stream),
        Err(_) => return,
    };
    if stream.as_mut().accept().await.is_err() {
        return ends.handshake_failed(episode);
    }
    ends.secured(episode);
    match talk::talk(&mut stream).await {
        Ok(()) => ends.ended(episode, stream, socket).await,
        Err(_) => ends.failed(episode, &stream),
    }
}
