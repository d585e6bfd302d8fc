//! As many connections in one process as no limit of descriptors would allow: both ends of pipes in memory, TLS on them, a call on each, and a stop.

use std::{cell::RefCell, future::poll_fn, pin::Pin, task::ready};

use actix::Actor;
use exeunt::{Adopt, Call, ClientTls, Lines, Socket, Stop, StopPlan, Supervisor, Verdict};
use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslAcceptor, SslContext, SslMethod},
    x509::X509,
};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio_openssl::SslStream;

use crate::{
    Result,
    measure::{Stretch, memory, tell},
    setup::Setup,
};

#[derive(Serialize)]
struct Figures {
    rows: usize,
    clean: bool,
    close_notify_both_ways: usize,
    admitted_and_used_s: f64,
    stopped_s: f64,
    stop_cpu_us_each: f64,
    resident_mb: f64,
    peak_mb: f64,
}

const AT_A_TIME: usize = 64;

/// What a pipe holds at most.
const PIPE: usize = 16 * 1024;

pub async fn pipes(setup: &Setup) -> Result<()> {
    let signed = exeunt::tls::self_signed(&["localhost"])?;
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    acceptor.set_certificate(&*X509::from_pem(signed.certificate_pem.as_bytes())?)?;
    acceptor.set_private_key(&*PKey::private_key_from_pem(signed.key_pem.as_bytes())?)?;
    acceptor.set_session_id_context(b"pipes")?;
    let server = acceptor.build().into_context();
    let tls = ClientTls::builder().trust_pem(&signed.ca_pem).build()?;
    let supervisor = Supervisor::new().start();

    let begin = Stretch::begin();
    let mut handles = Vec::with_capacity(setup.connections);
    while handles.len() < setup.connections {
        let some = AT_A_TIME.min(setup.connections - handles.len());
        let opened = (0..some).map(|_| {
            let (ours, theirs) = tokio::io::duplex(PIPE);
            actix::spawn(echo(theirs, server.clone()));
            let (supervisor, tls) = (supervisor.clone(), tls.clone());
            async move {
                let adopt = Adopt::client(Socket::boxed(ours), "localhost", &tls, Lines::default());
                let handle = supervisor.send(adopt).await??;
                handle.send(Call::new("ping")).await??;
                Result::Ok(handle)
            }
        });
        handles.extend(futures_util::future::try_join_all(opened).await?);
    }
    let used = begin.end();
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    let resident_mb = memory("VmRSS:")? / 1024.0;

    let stop = Stretch::begin();
    let ledger = supervisor.send(Stop::by(StopPlan::new().linger(std::time::Duration::from_secs(60)))).await?;
    let stopped = stop.end();
    let both = |row: &&exeunt::Row| row.lost.proof.close_notify_sent && row.lost.proof.close_notify_received;
    tell(&Figures {
        rows: ledger.rows.len(),
        clean: ledger.verdict() == Verdict::Clean,
        close_notify_both_ways: ledger.rows.iter().filter(both).count(),
        admitted_and_used_s: used.wall_us / 1e6,
        stopped_s: stopped.wall_us / 1e6,
        stop_cpu_us_each: stopped.cpu_us / setup.connections as f64,
        resident_mb,
        peak_mb: memory("VmHWM:")? / 1024.0,
    })
}

thread_local! {
    static BUFFER: RefCell<[u8; 4096]> = const { RefCell::new([0; 4096]) };
}

/// The other end, bare: what comes goes back, and a close_notify is answered.
async fn echo(socket: DuplexStream, context: SslContext) {
    let Ok(stream) = Ssl::new(&context).and_then(|ssl| SslStream::new(ssl, socket)) else { return };
    let mut stream = Box::pin(stream);
    if stream.as_mut().accept().await.is_err() {
        return;
    }
    loop {
        let read = poll_fn(|cx| {
            BUFFER.with_borrow_mut(|buffer| {
                let mut into = ReadBuf::new(buffer);
                ready!(Pin::new(&mut stream).poll_read(cx, &mut into))?;
                std::task::Poll::Ready(std::io::Result::Ok(into.filled().to_vec()))
            })
        });
        match read.await {
            Ok(bytes) if !bytes.is_empty() => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            _ => break,
        }
    }
    let _ = stream.shutdown().await;
}
