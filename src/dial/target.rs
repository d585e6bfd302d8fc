//! Where to connect to: a host and a port, parsed once and strictly.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A host and a port.
///
/// Parsed from `"example.com:443"`, `"192.0.2.1:443"` or `"[2001:db8::1]:443"`; printed in the same form. What is parsed is also normalized, so that two spellings of one
/// target are equal: names become lower case (RFC 4343), IPv6 addresses take the form of RFC 5952.
///
/// The fields are public to be read. Build one by parsing or with [`Target::new`]: neither lets through what the system's resolver would understand in a way of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// A DNS name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The TCP port, never 0.
    pub port: u16,
}

impl Target {
    /// A target from its two parts. An IPv6 address comes without brackets.
    ///
    /// # Errors
    /// The host is empty or cannot be a host, or the port is 0.
    pub fn new(host: &str, port: u16) -> Result<Self, TargetError> {
        let whole = || if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let host = match host.parse::<Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => parse_name(host),
        };
        let host = host.map_err(|problem| TargetError::new(&whole(), problem))?;
        if port == 0 {
            return Err(TargetError::new(&whole(), Problem::PortZero));
        }
        Ok(Target { host, port })
    }

    /// The host as an address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// The host as TLS names it, for SNI and for the check of the certificate: without the final dot that makes a name absolute in DNS (RFC 6066, section 3).
    pub fn server_name(&self) -> &str {
        self.host.strip_suffix('.').unwrap_or(&self.host)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// # Errors
    /// The text is not `host:port`; the error says in what way.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        parse(text).map_err(|problem| TargetError::new(text, problem))
    }
}

impl TryFrom<&str> for Target {
    type Error = TargetError;

    fn try_from(text: &str) -> Result<Self, TargetError> {
        text.parse()
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, TargetError> {
        text.parse()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A text that is not `host:port`, and why: `Display` is one sentence for whoever wrote the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError {
    text: String,
    problem: Problem,
}

/// As much of a wrong text as its error repeats, in characters: enough for every true name (253, RFC 1035) to be told in full.
const TEXT_SHOWN: usize = 260;

/// What the operating system takes as a socket's path, in bytes: `sun_path` less its final zero. 108 on Linux (`man 7 unix`), 104 elsewhere.
#[cfg(unix)]
pub(super) const MOST_PATH: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

impl TargetError {
    pub(super) fn new(text: &str, problem: Problem) -> Self {
        let mut shown: String = text.chars().take(TEXT_SHOWN).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        TargetError { text: shown, problem }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a target (host:port): {}", self.text, self.problem)
    }
}

impl std::error::Error for TargetError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Url,
    Space,
    HostMissing,
    PortMissing,
    PortZero,
    PortTooBig,
    PortNotANumber,
    Unbracketed,
    BracketOpen,
    BracketNotIpv6,
    Zone,
    Ipv4Form,
    NotAscii,
    Character(char),
    LabelEmpty,
    LabelTooLong,
    NameTooLong,
    #[cfg(unix)]
    PathMissing,
    #[cfg(unix)]
    PathTooLong,
    #[cfg(unix)]
    PathWithNul,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Problem::Url => "it is a URL; leave out the scheme and the path",
            Problem::Space => "there is white space in it",
            Problem::HostMissing => "the host is missing",
            Problem::PortMissing => "the port is missing",
            Problem::PortZero => "the port is 0, to which nothing can be connected",
            Problem::PortTooBig => "the port is greater than 65535",
            Problem::PortNotANumber => "the port is not a number",
            Problem::Unbracketed => "an IPv6 address needs brackets, as in [::1]:443",
            Problem::BracketOpen => "a bracket is opened and not closed before the port",
            Problem::BracketNotIpv6 => "what is in brackets is not an IPv6 address",
            Problem::Zone => "an IPv6 address with a zone (the part from the %) is not supported",
            Problem::Ipv4Form => {
                "the host looks like a number and is not an IPv4 address of four decimal parts, as in 127.0.0.1"
            }
            Problem::NotAscii => "the host is not ASCII; write an international name in its xn-- form",
            Problem::Character(character) => return write!(f, "a host cannot contain {character:?}"),
            Problem::LabelEmpty => "there is nothing between two dots of the host, or before the first",
            Problem::LabelTooLong => "a part of the host is longer than 63 characters",
            Problem::NameTooLong => "the host is longer than 253 characters",
            #[cfg(unix)]
            Problem::PathMissing => "the path of the socket is missing",
            #[cfg(unix)]
            Problem::PathTooLong => return write!(f, "the path of a socket has at most {MOST_PATH} bytes"),
            #[cfg(unix)]
            Problem::PathWithNul => "there is a zero byte in the path",
        })
    }
}

fn parse(text: &str) -> Result<Target, Problem> {
    if text.contains(char::is_whitespace) {
        return Err(Problem::Space);
    }
    if text.contains('/') {
        return Err(Problem::Url);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(Problem::BracketOpen)?;
            (parse_bracketed(host)?, port.strip_prefix(':').ok_or(Problem::PortMissing)?)
        }
        None => {
            let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
            if host.contains(':') {
                return Err(Problem::Unbracketed);
            }
            (parse_name(host)?, port)
        }
    };
    Ok(Target { host, port: parse_port(port)? })
}

fn parse_port(port: &str) -> Result<u16, Problem> {
    // `u16::from_str` would also take "+443".
    match port {
        "" => Err(Problem::PortMissing),
        _ if !port.bytes().all(|byte| byte.is_ascii_digit()) => Err(Problem::PortNotANumber),
        _ => match port.parse() {
            Ok(0) => Err(Problem::PortZero),
            Ok(port) => Ok(port),
            Err(_) => Err(Problem::PortTooBig),
        },
    }
}

fn parse_bracketed(host: &str) -> Result<String, Problem> {
    // A zone means something on this machine only, so no certificate could be checked against it.
    match host.parse::<Ipv6Addr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) if host.is_empty() => Err(Problem::HostMissing),
        Err(_) if host.contains('%') => Err(Problem::Zone),
        Err(_) => Err(Problem::BracketNotIpv6),
    }
}

/// A DNS name or an IPv4 address.
///
/// `getaddrinfo` reads `127.1`, `0x7f.1`, `017700000001` and `2130706433` as 127.0.0.1 (man 3 inet_aton), which has let many a filter be passed. As the URL standard does, a
/// host whose last part is a number is an IPv4 address; unlike it, only one of four decimal parts is taken.
fn parse_name(host: &str) -> Result<String, Problem> {
    if host.is_empty() {
        return Err(Problem::HostMissing);
    }
    if host.contains(char::is_whitespace) {
        return Err(Problem::Space);
    }
    if host.contains(':') {
        return Err(Problem::Unbracketed);
    }
    if !host.is_ascii() {
        return Err(Problem::NotAscii);
    }
    // The underscore is in no host name (RFC 1123, section 2.1) but in many a DNS name that is connected to.
    let allowed = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if let Some(character) = host.chars().find(|&character| !allowed(character)) {
        return Err(Problem::Character(character));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() > 253 {
        return Err(Problem::NameTooLong);
    }
    for label in name.split('.') {
        match label.len() {
            0 => return Err(Problem::LabelEmpty),
            1..=63 => {}
            _ => return Err(Problem::LabelTooLong),
        }
    }
    let last = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let decimal = last.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if (decimal || hexadecimal) && host.parse::<Ipv4Addr>().is_err() {
        return Err(Problem::Ipv4Form);
    }
    Ok(host.to_ascii_lowercase())
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
