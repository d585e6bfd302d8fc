//! The change of what a connection runs over while it is alive: TLS that begins, or ends.
//!
//! ```text
//!            asked: a barrier in the out-buffer             before it all is written
//!  plain  ------------------------------------> (reads no more) ------------------> Handshaking --Secured--> Open, by TLS
//!  by TLS ------------------------------------> Flushing (reads on) --our close_notify--> Lingering --Unwrapped--> Open, below it
//! ```
//!
//! The barrier is a number: so many bytes at the front of the out-buffer go as before, and nothing behind them does.

use std::task::Context;

use actix::Recipient;
use bytes::{BufMut, Bytes, BytesMut};

use super::{Connection, Protocol, Secured, StartTls, SwitchError, link::Link, reply::Reply, stream::Stream};
use crate::{
    fate::{HandshakeFailure, Reason},
    lifecycle::Phase,
    tls::Beginning,
};

/// A change that is under way. Boxed in the link, as hardly any connection is ever in one.
pub(super) struct Switch {
    /// How many bytes of the out-buffer go before the change.
    before: usize,
    way: Way,
    /// Our direction is to be closed when it is done.
    half_close: bool,
    reply: Option<Reply<Result<(), SwitchError>>>,
    tell: Option<Recipient<Secured>>,
}

enum Way {
    /// To TLS, when what goes before has gone; with what somebody has given back of what was read for it already.
    Secure(Beginning, Bytes),
    /// The handshake is under way.
    Handshake,
    Unwrap,
}

impl Switch {
    pub(super) fn fail(self, error: SwitchError) {
        if let Some(reply) = self.reply {
            reply.send(Err(error));
        }
    }
}

impl Link {
    pub(super) fn start_tls(
        &mut self,
        start: StartTls,
        reply: Option<Reply<Result<(), SwitchError>>>,
    ) -> Result<(), SwitchError> {
        self.may_switch()?;
        let port = self.entry.peer().address.map_or(0, |address| address.port());
        let beginning = start.begin(port)?;
        if let Some(within) = start.within {
            self.options.handshake = within;
        }
        self.switch(Way::Secure(beginning, start.already_read), reply, start.tell);
        Ok(())
    }

    pub(super) fn stop_tls(&mut self, reply: Option<Reply<Result<(), SwitchError>>>) -> Result<(), SwitchError> {
        // The peer may have been first.
        match self.may_switch() {
            Err(SwitchError::Closing) if self.life.phase == Phase::Open && !self.life.proof.fin_seen => {}
            other => other?,
        }
        let Some(Stream::Tls(stream)) = &self.stream else { return Err(SwitchError::NotSecure) };
        if !stream.can_be_unwrapped() {
            return Err(SwitchError::ReadsAhead);
        }
        let Some(event) = self.life.unwrap() else { return Err(SwitchError::Closing) };
        self.switch(Way::Unwrap, reply, None);
        self.on(event);
        Ok(())
    }

    fn may_switch(&self) -> Result<(), SwitchError> {
        if self.switch.is_some() {
            return Err(SwitchError::UnderWay);
        }
        if self.driven {
            return Err(SwitchError::Unsupported);
        }
        let ended = self.life.proof.close_notify_received || self.life.proof.fin_seen;
        if self.life.phase != Phase::Open || ended { Err(SwitchError::Closing) } else { Ok(()) }
    }

    /// What was read and belongs to the handshake, in its order: what somebody gave back, what a stream's application has not read, what the protocol has not consumed. To be asked when no
    /// callback is running, for what it leaves is not here before its end.
    fn take_read(&mut self, given_back: Bytes) -> Bytes {
        let tray = self.tray.as_ref();
        let inbox = tray.map(|tray| tray.with(|inner| std::mem::take(&mut inner.inbox))).unwrap_or_default();
        let unread = std::mem::take(&mut self.unread);
        self.show_again = false;
        if inbox.is_empty() && unread.is_empty() {
            return given_back;
        }
        let mut all = BytesMut::with_capacity(given_back.len() + inbox.len() + unread.len());
        all.put(given_back);
        all.put(inbox);
        all.put(unread);
        all.freeze()
    }

    /// Sets the barrier: behind everything that was accepted or is waiting to be.
    fn switch(&mut self, way: Way, reply: Option<Reply<Result<(), SwitchError>>>, tell: Option<Recipient<Secured>>) {
        self.admit_waiting_writes(usize::MAX);
        if let Some(tray) = &self.tray {
            let bytes = tray.with(|inner| {
                inner.set_waiting(self.out.len() + inner.outbox.len());
                std::mem::take(&mut inner.outbox)
            });
            self.accepted += bytes.len() as u64;
            self.out.push(bytes.freeze());
        }
        self.switch = Some(Box::new(Switch { before: self.out.len(), way, half_close: false, reply, tell }));
    }

    /// How much of the out-buffer may be written now.
    pub(super) fn may_write(&self) -> usize {
        self.switch.as_ref().map_or(self.out.len(), |switch| switch.before)
    }

