//! Which cookies are stored, which are sent, and which are forgotten. Pure, but for the clock of the library.

use cookie_store::{Cookie as Stored, CookieStore, RawCookie};
use http::HeaderValue;
use url::Url;

/// The longest cookie, name and value together, in bytes: what browsers take at most, and more than RFC 6265 (section 6.1) asks for.
const LONGEST: usize = 4096;

/// How many cookies a domain may have. Chrome's number.
const MOST_OF_DOMAIN: usize = 180;

/// How many there may be in all: RFC 6265, section 6.1.
const MOST: usize = 3000;

/// In the order of RFC 6265, section 5.4, as far as the library remembers it: longer paths first.
pub(super) fn matching<'a>(store: &'a CookieStore, url: &Url) -> Vec<&'a Stored<'static>> {
    let mut cookies = store.matches(url);
    cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
    cookies
}

pub(super) fn header(store: &CookieStore, url: &Url) -> Option<HeaderValue> {
    let pairs: Vec<String> = matching(store, url).into_iter().map(|cookie| cookie.stripped().to_string()).collect();
    // A value that no header can bear was refused when it came.
    let mut value = HeaderValue::try_from(pairs.join("; ")).ok().filter(|_| !pairs.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

/// Stores a `Set-Cookie` from this URL, or says why not.
pub(super) fn put(store: &mut CookieStore, cookie: &str, url: &Url) -> Result<(), &'static str> {
    let raw = RawCookie::parse(cookie.to_owned()).map_err(|_| "it is no cookie")?;
    if raw.name().len() + raw.value().len() > LONGEST {
        return Err("it is longer than 4096 bytes");
    }
    if HeaderValue::from_str(raw.name()).is_err() || HeaderValue::from_str(raw.value()).is_err() {
        return Err("a header cannot bear it");
    }
    let secure = raw.secure() == Some(true);
    if secure && url.scheme() != "https" && !is_local(url) {
        return Err("it is Secure, and did not come by https");
    }
    // In any case of letters, as the draft has it, for there are servers that do not mind the case.
    let prefixed = |prefix: &str| raw.name().get(..prefix.len()).is_some_and(|name| name.eq_ignore_ascii_case(prefix));
    if (prefixed("__Secure-") || prefixed("__Host-")) && !secure {
        return Err("its name says that it is Secure, and it is not");
    }
    if prefixed("__Host-") && (raw.domain().is_some() || raw.path() != Some("/")) {
        return Err("its name says that it is of one host and of the path /, and it is not");
    }
    // What is certainly no domain of anybody's.
    let domain = raw.domain().unwrap_or_default().trim_start_matches('.');
    if !domain.is_empty()
        && !domain.contains('.')
        && !url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(domain))
    {
        return Err("its domain is a top-level one");
    }
    let cookie = Stored::try_from_raw_cookie(&raw, url).map_err(|_| "it is not for its sender to set")?.into_owned();
    make_room(store, &cookie);
    match store.insert(cookie, url) {
        // That is how a cookie is taken back.
        Ok(_) | Err(cookie_store::CookieError::Expired) => Ok(()),
        Err(_) => Err("it is not for its sender to set"),
    }
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Law 8: a peer may set as many cookies as it likes.
pub(super) fn make_room(store: &mut CookieStore, coming: &Stored<'_>) {
    let domain = |cookie: &Stored<'_>| cookie.domain.as_cow().map(|domain| domain.into_owned()).unwrap_or_default();
    let mine = domain(coming);
    if store.contains_any(&mine, &coming.path, coming.name()) {
        return;
    }
    let full = |store: &CookieStore| {
        let all = store.iter_any().count();
        let of_mine = store.iter_any().filter(|cookie| domain(cookie) == mine).count();
        (of_mine >= MOST_OF_DOMAIN, all >= MOST)
    };
    if full(store) != (false, false) {
        forget_expired(store);
    }
    let from = match full(store) {
        (true, _) => mine,
        (false, true) => {
            let mut counts = std::collections::HashMap::new();
            store.iter_any().for_each(|cookie| *counts.entry(domain(cookie)).or_insert(0) += 1);
            counts.into_iter().max_by_key(|(_, count)| *count).map(|(domain, _)| domain).unwrap_or_default()
        }
        (false, false) => return,
    };
    let oldest = store.iter_any().find(|cookie| domain(cookie) == from);
    let oldest = oldest.map(|cookie| (cookie.path.to_string(), cookie.name().to_owned()));
    if let Some((path, name)) = oldest {
        store.remove(&from, &path, &name);
    }
}

pub(super) fn forget_expired(store: &mut CookieStore) {
    let expired: Vec<_> = store
        .iter_any()
        .filter(|cookie| cookie.is_expired())
        .filter_map(|cookie| {
            Some((cookie.domain.as_cow()?.into_owned(), cookie.path.to_string(), cookie.name().to_owned()))
        })
        .collect();
    for (domain, path, name) in expired {
        store.remove(&domain, &path, &name);
    }
}
