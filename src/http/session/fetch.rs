//! A request, as it is put together: by a handle's builder, or as a message.

use std::{borrow::Borrow, fmt, time::Duration};

use actix::{Message, Recipient};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::EXPECT};

use super::{Retry, Session, asked::Asked, parts::Parts, via::Via};
use crate::{
    dial::Proxy,
    http::{Body, Error, Response, Versions},
    tls::ClientTls,
};

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
        pub fn form<I, K, V>(mut self, pairs: I) -> Self
        where
            I: IntoIterator<Item: Borrow<(K, V)>>,
            K: AsRef<str>,
            V: AsRef<str>,
        {
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            self.parts.body_of(Body::from(form), "application/x-www-form-urlencoded");
            self
        }

        /// This form as `multipart/form-data`, with a `Content-Length` if every part has one.
        #[cfg(feature = "multipart")]
        pub fn multipart(mut self, form: crate::http::Form) -> Self {
            let body = Body::from(form);
            if let Some(content_type) = body.content_type() {
                // Only the form knows its boundary.
                self.parts.headers.insert(http::header::CONTENT_TYPE, content_type);
            }
            self.parts.body = body;
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

        /// Digest authorization: RFC 7616, by SHA-256, SHA-512/256 or, where nothing better is offered, MD5. A 401 that asks for it is answered by asking again, and so the body is needed again: bytes, or nothing
        /// ([`ErrorKind::Unrepeatable`](crate::http::ErrorKind::Unrepeatable)). From then on the session's requests of this user to the same origin answer unasked, with a count that goes up, and a nonce that has gone stale is replaced.
        /// A 401 that comes all the same is the response. It is never shown to another origin in a redirect, nor in logs. A user and a password in the URL are not sent when this is there.
        #[cfg(feature = "digest")]
        pub fn digest_auth(mut self, user: &str, password: &str) -> Self {
            match crate::http::session::digest::Digest::new(user, password) {
                Ok(digest) => self.parts.settings.digest = Some(digest),
                Err(words) => self.parts.complain(words),
            }
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

        /// The proxy of this request, in place of what the session says. Only requests with the same one share connections.
        pub fn proxy(mut self, proxy: &Proxy) -> Self {
            self.parts.settings.via = Some(Via::Proxy(proxy.clone()));
            self
        }

        /// To the URL's host itself: by no proxy, and by no Unix-domain socket, whatever the session says.
        pub fn directly(mut self) -> Self {
            self.parts.settings.via = Some(Via::Direct);
            self
        }

        /// To the Unix-domain socket at this path, whatever the URL's host.
        #[cfg(unix)]
        pub fn unix_socket(mut self, path: impl AsRef<std::path::Path>) -> Self {
            match crate::dial::check_path(path.as_ref()) {
                Ok(()) => self.parts.settings.via = Some(Via::Unix(path.as_ref().into())),
                Err(error) => self.parts.complain(error),
            }
            self
        }

        /// In which version of HTTP it is sent. Only requests with the same choice share connections.
        pub fn versions(mut self, versions: Versions) -> Self {
            self.parts.settings.versions = Some(versions);
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
    parts: Box<Parts>,
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
        Fetch { parts: Box::new(Parts::new(method, url)), reply_to: None }
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
    parts: Box<Parts>,
}

impl Session {
    /// A request with any method.
    pub fn request(&self, method: Method, url: &str) -> RequestBuilder {
        RequestBuilder { session: self.clone(), parts: Box::new(Parts::new(method, url)) }
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
    use base64::{Engine, prelude::BASE64_STANDARD};
    use http::header::{AUTHORIZATION, CONTENT_TYPE};

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
