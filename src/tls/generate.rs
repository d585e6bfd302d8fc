//! Throw-away certificates, for examples and tests.

use std::{
    fmt,
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    error::ErrorStack,
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509Builder, X509Name,
        extension::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
            SubjectKeyIdentifier,
        },
    },
};

use super::{TlsConfigError, name::ServerName};

/// A certificate, its key, and the authority that vouches for it, all as PEM: see [`self_signed`].
#[derive(Clone)]
pub struct SelfSigned {
    /// What the other side trusts.
    pub ca_pem: String,
    /// The certificate of the names.
    pub certificate_pem: String,
    /// Its private key, not encrypted. `Debug` does not show it.
    pub key_pem: String,
}

impl fmt::Debug for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfSigned")
            .field("ca_pem", &self.ca_pem)
            .field("certificate_pem", &self.certificate_pem)
            .finish_non_exhaustive()
    }
}

/// Makes a throw-away authority and a certificate for these names (DNS names, `*.` allowed, and IP addresses), good for servers and clients alike.
///
/// For examples and tests, not for production: the authority's key is forgotten at once, nothing can be renewed or revoked. Keys are P-256; it is valid from a day ago
/// (for clocks that differ) until 30 days from now.
///
/// # Errors
///
/// No name is given, or one is neither a host name nor an address.
pub fn self_signed(names: &[&str]) -> Result<SelfSigned, TlsConfigError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX / 2);
    self_signed_between(names, now - DAY, now + 30 * DAY)
}

const DAY: i64 = 24 * 60 * 60;
const DOING: &str = "make a throw-away certificate";

/// Two moments in seconds since 1970.
pub(super) fn self_signed_between(names: &[&str], begins: i64, ends: i64) -> Result<SelfSigned, TlsConfigError> {
    if names.is_empty() {
        return Err(
            TlsConfigError::new(DOING, "it has no name").with_advice("\"localhost\" and \"127.0.0.1\" suit a test")
        );
    }
    let mut san = SubjectAlternativeName::new();
    for name in names {
        let bare = name.strip_prefix("*.").unwrap_or(name);
        match ServerName::parse(bare) {
            Ok(ServerName::Ip(ip)) => san.ip(&IpAddr::to_string(&ip)),
            Ok(ServerName::Dns(_)) => san.dns(name),
            Err(error) => return Err(TlsConfigError::new(DOING, error.problem()).with_option(*name)),
        };
    }
    issue(names[0], &san, begins, ends).map_err(TlsConfigError::library(DOING))
}

fn issue(name: &str, san: &SubjectAlternativeName, begins: i64, ends: i64) -> Result<SelfSigned, ErrorStack> {
    let ca_key = p256()?;
    let ca_name = common_name("exeunt throw-away CA")?;
    let mut ca = builder(&ca_name, &ca_name, &ca_key, begins, ends)?;
    ca.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
    ca.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    let identifier = SubjectKeyIdentifier::new().build(&ca.x509v3_context(None, None))?;
    ca.append_extension(identifier)?;
    ca.sign(&ca_key, MessageDigest::sha256())?;
    let ca = ca.build();

    let key = p256()?;
    // A common name has at most 64 characters; the names that count are in the extension.
    let subject = common_name(&name.chars().take(64).collect::<String>())?;
    let mut leaf = builder(&subject, &ca_name, &key, begins, ends)?;
    leaf.append_extension(BasicConstraints::new().critical().build()?)?;
    leaf.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    leaf.append_extension(ExtendedKeyUsage::new().server_auth().client_auth().build()?)?;
    let identifier = SubjectKeyIdentifier::new().build(&leaf.x509v3_context(Some(&ca), None))?;
    leaf.append_extension(identifier)?;
    let authority = AuthorityKeyIdentifier::new().keyid(true).build(&leaf.x509v3_context(Some(&ca), None))?;
    leaf.append_extension(authority)?;
    let names = san.build(&leaf.x509v3_context(Some(&ca), None))?;
    leaf.append_extension(names)?;
    leaf.sign(&ca_key, MessageDigest::sha256())?;

    Ok(SelfSigned {
        ca_pem: text(ca.to_pem()?),
        certificate_pem: text(leaf.build().to_pem()?),
        key_pem: text(key.private_key_to_pem_pkcs8()?),
    })
}

/// PEM is ASCII.
fn text(pem: Vec<u8>) -> String {
    String::from_utf8_lossy(&pem).into_owned()
}

fn p256() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_ec_key(EcKey::generate(&*EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?)?)
}

fn common_name(name: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509Name::builder()?;
    builder.append_entry_by_nid(Nid::COMMONNAME, name)?;
    Ok(builder.build())
}

fn builder(
    subject: &X509Name,
    issuer: &X509Name,
    key: &PKey<Private>,
    begins: i64,
    ends: i64,
) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::from_unix(begins)?)?;
    builder.set_not_after(&*Asn1Time::from_unix(ends)?)?;
    Ok(builder)
}
