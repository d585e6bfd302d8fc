//! A server's TLS by OpenSSL alone, for peers that we did not write.

use exeunt::tls::SelfSigned;
use openssl::{
    pkey::PKey,
    ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod},
    x509::X509,
};

/// With this certificate, and without ALPN.
pub fn acceptor(signed: &SelfSigned) -> SslAcceptorBuilder {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    builder.set_certificate(&X509::from_pem(signed.certificate_pem.as_bytes()).unwrap()).unwrap();
    builder.set_private_key(&PKey::private_key_from_pem(signed.key_pem.as_bytes()).unwrap()).unwrap();
    builder
}
