//! What a connection says to the pool that it is of, and is asked by it.

use std::sync::Arc;

use actix::{Handler, Message};

use super::HttpClient;
use crate::{
    connection::{Connection, Milestones},
    fate::Lost,
    ticket::Entry,
};

/// Whoever wants to know when a connection can bear another exchange: a pool. Called from the connection's own poll.
pub(super) trait Watch: Send + Sync {
    /// It is open; `since`: when it came how far.
    fn opened(&self, entry: &Arc<Entry>, since: &Milestones);
    /// Nothing is under way: the next exchange would begin at once.
    fn idle(&self);
    /// It bears no further exchange.
    fn leaving(&self);
    /// It has ended.
    fn lost(&self, lost: &Lost);
}

/// Asks a connection to say again that it is idle, if it is.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Nudge;

impl Handler<Nudge> for Connection<HttpClient> {
    type Result = ();

    fn handle(&mut self, _: Nudge, context: &mut Self::Context) {
        self.parts(context).0.say_again();
    }
}
