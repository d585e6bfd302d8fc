//! STARTTLS with programs that we did not write: Debian's exim4 (SMTP) and PostgreSQL (SSLRequest) as servers, `openssl s_client -starttls` as the client of ours.
//!
//! Each is a play of two: plain words, TLS on the same connection, words by TLS, one `Lost`, and nothing remains. The peers are brought by script/setup.

#[path = "peers/files.rs"]
mod files;
#[path = "common/process.rs"]
mod process;
#[path = "starttls/servers.rs"]
mod servers;

use std::time::Duration;

use actix::{Actor, Addr};
use bytes::BytesMut;
use exeunt::{
    Books, ClientTls, Connect, EndOfStream, Io, Listen, Lost, Progress, Protocol, ProtocolError, Reason, ServerTls,
    StartTls, Stop, Streamed, Subscribe, SupervisedStream, Supervisor,
};
use files::Files;
use process::Process;
use servers::{Exim, Postgres};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Bounds a wait, so that a defect is a failure and not a hang. Nothing is expected to come near it.
async fn soon<T>(what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(30), what).await.ok()
}

fn supervise() -> (Addr<Supervisor>, Books) {
    let supervisor = Supervisor::new();
    let books = supervisor.books();
    (supervisor.start(), books)
}

/// Everybody leaves, and one connection was connected once and lost once.
async fn exeunt(supervisor: Addr<Supervisor>, books: Books) {
    let ledger = soon(supervisor.send(Stop::new())).await.expect("the stop is acknowledged").unwrap();
    let totals = &ledger.totals;
    assert_eq!((totals.admitted, totals.connected, totals.lost), (1, 1, 1), "{ledger}");
    assert_eq!(books.outstanding(), 0);
}

fn trusting(files: &Files) -> ClientTls {
    ClientTls::builder().trust_file(files.ca()).build().unwrap()
}

async fn open(supervisor: &Addr<Supervisor>, port: u16) -> SupervisedStream {
    let connect = Connect::plain(format!("127.0.0.1:{port}"), Streamed::new());
    soon(connect.open(supervisor)).await.expect("it answers").unwrap()
}

/// How it ended, when it is dropped.
async fn end(stream: SupervisedStream) -> Lost {
    let closed = stream.closed();
    drop(stream);
    soon(closed).await.expect("it ends")
}

/// One reply of SMTP, all of its lines.
async fn reply(stream: &mut SupervisedStream) -> String {
    let (mut all, mut line) = (String::new(), Vec::new());
    loop {
        // Byte by byte: what comes behind the reply to STARTTLS is not ours to read.
        let byte = soon(stream.read_u8()).await.expect("the server replies").unwrap();
        line.push(byte);
        if byte == b'\n' {
            let text = String::from_utf8_lossy(&line).into_owned();
            all += &text;
            if text.as_bytes().get(3) != Some(&b'-') {
                return all;
            }
            line.clear();
        }
    }
}

/// exim4, by GnuTLS as Debian builds it: EHLO, STARTTLS, EHLO, QUIT. It advertises STARTTLS no more when there is TLS, which is its word for it.
#[actix::test]
async fn smtp_to_exim() {
    let files = Files::new();
    let exim = Exim::new(&files);
    let (supervisor, books) = supervise();
    let mut stream = open(&supervisor, exim.port()).await;
    assert!(reply(&mut stream).await.starts_with("220 "));
    stream.write_all(b"EHLO exeunt.example\r\n").await.unwrap();
    assert!(reply(&mut stream).await.contains("STARTTLS"));
    stream.write_all(b"STARTTLS\r\n").await.unwrap();
    assert!(reply(&mut stream).await.starts_with("220 "));
    soon(stream.start_tls(StartTls::client("localhost", &trusting(&files)))).await.expect("it shakes hands").unwrap();
    stream.write_all(b"EHLO exeunt.example\r\n").await.unwrap();
    let capabilities = reply(&mut stream).await;
    assert!(capabilities.starts_with("250") && !capabilities.contains("STARTTLS"), "{capabilities}");
    stream.write_all(b"QUIT\r\n").await.unwrap();
    assert!(reply(&mut stream).await.starts_with("221 "));
    let lost = end(stream).await;
    assert!(lost.secure && matches!(lost.reason, Reason::Closed | Reason::ClosedByPeer), "{lost}");
    exeunt(supervisor, books).await;
}

/// PostgreSQL: SSLRequest is answered with one byte, and the handshake begins behind it. Then a query by TLS.
#[actix::test]
async fn a_query_of_postgres() {
    let files = Files::new();
    let mut postgres = Postgres::start(&files).await;
    let (supervisor, books) = supervise();
    let mut stream = open(&supervisor, postgres.port).await;
    stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.unwrap();
    assert_eq!(soon(stream.read_u8()).await.expect("it answers").unwrap(), b'S');
    soon(stream.start_tls(StartTls::client("localhost", &trusting(&files)))).await.expect("it shakes hands").unwrap();
    stream.write_all(b"\0\0\0\x27\0\x03\0\0user\0tester\0database\0postgres\0\0").await.unwrap();
    ready(&mut stream).await;
    let query = b"select ssl, version from pg_stat_ssl where pid = pg_backend_pid()\0";
    stream.write_u8(b'Q').await.unwrap();
    stream.write_u32(4 + query.len() as u32).await.unwrap();
    stream.write_all(query).await.unwrap();
    let answer = String::from_utf8_lossy(&ready(&mut stream).await).into_owned();
    assert!(answer.contains("TLSv1.3"), "{answer:?}");
    stream.write_all(b"X\0\0\0\x04").await.unwrap();
    // Its close_notify is the end of the stream, or that would be an error.
    assert_eq!(soon(stream.read(&mut [0])).await.expect("it closes").unwrap(), 0);
    let lost = end(stream).await;
    assert!(lost.secure && lost.reason == Reason::ClosedByPeer, "{lost}");
    exeunt(supervisor, books).await;
    postgres.stop().await;
}

