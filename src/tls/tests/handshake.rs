//! What the two sides agree on, and how a handshake fails.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::fate::TlsAlert;

#[tokio::test]
async fn both_versions_over_both_kinds_of_socket() {
    for version in VERSIONS {
        for sockets in [tcp().await, memory()] {
            let client = client().min_version(version).max_version(version).build().unwrap();
            let (client, server) = secured(&client, &server().build().unwrap(), sockets).await;
            let expected = if version == TlsVersion::Tls12 { "TLSv1.2" } else { "TLSv1.3" };
            for info in [client.info(), server.info()] {
                assert_eq!(info.version, expected);
                assert!(info.cipher.is_some() && info.alpn.is_none() && !info.resumed);
                assert_eq!(info.server_name.as_deref(), Some("localhost"));
            }
            let shown = client.info().peer_certificate.unwrap();
            assert_eq!(shown.subject(), "CN=localhost");
            assert_eq!(client.info().peer_chain, [shown]);
            assert!(server.info().peer_certificate.is_none());
        }
    }
}

#[tokio::test]
async fn addresses_are_known_over_tcp_only() {
    let (client, server) = pair().await;
    assert_eq!(client.local_addr(), server.peer_addr());
    assert!(client.peer_addr().is_some());
    let stream = TlsStream::server(&super::server().build().unwrap(), memory().0).unwrap();
    assert_eq!((stream.peer_addr(), stream.local_addr()), (None, None));
}

#[tokio::test]
async fn the_server_prefers_among_the_offered_protocols() {
    let server = server().alpn(["h2", "http/1.1"]).build().unwrap();
    for (offered, chosen) in
        [(vec!["http/1.1", "h2"], Some("h2")), (vec!["http/1.1"], Some("http/1.1")), (vec![], None)]
    {
        let client = client().alpn(offered).build().unwrap();
        let (client, server) = secured(&client, &server, tcp().await).await;
        for info in [client.info(), server.info()] {
            assert_eq!(info.alpn.as_deref(), chosen.map(str::as_bytes));
        }
    }
    let client = client().alpn(["spdy/1"]).build().unwrap();
    let (ours, theirs, ..) = shake(&client, "localhost", &server, tcp().await).await;
    assert_eq!(ours, Err(HandshakeFailure::Alert(TlsAlert(120))));
    assert!(matches!(theirs, Err(HandshakeFailure::Tls(_))), "{theirs:?}");
}

#[tokio::test]
async fn the_certificate_is_chosen_by_name() {
    let other = self_signed(&["other.test", "*.wild.test"]).unwrap();
    let server = server().sni_pem("other.test", &other.certificate_pem, &other.key_pem);
    let server = server.sni_pem("*.Wild.test", &other.certificate_pem, &other.key_pem).alpn(["x"]);
    let client = client().trust_pem(&other.ca_pem).alpn(["x"]).build().unwrap();
    let built = server.clone().build().unwrap();
    for (name, subject) in [
        ("localhost", "CN=localhost"),
        ("OTHER.test.", "CN=other.test"),
        ("a.wild.test", "CN=other.test"),
        ("127.0.0.1", "CN=localhost"),
    ] {
        let (ours, theirs, client, server) = shake(&client, name, &built, tcp().await).await;
        assert_eq!((ours, theirs), (Ok(()), Ok(())), "{name}");
        assert_eq!(client.info().peer_certificate.unwrap().subject(), subject);
        assert_eq!(server.info().alpn.as_deref(), Some(&b"x"[..]), "callbacks work in every context");
    }
    let only_by_name =
        ServerTls::builder().sni_pem("other.test", &other.certificate_pem, &other.key_pem).build().unwrap();
    let (ours, theirs, ..) = shake(&client, "localhost", &only_by_name, tcp().await).await;
    assert_eq!(ours, Err(HandshakeFailure::Alert(TlsAlert(112))));
    assert!(theirs.is_err());
}

