//! The name that a client asks for: what is sent as SNI, what the certificate is checked against, and what a session is kept under.

use std::net::IpAddr;

use super::TlsConfigError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerName {
    /// Sent as SNI, and verified as a DNS name. Lower case, without the dot of the root.
    Dns(String),
    /// Never sent (RFC 6066, section 3), and verified as an address.
    Ip(IpAddr),
}

impl ServerName {
    /// Takes `example.com`, `example.com.`, `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]` and `fe80::1%eth0`.
    ///
    /// An empty name must not get through: to the library it would mean "do not verify the name".
    /// Nor may one that begins with a dot: it would mean "any name below this one".
    pub(crate) fn parse(name: &str) -> Result<ServerName, TlsConfigError> {
        const DOING: &str = "connect to the server name";
        let error =
            |problem: &str| TlsConfigError::new(DOING, problem).with_option(name.chars().take(80).collect::<String>());
        let unbracketed = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        // A zone says by which interface to go, not who is there.
        let address = unbracketed.split_once('%').map_or(unbracketed, |(address, _)| address);
        if let Ok(ip) = address.parse() {
            return Ok(ServerName::Ip(ip));
        }
        let host = name.strip_suffix('.').unwrap_or(name);
        if host.is_empty() {
            return Err(error("it is empty"));
        }
        if !host.is_ascii() {
            return Err(error("it is not ASCII").with_advice("give an internationalized name in its xn-- form"));
        }
        if host.len() > 253 || host.split('.').any(|label| label.is_empty() || label.len() > 63) {
            return Err(error("a name has at most 253 characters, in labels of 1 to 63 between single dots"));
        }
        if host.bytes().any(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))) {
            return Err(error("there is a character in it that host names do not have"));
        }
        Ok(ServerName::Dns(host.to_ascii_lowercase()))
    }

    pub(crate) fn to_text(&self) -> String {
        match self {
            ServerName::Dns(name) => name.clone(),
            ServerName::Ip(ip) => ip.to_string(),
        }
    }
}

/// Whether `name` (lower case) is the name that a certificate was configured for: itself, or one label below `*.`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_told_apart() {
        let dns = |name: &str| Ok(ServerName::Dns(name.into()));
        let ip = |ip: &str| Ok(ServerName::Ip(ip.parse().unwrap()));
        assert_eq!(ServerName::parse("Example.COM."), dns("example.com"));
        assert_eq!(ServerName::parse("_svc.localhost"), dns("_svc.localhost"));
        assert_eq!(ServerName::parse("192.0.2.1"), ip("192.0.2.1"));
        assert_eq!(ServerName::parse("[2001:db8::1]"), ip("2001:db8::1"));
        assert_eq!(ServerName::parse("fe80::1%eth0"), ip("fe80::1"));
    }

    #[test]
    fn a_name_that_would_weaken_verification_is_refused() {
        for name in ["", ".", ".example.com", "a..b", "a\0b", "bücher.example", "a b", "[]", &"a".repeat(64)] {
            assert!(ServerName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(matches("*.example.com", "a.example.com"));
        assert!(!matches("*.example.com", "a.b.example.com"));
        assert!(!matches("*.example.com", "example.com"));
        assert!(!matches("*.example.com", ".example.com"));
        assert!(matches("example.com", "example.com"));
    }
}
