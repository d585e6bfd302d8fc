//! Which way to go.

use std::{fmt, sync::Arc};

#[cfg(feature = "proxy")]
use super::Proxy;
use super::{Target, TargetError};

/// The way to a peer, from its first step.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// To the host itself.
    Direct(Target),
    /// By a proxy, which is asked for a tunnel to the host.
    #[cfg(feature = "proxy")]
    Through(Proxy, Target),
    /// To a Unix-domain socket of this machine.
    #[cfg(unix)]
    Unix(Arc<std::path::Path>),
}

impl Route {
    /// What `Connect` takes: `host:port`, or `unix:` and a path.
    pub(crate) fn parse(text: &str) -> Result<Route, TargetError> {
        #[cfg(unix)]
        if let Some(path) = text.strip_prefix("unix:") {
            return Route::unix(path.as_ref());
        }
        text.parse().map(Route::Direct)
    }

    #[cfg(unix)]
    pub(crate) fn unix(path: &std::path::Path) -> Result<Route, TargetError> {
        super::unix::check(path)?;
        Ok(Route::Unix(path.into()))
    }

    /// The name that TLS knows the peer by, if the way says one.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.target().map(Target::server_name)
    }

    /// The port, which tells whose sessions may be resumed; 0 if there is none.
    pub(crate) fn port(&self) -> u16 {
        self.target().map_or(0, |target| target.port)
    }

    fn target(&self) -> Option<&Target> {
        match self {
            Route::Direct(target) => Some(target),
            #[cfg(feature = "proxy")]
            Route::Through(_, target) => Some(target),
            #[cfg(unix)]
            Route::Unix(_) => None,
        }
    }

    /// The same peer by this proxy. A socket of this machine is reached by none.
    #[cfg(feature = "proxy")]
    pub(crate) fn by(self, proxy: &Proxy) -> Route {
        match self {
            Route::Direct(target) | Route::Through(_, target) => Route::Through(proxy.clone(), target),
            #[cfg(unix)]
            unix @ Route::Unix(_) => unix,
        }
    }
}

/// The peer, as ledgers show it.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Route::Direct(target) => target.fmt(f),
            #[cfg(feature = "proxy")]
            Route::Through(_, target) => target.fmt(f),
            #[cfg(unix)]
            Route::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
