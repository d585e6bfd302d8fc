//! Where a response leads, and what goes along.

use http::Response;

use super::Way;
use crate::http::{Body, Error, ErrorKind, RedirectError, ResponseBody, error::WithoutSecrets, session::redirect};

impl Way<'_> {
    /// Turns to where the response leads.
    pub(super) fn follow(&mut self, most: usize, response: &Response<ResponseBody>) -> Result<(), Error> {
        let refuse = |error| Error::new(ErrorKind::Redirect(error));
        let to = redirect::target(&self.uri, response.headers()).map_err(refuse)?;
        let (method, keeps_body) = redirect::method(response.status(), &self.method);
        if self.history.len() >= most {
            return Err(refuse(RedirectError::TooMany(most)));
        }
        if keeps_body && self.body.is_none() {
            return Err(refuse(RedirectError::BodyGone));
        }
        self.shared().hooks(|hooks| hooks.redirect(self.moment(None), response.status(), &to));
        let from = (std::mem::replace(&mut self.method, method), std::mem::replace(&mut self.uri, to));
        self.history.push(from);
        if self.history.iter().any(|(method, uri)| *method == self.method && *uri == self.uri) {
            return Err(refuse(RedirectError::Loop(WithoutSecrets(&self.uri).to_string())));
        }
        let key = self.shared().key(&self.uri, &self.settings)?;
        // What was the session's to add may have to be left behind, too.
        self.complete();
        redirect::strip(&mut self.headers, keeps_body, key.same_origin(&self.key));
        #[cfg(feature = "digest")]
        self.moved(key.same_origin(&self.key));
        self.key = key;
        if !keeps_body {
            self.body = Some(Body::empty());
        }
        Ok(())
    }
}
