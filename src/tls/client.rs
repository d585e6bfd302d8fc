//! What a client trusts, offers and shows.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use openssl::{
    hash::MessageDigest,
    ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslVerifyMode},
    x509::{X509Ref, X509VerifyResult, verify::X509CheckFlags},
};

use super::{
    TlsConfigError, compat,
    name::ServerName,
    options::{Options, option_setters},
    pem::{self, Identity, Source},
    resume::{self, Key, Sessions},
};

/// The TLS configuration of a client: cheap to clone, to be made once and shared by every connection that trusts the same.
///
/// Sessions are resumed between connections of one `ClientTls` (and its clones), never across two of them.
#[derive(Clone)]
pub struct ClientTls(Arc<Inner>);

struct Inner {
    context: SslContext,
    sessions: Option<Arc<Sessions>>,
    trust: Trust,
    reads_ahead: bool,
}

/// By what a server is known.
#[derive(Clone, Debug)]
enum Trust {
    /// By a chain to a trusted certificate, and by the name in it.
    Chain,
    /// By the SHA-256 of its certificate being one of these, and by nothing else.
    Pins(Vec<[u8; 32]>),
    Anyone,
}

impl ClientTls {
    /// Begins with the defaults: the system's roots, TLS 1.2 or later, sessions resumed, no ALPN, no client certificate.
    pub fn builder() -> ClientTlsBuilder {
        ClientTlsBuilder::default()
    }

    /// The default configuration, built once a process: it reads the system's roots, which takes milliseconds.
    ///
    /// # Errors
    ///
    /// The roots could not be read or (with the features `vendored` and `aws-lc`) found. The next call tries again.
    pub fn system() -> Result<ClientTls, TlsConfigError> {
        static SYSTEM: OnceLock<ClientTls> = OnceLock::new();
        if let Some(tls) = SYSTEM.get() {
            return Ok(tls.clone());
        }
        let tls = ClientTls::builder().build()?;
        Ok(SYSTEM.get_or_init(|| tls).clone())
    }

    /// What one connection needs: it verifies `server_name`, sends it as SNI unless it is an address, and offers a session if there is one.
    pub(super) fn connect(
        &self,
        server_name: &str,
        port: u16,
        alpn: Option<&[u8]>,
    ) -> Result<(Ssl, Key), TlsConfigError> {
        const DOING: &str = "prepare a TLS connection";
        let library = || TlsConfigError::library(DOING);
        let name = ServerName::parse(server_name)?;
        let mut ssl = Ssl::new(&self.0.context).map_err(library())?;
        if let ServerName::Dns(name) = &name {
            ssl.set_hostname(name).map_err(library())?;
        }
        if let Some(alpn) = alpn {
            ssl.set_alpn_protos(alpn).map_err(library())?;
        }
        if let Trust::Chain = self.0.trust {
            let param = ssl.param_mut();
            param.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
            match &name {
                ServerName::Dns(name) => param.set_host(name),
                ServerName::Ip(ip) => param.set_ip(*ip),
            }
            .map_err(library())?;
        }
        let key = Key { server_name: name.to_text().into(), port };
        if let Some(sessions) = &self.0.sessions {
            sessions.offer(&mut ssl, &key).map_err(library())?;
        }
        Ok((ssl, key))
    }

    /// Tells one configuration from another, for as long as it lives: clones are the same.
    #[cfg(feature = "proxy")]
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// To be called when a connection failed under TLS.
    pub(super) fn forget(&self, key: &Key) {
        if let Some(sessions) = &self.0.sessions {
            sessions.forget(key);
        }
    }

    pub(super) fn reads_ahead(&self) -> bool {
        self.0.reads_ahead
    }

    pub(super) fn is_pinned(&self) -> bool {
        matches!(self.0.trust, Trust::Pins(_))
    }

    /// A second look after the handshake, for pins only: whatever way the library took through its callbacks, no other certificate gets past this.
    pub(super) fn accepts(&self, certificate: Option<&X509Ref>) -> bool {
        match &self.0.trust {
            Trust::Pins(pins) => certificate.is_some_and(|certificate| is_pinned(certificate, pins)),
            Trust::Chain | Trust::Anyone => true,
        }
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("trust", &self.0.trust)
            .field("resumption", &self.0.sessions.is_some())
            .finish_non_exhaustive()
    }
}

fn is_pinned(certificate: &X509Ref, pins: &[[u8; 32]]) -> bool {
    certificate.digest(MessageDigest::sha256()).is_ok_and(|digest| pins.iter().any(|pin| pin[..] == digest[..]))
}

/// Builds a [`ClientTls`]. No file is touched before [`build`](ClientTlsBuilder::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ClientTlsBuilder {
    trusted: Vec<Source>,
    system_roots: Option<bool>,
    pins: Vec<[u8; 32]>,
    anyone: bool,
    identity: Option<Identity>,
    resumption: bool,
    per_peer: usize,
    total: usize,
    pub(super) options: Options,
}

impl Default for ClientTlsBuilder {
    fn default() -> ClientTlsBuilder {
        ClientTlsBuilder {
            trusted: Vec::new(),
            system_roots: None,
            pins: Vec::new(),
            anyone: false,
            identity: None,
            resumption: true,
            per_peer: resume::PER_PEER,
            total: resume::TOTAL,
            options: Options::default(),
        }
    }
}

