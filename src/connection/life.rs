//! What a connection has been through: its phase, the first cause of its end, the proof of its close. Pure, without stream, clock or protocol, so that a model checker can drive it.
//!
//! A method that is told what happened writes down what follows for the cause and the proof, and answers with the event that is then to be applied with [`Life::on`].

use crate::{
    fate::{CloseProof, Reason},
    lifecycle::{Event, Phase},
};

/// The part of a connection that decides how its end is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Life {
    pub(crate) phase: Phase,
    /// The last phase that was not `Lost`.
    pub(crate) last_phase: Phase,
    /// The first thing that ended the connection, unless it was a plain close of ours.
    pub(crate) cause: Option<Reason>,
    pub(crate) proof: CloseProof,
    /// There is TLS. Without it a FIN is all that either side can say, and is taken for what close_notify would have said.
    pub(crate) secure: bool,
    /// Our direction is closed at the application's wish, which reads on without a linger deadline.
    pub(crate) half_closed: bool,
    /// The supervisor's drain has arrived.
    pub(crate) draining: bool,
    /// It was open, and that was told.
    pub(crate) connected: bool,
    /// TLS is being ended, and the connection goes on below it.
    pub(crate) unwraps: bool,
    /// A close was asked for in the meantime, and bytes wait that are to go after the TLS: it closes when they have gone.
    pub(crate) closes_then: bool,
}

/// What a drain asks of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// Nothing is under way on it yet: to wait for a peer's handshake would only spend the drain.
    GiveUp,
    /// The protocol is to finish what it is doing.
    Finish,
    /// Nothing: it is closing already, or was told before.
    Nothing,
}

/// What took a connection whose phase is not `Lost` yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A message handler panicked.
    Panicked(Reason),
    /// The kill of a stop. `linger_over`: the linger had run out by then.
    Killed { linger_over: bool },
    /// An eviction that did not wait for its handlers, or a handler of its own that stopped it.
    Aborted,
    /// Its thread or its runtime was torn down.
    TornDown,
}

impl Life {
    pub(crate) fn new(phase: Phase, secure: bool) -> Self {
        Life {
            phase,
            last_phase: phase,
            cause: None,
            proof: CloseProof::default(),
            secure,
            half_closed: false,
            draining: false,
            connected: false,
            unwraps: false,
            closes_then: false,
        }
    }

    /// Whether a close was asked for, so that no further write is accepted.
    pub(crate) fn is_closing(&self) -> bool {
        self.phase.is_closing() && (!self.unwraps || self.closes_then)
    }

    /// The handshake succeeded. Whether it was the first, which opens the connection; any other is told as what it is.
    pub(crate) fn opens(&mut self) -> bool {
        !std::mem::replace(&mut self.connected, true)
    }

    /// TLS begins on an open connection.
    #[must_use]
    pub(crate) fn secure(&mut self) -> Option<Event> {
        (self.phase == Phase::Open).then(|| {
            self.secure = true;
            Event::SecureAsked
        })
    }

    /// TLS is to end, and the connection to go on: a close of our direction whose answer is not the end.
    #[must_use]
    pub(crate) fn unwrap(&mut self) -> Option<Event> {
        (self.phase == Phase::Open && self.secure).then(|| {
            self.unwraps = true;
            // A peer that was first has closed TLS, and not the connection.
            self.cause = self.cause.take().filter(|cause| *cause != Reason::ClosedByPeer);
            Event::UnwrapAsked
        })
    }

    /// TLS has ended. `still_secure`: there is TLS below. What is to follow, if a close was asked for in the meantime.
    #[must_use]
    pub(crate) fn unwrapped(&mut self, still_secure: bool) -> Option<Event> {
        (self.secure, self.unwraps) = (still_secure, false);
        self.proof = CloseProof::default();
        std::mem::take(&mut self.closes_then).then_some(Event::CloseAsked)
    }

    /// Moves the phase, by the table alone. Whether it moved.
    pub(crate) fn on(&mut self, event: Event) -> bool {
        let next = self.phase.after(event);
        let moves = next != self.phase;
        if moves {
            self.last_phase = std::mem::replace(&mut self.phase, next);
        }
        moves
    }

    /// A graceful close. `cause` is why, when it is not simply that the application wants it; the first cause stands. `waits`: bytes were accepted that are to go after the TLS that is being ended.
    #[must_use]
    pub(crate) fn close(&mut self, cause: Option<Reason>, waits: bool) -> Event {
        let goes_on = std::mem::take(&mut self.half_closed) || (self.unwraps && !self.closes_then);
        // If nothing waits for the end of TLS, it may as well be the end of the connection.
        self.closes_then |= self.unwraps && waits;
        self.unwraps = self.closes_then;
        let cause = match self.phase {
            Phase::Dialing | Phase::Handshaking => cause.or(Some(Reason::Cancelled)),
            Phase::Open => cause,
            _ if goes_on => cause,
            _ => None,
        };
        // A peer that closes does not make its last bytes fit the protocol, and does not fill a hole in what it is sent.
        let refuses = matches!((&self.cause, &cause), (Some(Reason::ClosedByPeer), Some(Reason::Protocol(_))));
        if self.cause.is_none() || refuses {
            self.cause = cause;
        }
        Event::CloseAsked
    }

    /// A close of our direction alone, which makes sense only in an open connection.
    #[must_use]
    pub(crate) fn half_close(&mut self) -> Option<Event> {
        (self.phase == Phase::Open).then(|| {
            self.half_closed = true;
            Event::CloseAsked
        })
    }

