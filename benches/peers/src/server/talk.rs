//! What the server says: HTTP/1.1 as far as the clients of these benchmarks need it, and an echo for all that does not look like it.
//!
//! `GET /bytes/N`, `POST /upload` with a length, and `GET /gather/N`, which is answered when N of them have come: so a client with a pool makes N connections.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    sync::broadcast,
};

use super::Secured;

const PIECE: usize = 64 * 1024;

thread_local! {
    /// Thousands of idle connections need no buffer each.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
    static GATHERING: RefCell<Gathering> = RefCell::new(Gathering::default());
}

/// Returns when the client has ended its side, whatever way: that is for the account to find out.
pub async fn talk(stream: &mut Secured) -> std::io::Result<()> {
    let mut kept = Vec::new();
    loop {
        match poll_fn(|cx| poll_turn(stream, cx, &mut kept)).await? {
            Turn::End => return Ok(()),
            Turn::More => {}
            Turn::Echo(bytes) => stream.write_all(&bytes).await?,
            Turn::Head(head) => answer(stream, &head, &mut kept).await?,
        }
    }
}

enum Turn {
    End,
    More,
    Echo(Vec<u8>),
    Head(String),
}

fn poll_turn(stream: &mut Secured, cx: &mut Context<'_>, kept: &mut Vec<u8>) -> Poll<std::io::Result<Turn>> {
    BUFFER.with_borrow_mut(|buffer| {
        let bytes = ready!(poll_read(stream, cx, buffer))?;
        Poll::Ready(Ok(match bytes {
            [] => Turn::End,
            // Most often a whole head, and nothing kept from before.
            _ if kept.is_empty() && !matches!(bytes[0], b'G' | b'P') => Turn::Echo(bytes.to_vec()),
            _ => {
                kept.extend_from_slice(bytes);
                match kept.windows(4).position(|four| four == b"\r\n\r\n") {
                    None => Turn::More,
                    Some(at) => {
                        let head = String::from_utf8_lossy(&kept[..at]).into_owned();
                        kept.drain(..at + 4);
                        Turn::Head(head)
                    }
                }
            }
        }))
    })
}

fn poll_read<'b>(stream: &mut Secured, cx: &mut Context<'_>, buffer: &'b mut [u8]) -> Poll<std::io::Result<&'b [u8]>> {
    let mut into = ReadBuf::new(buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut into))?;
    let filled = into.filled().len();
    Poll::Ready(Ok(&buffer[..filled]))
}

/// Answers a request. `kept`: what came behind its head.
async fn answer(stream: &mut Secured, head: &str, kept: &mut Vec<u8>) -> std::io::Result<()> {
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "POST" {
        take_body(stream, length(head), kept).await?;
        return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    }
    if let Some(wanted) = path.strip_prefix("/gather/").and_then(|n| n.parse().ok()) {
        let all = GATHERING.with_borrow_mut(|gathering| gathering.join(wanted));
        if let Some(mut all) = all {
            let _ = all.recv().await;
        }
        return send_bytes(stream, 100).await;
    }
    send_bytes(stream, path.strip_prefix("/bytes/").and_then(|n| n.parse().ok()).unwrap_or(100)).await
}

async fn send_bytes(stream: &mut Secured, mut bytes: u64) -> std::io::Result<()> {
    static PATTERN: [u8; PIECE] = [b'x'; PIECE];
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n");
    if bytes <= 4096 {
        let mut whole = head.into_bytes();
        whole.extend_from_slice(&PATTERN[..bytes as usize]);
        return stream.write_all(&whole).await;
    }
    stream.write_all(head.as_bytes()).await?;
    while bytes > 0 {
        let n = bytes.min(PIECE as u64);
        stream.write_all(&PATTERN[..n as usize]).await?;
        bytes -= n;
    }
    Ok(())
}

fn length(head: &str) -> u64 {
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    head.lines().find_map(header).unwrap_or_default()
}

async fn take_body(stream: &mut Secured, bytes: u64, kept: &mut Vec<u8>) -> std::io::Result<()> {
    let early = kept.len().min(bytes as usize);
    kept.drain(..early);
    let mut left = bytes - early as u64;
    while left > 0 {
        let read =
            poll_fn(|cx| BUFFER.with_borrow_mut(|buffer| poll_read(stream, cx, buffer).map_ok(|bytes| bytes.len())));
        match read.await? as u64 {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => left = left.saturating_sub(n),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Gathering {
    come: usize,
    all: Option<broadcast::Sender<()>>,
}

impl Gathering {
    /// What to wait for; `None` for the one who completes the number.
    fn join(&mut self, wanted: usize) -> Option<broadcast::Receiver<()>> {
        self.come += 1;
        if self.come >= wanted {
            *self = Gathering::default();
            return None;
        }
        Some(self.all.get_or_insert_with(|| broadcast::channel(1).0).subscribe())
    }
}
