//! Cookies: RFC 6265 as `cookie_store` has it, within bounds.

mod rules;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    io::{BufRead, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use cookie_store::{Cookie as Stored, CookieDomain, CookieExpiration, CookieStore};
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{COOKIE, SET_COOKIE},
};
use url::Url;

use rules::{forget_expired, header, make_room, matching, put};

/// Cookies, for [`SessionBuilder::cookies`](super::SessionBuilder::cookies). Cheap to clone: the clones share the cookies, so that two sessions can, and their user can look at them, put some in and keep them for the next run.
///
/// Which response may set a cookie and which request is sent it is decided as RFC 6265 says, by scheme, host, path, `Secure`, `Max-Age` and `Expires`; and, as browsers have it since (its successor in draft), a `Secure` cookie is taken
/// from `https` alone and the prefixes `__Secure-` and `__Host-` mean what they say. What breaks these rules is not stored. `HttpOnly` is no hindrance: a session is HTTP.
///
/// A jar is bounded: 4 KiB a cookie, 180 cookies a domain, 3000 in all. One that is full forgets those that have expired, then the oldest of the domain with too many.
///
/// Without [public suffixes](CookieJar::with_public_suffixes) a host may set cookies for every domain above it that has a dot, `co.uk` among them.
///
/// ```
/// use exeunt::http::CookieJar;
///
/// let jar = CookieJar::new();
/// jar.set("https://example.com/login", "session=secret; Secure; HttpOnly; Path=/")?;
/// assert_eq!(jar.header("https://example.com/").unwrap(), "session=secret");
/// assert_eq!(jar.header("http://example.com/"), None, "it is Secure");
/// assert!(!format!("{jar:?}").contains("secret"));
/// # Ok::<_, exeunt::http::CookieError>(())
/// ```
#[derive(Clone, Default)]
pub struct CookieJar(Arc<Mutex<CookieStore>>);

impl CookieJar {
    /// An empty one.
    pub fn new() -> Self {
        CookieJar::default()
    }

    /// The same, with a list of public suffixes, for which nobody may set cookies: the text of `public_suffix_list.dat` (<https://publicsuffix.org>), which systems have as `/usr/share/publicsuffix/public_suffix_list.dat`. It is to be
    /// given before the jar is used.
    ///
    /// # Errors
    /// The text is no such list.
    pub fn with_public_suffixes(self, list: &str) -> Result<Self, CookieError> {
        let list = list.parse().map_err(|error| CookieError::List(format!("{error}")))?;
        let mut store = self.lock();
        *store = std::mem::take(&mut *store).with_suffix_list(list);
        drop(store);
        Ok(self)
    }

    /// Puts a cookie in, as if a response from this URL had it as its `Set-Cookie`.
    ///
    /// # Errors
    /// The URL is none, or it may not set this cookie.
    pub fn set(&self, url: &str, cookie: &str) -> Result<(), CookieError> {
        let url = parsed(url)?;
        put(&mut self.lock(), cookie, &url).map_err(|words| CookieError::Refused(words.into()))
    }

    /// The `Cookie` header of a request for this URL. `None`: there is no cookie for it, or it is no URL.
    pub fn header(&self, url: &str) -> Option<HeaderValue> {
        header(&self.lock(), &parsed(url).ok()?)
    }

    /// The value of the cookie with this name that a request for this URL is sent; of several, the one with the longest path.
    pub fn get(&self, url: &str, name: &str) -> Option<String> {
        let (store, url) = (self.lock(), parsed(url).ok()?);
        matching(&store, &url).into_iter().find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
    }

    /// All that have not expired.
    pub fn list(&self) -> Vec<Cookie> {
        self.lock().iter_unexpired().map(Cookie::of).collect()
    }

    /// Takes a cookie out, by the domain and the path that [`list`](CookieJar::list) has for it. Whether it was there.
    pub fn remove(&self, domain: &str, path: &str, name: &str) -> bool {
        self.lock().remove(domain, path, name).is_some()
    }

    /// Takes all of them out.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Writes the cookies that have an expiry and have not expired, as JSON: those that are to outlive the program. They are secrets, and are written as they are.
    ///
    /// # Errors
    /// The writer's.
    pub fn save(&self, writer: &mut impl Write) -> Result<(), CookieError> {
        cookie_store::serde::json::save(&self.lock(), writer).map_err(|error| CookieError::Save(error.to_string()))
    }

    /// The same with those that have no expiry, which a browser would forget at its end.
    ///
    /// # Errors
    /// The writer's.
    pub fn save_all(&self, writer: &mut impl Write) -> Result<(), CookieError> {
        let mut store = self.lock();
        forget_expired(&mut store);
        let saved = cookie_store::serde::json::save_incl_expired_and_nonpersistent(&store, writer);
        saved.map_err(|error| CookieError::Save(error.to_string()))
    }

