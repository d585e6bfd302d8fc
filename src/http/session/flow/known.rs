//! What the session adds to a request by what it knows, and what it learns from a response.

use http::{Request, Response};

use super::Way;
use crate::http::{Body, ResponseBody};
#[cfg(feature = "digest")]
use crate::http::{Error, ErrorKind};

impl Way<'_> {
    /// Adds to a request for where the way is now.
    pub(super) fn add_known(&mut self, request: &mut Request<Body>) {
        #[cfg(feature = "cookies")]
        if let Some(jar) = &self.shared().config.cookies {
            jar.give(&self.uri, request.headers_mut());
        }
        #[cfg(feature = "digest")]
        if let Some(digest) = self.settings.digest_mut() {
            digest.authorize(&self.session.0.shared.challenges, &self.key, request);
        }
    }

    /// Looks at every response, also at one that leads elsewhere or is asked for again.
    pub(super) fn learn(&self, response: &Response<ResponseBody>) {
        #[cfg(feature = "cookies")]
        if let Some(jar) = &self.shared().config.cookies {
            jar.take(&self.uri, response.headers());
        }
        #[cfg(not(feature = "cookies"))]
        let _ = response;
    }

    /// Whether the response is a challenge that is to be answered, by asking again.
    #[cfg(feature = "digest")]
    pub(super) fn is_challenged(&mut self, response: &Response<ResponseBody>) -> Result<bool, Error> {
        let Some(digest) = self.settings.digest_mut() else { return Ok(false) };
        let bytes = self.body.as_ref().is_some_and(|body| body.as_bytes().is_some());
        let known = &self.session.0.shared.challenges;
        if response.status() != http::StatusCode::UNAUTHORIZED
            || !digest.is_challenged(known, &self.key, response.headers(), bytes)
        {
            return Ok(false);
        }
        if self.body.is_none() {
            // The challenge is remembered: the next request answers it unasked.
            return Err(Error::new(ErrorKind::Unrepeatable));
        }
        tracing::debug!(request = self.id.get(), "asked for digest authorization");
        Ok(true)
    }

    /// Credentials stay with their origin, also when the way leads back to it.
    #[cfg(feature = "digest")]
    pub(super) fn moved(&mut self, same_origin: bool) {
        match self.settings.digest_mut() {
            Some(digest) if same_origin => digest.moved(),
            Some(_) => self.settings.digest = None,
            None => {}
        }
    }
}
