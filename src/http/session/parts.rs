//! What a request says, as it is put together piece by piece.

use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};

use super::{
    asked::{Asked, Settings},
    redirect::to_uri,
};
use crate::http::{Body, Error};

/// What a request says. What is wrong in it is told when it is sent.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) settings: Settings,
    pub(super) wrong: Option<Error>,
}

impl Parts {
    pub(super) fn new(method: Method, url: &str) -> Self {
        Parts {
            method,
            url: url.to_owned(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Body::empty(),
            settings: Settings::default(),
            wrong: None,
        }
    }

    pub(super) fn complain(&mut self, words: impl fmt::Display) {
        self.wrong.get_or_insert_with(|| Error::request(words.to_string()));
    }

    pub(super) fn authorize(&mut self, value: String) {
        match HeaderValue::try_from(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(error) => self.complain(format_args!("the authorization: {error}")),
        }
    }

    pub(super) fn basic(&mut self, user: &str, password: &str) {
        self.authorize(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))));
    }

    pub(super) fn body_of(&mut self, body: Body, content_type: &'static str) {
        self.body = body;
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    }

    pub(super) fn into_asked(mut self: Box<Self>, base: Option<&url::Url>) -> Result<Asked, Error> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        let wrong = |error: &dyn fmt::Display| Error::request(format!("the URL {:?}: {error}", shown(&self.url)));
        let url = match base {
            Some(base) => base.join(&self.url),
            None => url::Url::parse(&self.url),
        };
        let mut url = url.map_err(|error| wrong(&error))?;
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        let (user, password) = (decoded(url.username()), url.password().map(decoded));
        if !user.is_empty() || password.is_some() {
            // Both are in the header from here on, and so in no log. Only a URL without a host refuses.
            let _ = (url.set_username(""), url.set_password(None));
            #[cfg(feature = "digest")]
            let digest = self.settings.digest.is_some();
            #[cfg(not(feature = "digest"))]
            let digest = false;
            if !digest && !self.headers.contains_key(AUTHORIZATION) {
                self.basic(&user, password.as_deref().unwrap_or_default());
            }
        }
        let uri = to_uri(url).map_err(|words| Error::request(format!("the URL {:?}: {words}", shown(&self.url))))?;
        Ok(Asked { method: self.method, uri, headers: self.headers, body: self.body, settings: self.settings })
    }
}

/// As much of a wrong URL as its error repeats; of one with a password, nothing.
fn shown(url: &str) -> String {
    if url.contains('@') { "(with credentials)".to_owned() } else { url.chars().take(300).collect() }
}

fn decoded(text: &str) -> String {
    percent_decode(text.as_bytes())
}

/// RFC 3986, section 2.1.
fn percent_decode(text: &[u8]) -> String {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).map(|digit| digit as u8);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        match (first, hex(after.first()), hex(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(high * 16 + low);
                rest = &after[2..];
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
