//! Digest authorization (RFC 7616), as `digest_auth` computes it: which challenge is answered, how often, and with which count.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
};

use digest_auth::{AlgorithmType, AuthContext, HttpMethod, WwwAuthenticateHeader};
use http::{HeaderMap, HeaderValue, Request, header::WWW_AUTHENTICATE};

use super::{key::Key, shared::lock};
use crate::http::Body;

/// A challenge, with the count of its nonce's uses: shared by all requests that answer it.
type Challenge = Arc<Mutex<WwwAuthenticateHeader>>;

/// How often one request answers a challenge. The second time is for a nonce of an earlier request that has gone stale, the third for one that did so while it was on its way.
const MOST: u8 = 3;

/// How many challenges a session remembers. Chosen arbitrarily: it costs a request that needs one more a second round.
const REMEMBERED: usize = 256;

/// The challenges that a session has answered, by origin and user, so that the next request can answer without being asked.
#[derive(Default)]
pub(super) struct Challenges(Mutex<HashMap<(String, String), Challenge>>);

impl Challenges {
    fn of(&self, origin: &Key, user: &str) -> Option<Challenge> {
        lock(&self.0).get(&(origin.to_string(), user.to_owned())).cloned()
    }

    fn remember(&self, origin: &Key, user: &str, challenge: &Challenge) {
        let mut known = lock(&self.0);
        let key = (origin.to_string(), user.to_owned());
        if known.len() >= REMEMBERED && !known.contains_key(&key) {
            known.clear();
        }
        known.insert(key, challenge.clone());
    }
}

/// The user that a request is of, and how far it has come in saying so.
pub(super) struct Digest {
    user: String,
    password: String,
    challenge: Option<Challenge>,
    /// The challenge was put to this request, and is no earlier one's.
    fresh: bool,
    answers: u8,
}

impl Digest {
    /// The words say what is wrong.
    pub(super) fn new(user: &str, password: &str) -> Result<Self, &'static str> {
        if user.contains(':') || user.chars().chain(password.chars()).any(char::is_control) {
            return Err(
                "a user of digest authorization has no colon, and neither it nor its password control characters",
            );
        }
        Ok(Digest { user: user.to_owned(), password: password.to_owned(), challenge: None, fresh: false, answers: 0 })
    }

    /// Adds the answer to a request for `origin`, if there is a challenge to answer.
    pub(super) fn authorize(&mut self, known: &Challenges, origin: &Key, request: &mut Request<Body>) {
        if self.challenge.is_none() {
            self.challenge = known.of(origin, &self.user);
        }
        let Some(challenge) = &self.challenge else { return };
        let target = request.uri().to_string();
        let method = HttpMethod::from(request.method().as_str());
        // Only looked at where the challenge wants the body signed.
        let body = request.body().as_bytes();
        let context = AuthContext::new_with_method(&self.user, &self.password, &target, body, method);
        let answer = lock(challenge).respond(&context).ok().map(|answer| answer.to_string());
        // Neither fails: `pick` has left one way of signing, and nothing in it breaks a header.
        if let Some(mut value) = answer.and_then(|answer| HeaderValue::try_from(answer).ok()) {
            value.set_sensitive(true);
            request.headers_mut().insert(http::header::AUTHORIZATION, value);
        }
    }

    /// Takes the challenge out of a 401. Whether it is to be answered; else the 401 is the response.
    pub(super) fn is_challenged(&mut self, known: &Challenges, origin: &Key, headers: &HeaderMap, bytes: bool) -> bool {
        let Some(challenge) = pick(headers, bytes) else { return false };
        // The same user with the same password, refused twice, will be refused again.
        if self.answers >= MOST || (self.fresh && !challenge.stale) {
            return false;
        }
        let challenge = Arc::new(Mutex::new(challenge));
        known.remember(origin, &self.user, &challenge);
        self.challenge = Some(challenge);
        self.fresh = true;
        self.answers += 1;
        true
    }

    /// At the same origin, another place may have another challenge.
    pub(super) fn moved(&mut self) {
        (self.fresh, self.answers) = (false, 0);
    }
}

impl fmt::Debug for Digest {
    /// Without the password, and without the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").field("answers", &self.answers).finish_non_exhaustive()
    }
}

/// The strongest challenge that can be answered. `bytes`: the request's body is there to be signed.
fn pick(headers: &HeaderMap, bytes: bool) -> Option<WwwAuthenticateHeader> {
    let strength = |challenge: &WwwAuthenticateHeader| match challenge.algorithm.algo {
        AlgorithmType::MD5 => 0,
        AlgorithmType::SHA2_256 => 1,
        AlgorithmType::SHA2_512_256 => 2,
    };
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(challenges).filter_map(|parameters| read(&parameters, bytes)).max_by_key(strength)
}

/// The parameters of each challenge of the scheme Digest in a header's value (RFC 9110, section 11.6.1), names in lower case, values as they stand. `digest_auth` reads one challenge, and no other scheme's beside it.
fn challenges(value: &str) -> Vec<Vec<(String, &str)>> {
    let mut found = Vec::new();
    let mut digest = false;
    for item in items(value) {
        let (first, rest) = item.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((item, ""));
        let mut parameter = item;
        // A scheme stands before a parameter or alone; white space around a parameter's `=` is bad, and allowed.
        if !first.contains('=') && !rest.trim_start().starts_with('=') {
            digest = first.eq_ignore_ascii_case("digest");
            if digest {
                found.push(Vec::new());
            }
            parameter = rest;
        }
        if let (true, Some((name, value)), Some(last)) = (digest, parameter.split_once('='), found.last_mut()) {
            let value = value.trim();
            if !value.is_empty() {
                last.push((name.trim().to_ascii_lowercase(), value));
            }
        }
    }
    found
}

