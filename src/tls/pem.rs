//! Certificates and keys, from files and from memory.

use std::{fmt, fs, path::PathBuf, sync::Arc};

use openssl::{
    error::ErrorStack,
    pkey::{PKey, Private},
    ssl::SslContextBuilder,
    x509::{X509, store::X509StoreBuilder, verify::X509VerifyFlags},
};

use super::{TlsConfigError, failure::words};

/// Where PEM comes from. Its `Debug` never shows the content, which may be a key.
#[derive(Clone)]
pub(crate) enum Source {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

impl Source {
    pub(crate) fn file(path: impl Into<PathBuf>) -> Source {
        Source::File(path.into())
    }

    pub(crate) fn bytes(pem: impl AsRef<[u8]>) -> Source {
        Source::Bytes(pem.as_ref().into())
    }

    /// The certificates in the order in which they stand; at least one.
    pub(crate) fn certificates(&self, doing: &'static str) -> Result<Vec<X509>, TlsConfigError> {
        let pem = self.read(doing)?;
        let certificates =
            X509::stack_from_pem(&pem).map_err(|stack| self.error(doing, format!("not PEM: {}", words(&stack))))?;
        if certificates.is_empty() {
            return Err(self.no_pem(doing, &pem, "no certificate", "x509"));
        }
        Ok(certificates)
    }

    /// The private key. One that is encrypted is refused: the library would ask for the passphrase on the terminal, which a service does not have.
    pub(crate) fn private_key(&self) -> Result<PKey<Private>, TlsConfigError> {
        const DOING: &str = "load the private key";
        let pem = self.read(DOING)?;
        let mut encrypted = false;
        let key = PKey::private_key_from_pem_callback(&pem, |_| {
            encrypted = true;
            Err(ErrorStack::get())
        });
        // What the refusal left in the thread's error queue must not be read as the next connection's failure.
        let _ = ErrorStack::get();
        match key {
            Ok(key) => Ok(key),
            Err(_) if encrypted => Err(self
                .error(DOING, "it is encrypted")
                .with_advice("decrypt it with `openssl pkey -in <key> -out <plain key>` and protect the file instead")),
            Err(_) if !has_key(&pem) => Err(self.no_pem(DOING, &pem, "no private key", "pkey")),
            Err(stack) => Err(self.error(DOING, words(&stack))),
        }
    }

    fn read(&self, doing: &'static str) -> Result<Arc<[u8]>, TlsConfigError> {
        match self {
            Source::Bytes(pem) => Ok(Arc::clone(pem)),
            Source::File(path) => fs::read(path)
                .map(Arc::from)
                .map_err(|error| self.error(doing, format!("it could not be read: {error}"))),
        }
    }

    fn error(&self, doing: &'static str, problem: impl Into<String>) -> TlsConfigError {
        let error = TlsConfigError::new(doing, problem);
        match self {
            Source::File(path) => error.with_file(path),
            Source::Bytes(_) => error,
        }
    }

    fn no_pem(&self, doing: &'static str, pem: &[u8], missing: &str, command: &str) -> TlsConfigError {
        if pem.is_empty() {
            self.error(doing, "it is empty")
        } else if pem.windows(10).any(|window| window == b"-----BEGIN") {
            self.error(doing, format!("there is {missing} in it")).with_advice("is it the right file?")
        } else {
            self.error(doing, "it is not PEM").with_advice(format!(
                "if it is DER, convert it with `openssl {command} -inform DER -in <file> -out <file>.pem`"
            ))
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Bytes(pem) => write!(f, "{} bytes", pem.len()),
        }
    }
}

fn has_key(pem: &[u8]) -> bool {
    const END: &[u8] = b"PRIVATE KEY-----";
    pem.windows(END.len()).any(|window| window == END)
}

/// A certificate, the intermediates that go with it, and its key.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) chain: Source,
    pub(crate) key: Source,
}

impl Identity {
    pub(crate) fn apply(&self, context: &mut SslContextBuilder) -> Result<(), TlsConfigError> {
        const DOING: &str = "load the certificate chain";
        let mut chain = self.chain.certificates(DOING)?.into_iter();
        let key = self.key.private_key()?;
        let Some(leaf) = chain.next() else { return Err(self.chain.error(DOING, "there is no certificate in it")) };
        // Before the library sees them: OpenSSL 1.1.1 drops a certificate that does not match, without a word.
        if !leaf.public_key().map_err(TlsConfigError::library(DOING))?.public_eq(&key) {
            return Err(self
                .key
                .error("use the private key", "it does not belong to the certificate")
                .with_advice("the certificate of the key itself must come first in the chain"));
        }
        let refused = |stack: ErrorStack| self.chain.error(DOING, words(&stack));
        context.set_certificate(&leaf).map_err(refused)?;
        for intermediate in chain {
            context.add_extra_chain_cert(intermediate).map_err(refused)?;
        }
        context.set_private_key(&key).map_err(|stack| self.key.error("use the private key", words(&stack)))
    }
}

/// Makes exactly these certificates the trusted ones, self-signed or not, and answers with them.
pub(crate) fn trust_only(context: &mut SslContextBuilder, sources: &[Source]) -> Result<Vec<X509>, TlsConfigError> {
    const DOING: &str = "load the trusted certificates";
    let library = || TlsConfigError::library(DOING);
    let mut store = X509StoreBuilder::new().map_err(library())?;
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN).map_err(library())?;
    let all = read_trusted(sources)?;
    for certificate in &all {
        store.add_cert(certificate.clone()).map_err(library())?;
    }
    context.set_cert_store(store.build());
    Ok(all)
}

/// Trusts these certificates besides those that are trusted already.
pub(crate) fn trust_also(context: &mut SslContextBuilder, sources: &[Source]) -> Result<(), TlsConfigError> {
    for certificate in read_trusted(sources)? {
        context
            .cert_store_mut()
            .add_cert(certificate)
            .map_err(TlsConfigError::library("load the trusted certificates"))?;
    }
    Ok(())
}

fn read_trusted(sources: &[Source]) -> Result<Vec<X509>, TlsConfigError> {
    let mut all = Vec::new();
    for source in sources {
        all.extend(source.certificates("load the trusted certificates from")?);
    }
    Ok(all)
}
