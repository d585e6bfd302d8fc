//! Which proxy is for whom.

use std::{fmt, net::IpAddr};

use super::{Proxy, ProxyError, no_proxy::NoProxy};

/// Which proxy is for which URL: one for `http`, one for `https`, and who is gone to directly.
///
/// ```
/// use exeunt::Proxies;
///
/// let proxies = Proxies::all("http://proxy.example:3128".parse()?).no_proxy("internal.example, 10.0.0.0/8");
/// assert!(proxies.of("https", "example.com", 443).is_some());
/// assert!(proxies.of("https", "db.internal.example", 443).is_none());
/// # Ok::<(), exeunt::ProxyError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    no_proxy: NoProxy,
    /// This host itself is never gone to by a proxy, which would take it for its own.
    spare_ourselves: bool,
}

impl Proxies {
    /// No proxy for anybody.
    pub fn none() -> Self {
        Proxies::default()
    }

    /// This one for everybody.
    pub fn all(proxy: Proxy) -> Self {
        Proxies { http: Some(proxy.clone()), https: Some(proxy), ..Proxies::none() }
    }

    /// What the environment says, as curl and Go read it: `http_proxy`, `https_proxy`, `all_proxy` for what has none of its own, and `no_proxy`; in lower case, or else in upper case.
    ///
    /// `HTTP_PROXY` is not read: in a CGI program it is what the client sent as the header `Proxy` (CVE-2016-5385). From the environment, `localhost` and loopback addresses have no proxy, as in Go.
    ///
    /// # Errors
    /// A variable is no proxy. The error names it.
    pub fn from_env() -> Result<Self, ProxyError> {
        Proxies::from_variables(|name| std::env::var(name).ok())
    }

    /// As [`from_env`](Proxies::from_env), from variables that are looked up in this way.
    ///
    /// # Errors
    /// As [`from_env`](Proxies::from_env).
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let value = |name: &str| {
            let upper = || (name != "http_proxy").then(|| get(&name.to_ascii_uppercase())).flatten();
            get(name).filter(|value| !value.is_empty()).or_else(upper).filter(|value| !value.is_empty())
        };
        let proxy = |name: &str| {
            let proxy = value(name).map(|url| Proxy::new(url.trim()));
            proxy
                .transpose()
                .map_err(|error| ProxyError { problem: format!("from {name}: {}", error.problem), ..error })
        };
        let all = proxy("all_proxy")?;
        Ok(Proxies {
            http: proxy("http_proxy")?.or_else(|| all.clone()),
            https: proxy("https_proxy")?.or(all),
            no_proxy: NoProxy::parse(&value("no_proxy").unwrap_or_default()),
            spare_ourselves: true,
        })
    }

    /// The proxy for `http` URLs.
    pub fn http(mut self, proxy: Proxy) -> Self {
        self.http = Some(proxy);
        self
    }

    /// The proxy for `https` URLs.
    pub fn https(mut self, proxy: Proxy) -> Self {
        self.https = Some(proxy);
        self
    }

    /// Who is gone to directly, in place of who was before: a list as in the variable of that name, separated by commas or white space.
    ///
    /// | entry | whom it means |
    /// |---|---|
    /// | `example.com` | this host and those below it |
    /// | `.example.com`, `*.example.com` | those below it alone |
    /// | `192.0.2.1`, `2001:db8::1` | this address, where the URL names it: no name is resolved for this |
    /// | `10.0.0.0/8`, `2001:db8::/32` | the addresses of this network |
    /// | `example.com:8443`, `[2001:db8::1]:80` | the same, with this port alone |
    /// | `*` | everybody |
    ///
    /// An entry that is none of these means nobody.
    pub fn no_proxy(mut self, list: &str) -> Self {
        self.no_proxy = NoProxy::parse(list);
        self
    }

    /// The proxy for this scheme (`http` or `https`), host (an IPv6 address with or without brackets) and port. `None`: directly.
    pub fn of(&self, scheme: &str, host: &str, port: u16) -> Option<&Proxy> {
        let proxy = match scheme {
            "http" => self.http.as_ref(),
            "https" => self.https.as_ref(),
            _ => None,
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let spared = self.no_proxy.covers(host, port) || (self.spare_ourselves && is_ourselves(host));
        proxy.filter(|_| !spared)
    }
}

fn is_ourselves(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("http", &self.http).field("https", &self.https).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Proxies, ProxyError> {
        Proxies::from_variables(|name| {
            variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn way(proxies: &Proxies, scheme: &str, host: &str) -> String {
        proxies.of(scheme, host, 443).map_or_else(|| "directly".to_owned(), Proxy::to_string)
    }

    #[test]
    fn the_environment_is_read_as_curl_and_go_read_it() {
        let proxies = from(&[("http_proxy", "one:1"), ("HTTPS_PROXY", "http://two:2"), ("https_proxy", "")]).unwrap();
        assert_eq!(way(&proxies, "http", "a.com"), "http://one:1");
        assert_eq!(way(&proxies, "https", "a.com"), "http://two:2");
        // In lower case it wins, and HTTP_PROXY may be the client's word in a CGI program.
        let proxies = from(&[("HTTP_PROXY", "evil:1"), ("https_proxy", "low:1"), ("HTTPS_PROXY", "UP:2")]).unwrap();
        assert_eq!(
            (way(&proxies, "http", "a.com"), way(&proxies, "https", "a.com")),
            ("directly".into(), "http://low:1".into())
        );
        let proxies = from(&[("ALL_PROXY", "https://all:3"), ("http_proxy", "one:1"), ("NO_PROXY", "b.com")]).unwrap();
        assert_eq!(way(&proxies, "http", "a.com"), "http://one:1");
        assert_eq!(way(&proxies, "https", "a.com"), "https://all:3");
        assert_eq!(way(&proxies, "https", "b.com"), "directly");
        for ourselves in ["localhost", "LOCALHOST.", "127.3.2.1", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert_eq!(way(&proxies, "https", ourselves), "directly", "{ourselves}");
        }
        assert_eq!(from(&[]).unwrap().of("https", "a.com", 443), None);
    }

    #[test]
    fn a_variable_that_is_no_proxy_is_named_and_its_password_is_not() {
        let error = from(&[("https_proxy", "ftp://user:secret@host")]).unwrap_err().to_string();
        assert!(error.contains("https_proxy") && error.contains("ftp") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn by_hand_this_host_has_a_proxy_too() {
        let proxies = Proxies::all("proxy:1".parse().unwrap());
        assert_eq!(way(&proxies, "http", "localhost"), "http://proxy:1");
        assert_eq!(way(&proxies.no_proxy("localhost"), "http", "localhost"), "directly");
    }
}
