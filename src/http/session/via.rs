//! By which way a request goes to its host.

#[cfg(unix)]
use std::path::Path;
#[cfg(unix)]
use std::sync::Arc;

use http::{Uri, uri::Scheme};

use crate::dial::{Proxies, Proxy};

/// The way of one request. Part of the pool's key: those that go different ways share nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Via {
    Direct,
    Proxy(Proxy),
    /// By this proxy, and through a tunnel although there is no TLS.
    Tunnel(Proxy),
    /// The Unix-domain socket at this path, whatever the URL's host.
    #[cfg(unix)]
    Unix(Arc<Path>),
}

impl Via {
    /// The same way, for a request that is to leave HTTP: a proxy that it is sent to in absolute form would take the `Upgrade` for its own (RFC 9110, section 7.8).
    pub(super) fn leaving_http(self, uri: &Uri) -> Via {
        match self {
            Via::Proxy(proxy) if uri.scheme() == Some(&Scheme::HTTP) => Via::Tunnel(proxy),
            other => other,
        }
    }
}

/// The ways of a session's requests that bring none.
#[derive(Debug)]
pub(super) enum Ways {
    By(Proxies),
    #[cfg(unix)]
    Unix(Arc<Path>),
}

impl Default for Ways {
    fn default() -> Self {
        Ways::By(Proxies::none())
    }
}

impl Ways {
    pub(super) fn of(&self, uri: &Uri) -> Via {
        match self {
            Ways::By(proxies) => {
                let scheme = uri.scheme_str().unwrap_or_default();
                let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
                let proxy = proxies.of(scheme, uri.host().unwrap_or_default(), port);
                proxy.map_or(Via::Direct, |proxy| Via::Proxy(proxy.clone()))
            }
            #[cfg(unix)]
            Ways::Unix(path) => Via::Unix(path.clone()),
        }
    }
}
