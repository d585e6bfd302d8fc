//! Who the simulated are to each other.

use std::sync::OnceLock;

use crate::tls::{BareTls, ClientTls, SelfSigned, ServerTls, TlsConfigError, TlsVersion, self_signed};

/// The domain of the simulated: the certificate of every simulated server is for any name directly below it, such as `db.sim.test`.
pub const DOMAIN: &str = "sim.test";

/// One identity for the whole process, since making it costs more than a run. Its signatures (ECDSA) differ in length by a byte or two; no decision of a pipe hangs on a length.
fn identity() -> Result<&'static SelfSigned, TlsConfigError> {
    static IDENTITY: OnceLock<SelfSigned> = OnceLock::new();
    if let Some(identity) = IDENTITY.get() {
        return Ok(identity);
    }
    let identity = self_signed(&[&format!("*.{DOMAIN}")])?;
    Ok(IDENTITY.get_or_init(|| identity))
}

/// The configuration of a client that trusts the simulated. A new one for each run: a session of another run, resumed, would be another handshake than the seed's.
///
/// `old`: TLS 1.2 at most.
///
/// # Errors
/// The TLS library does not work.
pub fn client_tls(old: bool) -> Result<ClientTls, TlsConfigError> {
    let builder = ClientTls::builder().trust_pem(&identity()?.ca_pem);
    if old { builder.max_version(TlsVersion::Tls12) } else { builder }.build()
}

/// The configuration of a server that the simulated trust.
///
/// # Errors
/// The TLS library does not work.
pub fn server_tls() -> Result<ServerTls, TlsConfigError> {
    let identity = identity()?;
    ServerTls::builder().identity_pem(&identity.certificate_pem, &identity.key_pem).build()
}

/// What simulated peers speak with.
pub(super) fn bare_tls() -> Result<&'static BareTls, TlsConfigError> {
    static TLS: OnceLock<BareTls> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(tls);
    }
    let identity = identity()?;
    let tls = BareTls::new(&identity.certificate_pem, &identity.key_pem)?;
    Ok(TLS.get_or_init(|| tls))
}