impl ClientTlsBuilder {
    /// Trusts the certificates in this PEM file, *instead of* the system's roots unless [`system_roots`](ClientTlsBuilder::system_roots) says otherwise. May be called
    /// more than once. What is in it is trusted whether it is self-signed or not: an intermediate or a server's own certificate will do.
    pub fn trust_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.trusted.push(Source::file(path));
        self
    }

    /// Trusts these certificates, as [`trust_file`](ClientTlsBuilder::trust_file) does.
    pub fn trust_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.trusted.push(Source::bytes(pem));
        self
    }

    /// Whether the system's roots are trusted. By default they are, unless something else is: a file, PEM, a pin, or anyone.
    pub fn system_roots(mut self, trusted: bool) -> Self {
        self.system_roots = Some(trusted);
        self
    }

    /// Accepts the server whose own certificate (DER) has this SHA-256, and no other. It takes the place of chain, name and expiry: the pin is the identity.
    /// Several pins may be given, to change a certificate without a gap. A server that is refused gets an alert.
    pub fn pin_sha256(mut self, fingerprint: [u8; 32]) -> Self {
        self.pins.push(fingerprint);
        self
    }

    /// Shows this certificate (its intermediates after it, PEM) if the server asks for one. The key must not be encrypted.
    pub fn identity_files(mut self, cert_chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some(Identity { chain: Source::file(cert_chain), key: Source::file(key) });
        self
    }

    /// As [`identity_files`](ClientTlsBuilder::identity_files), from memory.
    pub fn identity_pem(mut self, cert_chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity { chain: Source::bytes(cert_chain), key: Source::bytes(key) });
        self
    }

    /// Offers these protocols, the preferred one first. None by default.
    pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.options.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    option_setters!();

    /// The ciphers of TLS 1.2, in OpenSSL's notation. By default the library's, without the broken ones.
    pub fn ciphers(mut self, list: impl Into<String>) -> Self {
        self.options.ciphers = Some(list.into());
        self
    }

    /// The cipher suites of TLS 1.3, separated by colons. By default the library's. AWS-LC does not let them be chosen: `build` says so.
    pub fn ciphersuites(mut self, list: impl Into<String>) -> Self {
        self.options.ciphersuites = Some(list.into());
        self
    }

    /// Accepts whatever certificate the server shows: anyone on the way can read and change everything. For tests.
    pub fn dangerously_accept_any_certificate(mut self) -> Self {
        self.anyone = true;
        self
    }

    /// Whether sessions are resumed: by default they are, at less than half the cost of a full handshake.
    pub fn resumption(mut self, resumption: bool) -> Self {
        self.resumption = resumption;
        self
    }

    /// How many sessions are kept for a peer (4 by default), and in all (1024 by default; 2 to 4 KB each).
    pub fn resumption_limits(mut self, per_peer: usize, total: usize) -> Self {
        (self.per_peer, self.total) = (per_peer, total);
        self
    }

    /// Reads the files and checks everything that can be checked without a peer.
    ///
    /// # Errors
    ///
    /// A file that is missing, empty or not PEM, a key that is encrypted or belongs to another certificate, an option that the library does not know,
    /// or a configuration that trusts nobody.
    pub fn build(self) -> Result<ClientTls, TlsConfigError> {
        const DOING: &str = "make a TLS client";
        let library = || TlsConfigError::library(DOING);
        let mut context = SslContextBuilder::new(SslMethod::tls_client()).map_err(library())?;
        context.set_cipher_list(DEFAULT_CIPHERS).map_err(library())?;
        self.options.apply(&mut context)?;
        let alpn = self.options.alpn_wire()?;
        if !alpn.is_empty() {
            context.set_alpn_protos(&alpn).map_err(library())?;
        }
        let trust = self.trust(&mut context)?;
        if let Some(identity) = &self.identity {
            identity.apply(&mut context)?;
        }
        let sessions = match self.resumption {
            true => Some(Sessions::attach(&mut context, self.per_peer, self.total).map_err(library())?),
            false => None,
        };
        let reads_ahead = self.options.read_ahead;
        Ok(ClientTls(Arc::new(Inner { context: context.build(), sessions, trust, reads_ahead })))
    }

    fn trust(&self, context: &mut SslContextBuilder) -> Result<Trust, TlsConfigError> {
        const DOING: &str = "decide whom to trust";
        if self.anyone {
            context.set_verify(SslVerifyMode::NONE);
            return Ok(Trust::Anyone);
        }
        if !self.pins.is_empty() {
            let pins = self.pins.clone();
            // Called for each certificate of the chain, and for each complaint about one. Only the server's own (depth 0) counts.
            context.set_verify_callback(SslVerifyMode::PEER, move |_, verification| {
                let leaf = verification.error_depth() == 0;
                if leaf && !verification.current_cert().is_some_and(|leaf| is_pinned(leaf, &pins)) {
                    verification.set_error(X509VerifyResult::APPLICATION_VERIFICATION);
                    return false;
                }
                verification.set_error(X509VerifyResult::OK);
                true
            });
            return Ok(Trust::Pins(self.pins.clone()));
        }
        context.set_verify(SslVerifyMode::PEER);
        if !self.system_roots.unwrap_or(self.trusted.is_empty()) {
            if pem::trust_only(context, &self.trusted)?.is_empty() {
                return Err(TlsConfigError::new(DOING, "the system's roots are not trusted, and nothing else is")
                    .with_advice("give `trust_file`, `trust_pem` or `pin_sha256`"));
            }
            return Ok(Trust::Chain);
        }
        if !compat::load_system_roots(context).map_err(TlsConfigError::library("load the system's roots"))? {
            return Err(TlsConfigError::new("load the system's roots", "none were found")
                .with_advice("install the package ca-certificates, or set SSL_CERT_FILE"));
        }
        pem::trust_also(context, &self.trusted)?;
        Ok(Trust::Chain)
    }
}

/// As `openssl::ssl::SslConnector` has it, which took it from Python.
const DEFAULT_CIPHERS: &str = "DEFAULT:!aNULL:!eNULL:!MD5:!3DES:!DES:!RC4:!IDEA:!SEED:!aDSS:!SRP:!PSK";
