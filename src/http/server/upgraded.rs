//! A server's connection that leaves HTTP.

use std::task::Context;

use super::{HttpServer, Respond, Serving, State};
use crate::{connection::Io, http::upgrade::Promise};

impl<H: Respond> HttpServer<H> {
    /// hyper is done: the response is written, or lies in the link's own buffer, and what was read too much is the first that the stream reads.
    pub(super) fn become_stream(&mut self, io: &mut Io<'_, Self>, cx: &mut Context<'_>, promise: Promise) {
        let State::Serving(serving) = std::mem::replace(&mut self.state, State::Done) else { return };
        let Serving { connection, lent } = *serving;
        let read = connection.into_parts().read_buf;
        #[cfg(feature = "http2")]
        let read = lent.with_rest(read);
        drop(lent);
        let stream = self.onward.begin(io, cx, read, self.drain_until);
        self.quiet = None;
        promise.keep(stream);
    }
}
