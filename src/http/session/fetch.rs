//! A request, as it is put together: by a handle's builder, or as a message.

use std::{fmt, time::Duration};

use actix::{Message, Recipient};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE, EXPECT},
};

use super::{
    Retry, Session,
    flow::{Asked, Settings},
    redirect::to_uri,
};
use crate::{
    http::{Body, Error, Response},
    tls::ClientTls,
};

/// What a request says. What is wrong in it is told when it is sent.
#[derive(Debug)]
struct Parts {
    method: Method,
    url: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Body,
    settings: Settings,
    wrong: Option<Error>,
}

impl Parts {
    fn new(method: Method, url: &str) -> Self {
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

    fn complain(&mut self, words: impl fmt::Display) {
        self.wrong.get_or_insert_with(|| Error::request(words.to_string()));
    }

    fn authorize(&mut self, value: String) {
        match HeaderValue::try_from(value) {
            Ok(mut value) => {
                value.set_sensitive(true);
                self.headers.insert(AUTHORIZATION, value);
            }
            Err(error) => self.complain(format_args!("the authorization: {error}")),
        }
    }

    fn basic(&mut self, user: &str, password: &str) {
        self.authorize(format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}"))));
    }

    fn body_of(&mut self, body: Body, content_type: &'static str) {
        self.body = body;
        self.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
    }

    fn into_asked(mut self, base: Option<&url::Url>) -> Result<Asked, Error> {
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
            if !self.headers.contains_key(AUTHORIZATION) {
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

/// The methods by which a request is put together: the same for a message and for a handle's builder, which both have `parts`.
macro_rules! setters {
    () => {
        /// A header; given twice, both are sent. What the session adds by itself is not added where it is given here.
        pub fn header(
            mut self,
            name: impl TryInto<HeaderName, Error: fmt::Display>,
            value: impl TryInto<HeaderValue, Error: fmt::Display>,
        ) -> Self {
            match (name.try_into(), value.try_into()) {
                (Ok(name), Ok(value)) => {
                    self.parts.headers.append(name, value);
                }
                (Err(error), _) => self.parts.complain(format_args!("a header's name: {error}")),
                (_, Err(error)) => self.parts.complain(format_args!("a header's value: {error}")),
            }
            self
        }

        /// Headers, in place of those of the same names.
        pub fn headers(mut self, headers: HeaderMap) -> Self {
            for (name, value) in &headers {
                self.parts.headers.insert(name, value.clone());
            }
            self
        }

        /// A name and a value in the query, encoded, behind what the URL has.
        pub fn query(mut self, name: impl Into<String>, value: impl ToString) -> Self {
            self.parts.query.push((name.into(), value.to_string()));
            self
        }

        /// The body. No content type is set.
        pub fn body(mut self, body: impl Into<Body>) -> Self {
            self.parts.body = body.into();
            self
        }

        /// These names and values as a form: `application/x-www-form-urlencoded`.
        pub fn form<K: AsRef<str>, V: AsRef<str>>(mut self, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            self.parts.body_of(Body::from(form), "application/x-www-form-urlencoded");
            self
        }

        /// This as JSON.
        #[cfg(feature = "json")]
        pub fn json(mut self, value: &(impl serde::Serialize + ?Sized)) -> Self {
            match serde_json::to_vec(value) {
                Ok(json) => self.parts.body_of(Body::from(json), "application/json"),
                Err(error) => self.parts.complain(format_args!("the JSON of the body: {error}")),
            }
            self
        }

        /// Basic authorization: RFC 7617. It is not shown to another origin in a redirect, nor in logs.
        pub fn basic_auth(mut self, user: &str, password: &str) -> Self {
            self.parts.basic(user, password);
            self
        }

        /// Bearer authorization: RFC 6750. It is not shown to another origin in a redirect, nor in logs.
        pub fn bearer_auth(mut self, token: &str) -> Self {
            self.parts.authorize(format!("Bearer {token}"));
            self
        }

        /// Sends the head alone and the body when the peer has said 100, or nothing for a second: `Expect: 100-continue` (RFC 9110, section 10.1.1). A peer that answers without it is not sent the body.
        pub fn expect_continue(mut self) -> Self {
            self.parts.headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
            self
        }

        /// The deadline of all of it: queue, dial, redirects, retries and the response's body.
        pub fn timeout(mut self, total: Duration) -> Self {
            self.parts.settings.total = Some(total);
            self
        }

        /// How long to wait for a connection when as many as may be are in use.
        pub fn pool_timeout(mut self, within: Duration) -> Self {
            self.parts.settings.pool = Some(within);
            self
        }

        /// How long resolving and connecting may take, when a connection is dialled for this request.
        pub fn dial_timeout(mut self, within: Duration) -> Self {
            self.parts.settings.dial = Some(within);
            self
        }

        /// How long the TLS handshake may take, when a connection is dialled for this request.
        pub fn handshake_timeout(mut self, within: Duration) -> Self {
            self.parts.settings.handshake = Some(within);
            self
        }

        /// How long the head of the response may take, from when the request is given to its connection.
        pub fn first_byte_timeout(mut self, within: Duration) -> Self {
            self.parts.settings.first_byte = Some(within);
            self
        }

        /// How long the next piece of the response's body may take.
        pub fn read_timeout(mut self, within: Duration) -> Self {
            self.parts.settings.between_reads = Some(within);
            self
        }

        /// How many redirects are followed; 0: the redirect is the response.
        pub fn redirects(mut self, most: usize) -> Self {
            self.parts.settings.redirects = Some(most);
            self
        }

        /// When it is asked again.
        pub fn retry(mut self, retry: Retry) -> Self {
            self.parts.settings.retry = Some(retry);
            self
        }

        /// The TLS configuration. Only requests with the same one share connections.
        pub fn tls(mut self, tls: &ClientTls) -> Self {
            self.parts.settings.tls = Some(tls.clone());
            self
        }

        /// The name that is sent (SNI) and that the certificate must bear. Default: the URL's host.
        pub fn server_name(mut self, name: impl Into<String>) -> Self {
            self.parts.settings.server_name = Some(name.into());
            self
        }

        /// Whether a body that comes compressed is decoded, and compression offered. Default: as the session says.
        pub fn decode(mut self, decode: bool) -> Self {
            self.parts.settings.decode = Some(decode);
            self
        }
    };
}

/// The methods by name.
macro_rules! by_method {
    ($($name:ident $method:ident),*) => {
        impl Fetch {$(
            #[doc = concat!("A ", stringify!($method), " request.")]
            pub fn $name(url: &str) -> Self {
                Fetch::new(Method::$method, url)
            }
        )*}
        impl Session {$(
            #[doc = concat!("A ", stringify!($method), " request.")]
            pub fn $name(&self, url: &str) -> RequestBuilder {
                self.request(Method::$method, url)
            }
        )*}
    };
}
by_method!(get GET, head HEAD, post POST, put PUT, patch PATCH, delete DELETE, options OPTIONS);

/// A request as a message to a [`SessionActor`](super::SessionActor): answered with the response when its head has come, or, with [`reply_to`](Fetch::reply_to), by a message.
#[derive(Debug)]
#[must_use = "it is a message: send it to a session's actor"]
pub struct Fetch {
    parts: Parts,
    pub(super) reply_to: Option<(Recipient<Fetched>, u64)>,
}

impl Message for Fetch {
    type Result = Result<Response, Error>;
}

/// What became of a [`Fetch`] that named a recipient.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Fetched {
    /// What the fetch was marked with.
    pub tag: u64,
    /// The response, when its head has come, or why there is none.
    pub result: Result<Response, Error>,
}

impl Fetch {
    /// A request with any method.
    pub fn new(method: Method, url: &str) -> Self {
        Fetch { parts: Parts::new(method, url), reply_to: None }
    }

    /// Sends what becomes of it to this recipient, marked with `tag`. For a message that is sent with `do_send`.
    pub fn reply_to(mut self, recipient: Recipient<Fetched>, tag: u64) -> Self {
        self.reply_to = Some((recipient, tag));
        self
    }

    setters!();

    pub(super) fn into_asked(self, base: Option<&url::Url>) -> Result<Asked, Error> {
        self.parts.into_asked(base)
    }
}

/// A request that is put together, to be sent.
#[derive(Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct RequestBuilder {
    session: Session,
    parts: Parts,
}

impl Session {
    /// A request with any method.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        RequestBuilder { session: self.clone(), parts: Parts::new(method, url) }
    }
}

impl RequestBuilder {
    setters!();