/// Everything up to PostgreSQL's ReadyForQuery.
async fn ready(stream: &mut SupervisedStream) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let kind = soon(stream.read_u8()).await.expect("it answers").unwrap();
        let mut body = vec![0; stream.read_u32().await.unwrap() as usize - 4];
        stream.read_exact(&mut body).await.unwrap();
        assert_ne!(kind, b'E', "{}", String::from_utf8_lossy(&body));
        all.extend(body);
        if kind == b'Z' {
            return all;
        }
    }
}

/// A server that speaks as much SMTP or PostgreSQL as `s_client -starttls` wants to hear, and by TLS sends everything back.
struct Host {
    tls: ServerTls,
    smtp: bool,
    secure: bool,
}

impl Protocol for Host {
    fn connected(&mut self, io: &mut Io<'_, Self>) {
        if self.smtp {
            io.write(b"220 localhost ESMTP\r\n");
        }
    }

    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        if self.secure {
            io.write_bytes(data.split().freeze());
            return Ok(());
        }
        let (end, ready): (_, &[u8]) = match self.smtp {
            false if data.len() < 8 => return Ok(()),
            false => (8, b"S"),
            true => match data.iter().position(|byte| *byte == b'\n') {
                Some(end) => (end + 1, b"220 go ahead\r\n"),
                None => return Ok(()),
            },
        };
        if data.split_to(end).starts_with(b"EHLO") {
            io.write(b"250-localhost\r\n250 STARTTLS\r\n");
            return Ok(());
        }
        io.write(ready);
        io.start_tls(StartTls::server(&self.tls)).map_err(|error| ProtocolError::new(error.to_string()))
    }

    fn secured(&mut self, _: &mut Io<'_, Self>) {
        self.secure = true;
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        assert_ne!(end, EndOfStream::Fin, "by TLS an end is a close_notify, or a truncation");
        io.close();
    }
}

/// Our server role, with OpenSSL's client.
#[actix::test]
async fn s_client_upgrades_to_us() {
    for protocol in ["smtp", "postgres"] {
        let files = Files::new();
        let (supervisor, books) = supervise();
        let mut progress = supervisor.send(Subscribe).await.unwrap();
        let tls = ServerTls::builder().identity_files(files.certificate(), files.key()).build().unwrap();
        let host = move |_: &_| Host { tls: tls.clone(), smtp: protocol == "smtp", secure: false };
        let listen = Listen::plain_on(([127, 0, 0, 1], 0).into(), host);
        let address = supervisor.send(listen).await.unwrap().unwrap().address().to_string();
        let ca = files.ca();
        let arguments = [
            "s_client",
            "-quiet",
            "-no_ign_eof",
            "-connect",
            &address,
            "-starttls",
            protocol,
            "-verify_return_error",
            "-CAfile",
        ];
        let mut client = Process::start("openssl", arguments.into_iter().map(Into::into).chain([ca.into_os_string()]));
        client.tell("said by TLS\n");
        client.says("said by TLS").await;
        client.close_stdin();
        let lost = loop {
            match soon(progress.next()).await.expect("the client leaves") {
                Some(Ok(Progress::Lost(lost))) => break lost,
                Some(_) => {}
                None => panic!("the supervisor is gone"),
            }
        };
        assert!(lost.secure && lost.reason == Reason::ClosedByPeer, "{protocol}: {lost}");
        exeunt(supervisor, books).await;
    }
}

/// The example's program, built by `cargo test` without a filter, or by `cargo build --examples`.
fn example() -> String {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().parent().unwrap().join("examples/starttls");
    assert!(path.exists(), "{} is not built: run `cargo build --examples` first", path.display());
    path.to_str().unwrap().to_owned()
}

/// The example, against both servers: what it prints.
#[actix::test]
async fn the_example_says_what_happened() {
    let files = Files::new();
    let mut postgres = Postgres::start(&files).await;
    for (port, protocol) in [(Exim::new(&files).port(), "smtp"), (postgres.port, "postgres")] {
        let target = format!("localhost:{port}");
        let mut process =
            Process::start(&example(), [&target, "--protocol", protocol, "--ca", files.ca().to_str().unwrap()]);
        for said in
            ["Connected: connection 1 to ", "Secured: TLSv1.3 with ", "Lost: connection 1 ", "1 connected, 1 lost"]
        {
            process.says(said).await;
        }
    }
    postgres.stop().await;
}
