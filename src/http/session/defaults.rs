//! The headers that a session adds to its requests.

use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, UPGRADE},
};

/// What every request has that does not bring it itself.
pub(super) struct Defaults {
    /// With a `Host`, whose place each request's own takes: a map that was cloned has no room for one more.
    headers: HeaderMap,
    /// The `Host` there is the session's, and not to be replaced.
    names_host: bool,
    /// They ask for an `Upgrade`.
    pub(super) leave_http: bool,
}

impl Defaults {
    pub(super) fn new(mut headers: HeaderMap) -> Self {
        // As of a request's own.
        headers.remove(CONTENT_LENGTH);
        let (names_host, leave_http) = (headers.contains_key(HOST), headers.contains_key(UPGRADE));
        if !names_host {
            headers.insert(HOST, HeaderValue::from_static(""));
        }
        Defaults { headers, names_host, leave_http }
    }

    /// All that a request to this host has that brings no headers itself, as most: cloned at once, for to look for each and to insert it costs more.
    pub(super) fn alone(&self, decodes: bool, host: Option<&HeaderValue>) -> HeaderMap {
        let mut headers = self.headers.clone();
        if !decodes {
            headers.remove(ACCEPT_ENCODING);
        }
        match host {
            _ if self.names_host => {}
            Some(host) => drop(headers.insert(HOST, host.clone())),
            None => drop(headers.remove(HOST)),
        }
        headers
    }

    /// Adds those that are not there, but for a `Host` that is not the session's own.
    pub(super) fn add_to(&self, headers: &mut HeaderMap, decodes: bool) {
        for (name, value) in &self.headers {
            let is_wanted = (decodes || name != ACCEPT_ENCODING) && (self.names_host || name != HOST);
            if is_wanted && !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT, USER_AGENT};

    use super::*;

    fn told(headers: &HeaderMap) -> Vec<(&str, &str)> {
        let mut told: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        told.sort_unstable();
        told
    }

    fn defaults(given: &[(http::HeaderName, &'static str)]) -> Defaults {
        let given = given.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Defaults::new(given.collect())
    }

    #[test]
    fn alone_and_one_by_one_they_are_the_same() {
        let host = HeaderValue::from_static("example.com");
        let mine = [(ACCEPT, "*/*"), (ACCEPT_ENCODING, "gzip"), (CONTENT_LENGTH, "7")];
        for (given, named) in [(&mine[..], None), (&[(HOST, "other.com"), (ACCEPT, "*/*")], Some("other.com"))] {
            for decodes in [true, false] {
                let defaults = defaults(given);
                let mut one_by_one = HeaderMap::new();
                defaults.add_to(&mut one_by_one, decodes);
                one_by_one.entry(HOST).or_insert(host.clone());
                let alone = defaults.alone(decodes, Some(&host));
                assert_eq!(told(&alone), told(&one_by_one));
                assert_eq!(alone[HOST], named.unwrap_or("example.com"));
                assert!(!alone.contains_key(CONTENT_LENGTH));
            }
        }
        assert!(!defaults(&mine).alone(true, None).contains_key(HOST), "a place that nobody has taken is not sent");
    }

    #[test]
    fn what_a_request_brings_stands() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static("mine"));
        defaults(&[(USER_AGENT, "exeunt"), (ACCEPT, "*/*")]).add_to(&mut headers, true);
        assert_eq!(told(&headers), [("accept", "*/*"), ("user-agent", "mine")]);
    }
}
