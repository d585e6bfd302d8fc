//! What is wrong with a configuration is said in one sentence.

use super::*;

fn said(result: Result<impl Sized, TlsConfigError>, parts: &[&str]) {
    let error = result.err().unwrap_or_else(|| panic!("accepted, where {parts:?} was expected"));
    for part in parts {
        assert!(error.to_string().contains(part), "{part:?} is not in: {error}");
    }
    assert!(!error.to_string().contains('\n'), "{error}");
}

fn encrypted_key() -> Vec<u8> {
    let key = openssl::pkey::PKey::private_key_from_pem(credentials().key_pem.as_bytes()).unwrap();
    key.private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"secret").unwrap()
}

#[test]
fn files_are_named() {
    let scratch = Scratch::new("files");
    let missing = scratch.0.join("missing.pem");
    said(ClientTls::builder().trust_file(&missing).build(), &["missing.pem", "could not be read", "No such file"]);
    said(ServerTls::builder().identity_files(&missing, &missing).build(), &["missing.pem", "certificate chain"]);
    let empty = scratch.write("empty.pem", "");
    said(ClientTls::builder().trust_file(&empty).build(), &["empty.pem", "it is empty"]);
    let der = scratch.write("ca.der", [0x30, 0x82, 1, 2]);
    said(ClientTls::builder().trust_file(&der).build(), &["ca.der", "not PEM", "openssl x509 -inform DER"]);
    said(ServerTls::builder().identity_pem("", "").build(), &["certificate chain", "empty"]);
    let key = scratch.write("key.pem", &credentials().key_pem);
    said(ClientTls::builder().trust_file(&key).build(), &["key.pem", "no certificate in it"]);
    let cert = scratch.write("cert.pem", &credentials().certificate_pem);
    said(
        ServerTls::builder().identity_files(&cert, &cert).build(),
        &["private key", "cert.pem", "no private key in it"],
    );
    let torn = scratch.write("torn.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    said(ClientTls::builder().trust_file(&torn).build(), &["torn.pem", "not PEM"]);
}

#[test]
fn keys_are_checked_before_a_peer_can_notice() {
    let other = self_signed(NAMES).unwrap();
    let mismatch = ServerTls::builder().identity_pem(&credentials().certificate_pem, &other.key_pem).build();
    said(mismatch, &["private key", "does not belong to the certificate"]);
    // If this prompted, the test would wait for a passphrase.
    let encrypted = client().identity_pem(&credentials().certificate_pem, encrypted_key()).build();
    said(encrypted, &["private key", "encrypted", "openssl pkey"]);
    let torn = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    said(client().identity_pem(&credentials().certificate_pem, torn).build(), &["cannot load the private key: "]);
    assert!(openssl::error::ErrorStack::get().errors().is_empty(), "nothing is left in the thread's error queue");
}

#[test]
fn options_are_checked() {
    said(client().ciphers("NO-SUCH-CIPHER").build(), &["ciphers of TLS 1.2", "\"NO-SUCH-CIPHER\"", "openssl ciphers"]);
    said(server().ciphers("A\0B").build(), &["ciphers of TLS 1.2", "NUL"]);
    said(client().ciphersuites("NO_SUCH_SUITE").build(), &["suites of TLS 1.3", "NO_SUCH_SUITE"]);
    said(client().groups("no-such-group").build(), &["groups", "no-such-group"]);
    said(client().alpn([""]).build(), &["ALPN", "empty"]);
    said(server().alpn(["x".repeat(256)]).build(), &["ALPN", "255 bytes"]);
    said(client().alpn(vec!["x".repeat(255); 300]).build(), &["ALPN", "65,533"]);
    said(client().min_version(TlsVersion::Tls13).max_version(TlsVersion::Tls12).build(), &["versions", "below"]);
    said(ClientTls::builder().system_roots(false).build(), &["trust", "trust_file"]);
    said(ServerTls::builder().build(), &["no certificate", "identity_files"]);
    said(server().require_client_certificate(true).build(), &["client certificate", "client_ca_file"]);
    let (cert, key) = (&credentials().certificate_pem, &credentials().key_pem);
    said(server().sni_pem("127.0.0.1", cert, key).build(), &["127.0.0.1", "addresses"]);
    said(server().sni_pem("a*b", cert, key).build(), &["a*b"]);
    said(self_signed(&[]), &["no name"]);
    said(self_signed(&["a b"]), &["a b"]);
    said(TlsStream::client(&client().build().unwrap(), "", 1, None, memory().0).map(drop), &["empty"]);
}

#[tokio::test]
async fn options_are_used() {
    let client = client().ciphers("ECDHE-ECDSA-AES256-GCM-SHA384").groups("P-256").max_version(TlsVersion::Tls12);
    let client = client.read_ahead(false).build().unwrap();
    let server = server().read_ahead(false).build().unwrap();
    let (near, _far) = secured(&client, &server, tcp().await).await;
    assert_eq!(near.info().cipher.as_deref(), Some("ECDHE-ECDSA-AES256-GCM-SHA384"));
}

#[cfg(not(feature = "aws-lc"))]
#[tokio::test]
async fn suites_of_tls_1_3_are_used() {
    let client = client().ciphersuites("TLS_CHACHA20_POLY1305_SHA256").build().unwrap();
    let (near, _far) = secured(&client, &server().build().unwrap(), tcp().await).await;
    assert_eq!(near.info().cipher.as_deref(), Some("TLS_CHACHA20_POLY1305_SHA256"));
}

#[test]
fn the_system_is_trusted_unless_something_else_is() {
    let system = ClientTls::system().unwrap();
    assert!(format!("{system:?}").contains("Chain"));
    client().system_roots(true).build().unwrap();
}

#[test]
fn secrets_are_not_shown() {
    let encoded: String = credentials().key_pem.lines().nth(1).unwrap().into();
    let client = client().identity_pem(&credentials().certificate_pem, &credentials().key_pem);
    let server = server().sni_pem("a.test", &credentials().certificate_pem, &credentials().key_pem);
    for shown in [
        format!("{client:?}"),
        format!("{server:?}"),
        format!("{:?}", client.clone().build().unwrap()),
        format!("{:?}", server.clone().build().unwrap()),
        format!("{:?}", credentials()),
    ] {
        assert!(!shown.contains(&encoded) && !shown.contains("PRIVATE"), "{shown}");
    }
}

#[tokio::test]
async fn the_key_log_is_what_wireshark_reads() {
    let scratch = Scratch::new("keylog");
    let path = scratch.0.join("keys.log");
    let mut client = client();
    client.options.key_log_file = Some(path.clone());
    let mut server = server();
    server.options.key_log_file = Some(path.clone());
    let (client, server) = (client.build().unwrap(), server.build().unwrap());
    secured(&client, &server, tcp().await).await;
    let log = std::fs::read_to_string(&path).unwrap();
    assert_eq!(log.matches("CLIENT_HANDSHAKE_TRAFFIC_SECRET ").count(), 2, "{log}");
    assert!(log.ends_with('\n'));

    let mut nowhere = super::client();
    nowhere.options.key_log_file = Some(scratch.0.join("no/such/dir"));
    said(nowhere.build(), &["SSLKEYLOGFILE", "no/such/dir"]);
}

#[test]
fn configurations_can_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    shared::<ClientTls>();
    shared::<ServerTls>();
    shared::<TlsInfo>();
    fn sent<T: Send + Unpin>() {}
    sent::<TlsStream>();
}
