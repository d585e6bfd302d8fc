//! Certificates and keys: whatever is in the PEM, a builder answers with an error in words or with a configuration that works.
#![no_main]

use arbitrary::Arbitrary;
use exeunt::{tls::TlsConfigError, Adopt, ClientTls, ServerTls, Socket};
use exeunt_fuzz::stage::*;
use libfuzzer_sys::{fuzz_target, Corpus};

/// What a piece of PEM is made of.
#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Bytes(&'a [u8]),
    Certificate,
    Authority,
    Key,
    /// The first bytes of a good certificate.
    Cut(u16),
    /// A good key with one byte changed.
    Bent(u16, u8),
    /// Anything between the lines of a good kind.
    Block(u8, &'a [u8]),
}

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    server: bool,
    chain: Vec<Piece<'a>>,
    /// `None`: the same file as the chain.
    key: Option<Vec<Piece<'a>>>,
    trust: Vec<Piece<'a>>,
}

const KINDS: [&str; 8] = [
    "CERTIFICATE",
    "TRUSTED CERTIFICATE",
    "X509 CERTIFICATE",
    "PRIVATE KEY",
    "EC PRIVATE KEY",
    "RSA PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "EC PARAMETERS",
];

fn write(pieces: &[Piece<'_>]) -> Vec<u8> {
    let signed = signed();
    let mut pem = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => pem.extend_from_slice(bytes),
            Piece::Certificate => pem.extend_from_slice(signed.certificate_pem.as_bytes()),
            Piece::Authority => pem.extend_from_slice(signed.ca_pem.as_bytes()),
            Piece::Key => pem.extend_from_slice(signed.key_pem.as_bytes()),
            Piece::Cut(at) => {
                let whole = signed.certificate_pem.as_bytes();
                pem.extend_from_slice(&whole[..usize::from(*at) % whole.len()]);
            }
            Piece::Bent(at, to) => {
                let mut key = signed.key_pem.clone().into_bytes();
                let at = usize::from(*at) % key.len();
                key[at] = *to;
                pem.extend_from_slice(&key);
            }
            Piece::Block(kind, bytes) => {
                let kind = KINDS[usize::from(*kind) % KINDS.len()];
                pem.extend_from_slice(format!("-----BEGIN {kind}-----\n").as_bytes());
                pem.extend_from_slice(bytes);
                pem.extend_from_slice(format!("\n-----END {kind}-----\n").as_bytes());
            }
        }
    }
    pem
}

fuzz_target!(|input: Input<'_>| -> Corpus {
    let chain = write(&input.chain);
    let key = input.key.as_ref().map_or_else(|| chain.clone(), |key| write(key));
    if input.server {
        match ServerTls::builder().identity_pem(&chain, &key).build() {
            Ok(tls) => play(works(Some(tls), client_tls().clone())),
            Err(error) => told(&error),
        }
    } else {
        let mut builder = ClientTls::builder().trust_pem(write(&input.trust)).resumption(false);
        if !input.chain.is_empty() {
            builder = builder.identity_pem(&chain, &key);
        }
        match builder.build() {
            Ok(tls) => play(works(None, tls)),
            Err(error) => told(&error),
        }
    }
    Corpus::Keep
});

fn told(error: &TlsConfigError) {
    let words = error.to_string();
    assert!(!words.is_empty() && words.len() < 2000, "{words}");
    assert!(!words.contains("BEGIN"), "an error shows what is in a file: {words}");
}

/// Plays a handshake: both ends end, however it goes; the trust of the one need not have to do with the other.
async fn works(server: Option<ServerTls>, client: ClientTls) {
    let server = server.unwrap_or_else(|| server_tls().clone());
    let (supervisor, books) = supervise();
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let (one, one_seen) = Witness::new(Manner::Sink);
    let (other, other_seen) = Witness::new(Manner::Sink);
    let (one, other) = tokio::join!(
        supervisor.send(Adopt::client(Socket::boxed(ours), "localhost", &client, one)),
        supervisor.send(Adopt::server(Socket::boxed(theirs), "pipe", &server, other)),
    );
    drop((one, other));
    exeunt(supervisor, books).await;
    assert_end(&one_seen.lock().unwrap());
    assert_end(&other_seen.lock().unwrap());
}
