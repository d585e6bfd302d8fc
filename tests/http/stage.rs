//! The stage: certificates, a supervisor, a connection over a pipe whose client is bytes, and the assertion that nothing remains.

use std::{
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

use actix::{Actor, Addr};
use exeunt::{
    Adopt, Books, Handle, Ledger, Lost, Progress, Protocol, Role, ServerTls, Socket, Stop, StopPlan, Subscribe,
    Subscription, Supervisor, sim::Quiet, tls::SelfSigned,
};
use openssl::ssl::{SslConnector, SslMethod};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::TcpStream,
};
use tokio_openssl::SslStream;

pub const SECOND: Duration = Duration::from_secs(1);

/// What a pipe holds: as the smallest socket's buffer.
pub const PIPE: usize = 4 * 1024;

pub fn signed() -> &'static SelfSigned {
    static SIGNED: OnceLock<SelfSigned> = OnceLock::new();
    SIGNED.get_or_init(|| exeunt::tls::self_signed(&["localhost", "127.0.0.1"]).unwrap())
}

pub fn server_tls() -> ServerTls {
    static TLS: OnceLock<ServerTls> = OnceLock::new();
    TLS.get_or_init(|| ServerTls::builder().identity_pem(&signed().certificate_pem, &signed().key_pem).build().unwrap())
        .clone()
}

/// Waits until nothing can happen any more by itself, under the paused clock: it moves on only when everybody waits.
pub async fn settled() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

/// With TLS or without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Tls,
    Plain,
}

/// A test of this scene over each, with a paused clock.
#[macro_export]
macro_rules! over_both {
    ($($(#[$doc:meta])* $scene:ident)*) => {$(
        mod $scene {
            #[actix::test]
            async fn over_tls() {
                tokio::time::pause();
                super::$scene($crate::stage::Over::Tls).await;
            }

            #[actix::test]
            async fn over_plain() {
                tokio::time::pause();
                super::$scene($crate::stage::Over::Plain).await;
            }
        }
    )*};
}

/// A supervisor with one connection, as a server unless it says otherwise, and what is at its other end.
pub struct Scene<P: Protocol> {
    pub supervisor: Addr<Supervisor>,
    pub books: Books,
    pub progress: Subscription,
    pub connection: Handle<P>,
    pub client: Client,
    /// Ends that were told to the test already.
    told: usize,
}

impl<P: Protocol> Scene<P> {
    pub async fn open(over: Over, protocol: P) -> Self {
        Scene::open_with(over, protocol, |adopt| adopt).await
    }

    pub async fn open_with(over: Over, protocol: P, change: impl FnOnce(Adopt<P>) -> Adopt<P>) -> Self {
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        let supervisor = supervisor.start();
        let progress = supervisor.send(Subscribe).await.unwrap();
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let ours = Socket::boxed(ours);
        let (connection, client) = match over {
            Over::Tls => {
                let adopt = change(Adopt::server(ours, "the client", &server_tls(), protocol));
                tokio::join!(supervisor.send(adopt), Client::secured(theirs))
            }
            Over::Plain => {
                let adopt = change(Adopt::plain(ours, "the client", Role::Server, protocol));
                (supervisor.send(adopt).await, Client::new(theirs))
            }
        };
        Scene { supervisor, books, progress, connection: connection.unwrap().unwrap(), client, told: 0 }
    }

    /// A connection as a client; the bytes are its server's.
    pub async fn call(over: Over, protocol: P) -> Self {
        let supervisor = Supervisor::new();
        let books = supervisor.books();
        let supervisor = supervisor.start();
        let progress = supervisor.send(Subscribe).await.unwrap();
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let ours = Socket::boxed(ours);
        let (connection, client) = match over {
            Over::Tls => {
                let adopt = Adopt::client(ours, "localhost", &crate::peer::client_tls(), protocol);
                tokio::join!(supervisor.send(adopt), Client::accepted(theirs))
            }
            Over::Plain => {
                let adopt = Adopt::plain(ours, "localhost", Role::Client, protocol);
                (supervisor.send(adopt).await, Client::new(theirs))
            }
        };
        Scene { supervisor, books, progress, connection: connection.unwrap().unwrap(), client, told: 0 }
    }

    /// The end of the connection, whoever brings it about.
    pub async fn lost(&mut self) -> Lost {
        self.told += 1;
        lost(&mut self.progress).await
    }

    /// Begins a stop.
    pub fn stop(&self) -> tokio::task::JoinHandle<Arc<Ledger>> {
        let plan = StopPlan::new().drain(SECOND * 20).linger(SECOND);
        let stop = self.supervisor.send(Stop::by(plan));
        actix::spawn(async move { stop.await.unwrap() })
    }

    /// The last scene: everybody has left, once, and nothing remains.
    pub async fn end(self) -> Arc<Ledger> {
        let stop = self.stop();
        self.ended(stop).await
    }

    /// As [`end`](Scene::end), where the stop was part of the play.
    pub async fn ended(mut self, stop: tokio::task::JoinHandle<Arc<Ledger>>) -> Arc<Ledger> {
        let ledger = stop.await.unwrap();
        assert_adds_up(&ledger, &self.books);
        assert_eq!(ledger.totals.lost, 1);
        let mut ends = 0;
        while let Some(progress) = self.progress.next().await {
            ends += usize::from(matches!(progress, Ok(Progress::Lost(_))));
        }
        assert!(ends + self.told == 1, "{} ends were told", ends + self.told);
        ledger
    }
}

pub async fn lost(progress: &mut Subscription) -> Lost {
    loop {
        match progress.next().await {
            Some(Ok(Progress::Lost(lost))) => return lost,
            Some(_) => {}
            None => panic!("nobody was lost"),
        }
    }
}

/// Laws 1, 6 and 9: whoever was admitted is lost, once, and is counted under a reason.
pub fn assert_adds_up(ledger: &Ledger, books: &Books) {
    assert_eq!(books.outstanding(), 0, "a ticket is left");
    assert_eq!(ledger.totals.admitted, ledger.totals.lost);
    assert_eq!(ledger.totals.lost, ledger.totals.by_reason.values().sum::<u64>());
}

/// What a client speaks over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// What is below TLS.
    fn socket(&mut self) -> &mut dyn Stream;
}

