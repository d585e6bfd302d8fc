//! Proxies from their URLs; and the way through one, over a pipe, with a paused clock.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Instant,
};

use super::*;
use crate::{
    fate::{DialFailure, ProxyFailure, ProxyLeg},
    tls::Socket,
};

#[test]
fn urls_and_their_default_ports() {
    for (url, shown) in [
        ("http://proxy:3128", "http://proxy:3128"),
        ("HTTP://Proxy.Example/", "http://proxy.example:80"),
        ("proxy:3128", "http://proxy:3128"),
        ("user:secret@proxy:3128", "http://proxy:3128"),
        ("https://proxy", "https://proxy:443"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://192.0.2.1:1", "http://192.0.2.1:1"),
        #[cfg(feature = "socks")]
        ("socks5://user:secret@proxy", "socks5://proxy:1080"),
        #[cfg(feature = "socks")]
        ("socks5h://[::1]:9050", "socks5://[::1]:9050"),
    ] {
        assert_eq!(Proxy::new(url).unwrap().to_string(), shown, "{url}");
    }
}

#[test]
fn what_is_no_proxy_says_why_and_tells_no_secret() {
    for (url, words) in [
        ("", "host"),
        ("ftp://user:secret@proxy", "\"ftp\" is none of"),
        ("socks4://proxy", "\"socks4\" is none of"),
        ("http://user:secret@proxy/path", "behind the port"),
        ("http://proxy?x", "behind the port"),
        ("http://proxy:0", "port is 0"),
        ("http://proxy:secret", "port"),
        ("http://us%3Aer:secret@proxy", "no colon in the user"),
        ("http://us%FFer:secret@proxy", "not UTF-8"),
        #[cfg(feature = "socks")]
        ("socks5://user@proxy", "1 to 255 bytes"),
        #[cfg(not(feature = "socks"))]
        ("socks5://proxy", "the feature `socks`"),
    ] {
        let error = Proxy::new(url).unwrap_err().to_string();
        assert!(error.contains(words), "{url:?}: {error}");
        assert!(!url.contains('@') || !error.contains("secret"), "{error}");
    }
    let proxy = Proxy::new("http://us%20er:p%40ss@proxy")
        .unwrap()
        .header(HeaderName::from_static("x-token"), HeaderValue::from_static("another secret"));
    assert_eq!(format!("{proxy:?} {proxy}"), "Proxy(http://proxy:80) http://proxy:80");
    let headers = proxy.headers();
    assert_eq!(headers[PROXY_AUTHORIZATION], format!("Basic {}", BASE64_STANDARD.encode("us er:p@ss")));
    assert!(headers[PROXY_AUTHORIZATION].is_sensitive());
}

/// The other end of a way.
struct Theirs(tokio::io::DuplexStream);

impl Theirs {
    /// What was asked, up to its empty line.
    async fn asked(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }
}

/// A pipe whose end is a reset.
struct Resetting(tokio::io::DuplexStream);

impl AsyncRead for Resetting {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        if matches!(read, Poll::Ready(Ok(()))) && buf.filled().len() == before {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for Resetting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// How the proxy goes on when it has said its part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Fin,
    Reset,
    Silence,
}

fn target() -> Target {
    "example.com:443".parse().unwrap()
}

/// Asks a proxy that waits for what it is asked, says this, and goes on like that. Ten seconds are the deadline.
async fn ask(proxy: &Proxy, says: &[u8], then: Then) -> Result<Socket, ProxyFailure> {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let socket = if then == Then::Reset { Socket::boxed(Resetting(ours)) } else { Socket::boxed(ours) };
    let until = Some(Instant::now() + Duration::from_secs(10));
    let target = target();
    let way = way::leg(ProxyLeg::Tunnel, until, way::tunnel(proxy, &target, socket));
    let theirs = async {
        let mut theirs = Theirs(theirs);
        theirs.0.write_all(says).await.unwrap();
        if then == Then::Silence {
            return theirs;
        }
        theirs.0.shutdown().await.unwrap();
        theirs
    };
    let (socket, _theirs) = tokio::join!(way, theirs);
    socket
}

fn http() -> Proxy {
    "http://user:secret@proxy:3128".parse().unwrap()
}

/// Law 1 for the longer dial: every end at every byte of the answer is told as what it is.
#[tokio::test(start_paused = true)]
async fn each_end_at_each_byte_of_the_answer() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 Connection established\r\nproxy-agent: x\r\n\r\n";
    for cut in 0..ANSWER.len() {
        for (then, expected) in [
            (Then::Fin, ProxyFailure::Eof),
            (Then::Reset, ProxyFailure::Reset),
            (Then::Silence, ProxyFailure::TimedOut(ProxyLeg::Tunnel)),
        ] {
            assert_eq!(ask(&http(), &ANSWER[..cut], then).await.unwrap_err(), expected, "{cut} bytes, {then:?}");
        }
    }
    for then in [Then::Fin, Then::Reset, Then::Silence] {
        ask(&http(), ANSWER, then).await.unwrap_or_else(|failure| panic!("{then:?}: {failure}"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_http_proxy_is_asked() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let mut theirs = Theirs(theirs);
    let proxy = http().header(HeaderName::from_static("x-own"), HeaderValue::from_static("1"));
    let target = target();
    let (socket, asked) = tokio::join!(connect::connect(&proxy, &target, Socket::boxed(ours)), async {
        let asked = theirs.asked().await;
        theirs.0.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        asked
    });
    let basic = BASE64_STANDARD.encode("user:secret");
    let expected = format!(
        "CONNECT example.com:443 HTTP/1.1\r\nx-own: 1\r\nproxy-authorization: Basic {basic}\r\nhost: example.com:443\r\n\r\n"
    );
    assert_eq!(asked, expected);
    // Nothing else of hyper's is in the tunnel, in either direction.
    let mut socket = socket.unwrap();
    socket.write_all(b"there").await.unwrap();
    theirs.0.write_all(b"back!").await.unwrap();
    let mut heard = [[0; 5]; 2];
    theirs.0.read_exact(&mut heard[0]).await.unwrap();
    socket.read_exact(&mut heard[1]).await.unwrap();
    assert_eq!(heard, [*b"there", *b"back!"]);
}

/// A peer that speaks first, behind a proxy that sends both in one piece: the bytes are the tunnel's.
#[tokio::test(start_paused = true)]
async fn bytes_behind_the_head_belong_to_the_tunnel() {
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 Connection established\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        // RFC 9110, section 9.3.6: what these say of a 2xx to CONNECT is to be ignored.
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        let mut socket = ask(&http(), format!("{head}220 ready\r\n").as_bytes(), Then::Fin).await.unwrap();
        let mut behind = String::new();
        socket.read_to_string(&mut behind).await.unwrap();
        assert_eq!(behind, "220 ready\r\n", "{head:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_its_status_and_what_to_do() {
    for (answer, status, words) in [
        ("HTTP/1.1 407 x\r\ncontent-length: 3\r\n\r\nno!", 407, "give it a user and a password"),
        ("HTTP/1.1 407 x\r\nproxy-authenticate: Basic realm=\"x\"\r\n\r\n", 407, "the right user and password"),
        ("HTTP/1.1 407 x\r\nproxy-authenticate: Negotiate\r\n\r\n", 407, "by Negotiate"),
        ("HTTP/1.1 502 x\r\ncontent-length: 100000\r\n\r\n<html>", 502, "could not connect to the host"),
        ("HTTP/1.1 403 x\r\ntransfer-encoding: chunked\r\n\r\n", 403, "its own rules"),
        ("HTTP/1.1 302 x\r\nlocation: /\r\n\r\n", 302, "302 Found"),
        ("HTTP/1.0 500 x\r\n\r\n", 500, "500"),
    ] {
        for then in [Then::Fin, Then::Reset, Then::Silence] {
            match ask(&http(), answer.as_bytes(), then).await.unwrap_err() {
                ProxyFailure::Refused { status: of, message } => {
                    assert_eq!(of, Some(status), "{answer:?}");
                    assert!(message.contains(words) && !message.contains("secret"), "{answer:?}: {message}");
                }
                other => panic!("{answer:?} {then:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_answer_of_a_proxy_is_told_and_bounded() {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(20_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(2_000));
    for (answer, words) in [
        ("SSH-2.0-OpenSSH\r\n\r\n", "invalid HTTP version"),
        ("\x15\x03\x01\0\x02\x02\x50", "invalid HTTP version"),
        ("HTTP/1.1 abc\r\n\r\n", "status"),
        (&*endless, "longer than 16384 bytes"),
        (&*many, ""),
    ] {
        match ask(&http(), answer.as_bytes(), Then::Silence).await.unwrap_err() {
            ProxyFailure::Protocol(message) => assert!(message.contains(words), "{message}"),
            other => panic!("{answer:.40?}: {other:?}"),
        }
    }
}

/// The name is resolved, and the proxy dialled, under the same deadline.
#[tokio::test(start_paused = true)]
async fn a_proxy_that_is_not_found_in_time_is_told() {
    struct Never;
    impl crate::dial::Resolver for Never {
        fn resolve(
            &self,
            _: &str,
            _: u16,
        ) -> futures_util::future::BoxFuture<'static, io::Result<Vec<std::net::SocketAddr>>> {
            Box::pin(std::future::pending())
        }
    }
    let resolver: Arc<dyn crate::dial::Resolver> = Arc::new(Never);
    let until = Some(Instant::now() + Duration::from_secs(1));
    let dialed = through(&http(), &target(), &crate::DialOptions::default(), &resolver, until).await;
    let Err(DialFailure::Proxy { proxy, failure }) = dialed else { panic!("a way through nobody") };
    assert_eq!((proxy.as_str(), failure), ("http://proxy:3128", ProxyFailure::TimedOut(ProxyLeg::Dial)));
}

#[cfg(feature = "socks")]
mod socks {
    use super::*;

    fn socks() -> Proxy {
        "socks5://user:secret@proxy".parse().unwrap()
    }

    /// Method 2, the password is right, and the tunnel is there.
    const ANSWER: &[u8] = b"\x05\x02\x01\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50";

    #[tokio::test(start_paused = true)]
    async fn each_end_at_each_byte_of_the_answer() {
        for cut in 0..ANSWER.len() {
            for (then, expected) in [
                (Then::Fin, ProxyFailure::Eof),
                (Then::Reset, ProxyFailure::Reset),
                (Then::Silence, ProxyFailure::TimedOut(ProxyLeg::Tunnel)),
            ] {
                assert_eq!(ask(&socks(), &ANSWER[..cut], then).await.unwrap_err(), expected, "{cut} bytes, {then:?}");
            }
        }
        let mut socket = ask(&socks(), &[ANSWER, b"behind"].concat(), Then::Fin).await.unwrap();
        let mut behind = String::new();
        socket.read_to_string(&mut behind).await.unwrap();
        assert_eq!(behind, "behind");
    }

    /// RFC 1928 and 1929, byte for byte; the name is the proxy's to resolve.
    #[tokio::test(start_paused = true)]
    async fn what_it_is_asked() {
        for (target, address) in [
            ("example.com:443", &b"\x03\x0bexample.com\x01\xbb"[..]),
            ("192.0.2.1:80", b"\x01\xc0\x00\x02\x01\x00\x50"),
        ] {
            let (ours, theirs) = tokio::io::duplex(1024);
            let mut theirs = Theirs(theirs);
            theirs.0.write_all(ANSWER).await.unwrap();
            let target = target.parse().unwrap();
            let socket = super::super::socks::connect(&socks(), &target, Socket::boxed(ours)).await.unwrap();
            drop(socket);
            let mut asked = Vec::new();
            theirs.0.read_to_end(&mut asked).await.unwrap();
            assert_eq!(asked, [b"\x05\x02\x00\x02\x01\x04user\x06secret\x05\x01\x00", address].concat());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_says_what_it_is() {
        for (answer, words) in [
            (&b"\x05\xff"[..], "give it a user and a password"),
            (b"\x05\x02\x01\x01", "the user or the password is wrong"),
            (b"\x05\x00\x05\x01\x00\x01\0\0\0\0\0\0", "General SOCKS server failure"),
            (b"\x05\x00\x05\x02\x00\x01\0\0\0\0\0\0", "its own rules"),
            (b"\x05\x00\x05\x03\x00\x01\0\0\0\0\0\0", "Network unreachable"),
            (b"\x05\x00\x05\x04\x00\x01\0\0\0\0\0\0", "Host unreachable"),
            (b"\x05\x00\x05\x05\x00\x01\0\0\0\0\0\0", "Connection refused"),
            (b"\x05\x00\x05\x06\x00\x01\0\0\0\0\0\0", "TTL expired"),
            (b"\x05\x00\x05\x07\x00\x01\0\0\0\0\0\0", "Command not supported"),
            (b"\x05\x00\x05\x08\x00\x01\0\0\0\0\0\0", "Address type not supported"),
        ] {
            match ask(&socks(), answer, Then::Silence).await.unwrap_err() {
                ProxyFailure::Refused { status: None, message } => assert!(message.contains(words), "{message}"),
                other => panic!("{answer:?}: {other:?}"),
            }
        }
        for answer in [&b"HTTP/1.1 400"[..], b"\x04\x00", b"\x05\x00\x05\x00\x01\x01", b"\x05\x00\x05\x00\x00\x09"] {
            let failure = ask(&socks(), answer, Then::Silence).await.unwrap_err();
            assert!(matches!(failure, ProxyFailure::Protocol(_)), "{answer:?}: {failure:?}");
        }
    }
}
