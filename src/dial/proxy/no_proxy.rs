//! To whom one goes without a proxy: the rules of `no_proxy`. Pure.
//!
//! No standard says what they are. These are Go's (golang.org/x/net/http/httpproxy), which has more of them than curl, and says them.

use std::net::IpAddr;

/// What `no_proxy` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy {
    everything: bool,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    what: What,
    /// `None`: any.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Address(IpAddr),
    /// The addresses that begin with so many bits of this one.
    Network(IpAddr, u8),
    /// This name, unless `below_only`, and every name below it. In lower case, without dots at its ends.
    Name {
        name: String,
        below_only: bool,
    },
}

impl NoProxy {
    /// Reads a list: its entries are separated by commas or white space. An entry that means nothing is left out, as by everybody: it comes from an environment that is shared with other programs.
    pub(super) fn parse(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t', '\n', '\r']).filter(|entry| !entry.is_empty());
        let mut no_proxy = NoProxy::default();
        for entry in entries {
            if entry == "*" {
                no_proxy.everything = true;
            } else {
                no_proxy.rules.extend(rule(entry));
            }
        }
        no_proxy
    }

    /// Whether this host is to be gone to without a proxy. `host`: an IPv6 address without brackets.
    pub(super) fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let address = host.parse().ok().map(canonical);
        self.everything
            || self.rules.iter().any(|rule| rule.port.is_none_or(|of| of == port) && rule.what.covers(&host, address))
    }
}

impl What {
    fn covers(&self, host: &str, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (What::Address(of), Some(address)) => *of == address,
            (What::Network(of, bits), Some(address)) => is_in(address, *of, *bits),
            (What::Name { name, below_only }, None) => match host.strip_suffix(name.as_str()) {
                Some("") => !below_only,
                Some(above) => above.ends_with('.'),
                None => false,
            },
            _ => false,
        }
    }
}

fn rule(entry: &str) -> Option<Rule> {
    if let Some((address, bits)) = entry.split_once('/') {
        let (address, bits) = (unbracketed(address).parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        return (bits <= most).then_some(Rule { what: What::Network(address, bits), port: None });
    }
    if let Ok(address) = unbracketed(entry).parse::<IpAddr>() {
        return Some(Rule { what: What::Address(canonical(address)), port: None });
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    if let Ok(address) = unbracketed(host).parse::<IpAddr>() {
        return Some(Rule { what: What::Address(canonical(address)), port });
    }
    // `*.example.com` is `.example.com`.
    let host = host.strip_prefix('*').unwrap_or(host);
    let below_only = host.starts_with('.');
    let name = host.trim_matches('.').to_ascii_lowercase();
    (!name.is_empty()).then_some(Rule { what: What::Name { name, below_only }, port })
}

fn unbracketed(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// An IPv4 address in the dress of an IPv6 one is that IPv4 address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    // A shift by all of an integer's bits is an overflow: no bit in common is needed then.
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            (a.to_bits() ^ n.to_bits()).checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            (a.to_bits() ^ n.to_bits()).checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_go() {
        let list =
            "one.com, .below.com *.star.com,192.0.2.1,10.0.0.0/8 ported.com:8443,2001:db8::/32,[::1]:80,\tUPPER.com.,";
        let no_proxy = NoProxy::parse(list);
        for (host, port, covered) in [
            ("one.com", 443, true),
            ("ONE.com.", 443, true),
            ("a.b.one.com", 443, true),
            ("bone.com", 443, false),
            ("below.com", 443, false),
            ("a.below.com", 443, true),
            ("star.com", 443, false),
            ("a.star.com", 443, true),
            ("192.0.2.1", 80, true),
            ("::ffff:192.0.2.1", 80, true),
            ("192.0.2.2", 80, false),
            ("10.255.0.1", 1, true),
            ("11.0.0.1", 1, false),
            ("ported.com", 8443, true),
            ("a.ported.com", 8443, true),
            ("ported.com", 443, false),
            ("2001:db8:1::1", 443, true),
            ("2001:db9::1", 443, false),
            ("::1", 80, true),
            ("::1", 443, false),
            ("upper.com", 443, true),
            ("com", 443, false),
        ] {
            assert_eq!(no_proxy.covers(host, port), covered, "{host}:{port}");
        }
    }

    #[test]
    fn everything_and_nothing() {
        assert!(NoProxy::parse("a.com,*").covers("b.com", 1));
        for list in ["", " , ", "10.0.0.0/33", "a:b", "a:99999", ".", "*.", "[::1"] {
            assert!(!NoProxy::parse(list).covers("b.com", 1), "{list:?}");
            assert!(!NoProxy::parse(list).covers("10.0.0.1", 1), "{list:?}");
        }
        assert!(NoProxy::parse("0.0.0.0/0").covers("10.0.0.1", 1) && !NoProxy::parse("0.0.0.0/0").covers("::1", 1));
        assert!(NoProxy::parse("::/0").covers("::1", 1) && NoProxy::parse("::1/128").covers("::1", 1));
    }
}