    /// Adds what [`save`](CookieJar::save) has written, but for what has expired since. A cookie of the same name, domain and path is replaced.
    ///
    /// # Errors
    /// The reader's, or what it reads was not written so; the jar is then as it was.
    pub fn load(&self, reader: impl BufRead) -> Result<(), CookieError> {
        let loaded = cookie_store::serde::json::load(reader).map_err(|error| CookieError::Load(error.to_string()))?;
        let mut store = self.lock();
        for cookie in loaded.iter_unexpired() {
            let host = cookie.domain.as_cow().unwrap_or_default();
            // Whoever it came from, it belongs to its domain.
            let Ok(url) = Url::parse(&format!("https://{host}/")) else { continue };
            make_room(&mut store, cookie);
            let _ = store.insert(cookie.clone(), &url);
        }
        Ok(())
    }

    /// What a response from there sets. What it may not set is passed over, and told by name.
    pub(super) fn take(&self, from: &Uri, headers: &HeaderMap) {
        let cookies = headers.get_all(SET_COOKIE);
        if cookies.iter().next().is_none() {
            return;
        }
        let Ok(url) = Url::parse(&from.to_string()) else { return };
        let mut store = self.lock();
        for cookie in cookies {
            let Ok(cookie) = std::str::from_utf8(cookie.as_bytes()) else { continue };
            if let Err(why) = put(&mut store, cookie, &url) {
                let name = cookie.split('=').next().unwrap_or_default();
                tracing::debug!(name, host = url.host_str(), why, "a cookie was not stored");
            }
        }
    }

    /// Adds to a request for `uri` what is to go there, unless it brings cookies itself.
    pub(super) fn give(&self, uri: &Uri, headers: &mut HeaderMap) {
        if headers.contains_key(COOKIE) {
            return;
        }
        let Ok(url) = Url::parse(&uri.to_string()) else { return };
        if let Some(value) = header(&self.lock(), &url) {
            headers.insert(COOKIE, value);
        }
    }

    fn lock(&self) -> MutexGuard<'_, CookieStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parsed(url: &str) -> Result<Url, CookieError> {
    Url::parse(url).map_err(|error| CookieError::Url(error.to_string()))
}

impl fmt::Debug for CookieJar {
    /// Without the cookies, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieJar").field("cookies", &self.lock().iter_unexpired().count()).finish_non_exhaustive()
    }
}

/// A cookie of a [`CookieJar`].
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value: a secret, most often.
    pub value: String,
    /// The host or the domain that it is sent to.
    pub domain: String,
    /// Whether it is sent to this host only, and not to those below.
    pub host_only: bool,
    /// The path below which it is sent.
    pub path: String,
    /// Whether it is sent by https only.
    pub secure: bool,
    /// Whether scripts are not to see it: told, and nothing more.
    pub http_only: bool,
    /// When it expires. `None`: with the program.
    pub expires: Option<SystemTime>,
}

impl Cookie {
    fn of(stored: &Stored<'_>) -> Self {
        Cookie {
            name: stored.name().to_owned(),
            value: stored.value().to_owned(),
            domain: stored.domain.as_cow().unwrap_or_default().into_owned(),
            host_only: matches!(stored.domain, CookieDomain::HostOnly(_)),
            path: stored.path.to_string(),
            secure: stored.secure() == Some(true),
            http_only: stored.http_only() == Some(true),
            expires: match &stored.expires {
                CookieExpiration::AtUtc(at) => Some((*at).into()),
                CookieExpiration::SessionEnd => None,
            },
        }
    }
}

impl fmt::Debug for Cookie {
    /// Without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("domain", &self.domain)
            .field("path", &self.path)
            .field("secure", &self.secure)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Why something could not be done with a [`CookieJar`]. In words, which hold no value of a cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookieError {
    /// This is no URL.
    Url(String),
    /// The cookie is none, or is not for this URL to set.
    Refused(String),
    /// This is no list of public suffixes.
    List(String),
    /// The cookies could not be written.
    Save(String),
    /// The cookies could not be read.
    Load(String),
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CookieError::Url(words) => write!(f, "no URL for a cookie: {words}"),
            CookieError::Refused(words) => write!(f, "the cookie was not stored: {words}"),
            CookieError::List(words) => write!(f, "no list of public suffixes: {words}"),
            CookieError::Save(words) => write!(f, "the cookies were not saved: {words}"),
            CookieError::Load(words) => write!(f, "the cookies were not loaded: {words}"),
        }
    }
}

impl std::error::Error for CookieError {}
