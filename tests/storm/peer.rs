//! A bare peer: OpenSSL by way of tokio_openssl, which does what its plan says and knows nothing of exeunt.

use std::{pin::Pin, time::Duration};

use openssl::ssl::SslVersion;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_openssl::SslStream;

use crate::{
    cast::ECHOES,
    identity::bare_ssl,
    pipe::End,
    plan::{Bare, BareOp},
    quiet::Quiet,
    script::{By, Fate, Script, What},
};

struct Peer {
    who: usize,
    script: Script,
    stream: Pin<Box<SslStream<Quiet<End>>>>,
    closed: bool,
    /// A write was given up half way: nothing can be written any more.
    stuck: bool,
}

/// How long a peer tries to write. Chosen arbitrarily.
const PATIENCE: Duration = Duration::from_secs(5);

pub async fn bare(who: usize, plan: Bare, server: bool, old: bool, end: End, script: Script) {
    let begin = Instant::now();
    let mut ssl = bare_ssl(server);
    if old {
        ssl.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    }
    let mut stream = Box::pin(SslStream::new(ssl, Quiet(end)).unwrap());
    let drops = plan.does.iter().find(|(_, op)| matches!(op, BareOp::Drop)).map(|(at, _)| *at);
    let until = begin + drops.unwrap_or(Duration::from_secs(60));
    let shaken = match server {
        true => timeout_at(until, stream.as_mut().accept()).await,
        false => timeout_at(until, stream.as_mut().connect()).await,
    };
    if !matches!(shaken, Ok(Ok(()))) {
        return script.tell(who, By::Bare, What::Answered("no handshake".into()));
    }
    script.tell(who, By::Bare, What::Connected);
    Peer { who, script, stream, closed: false, stuck: false }.live(plan, begin).await;
}

impl Peer {
    async fn live(mut self, plan: Bare, begin: Instant) {
        let mut does = plan.does.into_iter().peekable();
        let (mut reads, mut echoes) = (plan.reads, 0);
        let mut buffer = vec![0; reads.map_or(0, |(most, _)| most)];
        loop {
            let next = does.peek().map(|(at, _)| begin + *at);
            tokio::select! {
                biased;
                () = async { sleep_until(next.unwrap()).await }, if next.is_some() => {
                    match does.next().unwrap().1 {
                        BareOp::Write(len) => {
                            let (n, bytes) = self.script.bytes_for(self.who, len);
                            self.write(n, &bytes).await;
                        }
                        BareOp::CloseNotify => self.close_notify().await,
                        BareOp::Fin => self.fin().await,
                        BareOp::Garbage => self.garbage().await,
                        BareOp::Drop => return,
                    }
                }
                read = self.stream.read(&mut buffer), if reads.is_some() => match read {
                    Ok(0) => {
                        self.script.tell(self.who, By::Bare, What::Eof { clean: true });
                        reads = None;
                        if plan.answers {
                            self.close_notify().await;
                            if plan.fins {
                                self.fin().await;
                            }
                        }
                    }
                    Ok(n) => {
                        let bytes = bytes::Bytes::copy_from_slice(&buffer[..n]);
                        self.script.received(self.who, By::Bare, &bytes);
                        echoes += 1;
                        if plan.echoes && echoes < ECHOES {
                            let n = {
                                let sent = &mut self.script.look().parts[self.who].sent;
                                sent.push((bytes.clone(), Fate::Unknown));
                                sent.len() - 1
                            };
                            self.write(n, &bytes).await;
                        }
                        if let Some((_, pause)) = reads.filter(|(_, pause)| !pause.is_zero()) {
                            sleep(pause).await;
                        }
                    }
                    Err(_) => return self.script.tell(self.who, By::Bare, What::Eof { clean: false }),
                },
                // Silence, until the curtain falls.
                else => std::future::pending::<()>().await,
            }
        }
    }

    async fn write(&mut self, n: usize, bytes: &[u8]) {
        if self.closed || self.stuck {
            return self.script.sent(self.who, n, Fate::Refused);
        }
        let written = timeout(PATIENCE, async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        match written.await {
            Ok(Ok(())) => self.script.sent(self.who, n, Fate::Accepted),
            Ok(Err(_)) | Err(_) => self.stuck = true,
        }
    }

    async fn close_notify(&mut self) {
        if !self.stuck && !std::mem::replace(&mut self.closed, true) {
            self.script.tell(self.who, By::Bare, What::Did("close_notify".into()));
            self.stuck |= !matches!(timeout(PATIENCE, self.stream.shutdown()).await, Ok(Ok(())));
        }
    }

    async fn fin(&mut self) {
        self.script.tell(self.who, By::Bare, What::Did("FIN".into()));
        self.closed = true;
        let _ = self.stream.get_mut().0.shutdown().await;
    }

    async fn garbage(&mut self) {
        self.script.tell(self.who, By::Bare, What::Did("garbage".into()));
        self.stuck |= !matches!(timeout(PATIENCE, self.stream.get_mut().0.write_all(&[0x55; 40])).await, Ok(Ok(())));
    }
}