    /// An end without another byte. It outranks every cause.
    #[must_use]
    pub(crate) fn abort(&mut self, reason: Reason) -> Option<Event> {
        (self.phase != Phase::Lost).then(|| {
            self.cause = Some(reason);
            Event::Aborted
        })
    }

    /// The dial, the handshake, the socket or TLS failed. A cause that was there before stands, unless the failure cost bytes that a mere close would have delivered.
    #[must_use]
    pub(crate) fn fail(&mut self, reason: Reason, costs_bytes: bool) -> Event {
        match &self.cause {
            None => self.cause = Some(reason),
            Some(Reason::ClosedByPeer) if costs_bytes => self.cause = Some(reason),
            Some(_) => {}
        }
        Event::Failed
    }

    /// The peer has ended its direction. `clean`: by close_notify, or by a FIN where there is no TLS. `delivers_late`: what comes after our close is still read by somebody.
    #[must_use]
    pub(crate) fn peer_ended(&mut self, clean: bool, delivers_late: bool) -> Event {
        let open = self.phase == Phase::Open;
        if clean {
            match self.secure {
                true => self.proof.close_notify_received = true,
                false => self.proof.fin_seen = true,
            }
            if self.unwraps {
                return Event::Unwrapped;
            }
            if open && self.cause.is_none() {
                self.cause = Some(Reason::ClosedByPeer);
            }
            return Event::PeerClosed;
        }
        self.proof.fin_seen = true;
        // Also when our own direction is closed and we read on: what we are still reading may be cut short (law 5).
        if (open || delivers_late || self.unwraps) && self.cause.is_none() {
            self.cause = Some(Reason::Truncated);
        }
        Event::PeerGone
    }

    /// The deadline of the phase has passed. As with a failure, a cause that was there before stands, unless a flush that was given up cost bytes.
    #[must_use]
    pub(crate) fn timed_out(&mut self, costs_bytes: bool) -> Event {
        let gives_up = self.phase == Phase::Flushing && costs_bytes;
        match &self.cause {
            // Nothing moved for the idle timeout while we read on: as idle as an open one.
            None if self.half_closed => self.cause = Some(Reason::TimedOut(Phase::Open)),
            // What was to go after the TLS stays here, for the peer does not end it.
            None if self.unwraps && costs_bytes => self.cause = Some(Reason::TimedOut(Phase::Flushing)),
            // A linger that ran out is told by the proof: everything was sent, the peer did not answer.
            None if self.phase != Phase::Lingering => self.cause = Some(Reason::TimedOut(self.phase)),
            Some(Reason::ClosedByPeer) if gives_up => self.cause = Some(Reason::TimedOut(self.phase)),
            _ => {}
        }
        Event::TimedOut
    }

    /// Our close_notify is out, or our FIN where there is no TLS.
    #[must_use]
    pub(crate) fn flushed(&mut self) -> Event {
        self.proof.close_notify_sent = self.secure;
        Event::Flushed
    }

    /// Whether the peer has ended its direction as it should.
    fn peer_has_closed(&self) -> bool {
        self.proof.close_notify_received || (!self.secure && self.proof.fin_seen)
    }

    /// What the peer did to its direction while we were still writing, to be applied when the writing is over.
    pub(crate) fn peer_was_first(&self) -> Option<Event> {
        if self.peer_has_closed() {
            Some(if self.unwraps { Event::Unwrapped } else { Event::PeerClosed })
        } else if self.proof.fin_seen {
            Some(Event::PeerGone)
        } else {
            None
        }
    }

    /// The supervisor drains.
    pub(crate) fn drain(&mut self) -> Drain {
        match self.phase {
            _ if std::mem::replace(&mut self.draining, true) => Drain::Nothing,
            Phase::Dialing | Phase::Handshaking => Drain::GiveUp,
            Phase::Open => Drain::Finish,
            _ if !self.is_closing() => Drain::Finish,
            _ => Drain::Nothing,
        }
    }

    /// Whether the socket is to be read. `braked`: the application or the protocol has asked for a pause.
    pub(crate) fn wants_read(&self, delivers_late: bool, braked: bool) -> bool {
        if self.proof.close_notify_received || self.proof.fin_seen {
            return false;
        }
        match self.phase {
            Phase::Open => !braked,
            Phase::Flushing | Phase::Lingering => !delivers_late || !braked,
            _ => false,
        }
    }

    /// The reason of the end, once the phase is `Lost`: the cause, or how the plain close went.
    pub(crate) fn reason(&self) -> Reason {
        match &self.cause {
            Some(reason) => reason.clone(),
            None if self.peer_has_closed() => Reason::Closed,
            None => Reason::Unanswered,
        }
    }

    /// The reason of the end when something took the connection before its phase was `Lost`; if nothing did, its own.
    pub(crate) fn last_reason(&self, taken: impl FnOnce() -> Taken) -> Reason {
        if self.phase == Phase::Lost {
            return self.reason();
        }
        match taken() {
            Taken::Panicked(reason) => reason,
            // The linger was over by itself at the moment of the kill: everything was sent, and that is what is to be told.
            Taken::Killed { linger_over: true } if self.phase == Phase::Lingering && !self.unwraps => self.reason(),
            Taken::Killed { .. } => Reason::Killed,
            Taken::Aborted => Reason::Aborted,
            Taken::TornDown => Reason::Abandoned,
        }
    }

    /// The phase that the end is told with: the last one in which there was something to lose.
    pub(crate) fn phase_of_end(&self) -> Phase {
        if self.phase == Phase::Lost { self.last_phase } else { self.phase }
    }
}