    /// Sends it. The response is there when its head has come; its body is read from it. Dropping the future cancels the request: its connection is then closed gracefully, and another takes its place.
    ///
    /// # Errors
    /// There was no response; a response with any status is none.
    pub async fn send(self) -> Result<Response, Error> {
        self.session.fetch(Fetch { parts: self.parts, reply_to: None }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fetch: Fetch) -> Result<Asked, String> {
        fetch.into_asked(None).map_err(|error| error.to_string())
    }

    #[test]
    fn a_query_is_encoded_behind_the_urls_own() {
        let asked = asked(Fetch::get("https://example.com/a?b=c").query("d e", "f&g").query("n", 1)).unwrap();
        assert_eq!(asked.uri, "https://example.com/a?b=c&d+e=f%26g&n=1");
    }

    #[test]
    fn credentials_go_from_the_url_into_the_header() {
        let asked = asked(Fetch::get("https://us%20er:p%40ss@example.com/")).unwrap();
        assert_eq!(asked.uri, "https://example.com/");
        assert_eq!(asked.headers[AUTHORIZATION], format!("Basic {}", BASE64_STANDARD.encode("us er:p@ss")));
        assert!(asked.headers[AUTHORIZATION].is_sensitive());
    }

    #[test]
    fn what_is_wrong_is_told_when_it_is_sent_and_no_password_with_it() {
        for (fetch, words) in [
            (Fetch::get("/relative"), "relative URL without a base"),
            (Fetch::get("https://example.com").header("no name", "x"), "a header's name"),
            (Fetch::get("https://example.com").header("x", "a\nb"), "a header's value"),
            (Fetch::get("https://user:secret@:99999"), "(with credentials)"),
        ] {
            let error = asked(fetch).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_form_is_encoded_and_says_so() {
        let asked = asked(Fetch::post("https://example.com").form([("a", "b c"), ("ü", "&")])).unwrap();
        assert_eq!(asked.headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
        assert!(format!("{:?}", asked.body).contains("16 bytes"), "{:?}", asked.body);
    }
}
