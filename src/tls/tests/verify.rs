//! Who is let in.

use super::*;
use crate::fate::TlsAlert;

fn refused(result: &Result<(), HandshakeFailure>) -> i32 {
    match result {
        Err(HandshakeFailure::Certificate { code, message }) => {
            assert!(!message.is_empty());
            *code
        }
        other => panic!("{other:?} where the certificate should have been refused"),
    }
}

fn alert(result: &Result<(), HandshakeFailure>) -> u8 {
    match result {
        Err(HandshakeFailure::Alert(TlsAlert(number))) => *number,
        other => panic!("{other:?} where an alert was expected"),
    }
}

/// What the server sees of a client that refuses it, and why the client does.
async fn refusal(client: ClientTlsBuilder, name: &str, server: &ServerTls) -> Vec<(i32, u8)> {
    let mut seen = Vec::new();
    for version in VERSIONS {
        let client = client.clone().min_version(version).max_version(version).build().unwrap();
        let (ours, theirs, _client, mut far) = shake(&client, name, server, tcp().await).await;
        let told = match theirs {
            Ok(()) => match event(&mut far).await {
                Err(StreamFailure::Alert(TlsAlert(number))) => number,
                other => panic!("{other:?}"),
            },
            theirs => alert(&theirs),
        };
        seen.push((refused(&ours), told));
    }
    seen
}

#[tokio::test]
async fn a_stranger_is_refused_and_told() {
    let stranger = self_signed(NAMES).unwrap();
    let server = ServerTls::builder().identity_pem(&stranger.certificate_pem, &stranger.key_pem).build().unwrap();
    // Unable to get the issuer (or, with an authority of the same name, a bad signature); unknown_ca (or decrypt_error).
    for (code, alert) in refusal(client(), "localhost", &server).await {
        assert!(matches!(code, 7 | 19 | 20 | 21), "{code}");
        assert!(matches!(alert, 48 | 51), "{alert}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_told() {
    let old = self_signed_between(NAMES, 1_000_000_000, 1_000_086_400).unwrap();
    let server = ServerTls::builder().identity_pem(&old.certificate_pem, &old.key_pem).build().unwrap();
    let client = ClientTls::builder().trust_pem(&old.ca_pem);
    assert_eq!(refusal(client, "localhost", &server).await, [(10, 45); 2]);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_and_told() {
    let server = server().build().unwrap();
    for name in ["elsewhere.test", "a.b.example.com", "example.com"] {
        for (code, _) in refusal(client(), name, &server).await {
            assert_eq!(code, 62, "{name}");
        }
    }
    for (code, _) in refusal(client(), "127.0.0.2", &server).await {
        assert_eq!(code, 64);
    }
}

#[tokio::test]
async fn names_and_addresses_that_the_certificate_has_are_accepted() {
    let (client, server) = (client().build().unwrap(), server().build().unwrap());
    for name in ["localhost", "LOCALHOST.", "a.example.com", "127.0.0.1", "::1", "[::1]"] {
        let (ours, theirs, _, far) = shake(&client, name, &server, tcp().await).await;
        assert_eq!((ours, theirs), (Ok(()), Ok(())), "{name}");
        assert_eq!(far.info().server_name.is_none(), name.contains("127") || name.contains("::1"), "{name}");
    }
}

#[tokio::test]
async fn a_pin_is_the_identity() {
    let server = server().build().unwrap();
    let certificate = {
        let client = client().build().unwrap();
        secured(&client, &server, tcp().await).await.0.info().peer_certificate.unwrap()
    };
    for version in VERSIONS {
        let client = ClientTls::builder().pin_sha256([0; 32]).pin_sha256(certificate.sha256());
        let client = client.min_version(version).max_version(version).build().unwrap();
        for _ in 0..2 {
            let (ours, theirs, ..) = shake(&client, "whatever.test", &server, tcp().await).await;
            assert_eq!((ours, theirs), (Ok(()), Ok(())));
        }
    }
    for (code, alert) in refusal(ClientTls::builder().pin_sha256([1; 32]), "localhost", &server).await {
        assert_eq!(code, 50);
        assert!(alert > 0);
    }
}

#[tokio::test]
async fn anyone_is_accepted_when_that_was_asked_for() {
    let stranger = self_signed(&["stranger.test"]).unwrap();
    let server = ServerTls::builder().identity_pem(&stranger.certificate_pem, &stranger.key_pem).build().unwrap();
    let client = ClientTls::builder().dangerously_accept_any_certificate().build().unwrap();
    secured(&client, &server, tcp().await).await;
}

#[tokio::test]
async fn a_trusted_certificate_need_not_be_self_signed() {
    let client = ClientTls::builder().trust_pem(&credentials().certificate_pem).build().unwrap();
    secured(&client, &server().build().unwrap(), tcp().await).await;
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_and_verified() {
    let authority = self_signed(&["client.test"]).unwrap();
    let stranger = self_signed(&["stranger.test"]).unwrap();
    let required = server().client_ca_pem(&authority.ca_pem);
    let optional = required.clone().require_client_certificate(false).build().unwrap();
    let required = required.build().unwrap();
    for version in VERSIONS {
        let client = client().min_version(version).max_version(version);
        let known = client.clone().identity_pem(&authority.certificate_pem, &authority.key_pem).build().unwrap();
        let unknown = client.clone().identity_pem(&stranger.certificate_pem, &stranger.key_pem).build().unwrap();
        let nobody = client.build().unwrap();

        let (_, far) = secured(&known, &required, tcp().await).await;
        assert_eq!(far.info().peer_certificate.unwrap().subject(), "CN=client.test");
        assert_eq!(far.info().peer_chain.len(), 1);
        let (_, far) = secured(&nobody, &optional, tcp().await).await;
        assert!(far.info().peer_certificate.is_none());

        for (client, server) in [(&nobody, &required), (&unknown, &required), (&unknown, &optional)] {
            let (ours, theirs, mut near, _far) = shake(client, "localhost", server, tcp().await).await;
            assert!(theirs.is_err());
            // A client of TLS 1.3 is done before the server has looked: it learns with its first read.
            let told = match (version, ours) {
                (TlsVersion::Tls13, Ok(())) => match event(&mut near).await {
                    Err(StreamFailure::Alert(alert)) => alert.0,
                    other => panic!("{other:?}"),
                },
                (_, ours) => alert(&ours),
            };
            if std::ptr::eq(client, &nobody) {
                assert!(matches!(theirs, Err(HandshakeFailure::Tls(_))), "{theirs:?}");
                assert_eq!(told, if version == TlsVersion::Tls13 { 116 } else { 40 });
            } else {
                refused(&theirs);
                assert!(matches!(told, 48 | 51), "{told}");
            }
        }
    }
}

/// A write that meets the reset first must not hide the alert that came before it.
#[tokio::test]
async fn an_alert_is_told_by_a_failing_write_too() {
    let authority = self_signed(&["client.test"]).unwrap();
    let server = server().client_ca_pem(&authority.ca_pem).build().unwrap();
    let client = client().min_version(TlsVersion::Tls13).build().unwrap();
    let (ours, theirs, mut near, far) = shake(&client, "localhost", &server, tcp().await).await;
    assert!(ours.is_ok() && theirs.is_err());
    drop(far);
    let failure = loop {
        if let Err(failure) = send(&mut near, &[0; 1000]).await {
            break failure;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(failure, StreamFailure::Alert(TlsAlert(116)));
    assert_eq!(event(&mut near).await, Err(failure));
}
