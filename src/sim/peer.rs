//! A simulated peer: bare TLS, which behaves as its [`Manners`] say and knows nothing of exeunt's own close.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use super::{Act, Manners, Speech, dice, identity::bare_tls, pipe::End};
use crate::tls::{Awkward, BareStream};

/// What a simulated peer tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Told {
    /// The handshake is done.
    Connected,
    /// It failed, or was given up.
    NoHandshake,
    /// These came.
    Received(Bytes),
    /// The other closed, with close_notify; or it did not, and the connection is of no more use for reading.
    End {
        /// With close_notify.
        clean: bool,
    },
    /// It closes, with close_notify.
    Closes,
    /// These are to be written.
    Writes(Bytes),
    /// What became of the last `Writes`: `Some(true)` if the pipe took all of them, `Some(false)` if none, `None` if nobody can say.
    Wrote(Option<bool>),
    /// It did something else.
    Did(String),
}

/// How long a peer tries to write, and, when it is not told to go earlier, to shake hands: longer than any write is blocked.
const PATIENCE: Duration = Duration::from_secs(60);

/// A peer that plays on one end of a [pipe](super::pipe): as a server or as a client. It is over when the peer has gone away; one that has said all is silent for ever, so spawn it and forget it.
///
/// `me`: whose [pattern](super::pattern) it writes. `tells`: hears all that it sees and does.
pub async fn peer(
    me: usize,
    server: bool,
    manners: Manners,
    mut speech: Speech,
    end: End,
    mut tells: impl FnMut(Told),
) {
    let begin = Instant::now();
    let stream = bare_tls().and_then(|tls| tls.stream(server, manners.old, manners.tickets, end));
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => return tells(Told::Did(error.to_string())),
    };
    let drops = manners.does.iter().find(|(_, act)| *act == Act::Drop).map(|(at, _)| *at);
    let until = begin + drops.unwrap_or(PATIENCE);
    if !matches!(timeout_at(until, stream.shake_hands()).await, Ok(Ok(()))) {
        return tells(Told::NoHandshake);
    }
    tells(Told::Connected);
    let mut peer = Peer { me, writes: 0, stream, closed: false, stuck: false, broken: false, tells };
    peer.live(manners, &mut speech, begin).await;
}

struct Peer<T> {
    me: usize,
    writes: usize,
    stream: BareStream<End>,
    closed: bool,
    /// A write was given up half way: nothing can be written any more.
    stuck: bool,
    /// TLS itself failed.
    broken: bool,
    tells: T,
}

impl<T: FnMut(Told)> Peer<T> {
    async fn live(&mut self, manners: Manners, speech: &mut Speech, begin: Instant) {
        let mut does = manners.does.into_iter().peekable();
        let mut reads = manners.reads;
        let mut buffer = vec![0; reads.map_or(0, |(most, _)| most)];
        let mut heard = BytesMut::new();
        let opening = std::mem::take(&mut speech.opening);
        if !opening.is_empty() {
            self.write(opening).await;
        }
        loop {
            // What is read after a failure means nothing: OpenSSL may even call it a clean end.
            if self.broken {
                return (self.tells)(Told::End { clean: false });
            }
            let next = does.peek().map(|(at, _)| begin + *at);
            tokio::select! {
                biased;
                () = sleep_until(next.unwrap_or(begin)), if next.is_some() => match does.next() {
                    None => {}
                    Some((_, Act::Drop)) => return,
                    Some((_, act)) => self.act(act).await,
                },
                read = self.stream.read(&mut buffer), if reads.is_some() => match read {
                    Ok(0) => {
                        (self.tells)(Told::End { clean: true });
                        reads = None;
                        if manners.answers {
                            self.close_notify().await;
                            if manners.fins {
                                self.fin().await;
                            }
                        }
                    }
                    Ok(n) => {
                        heard.extend_from_slice(&buffer[..n]);
                        (self.tells)(Told::Received(Bytes::copy_from_slice(&buffer[..n])));
                        let answer = speech.answer(&mut heard);
                        if !answer.is_empty() {
                            self.write(answer).await;
                        }
                        if let Some((_, pause)) = reads.filter(|(_, pause)| !pause.is_zero()) {
                            sleep(pause).await;
                        }
                    }
                    Err(_) => return (self.tells)(Told::End { clean: false }),
                },
                // Silence, until the curtain falls.
                else => std::future::pending::<()>().await,
            }
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Say(bytes) => self.write(bytes).await,
            Act::Write(len) => {
                let bytes = dice::pattern(self.me, self.writes, len);
                self.write(bytes).await;
            }
            Act::CloseNotify => self.close_notify().await,
            Act::Fin => self.fin().await,
            Act::Garbage => self.garbage().await,
            Act::KeyUpdate { asks } => self.awkward(Awkward::KeyUpdate { asks }).await,
            Act::Ticket => self.awkward(Awkward::Ticket).await,
            Act::Renegotiation => self.awkward(Awkward::Renegotiation).await,
            Act::Drop => {}
        }
    }

    async fn write(&mut self, bytes: Bytes) {
        (self.tells)(Told::Writes(bytes.clone()));
        self.writes += 1;
        if self.closed || self.stuck {
            return (self.tells)(Told::Wrote(Some(false)));
        }
        let written = timeout(PATIENCE, async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        });
        let written = written.await;
        let taken = matches!(written, Ok(Ok(())));
        // A socket that takes no more may still be read.
        let socket = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
        self.broken = matches!(written, Ok(Err(error)) if !socket.contains(&error.kind()));
        self.stuck |= !taken;
        (self.tells)(Told::Wrote(taken.then_some(true)));
    }

    async fn close_notify(&mut self) {
        if !self.stuck && !std::mem::replace(&mut self.closed, true) {
            (self.tells)(Told::Closes);
            let shut = timeout(PATIENCE, self.stream.shutdown()).await;
            self.is_stuck_unless(shut);
        }
    }

    async fn fin(&mut self) {
        self.did("FIN");
        self.closed = true;
        // What it fails with, the other end has done already.
        let _ = self.stream.socket().shutdown().await;
    }

    async fn garbage(&mut self) {
        self.did("garbage");
        let written = timeout(PATIENCE, self.stream.socket().write_all(&[0x55; 40])).await;
        self.is_stuck_unless(written);
    }

    async fn awkward(&mut self, what: Awkward) {
        if self.closed || self.stuck {
            return;
        }
        let done = timeout(PATIENCE, self.stream.awkward(what)).await;
        self.broken = matches!(done, Ok(Err(_)));
        if matches!(done, Ok(Ok(true))) {
            self.did(&format!("{what:?}"));
        }
        self.is_stuck_unless(done);
    }

    fn did(&mut self, what: &str) {
        (self.tells)(Told::Did(what.to_owned()));
    }

    fn is_stuck_unless<O, E>(&mut self, done: Result<io::Result<O>, E>) {
        self.stuck |= !matches!(done, Ok(Ok(_)));
    }
}
