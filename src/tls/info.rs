//! What is known of a connection once it is secured.

use std::{fmt, sync::Arc};

use openssl::{
    sha,
    ssl::{NameType, SslRef},
    x509::{X509, X509Ref},
};

/// What the two sides agreed on, and who the peer is.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// `"TLSv1.2"` or `"TLSv1.3"`.
    pub version: &'static str,
    /// The cipher suite, by the library's name for it.
    pub cipher: Option<String>,
    /// The protocol that ALPN chose; `None` if there was no choice.
    pub alpn: Option<Vec<u8>>,
    /// Whether an earlier session was resumed, in place of a full handshake.
    pub resumed: bool,
    /// The name that the client asked for. For a client also if it is an address; for a server `None` then, because addresses are not sent.
    pub server_name: Option<String>,
    /// The peer's own certificate. A client shows one only if it is asked to.
    pub peer_certificate: Option<Certificate>,
    /// The certificates that the peer sent, its own first. After a resumption there may be no more than that.
    pub peer_chain: Vec<Certificate>,
}

impl TlsInfo {
    pub(super) fn of(ssl: &SslRef, asked_for: Option<&str>) -> TlsInfo {
        let peer_certificate = ssl.peer_certificate().and_then(|certificate| Certificate::of(&certificate));
        let mut peer_chain: Vec<Certificate> =
            ssl.peer_cert_chain().into_iter().flatten().filter_map(Certificate::of).collect();
        // The library's chain has the peer's own certificate on the client side only.
        if let Some(own) = peer_certificate.as_ref().filter(|own| peer_chain.first() != Some(own)) {
            peer_chain.insert(0, own.clone());
        }
        TlsInfo {
            version: ssl.version_str(),
            cipher: ssl.current_cipher().map(|cipher| cipher.name().to_owned()),
            alpn: ssl.selected_alpn_protocol().map(<[u8]>::to_vec),
            resumed: ssl.session_reused(),
            server_name: match asked_for {
                Some(name) => Some(name.to_owned()),
                None => ssl.servername_raw(NameType::HOST_NAME).map(|name| String::from_utf8_lossy(name).into_owned()),
            },
            peer_certificate,
            peer_chain,
        }
    }
}

/// A certificate that the peer showed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Certificate {
    der: Arc<[u8]>,
}

impl Certificate {
    fn of(certificate: &X509Ref) -> Option<Certificate> {
        Some(Certificate { der: certificate.to_der().ok()?.into() })
    }

    /// The certificate itself.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its SHA-256: what [`ClientTlsBuilder::pin_sha256`](super::ClientTlsBuilder::pin_sha256) takes.
    pub fn sha256(&self) -> [u8; 32] {
        sha::sha256(&self.der)
    }

    /// Its subject, as `CN=localhost, O=Example`; empty if it has none. For people: the names that count are in the certificate's extensions.
    pub fn subject(&self) -> String {
        let Ok(certificate) = X509::from_der(&self.der) else { return String::new() };
        let mut subject = String::new();
        for entry in certificate.subject_name().entries() {
            let key = entry.object().nid().short_name().unwrap_or("?");
            let value = entry.data().to_string().unwrap_or_default();
            if !subject.is_empty() {
                subject.push_str(", ");
            }
            subject.extend([key, "=", &*value]);
        }
        subject
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, sha256 ", self.subject())?;
        for byte in &self.sha256()[..4] {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…)")
    }
}
