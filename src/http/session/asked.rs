//! What is asked, before it is on its way.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use http::{HeaderMap, Method, Request, Uri};

use super::{
    Retry, Timeouts,
    key::Key,
    shared::{Shared, lock},
    via::Via,
};
use crate::{
    http::{Body, Error, Versions, error::WithoutSecrets},
    tls::ClientTls,
};

/// A request as its caller wants it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) settings: Settings,
}

/// What a request says in place of its session: mostly nothing, and then there is nothing to move about with it.
#[derive(Debug, Default)]
pub(super) struct Settings(Option<Box<Said>>);

/// `None`: nothing.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) total: Option<Duration>,
    pub(super) pool: Option<Duration>,
    pub(super) dial: Option<Duration>,
    pub(super) handshake: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    pub(super) between_reads: Option<Duration>,
    pub(super) redirects: Option<usize>,
    pub(super) retry: Option<Retry>,
    pub(super) tls: Option<ClientTls>,
    pub(super) server_name: Option<String>,
    pub(super) decode: Option<bool>,
    pub(super) via: Option<Via>,
    /// It asks for an `Upgrade`.
    pub(super) leaves_http: bool,
    #[cfg(feature = "digest")]
    pub(super) digest: Option<super::digest::Digest>,
    pub(super) versions: Option<Versions>,
}

static NOTHING: Said = Said {
    total: None,
    pool: None,
    dial: None,
    handshake: None,
    first_byte: None,
    between_reads: None,
    redirects: None,
    retry: None,
    tls: None,
    server_name: None,
    decode: None,
    via: None,
    leaves_http: false,
    #[cfg(feature = "digest")]
    digest: None,
    versions: None,
};

impl Deref for Settings {
    type Target = Said;

    fn deref(&self) -> &Said {
        self.0.as_deref().unwrap_or(&NOTHING)
    }
}

#[cfg(feature = "digest")]
impl Settings {
    /// To change it where it is there: nothing is said by that.
    pub(super) fn digest_mut(&mut self) -> Option<&mut super::digest::Digest> {
        self.0.as_mut()?.digest.as_mut()
    }
}

/// To say something.
impl DerefMut for Settings {
    fn deref_mut(&mut self) -> &mut Said {
        self.0.get_or_insert_default()
    }
}

impl Said {
    pub(super) fn timeouts(&self, of_session: &Timeouts) -> Timeouts {
        Timeouts {
            total: self.total.or(of_session.total),
            pool: self.pool.or(of_session.pool),
            dial: self.dial.unwrap_or(of_session.dial),
            handshake: self.handshake.unwrap_or(of_session.handshake),
            first_byte: self.first_byte.or(of_session.first_byte),
            between_reads: self.between_reads.or(of_session.between_reads),
        }
    }
}

impl Asked {
    pub(super) fn of(request: Request<Body>) -> Self {
        let (parts, body) = request.into_parts();
        Asked { method: parts.method, uri: parts.uri, headers: parts.headers, body, settings: Settings::default() }
    }

    pub(super) fn key(&self, shared: &Shared) -> Result<Key, Error> {
        shared.key(&self.uri, &self.settings)
    }
}

impl Shared {
    /// The key of a request. Most sessions ask the same host again and again, so the last one is kept.
    pub(super) fn key(&self, uri: &Uri, settings: &Settings) -> Result<Key, Error> {
        let Said { tls, server_name, via, leaves_http, .. } = &**settings;
        let by_uri = tls.is_none() && server_name.is_none() && via.is_none() && !leaves_http;
        let versions = match settings.versions.unwrap_or(self.config.versions) {
            // HTTP/2 has no way to leave a connection (RFC 9113, section 8.6), so it must not be chosen.
            Versions::Auto if *leaves_http => Versions::Http1,
            versions => versions,
        };
        if by_uri
            && let Some(key) = &*lock(&self.last_key)
            && key.is_of(uri, versions)
        {
            return Ok(key.clone());
        }
        let via = via.clone().unwrap_or_else(|| self.config.ways.of(uri));
        let via = if *leaves_http { via.leaving_http(uri) } else { via };
        let key = Key::of(uri, tls.as_ref(), server_name.as_deref(), via, versions);
        let key = key.map_err(|unfit| Error::request(format!("the URL {}: {unfit}", WithoutSecrets(uri))))?;
        if by_uri {
            *lock(&self.last_key) = Some(key.clone());
        }
        Ok(key)
    }
}