#[tokio::test]
async fn no_common_version_is_told_by_alert() {
    let client = client().max_version(TlsVersion::Tls12).build().unwrap();
    let server = server().min_version(TlsVersion::Tls13).build().unwrap();
    let (ours, theirs, ..) = shake(&client, "localhost", &server, tcp().await).await;
    assert_eq!(ours, Err(HandshakeFailure::Alert(TlsAlert(70))));
    assert!(matches!(theirs, Err(HandshakeFailure::Tls(_))), "{theirs:?}");
}

#[tokio::test]
async fn a_fin_inside_the_handshake_is_an_eof() {
    for (near, mut far) in [tokio::io::duplex(10_000), tokio::io::duplex(10_000)] {
        let mut stream =
            TlsStream::client(&client().build().unwrap(), "localhost", 1, None, Socket::boxed(near)).unwrap();
        far.shutdown().await.unwrap();
        for _ in 0..2 {
            assert_eq!(poll_fn(|cx| stream.poll_handshake(cx)).await, Err(HandshakeFailure::Eof));
        }
        assert!(stream.fin_seen());
        assert!(close_notify(&mut stream).await.is_err());
        assert!(event(&mut stream).await.is_err() && send(&mut stream, b"x").await.is_err());
    }
}

#[tokio::test]
async fn a_reset_inside_the_handshake_is_told() {
    let (near, far) = tcp().await;
    let mut stream = TlsStream::server(&server().build().unwrap(), near).unwrap();
    let Socket::Tcp(far) = far else { panic!() };
    socket2::SockRef::from(&far).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(far);
    assert_eq!(poll_fn(|cx| stream.poll_handshake(cx)).await, Err(HandshakeFailure::Reset));
}

#[tokio::test]
async fn what_is_not_tls_is_told_in_words_and_answered_by_an_alert() {
    let (near, far) = memory();
    let Socket::Boxed(mut far) = far else { panic!() };
    far.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut stream = TlsStream::server(&server().build().unwrap(), near).unwrap();
    let failure = poll_fn(|cx| stream.poll_handshake(cx)).await;
    let Err(HandshakeFailure::Tls(message)) = failure else { panic!("{failure:?}") };
    assert!(!message.is_empty() && !message.contains(".c:"), "{message}");
    fin(&mut stream).await;
    let mut answer = Vec::new();
    far.read_to_end(&mut answer).await.unwrap();
}

/// An error that another user of the library leaves behind on this thread is not ours.
#[tokio::test]
async fn a_stale_error_is_not_read_as_ours() {
    use openssl::x509::X509;
    let stale = || {
        let stack = X509::from_der(b"nonsense").unwrap_err();
        stack.put();
    };
    let (mut client, mut server) = pair().await;
    stale();
    assert!(is_silent(&mut server).await);
    stale();
    send(&mut client, b"x").await.unwrap();
    stale();
    assert_eq!(receive(&mut server).await, Ok("x".into()));
    stale();
    close_notify(&mut client).await.unwrap();
    stale();
    assert_eq!(event(&mut server).await, Ok(ReadEvent::CloseNotify));
}

/// Garbage on the wire after the handshake is TLS's failure, and our alert tells the peer.
#[tokio::test]
async fn a_corrupt_record_is_a_tls_failure() {
    let (client, mut server) = pair().await;
    let Socket::Tcp(mut tcp) = client.into_socket_for_test() else { panic!() };
    tcp.write_all(&[23, 3, 3, 0, 32]).await.unwrap();
    tcp.write_all(&[0xAA; 32]).await.unwrap();
    let failure = event(&mut server).await;
    assert!(matches!(failure, Err(StreamFailure::Tls(_))), "{failure:?}");
    assert_eq!(event(&mut server).await, failure.clone());
    assert_eq!(close_notify(&mut server).await, failure.map(drop), "no close_notify after a fatal error");
    fin(&mut server).await;
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).await.unwrap();
    assert!(!answer.is_empty(), "the alert");
}
