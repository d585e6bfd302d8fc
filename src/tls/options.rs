//! The settings that clients and servers share.

#[cfg(test)]
use std::path::PathBuf;

use openssl::ssl::{SslContextBuilder, SslVersion};

use super::{TlsConfigError, compat, failure::words, keylog};

/// A version of TLS. Older ones than these are not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl From<TlsVersion> for SslVersion {
    fn from(version: TlsVersion) -> SslVersion {
        match version {
            TlsVersion::Tls12 => SslVersion::TLS1_2,
            TlsVersion::Tls13 => SslVersion::TLS1_3,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) min_version: TlsVersion,
    pub(crate) max_version: Option<TlsVersion>,
    pub(crate) ciphers: Option<String>,
    pub(crate) ciphersuites: Option<String>,
    pub(crate) groups: Option<String>,
    pub(crate) alpn: Vec<Vec<u8>>,
    pub(crate) read_ahead: bool,
    pub(crate) key_log: bool,
    /// Tests cannot set the environment of a process that has threads.
    #[cfg(test)]
    pub(crate) key_log_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            min_version: TlsVersion::Tls12,
            max_version: None,
            ciphers: None,
            ciphersuites: None,
            groups: None,
            alpn: Vec::new(),
            read_ahead: true,
            key_log: false,
            #[cfg(test)]
            key_log_file: None,
        }
    }
}

/// Defines the builder methods that clients and servers share: they change the field `options`.
macro_rules! option_setters {
    () => {
        /// The oldest version that is spoken: TLS 1.2 by default.
        pub fn min_version(mut self, version: $crate::tls::TlsVersion) -> Self {
            self.options.min_version = version;
            self
        }

        /// The newest version that is spoken: by default the newest that the library has.
        pub fn max_version(mut self, version: $crate::tls::TlsVersion) -> Self {
            self.options.max_version = Some(version);
            self
        }

        /// The key-exchange groups, separated by colons, the preferred one first. By default the library's.
        pub fn groups(mut self, list: impl Into<String>) -> Self {
            self.options.groups = Some(list.into());
            self
        }

        /// Appends the secrets of every handshake to the file that the environment variable `SSLKEYLOGFILE` names, for Wireshark. Does nothing if it is unset when `build` is called.
        pub fn key_log_from_env(mut self) -> Self {
            self.options.key_log = true;
            self
        }

        /// Whether as much as there is is read from the socket at a time: by default it is, one system call in place of three. A connection whose TLS is to
        /// [end before it does](crate::StopTls) must not: what comes behind the TLS would be lost in the library.
        pub fn read_ahead(mut self, read_ahead: bool) -> Self {
            self.options.read_ahead = read_ahead;
            self
        }
    };
}
pub(crate) use option_setters;

impl Options {
    /// Everything but ALPN, which the roles do differently.
    pub(crate) fn apply(&self, context: &mut SslContextBuilder) -> Result<(), TlsConfigError> {
        compat::prepare(context, self.read_ahead);
        if self.max_version.is_some_and(|max| max < self.min_version) {
            return Err(TlsConfigError::new("choose the TLS versions", "the maximum is below the minimum")
                .with_advice("the minimum is TLS 1.2 unless it is set"));
        }
        let versions = || TlsConfigError::library("choose the TLS versions");
        context.set_min_proto_version(Some(self.min_version.into())).map_err(versions())?;
        context.set_max_proto_version(self.max_version.map(Into::into)).map_err(versions())?;
        if let Some(list) = &self.ciphers {
            const DOING: &str = "choose the ciphers of TLS 1.2";
            let list = no_nul(DOING, list)?;
            context.set_cipher_list(list).map_err(|stack| {
                TlsConfigError::new(DOING, words(&stack))
                    .with_option(list)
                    .with_advice("`openssl ciphers -tls1_2` lists the names")
            })?;
        }
        if let Some(list) = &self.ciphersuites {
            const DOING: &str = "choose the cipher suites of TLS 1.3";
            let list = no_nul(DOING, list)?;
            compat::set_ciphersuites(context, list).map_err(|stack| {
                match stack {
                    Some(stack) => TlsConfigError::new(DOING, words(&stack))
                        .with_advice("`openssl ciphers -s -tls1_3` lists the names"),
                    None => TlsConfigError::new(DOING, format!("{} does not let them be chosen", compat::LIBRARY))
                        .with_advice("leave `ciphersuites` unset, or build without the feature `aws-lc`"),
                }
                .with_option(list)
            })?;
        }
        if let Some(list) = &self.groups {
            const DOING: &str = "choose the key-exchange groups";
            let list = no_nul(DOING, list)?;
            context.set_groups_list(list).map_err(|stack| {
                TlsConfigError::new(DOING, words(&stack))
                    .with_option(list)
                    .with_advice("separate names with colons, such as X25519:P-256")
            })?;
        }
        self.log_keys(context)
    }

    /// The protocols as they go over the wire: each with its length before it. Empty if there are none.
    pub(crate) fn alpn_wire(&self) -> Result<Vec<u8>, TlsConfigError> {
        alpn_wire(&self.alpn)
    }

    #[cfg(not(test))]
    fn log_keys(&self, context: &mut SslContextBuilder) -> Result<(), TlsConfigError> {
        if self.key_log { keylog::log_keys_from_env(context) } else { Ok(()) }
    }

    #[cfg(test)]
    fn log_keys(&self, context: &mut SslContextBuilder) -> Result<(), TlsConfigError> {
        match &self.key_log_file {
            Some(path) => keylog::log_keys(context, path),
            None if self.key_log => keylog::log_keys_from_env(context),
            None => Ok(()),
        }
    }
}

/// The bindings make a C string of an option and panic if it has a NUL in it.
fn no_nul<'a>(doing: &'static str, option: &'a str) -> Result<&'a str, TlsConfigError> {
    if option.contains('\0') {
        return Err(TlsConfigError::new(doing, "there is a NUL character in it").with_option(option));
    }
    Ok(option)
}

/// These protocols in the form of the wire (RFC 7301, section 3.1).
pub(crate) fn alpn_wire(protocols: &[Vec<u8>]) -> Result<Vec<u8>, TlsConfigError> {
    const DOING: &str = "offer the ALPN protocol";
    let mut wire = Vec::new();
    for protocol in protocols {
        let error = |problem: &str| {
            TlsConfigError::new(DOING, problem)
                .with_option(String::from_utf8_lossy(protocol).chars().take(40).collect::<String>())
        };
        match u8::try_from(protocol.len()) {
            Ok(0) => return Err(error("a name may not be empty").with_advice("leave it out")),
            Ok(length) => wire.push(length),
            Err(_) => return Err(error("a name may not be longer than 255 bytes")),
        }
        wire.extend_from_slice(protocol);
    }
    if wire.len() > usize::from(u16::MAX) - 2 {
        return Err(TlsConfigError::new("offer the ALPN protocols", "the list is longer than 65,533 bytes"));
    }
    Ok(wire)
}
