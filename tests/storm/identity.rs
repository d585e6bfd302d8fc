//! Who the actors are to each other. Ed25519: its signatures are all of one length, so that OpenSSL's randomness does not change how long a handshake is.

use std::sync::OnceLock;

use exeunt::{ClientTls, ServerTls, tls::TlsVersion};
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    hash::MessageDigest,
    pkey::PKey,
    ssl::{Ssl, SslContext, SslMethod},
    x509::{X509, X509NameBuilder, extension::SubjectAlternativeName},
};

/// Each of our connections is `s<n>` of this domain to its peer: so every row and every message tells which one it is about.
pub const DOMAIN: &str = "storm.test";

struct Identity {
    certificate: String,
    key: String,
}

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let key = PKey::generate_ed25519().unwrap();
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_text("CN", DOMAIN).unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(1_000_000_000).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::days_from_now(30).unwrap()).unwrap();
        let names =
            SubjectAlternativeName::new().dns(&format!("*.{DOMAIN}")).build(&builder.x509v3_context(None, None));
        builder.append_extension(names.unwrap()).unwrap();
        builder.sign(&key, MessageDigest::null()).unwrap();
        Identity {
            certificate: String::from_utf8(builder.build().to_pem().unwrap()).unwrap(),
            key: String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap(),
        }
    })
}

/// A new one for each run: a session of another run, resumed, would be another handshake than the seed's.
pub fn client_tls(old: bool) -> ClientTls {
    let builder = ClientTls::builder().trust_pem(&identity().certificate);
    let builder = if old { builder.max_version(TlsVersion::Tls12) } else { builder };
    builder.build().unwrap()
}

pub fn server_tls() -> &'static ServerTls {
    static TLS: OnceLock<ServerTls> = OnceLock::new();
    TLS.get_or_init(|| ServerTls::builder().identity_pem(&identity().certificate, &identity().key).build().unwrap())
}

/// What a bare peer speaks with.
pub fn bare_ssl(server: bool) -> Ssl {
    static CONTEXTS: OnceLock<[SslContext; 2]> = OnceLock::new();
    let contexts = CONTEXTS.get_or_init(|| {
        let mut server = SslContext::builder(SslMethod::tls_server()).unwrap();
        server.set_certificate(&X509::from_pem(identity().certificate.as_bytes()).unwrap()).unwrap();
        server.set_private_key(&PKey::private_key_from_pem(identity().key.as_bytes()).unwrap()).unwrap();
        [SslContext::builder(SslMethod::tls_client()).unwrap().build(), server.build()]
    });
    Ssl::new(&contexts[usize::from(server)]).unwrap()
}