    pub(super) fn wrote(&mut self, n: usize) {
        if let Some(switch) = &mut self.switch {
            switch.before -= n;
        }
    }

    /// Whether bytes were accepted that are to go after the change.
    pub(super) fn waits_for_switch(&self) -> bool {
        self.switch.is_some() && (self.out.len() > self.may_write() || !self.waiting_writes.is_empty())
    }

    /// TLS was asked for and has not begun: nothing more is read as it is.
    pub(super) fn is_to_be_secured(&self) -> bool {
        self.switch.as_ref().is_some_and(|switch| matches!(switch.way, Way::Secure(..)))
    }

    /// Keeps a half-close until the change is done. Whether there is one.
    pub(super) fn half_closes_then(&mut self) -> bool {
        self.switch.as_mut().map(|switch| switch.half_close = true).is_some()
    }

    /// Whoever asked for TLS has given it up.
    pub(super) fn switch_is_given_up(&self, cx: &mut Context<'_>) -> bool {
        let Some(switch) = &self.switch else { return false };
        !matches!(switch.way, Way::Unwrap) && switch.reply.as_ref().is_some_and(|reply| reply.poll_given_up(cx))
    }

    /// A close has taken the place of the end of TLS.
    pub(super) fn give_up_unwrapping(&mut self) {
        let unwraps = matches!(&self.switch, Some(switch) if matches!(switch.way, Way::Unwrap));
        if let Some(switch) = self.switch.take_if(|_| unwraps && !self.life.unwraps) {
            switch.fail(SwitchError::Closing);
        }
    }

    /// Begins the handshake, when what goes before has gone. Whether it did.
    fn begin_handshake(&mut self, cx: &mut Context<'_>) -> bool {
        if self.life.phase != Phase::Open || !self.is_to_be_secured() || self.may_write() > 0 {
            return false;
        }
        // A socket that is not TCP may hold it back. What fails here fails the handshake.
        if self.stream.as_mut().is_some_and(|stream| stream.poll_flush(cx).is_pending()) {
            return false;
        }
        let (Some(stream), Some(switch)) = (self.stream.take(), &mut self.switch) else { return false };
        let Way::Secure(beginning, given_back) = std::mem::replace(&mut switch.way, Way::Handshake) else {
            return false;
        };
        let already_read = self.take_read(given_back);
        match beginning.over(stream.into_socket(), already_read) {
            Ok(tls) => {
                self.stream = Some(Stream::Tls(Box::new(tls)));
                self.entry.set_secure(true);
                if let Some(event) = self.life.secure() {
                    self.on(event);
                }
            }
            Err(error) => self.fail(Reason::HandshakeFailed(HandshakeFailure::Tls(error.to_string()))),
        }
        true
    }

    /// Goes on below the TLS that has ended.
    fn unwrap_stream(&mut self) {
        match self.stream.take() {
            Some(Stream::Tls(tls)) => {
                let (socket, already_read) = tls.unwrap();
                self.unread.put(already_read);
                self.stream = Some(Stream::over(socket));
            }
            stream => self.stream = stream,
        }
        let secure = matches!(self.stream, Some(Stream::Tls(_)));
        self.entry.set_secure(secure);
        if let Some(event) = self.life.unwrapped(secure) {
            self.on(event);
        }
    }
}

impl<P: Protocol> Connection<P> {
    /// Begins the handshake when it is due. Whether it did.
    pub(super) fn begin_handshake(&mut self, cx: &mut Context<'_>) -> bool {
        self.link.switch.is_some() && self.link.begin_handshake(cx)
    }

    /// The handshake on a connection that was open before has succeeded. Told in this order, so that what comes by TLS comes after it.
    pub(super) fn secured(&mut self, context: &mut actix::Context<Self>) {
        let switch = self.link.switch.take();
        let tell = switch.as_ref().and_then(|switch| switch.tell.clone());
        if let Some((tell, tls)) = tell.zip(self.link.stream.as_ref().and_then(|stream| stream.info())) {
            tell.do_send(Secured { id: self.link.entry.id, tls });
        }
        let (protocol, mut io) = self.parts(context);
        protocol.secured(&mut io);
        self.switched(switch);
    }

    /// Goes on below the TLS that has ended, if it has.
    pub(super) fn notice_unwrapped(&mut self, context: &mut actix::Context<Self>) {
        if !self.link.life.unwraps || self.link.life.phase != Phase::Open {
            return;
        }
        let switch = self.link.switch.take();
        self.link.unwrap_stream();
        let (protocol, mut io) = self.parts(context);
        protocol.unwrapped(&mut io);
        self.switched(switch);
    }

    fn switched(&mut self, switch: Option<Box<Switch>>) {
        let Some(switch) = switch else { return };
        if switch.half_close {
            self.link.half_close();
        }
        if let Some(reply) = switch.reply {
            reply.send(Ok(()));
        }
    }
}
