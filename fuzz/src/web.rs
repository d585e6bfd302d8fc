//! What the targets of HTTP share: a peer that says what the input tells it to, with TLS or without.

use arbitrary::Arbitrary;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::stage::*;

/// What a peer says.
#[derive(Arbitrary, Debug)]
pub enum Say<'a> {
    /// Anything.
    Bytes(&'a [u8]),
    /// A line that ends as it should.
    Line(Line),
    /// A chunk of the length that it tells.
    Chunk(&'a [u8]),
    LastChunk,
    /// So many bytes of a body.
    Body(u8),
    /// Nothing, until everybody else waits.
    Wait,
}

/// Lines that mean something.
#[derive(Arbitrary, Debug)]
pub enum Line {
    Empty,
    Status(u8),
    Old,
    Get,
    Post,
    Head,
    Host,
    Length(u8),
    Chunked,
    Close,
    KeepAlive,
    Expect,
    Upgrade,
    Encoding,
}

impl Say<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Say::Bytes(bytes) => bytes.to_vec(),
            Say::Line(line) => line.text().into_bytes(),
            Say::Chunk(bytes) => [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
            Say::LastChunk => b"0\r\n\r\n".to_vec(),
            Say::Body(n) => vec![b'x'; usize::from(*n)],
            Say::Wait => Vec::new(),
        }
    }
}

impl Line {
    fn text(&self) -> String {
        match self {
            Line::Empty => "\r\n".into(),
            Line::Status(n) => {
                format!("HTTP/1.1 {} Fine\r\n", [200, 100, 101, 103, 204, 304, 302, 500][usize::from(n % 8)])
            }
            Line::Old => "HTTP/1.0 200 Fine\r\n".into(),
            Line::Get => "GET / HTTP/1.1\r\n".into(),
            Line::Post => "POST /read HTTP/1.1\r\n".into(),
            Line::Head => "HEAD / HTTP/1.1\r\n".into(),
            Line::Host => "host: h\r\n".into(),
            Line::Length(n) => format!("content-length: {n}\r\n"),
            Line::Chunked => "transfer-encoding: chunked\r\n".into(),
            Line::Close => "connection: close\r\n".into(),
            Line::KeepAlive => "connection: keep-alive\r\n".into(),
            Line::Expect => "expect: 100-continue\r\n".into(),
            Line::Upgrade => "connection: upgrade\r\nupgrade: x\r\n".into(),
            Line::Encoding => "content-encoding: gzip\r\n".into(),
        }
    }
}

/// How the peer ends.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    CloseNotify,
    Fin,
    Gone,
    Silence,
}

/// The peer's end of the connection.
pub enum Speaker {
    Tls(RawPeer),
    Plain(DuplexStream),
}

impl Speaker {
    pub async fn say(&mut self, bytes: &[u8]) -> bool {
        match self {
            Speaker::Tls(peer) => peer.write(bytes).await,
            Speaker::Plain(pipe) => {
                matches!(tokio::time::timeout(SECOND / 100, pipe.write_all(bytes)).await, Ok(Ok(())))
            }
        }
    }

    /// Reads what there is.
    pub async fn listen(&mut self) -> Vec<u8> {
        let (mut heard, mut buffer) = (Vec::new(), [0; 16 * 1024]);
        loop {
            let read = match self {
                Speaker::Tls(peer) => peer.read(&mut buffer).await.ok().flatten(),
                Speaker::Plain(pipe) => {
                    tokio::time::timeout(SECOND / 100, pipe.read(&mut buffer)).await.ok().and_then(Result::ok)
                }
            };
            match read {
                Some(n) if n > 0 => heard.extend_from_slice(&buffer[..n]),
                _ => return heard,
            }
        }
    }

    /// Says all of it, as far as it is taken. What was said for certain, and whether that is all.
    pub async fn play(&mut self, says: &[Say<'_>]) -> (Vec<u8>, bool) {
        let mut said = Vec::new();
        for say in says.iter().take(64) {
            let bytes = say.bytes();
            if bytes.is_empty() {
                settle().await;
                continue;
            }
            said.extend_from_slice(&bytes);
            if !self.say(&bytes).await {
                return (said, false);
            }
        }
        (said, true)
    }

    /// Ends. What still holds the pipe, and whether the end is one that says that all was said.
    pub async fn end(mut self, last: Last) -> (Option<Speaker>, bool) {
        match (&mut self, last) {
            (_, Last::Silence) => (Some(self), false),
            (_, Last::Gone) => {
                // Without TLS it cannot be told from a FIN.
                let plain = matches!(self, Speaker::Plain(_));
                (None, plain)
            }
            (Speaker::Tls(peer), Last::CloseNotify) => {
                let clean = peer.close_notify().await;
                (Some(self), clean)
            }
            (Speaker::Tls(peer), Last::Fin) => {
                peer.fin().await;
                (Some(self), false)
            }
            (Speaker::Plain(pipe), Last::CloseNotify | Last::Fin) => {
                let _ = pipe.shutdown().await;
                (Some(self), true)
            }
        }
    }
}
