//! A client's connection that leaves HTTP.

use std::task::Context;

use http::{Response, StatusCode};
use hyper::body::Incoming;

use super::{ExchangeError, HttpClient, State, http1::Speaking};
use crate::{
    connection::{Io, ProtocolError},
    http::upgrade::{Asks, Promise},
};

impl HttpClient {
    /// Looks whether a response is the last word in HTTP, and if it is, promises the stream that follows.
    pub(super) fn look_for_upgrade(
        &mut self,
        io: &mut Io<'_, Self>,
        mut response: Response<Incoming>,
        asks: Asks,
    ) -> Result<Response<Incoming>, ExchangeError> {
        let status = response.status();
        if asks.is_granted_by(status) {
            self.promise = Some(Promise::make(response.extensions_mut(), &self.fate));
        } else if status == StatusCode::SWITCHING_PROTOCOLS {
            let words = "it switched protocols without being asked".to_owned();
            io.fail(ProtocolError::new(words.clone()));
            return Err(ExchangeError::NotHttp(words));
        }
        Ok(response)
    }

    /// hyper is done, and what it has read too much is the first that the stream reads.
    pub(super) fn become_stream(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>, promise: Promise) {
        let State::Speaking(speaking) = std::mem::replace(&mut self.state, State::Done) else { return };
        let Speaking { connection, .. } = *speaking;
        // The stream has a handle.
        io.keep(false);
        let stream = self.onward.begin(io, cx, connection.into_parts().read_buf, self.draining);
        // After the stream has a handle of its own: the pool's may be the last.
        if let Some(watch) = &self.watch {
            watch.leaving();
        }
        self.give_back();
        promise.keep(stream);
    }
}