impl Stream for DuplexStream {
    fn socket(&mut self) -> &mut dyn Stream {
        self
    }
}

impl Stream for TcpStream {
    fn socket(&mut self) -> &mut dyn Stream {
        self
    }
}

impl Stream for SslStream<Quiet<DuplexStream>> {
    fn socket(&mut self) -> &mut dyn Stream {
        &mut self.get_mut().0
    }
}

/// A client, or a server, that says what it is told to, byte for byte.
pub struct Client {
    pub stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

/// What a server has answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| line.split_once(": ").filter(|(key, _)| *key == name).map(|(_, value)| value))
}

impl Client {
    pub fn new(stream: impl Stream + 'static) -> Self {
        Client { stream: Box::new(stream), unread: Vec::new() }
    }

    pub async fn secured(pipe: DuplexStream) -> Self {
        let mut builder = SslConnector::builder(SslMethod::tls()).unwrap();
        let ca = openssl::x509::X509::from_pem(signed().ca_pem.as_bytes()).unwrap();
        builder.cert_store_mut().add_cert(ca).unwrap();
        let ssl = builder.build().configure().unwrap().into_ssl("localhost").unwrap();
        let mut stream = SslStream::new(ssl, Quiet(pipe)).unwrap();
        std::pin::Pin::new(&mut stream).connect().await.unwrap();
        Client::new(stream)
    }

    /// The server's end.
    pub async fn accepted(pipe: DuplexStream) -> Self {
        let mut stream = SslStream::new(crate::peer::server_ssl(), Quiet(pipe)).unwrap();
        std::pin::Pin::new(&mut stream).accept().await.unwrap();
        Client::new(stream)
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// A request without a body.
    pub async fn ask(&mut self, what: &str) {
        self.say(format!("{what} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
    }

    async fn more(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.unread).await
    }

    /// The next response with all of its body, or an interim one.
    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if header(&head, "transfer-encoding") == Some("chunked") {
            self.chunks().await
        } else {
            let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
            self.take(length).await
        };
        Answer { status, head, body }
    }

    /// The next head, with the empty line behind it.
    pub async fn head(&mut self) -> String {
        String::from_utf8(self.through(b"\r\n\r\n").await).unwrap()
    }

    async fn through(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                return self.take(at + end.len()).await;
            }
            assert_ne!(self.more().await.unwrap(), 0, "it ended after {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    pub async fn take(&mut self, n: usize) -> Vec<u8> {
        while self.unread.len() < n {
            assert_ne!(self.more().await.unwrap(), 0, "it ended after {} bytes of {n}", self.unread.len());
        }
        let rest = self.unread.split_off(n);
        std::mem::replace(&mut self.unread, rest)
    }

    /// The next chunk, without its framing. Empty: it was the last, and trailers may follow.
    pub async fn chunk(&mut self) -> Vec<u8> {
        let size = String::from_utf8(self.through(b"\r\n").await).unwrap();
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        if size == 0 {
            return Vec::new();
        }
        let chunk = self.take(size).await;
        self.take(2).await;
        chunk
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.chunk().await {
                chunk if chunk.is_empty() => {
                    while self.through(b"\r\n").await != b"\r\n" {}
                    return all;
                }
                chunk => all.extend(chunk),
            }
        }
    }

    /// Everything up to the end. With TLS, a bare FIN is an error.
    pub async fn until_end(&mut self) -> io::Result<Vec<u8>> {
        while self.more().await? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// Ends the client's direction as it should: close_notify and no FIN, or without TLS the FIN.
    pub async fn close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The FIN alone.
    pub async fn fin(&mut self) {
        self.stream.socket().shutdown().await.unwrap();
    }

    /// Reads to the end, of which nothing must be left, and answers it.
    pub async fn leave(&mut self) {
        let rest = self.until_end().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&rest), "");
        // The server may be gone by now: it owes nothing but its own end.
        let _ = self.stream.shutdown().await;
    }
}
