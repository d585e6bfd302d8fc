//! Which versions of HTTP are spoken.

/// Which versions of HTTP are spoken.
///
/// On a TLS connection ALPN decides, in a client's handshake and in a server's (RFC 9113, section 3.2). Where it says nothing, a client speaks HTTP/1.1 unless it is told that the server speaks HTTP/2 (*prior knowledge*, section 3.3),
/// and a server looks at the first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Versions {
    /// HTTP/2 where both sides have it, else HTTP/1.1: the default. Without the feature `http2` this is HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2 alone, and without asking where there is no TLS or no ALPN. The feature `http2`.
    #[cfg(feature = "http2")]
    Http2,
}

impl Versions {
    /// What a client offers by ALPN.
    pub(crate) fn offers(self) -> &'static [&'static str] {
        match self {
            #[cfg(feature = "http2")]
            Versions::Auto => &["h2", "http/1.1"],
            #[cfg(not(feature = "http2"))]
            Versions::Auto => &["http/1.1"],
            Versions::Http1 => &["http/1.1"],
            #[cfg(feature = "http2")]
            Versions::Http2 => &["h2"],
        }
    }

    /// Whether HTTP/2 is to be spoken on a connection on which ALPN has chosen this.
    #[cfg(feature = "http2")]
    pub(crate) fn is_http2(self, alpn: Option<&[u8]>) -> bool {
        match self {
            Versions::Auto => alpn == Some(b"h2"),
            Versions::Http1 => false,
            Versions::Http2 => true,
        }
    }
}

/// What [`serve`](super::serve) speaks, the preferred one first: for [`ServerTlsBuilder::alpn`](crate::tls::ServerTlsBuilder::alpn), where a server has to offer HTTP/2 if it is to be chosen. HTTP/1.0 is among it because some clients
/// name it (curl does, when it is told to speak it).
///
/// ```
/// # let identity = exeunt::tls::self_signed(&["localhost"])?;
/// let tls = exeunt::ServerTls::builder().identity_pem(&identity.certificate_pem, &identity.key_pem).alpn(exeunt::http::ALPN).build()?;
/// # Ok::<_, exeunt::tls::TlsConfigError>(())
/// ```
pub const ALPN: &[&str] =
    if cfg!(feature = "http2") { &["h2", "http/1.1", "http/1.0"] } else { &["http/1.1", "http/1.0"] };
