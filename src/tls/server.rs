//! Who a server is, and whom it lets in.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use openssl::{
    ssl::{
        AlpnError, NameType, SniError, Ssl, SslAcceptor, SslAcceptorBuilder, SslAlert, SslContext, SslContextBuilder,
        SslMethod, SslMode, SslRef, SslSessionCacheMode, SslVerifyMode,
    },
    stack::Stack,
    x509::X509Name,
};

use super::{
    TlsConfigError, compat,
    name::{self, ServerName},
    options::{Options, option_setters},
    pem::{self, Identity, Source},
};

/// The TLS configuration of a server: cheap to clone, shared by every connection that it accepts.
#[derive(Clone)]
pub struct ServerTls(Arc<Inner>);

struct Inner {
    recipe: ServerTlsBuilder,
    /// A connection takes its own reference here, so a reload is never seen in the middle of a handshake.
    current: RwLock<SslContext>,
}

impl ServerTls {
    /// Begins with the defaults (TLS 1.2 or later, Mozilla's intermediate ciphers, no client certificates, no ALPN) and no certificate, which must be given.
    pub fn builder() -> ServerTlsBuilder {
        ServerTlsBuilder::default()
    }

    /// Reads the files again and uses what is in them for the handshakes that begin from now on; connections that are alive keep what they have.
    /// It reads files, so it blocks for a moment. Clients that come back make one full handshake, because the keys of their tickets are new too.
    ///
    /// # Errors
    ///
    /// As [`ServerTlsBuilder::build`]. The configuration that was in use stays in use.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let fresh = self.0.recipe.context()?;
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    pub(super) fn reads_ahead(&self) -> bool {
        self.0.recipe.options.read_ahead
    }

    pub(super) fn accept(&self) -> Result<Ssl, TlsConfigError> {
        let context = self.0.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        Ssl::new(&context).map_err(TlsConfigError::library("prepare a TLS connection"))
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("identity", &self.0.recipe.identity)
            .field("client_ca", &self.0.recipe.client_ca)
            .finish_non_exhaustive()
    }
}

/// Builds a [`ServerTls`]. No file is touched before [`build`](ServerTlsBuilder::build), and all of them again by [`ServerTls::reload`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct ServerTlsBuilder {
    identity: Option<Identity>,
    by_name: Vec<(String, Identity)>,
    client_ca: Vec<Source>,
    require_client_certificate: Option<bool>,
    pub(super) options: Options,
}

impl ServerTlsBuilder {
    /// The server's certificate (its intermediates after it, PEM) and its key, which must not be encrypted.
    pub fn identity_files(mut self, cert_chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.identity = Some(Identity { chain: Source::file(cert_chain), key: Source::file(key) });
        self
    }

    /// As [`identity_files`](ServerTlsBuilder::identity_files), from memory.
    pub fn identity_pem(mut self, cert_chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.identity = Some(Identity { chain: Source::bytes(cert_chain), key: Source::bytes(key) });
        self
    }

    /// Another identity for clients that ask for `name` (SNI): a host name, or `*.` and a domain for one label below it. The first that matches is used, then the
    /// default identity; without a default, a client that asks for none of the names gets the alert `unrecognized_name`.
    pub fn sni(mut self, name: impl Into<String>, cert_chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.by_name.push((name.into(), Identity { chain: Source::file(cert_chain), key: Source::file(key) }));
        self
    }

    /// As [`sni`](ServerTlsBuilder::sni), from memory.
    pub fn sni_pem(mut self, name: impl Into<String>, cert_chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.by_name.push((name.into(), Identity { chain: Source::bytes(cert_chain), key: Source::bytes(key) }));
        self
    }