/// What stands between the commas, but for those in quotes.
fn items(value: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let separator = move |c: char| {
        let was_escaped = std::mem::take(&mut escaped);
        match c {
            '"' if !was_escaped => quoted = !quoted,
            '\\' if quoted && !was_escaped => escaped = true,
            ',' if !quoted => return true,
            _ => {}
        }
        false
    };
    value.split(separator).map(str::trim).filter(|item| !item.is_empty())
}

/// A challenge, if it can be answered: with one way of signing left in it.
fn read(parameters: &[(String, &str)], bytes: bool) -> Option<WwwAuthenticateHeader> {
    let mut text = String::from("Digest ");
    for (name, value) in parameters {
        let qop;
        let value = match name.as_str() {
            "qop" => {
                let offers =
                    |wanted: &str| value.trim_matches('"').split(',').any(|q| q.trim().eq_ignore_ascii_case(wanted));
                // auth signs what auth-int does but for the body, which may be large.
                qop = match (offers("auth"), offers("auth-int") && bytes) {
                    (true, _) => "auth",
                    (false, true) => "auth-int",
                    (false, false) => return None,
                };
                qop
            }
            _ => value,
        };
        text.push_str(&format!("{name}={value}, "));
    }
    WwwAuthenticateHeader::parse(text.trim_end_matches(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::session::via::Via;

    fn picked(values: &[&str], bytes: bool) -> Option<WwwAuthenticateHeader> {
        let values = values.iter().map(|value| (WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap()));
        let headers: HeaderMap = values.collect();
        pick(&headers, bytes)
    }

    #[test]
    fn the_strongest_challenge_is_found_wherever_it_stands() {
        let (md5, sha) = (
            r#"Digest realm="r, \"q\"", nonce="n1", qop="auth""#,
            r#"digest Realm="s", NONCE = "n2", algorithm=SHA-256, qop="auth,auth-int""#,
        );
        let together = format!("Basic realm=\"b\", {md5}, Negotiate abc==, {sha}, Bearer");
        for values in [vec![md5, sha], vec![sha, md5], vec![together.as_str()]] {
            let challenge = picked(&values, false).unwrap();
            assert_eq!((&*challenge.realm, &*challenge.nonce, challenge.stale), ("s", "n2", false), "{values:?}");
            assert_eq!(challenge.qop, Some(vec![digest_auth::Qop::AUTH]));
        }
        assert_eq!(picked(&[md5], false).unwrap().realm, "r, \"q\"");
        // As RFC 2069 had it, and old devices still do.
        assert_eq!(picked(&[r#"Digest realm="r", nonce="n""#], false).unwrap().qop, None);
        let stale = picked(&[r#"Digest realm="r", nonce="n", stale=TRUE, qop=auth"#], false).unwrap();
        assert!(stale.stale);
    }

    #[test]
    fn what_cannot_be_answered_is_passed_over() {
        for value in [
            "",
            "Digest",
            "Basic realm=\"Digest\", nonce=\"n\"",
            r#"Digest nonce="n""#,
            r#"Digest realm="r", nonce="n", algorithm=ROT13"#,
            r#"Digest realm="r", nonce="n", qop="other""#,
            r#"Digest realm="r, nonce="n"#,
            "Digest realm=, nonce==, \"",
        ] {
            assert!(picked(&[value], true).is_none(), "{value}: {:?}", picked(&[value], true));
        }
        let signed = r#"Digest realm="r", nonce="n", qop="auth-int""#;
        assert!(picked(&[signed], true).is_some() && picked(&[signed], false).is_none());
    }

    /// The example of RFC 7616, section 3.9.1, but for the client's nonce, which is made up anew: it goes through the library.
    #[test]
    fn answers_count_and_hide_the_password() {
        let origin =
            Key::of(&"http://www.example.org".parse().unwrap(), None, None, Via::Direct, crate::http::Versions::Auto)
                .unwrap();
        let known = Challenges::default();
        let challenge = r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
        let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))]);
        let mut first = Digest::new("Mufasa", "Circle of Life").unwrap();
        let authorized = |digest: &mut Digest| {
            let mut request = Request::get("/dir/index.html").body(Body::empty()).unwrap();
            digest.authorize(&known, &origin, &mut request);
            request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(authorized(&mut first), None, "nobody has asked yet");
        assert!(first.is_challenged(&known, &origin, &headers, true));
        let answer = authorized(&mut first).unwrap();
        assert!(
            answer.contains("uri=\"/dir/index.html\"")
                && answer.contains("nc=00000001")
                && answer.contains("algorithm=SHA-256"),
            "{answer}"
        );
        assert!(!first.is_challenged(&known, &origin, &headers, true), "refused: the password is wrong");
        // The next request does not wait to be asked, and may be asked once more.
        let mut second = Digest::new("Mufasa", "Circle of Life").unwrap();
        assert!(authorized(&mut second).unwrap().contains("nc=00000002"));
        assert!(second.is_challenged(&known, &origin, &headers, true));
        assert!(authorized(&mut second).unwrap().contains("nc=00000001"), "of a new nonce");
        assert!(!format!("{second:?}").contains("Circle"));
        assert!(authorized(&mut Digest::new("another", "x").unwrap()).is_none());
        assert!(Digest::new("a:b", "x").is_err() && Digest::new("a", "x\n").is_err());
    }
}