    /// Asks clients for a certificate, and accepts those that these certificates (PEM) vouch for.
    pub fn client_ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_ca.push(Source::file(path));
        self
    }

    /// As [`client_ca_file`](ServerTlsBuilder::client_ca_file), from memory.
    pub fn client_ca_pem(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.client_ca.push(Source::bytes(pem));
        self
    }

    /// Whether a client without a certificate is refused: by default it is as soon as a client CA is given. A certificate that is shown must be good either way.
    pub fn require_client_certificate(mut self, required: bool) -> Self {
        self.require_client_certificate = Some(required);
        self
    }

    /// The protocols that are spoken, the preferred one first: the server's preference decides. A client that offers only others gets the alert `no_application_protocol`; one that
    /// offers none is let in without. None by default.
    pub fn alpn(mut self, protocols: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        self.options.alpn = protocols.into_iter().map(|protocol| protocol.as_ref().to_vec()).collect();
        self
    }

    option_setters!();

    /// The ciphers of TLS 1.2, in OpenSSL's notation. By default Mozilla's intermediate list.
    pub fn ciphers(mut self, list: impl Into<String>) -> Self {
        self.options.ciphers = Some(list.into());
        self
    }

    /// The cipher suites of TLS 1.3, separated by colons. AWS-LC does not let them be chosen: `build` says so.
    pub fn ciphersuites(mut self, list: impl Into<String>) -> Self {
        self.options.ciphersuites = Some(list.into());
        self
    }

    /// Reads the files and checks everything that can be checked without a peer.
    ///
    /// # Errors
    ///
    /// No identity; a file that is missing, empty or not PEM, a key that is encrypted or belongs to another certificate, an option that the library does not know.
    pub fn build(self) -> Result<ServerTls, TlsConfigError> {
        let current = RwLock::new(self.context()?);
        Ok(ServerTls(Arc::new(Inner { recipe: self, current })))
    }

    fn context(&self) -> Result<SslContext, TlsConfigError> {
        if self.identity.is_none() && self.by_name.is_empty() {
            return Err(TlsConfigError::new("make a TLS server", "it has no certificate")
                .with_advice("give `identity_files` or `identity_pem`"));
        }
        let mut by_name = Vec::with_capacity(self.by_name.len());
        for (pattern, identity) in &self.by_name {
            by_name.push((parse_pattern(pattern)?, self.context_of(Some(identity))?.build().into_context()));
        }
        let mut context = self.context_of(self.identity.as_ref())?;
        if !by_name.is_empty() {
            let has_default = self.identity.is_some();
            context.set_servername_callback(move |ssl, alert| select_identity(ssl, alert, &by_name, has_default));
        }
        Ok(context.build().into_context())
    }

    /// The contexts differ by their identity only. All of them must have every callback: the library looks a callback's data up in the context that SNI chose.
    fn context_of(&self, identity: Option<&Identity>) -> Result<SslAcceptorBuilder, TlsConfigError> {
        const DOING: &str = "make a TLS server";
        let library = || TlsConfigError::library(DOING);
        let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).map_err(library())?;
        let context: &mut SslContextBuilder = &mut acceptor;
        self.options.apply(context)?;
        compat::forbid_renegotiation(context);
        // The store holds whom we trust as clients, which is not where our own chain comes from.
        context.set_mode(SslMode::NO_AUTO_CHAIN);
        // Tickets are stateless; the cache would hold up to 20,480 sessions for clients that take none.
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        // Without it, a client that showed a certificate could not resume.
        context.set_session_id_context(b"exeunt").map_err(library())?;
        if !self.options.alpn_wire()?.is_empty() {
            let ours = self.options.alpn.clone();
            context.set_alpn_select_callback(move |_, offered| {
                select_protocol(&ours, offered).ok_or(AlpnError::ALERT_FATAL)
            });
        }
        self.verify_clients(context)?;
        if let Some(identity) = identity {
            identity.apply(context)?;
        }
        Ok(acceptor)
    }

    fn verify_clients(&self, context: &mut SslContextBuilder) -> Result<(), TlsConfigError> {
        const DOING: &str = "decide which clients to let in";
        if self.client_ca.is_empty() {
            return match self.require_client_certificate {
                Some(true) => {
                    Err(TlsConfigError::new(DOING, "a client certificate is required, and none could be verified")
                        .with_advice("give `client_ca_file` or `client_ca_pem`"))
                }
                Some(false) | None => Ok(()),
            };
        }
        let library = || TlsConfigError::library(DOING);
        let mut names: Stack<X509Name> = Stack::new().map_err(library())?;
        for authority in pem::trust_only(context, &self.client_ca)? {
            names.push(authority.subject_name().to_owned().map_err(library())?).map_err(library())?;
        }
        // So that a client with several certificates knows which one to show.
        context.set_client_ca_list(names);
        let mode = match self.require_client_certificate {
            Some(false) => SslVerifyMode::PEER,
            Some(true) | None => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
        };
        context.set_verify(mode);
        Ok(())
    }
}

fn parse_pattern(pattern: &str) -> Result<String, TlsConfigError> {
    const DOING: &str = "choose a certificate by the name";
    let (star, name) = match pattern.strip_prefix("*.") {
        Some(parent) => ("*.", parent),
        None => ("", pattern),
    };
    match ServerName::parse(name) {
        Ok(ServerName::Dns(name)) => Ok(format!("{star}{name}")),
        Ok(ServerName::Ip(_)) => Err(TlsConfigError::new(DOING, "clients do not send addresses as names")
            .with_option(pattern)
            .with_advice("put the address into the default certificate")),
        Err(error) => Err(TlsConfigError::new(DOING, error.problem()).with_option(pattern)),
    }
}

fn select_identity(
    ssl: &mut SslRef,
    alert: &mut SslAlert,
    by_name: &[(String, SslContext)],
    has_default: bool,
) -> Result<(), SniError> {
    let asked = ssl.servername_raw(NameType::HOST_NAME).map(<[u8]>::to_ascii_lowercase);
    let asked = asked.as_deref().and_then(|name| str::from_utf8(name).ok());
    let found = asked.and_then(|asked| by_name.iter().find(|(pattern, _)| name::matches(pattern, asked)));
    match found {
        Some((_, context)) => ssl.set_ssl_context(context).map_err(|_| {
            *alert = SslAlert::INTERNAL_ERROR;
            SniError::ALERT_FATAL
        }),
        None if has_default => Ok(()),
        None => {
            *alert = SslAlert::UNRECOGNIZED_NAME;
            Err(SniError::ALERT_FATAL)
        }
    }
}

/// The first of ours that is among the offered. Not `openssl::ssl::select_next_proto`: its answer borrows from both lists, and the library keeps a pointer to
/// it, which must be into the offered one.
fn select_protocol<'a>(ours: &[Vec<u8>], offered: &'a [u8]) -> Option<&'a [u8]> {
    ours.iter().find_map(|wanted| protocols(offered).find(|protocol| protocol == wanted))
}

/// Takes the wire format apart; stops where it is malformed.
fn protocols(mut wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, rest) = wire.split_first()?;
        let (protocol, rest) = rest.split_at_checked(usize::from(length))?;
        wire = rest;
        Some(protocol)
    })
}
