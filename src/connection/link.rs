//! A connection without its protocol: the phase, the stream, the buffers, who waits for what, and how it ended.

use std::{collections::VecDeque, sync::Arc, task::Context};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{Close, LateData, Options, WriteError, outbuf::OutBuf, reply::Reply, timer::Timer};
use crate::{
    fate::{CloseProof, Lost, Reason},
    lifecycle::{Event, Phase},
    ticket::{Entry, WaitingFor},
    tls::{StreamFailure, TlsStream},
};

/// The state that the actor owns beside its protocol.
pub(crate) struct Link {
    pub(super) entry: Arc<Entry>,
    pub(super) options: Options,
    pub(super) phase: Phase,
    /// The last phase that was not `Lost`.
    pub(super) last_phase: Phase,
    pub(super) stream: Option<TlsStream>,
    pub(super) out: OutBuf,
    /// What a protocol has left unconsumed.
    pub(super) unread: BytesMut,
    /// `unread` is to be shown again although nothing came: reading was resumed.
    pub(super) show_again: bool,
    /// The first thing that ended the connection, unless it was a plain close of ours.
    pub(super) cause: Option<Reason>,
    pub(super) proof: CloseProof,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Bytes that were accepted for writing, ever.
    pub(super) accepted: u64,
    /// Reading is paused by the application.
    pub(super) paused: bool,
    /// Reading is held by the protocol.
    pub(super) held: bool,
    /// The protocol was told of write pressure.
    pub(super) pressed: bool,
    /// Our direction is closed at the application's wish, which reads on without a linger deadline.
    pub(super) half_closed: bool,
    /// The supervisor's drain was passed on to the protocol.
    pub(super) draining: bool,
    pub(super) waiting_writes: VecDeque<WaitingWrite>,
    pub(super) waiting_bytes: usize,
    /// Writes that came when too many were waiting already: told, or fatal, once it is known whether anybody awaits the answer.
    pub(super) overruns: Vec<Reply<Result<(), WriteError>>>,
    pub(super) waiting_flushes: VecDeque<(u64, Reply<Result<(), WriteError>>)>,
    pub(super) waiting_ends: Vec<Reply<Lost>>,
    pub(super) phase_since: Instant,
    pub(super) progress: Instant,
    /// The kill of a stop bounds the linger.
    pub(super) kill_at: Option<Instant>,
    pub(super) timer: Timer,
}

/// A write that waits for room below the high-water mark.
pub(super) struct WaitingWrite {
    pub(super) bytes: Bytes,
    pub(super) reply: Reply<Result<(), WriteError>>,
}

impl Link {
    pub(crate) fn new(entry: Arc<Entry>, options: Options) -> Self {
        let now = Instant::now();
        let phase = entry.phase();
        Link {
            entry,
            options,
            phase,
            last_phase: phase,
            stream: None,
            out: OutBuf::default(),
            unread: BytesMut::new(),
            show_again: false,
            cause: None,
            proof: CloseProof::default(),
            bytes_in: 0,
            bytes_out: 0,
            accepted: 0,
            paused: false,
            held: false,
            pressed: false,
            half_closed: false,
            draining: false,
            waiting_writes: VecDeque::new(),
            waiting_bytes: 0,
            overruns: Vec::new(),
            waiting_flushes: VecDeque::new(),
            waiting_ends: Vec::new(),
            phase_since: now,
            progress: now,
            kill_at: None,
            timer: Timer::default(),
        }
    }

    /// Moves the phase, by the table alone.
    pub(super) fn on(&mut self, event: Event) {
        let next = self.phase.after(event);
        if next == self.phase {
            return;
        }
        let now = Instant::now();
        tracing::debug!(from = %self.phase, to = %next, ?event, "phase");
        self.last_phase = self.phase;
        self.phase = next;
        self.phase_since = now;
        self.progress = now;
        if next != Phase::Lost {
            // The roll says `Lost` only when the socket is gone: see `Connection::finish`.
            self.entry.set_phase(next, now);
        }
    }

    pub(super) fn progressed(&mut self) {
        self.progress = Instant::now();
        self.entry.progressed(self.progress);
    }

    /// Closes gracefully. `cause` is why, when it is not simply that the application wants it; the first cause stands.
    pub(super) fn close(&mut self, close: Close, cause: Option<Reason>) {
        if let Some(linger) = close.linger {
            self.options.linger = linger;
        }
        if let Some(late_data) = close.late_data {
            self.options.late_data = late_data;
        }
        if self.half_closed {
            // The close after a half-close starts the linger now.
            self.half_closed = false;
            self.phase_since = Instant::now();
        }
        let cause = match self.phase {
            Phase::Dialing | Phase::Handshaking => cause.or(Some(Reason::Cancelled)),
            Phase::Open => cause,
            _ => None,
        };
        if self.cause.is_none() {
            self.cause = cause;
        }
        self.on(Event::CloseAsked);
    }

    /// Our close_notify, and reading on until the peer ends its direction.
    pub(super) fn half_close(&mut self) {
        if self.phase == Phase::Open {
            self.half_closed = true;
            self.options.late_data = LateData::Deliver;
            self.on(Event::CloseAsked);
        }
    }

    /// Ends without another byte.
    pub(super) fn abort(&mut self, reason: Reason) {
        if self.phase != Phase::Lost {
            self.cause = Some(reason);
            self.on(Event::Aborted);
        }
    }

    /// The dial, the handshake, the socket or TLS failed.
    pub(super) fn fail(&mut self, reason: Reason) {
        self.blame(reason);
        self.on(Event::Failed);
    }

    /// Writes down why. A cause that was there before stands, unless this costs bytes that a mere close would have delivered.
    pub(super) fn blame(&mut self, reason: Reason) {
        let costs_bytes = !self.out.is_empty() || !self.waiting_writes.is_empty();
        match &self.cause {
            None => self.cause = Some(reason),
            Some(Reason::ClosedByPeer) if costs_bytes => self.cause = Some(reason),
            Some(_) => {}
        }
    }

    /// A write of the protocol's own: accepted whatever the marks say, as long as nobody asked for a close.
    pub(super) fn accept(&mut self, bytes: usize) -> bool {
        if self.phase.is_closing() {
            return false;
        }
        self.accepted += bytes as u64;
        true
    }

    pub(super) fn is_writable(&self) -> bool {
        !self.phase.is_closing() && self.out.len() < self.options.write_high
    }

    /// Takes waiting writes, oldest first, while there is room. In `Flushing` too: they were asked before the close (law 4).
    pub(super) fn admit_waiting_writes(&mut self) {
        while self.out.len() < self.options.write_high {
            let Some(write) = self.waiting_writes.pop_front() else { return };
            self.waiting_bytes -= write.bytes.len();
            self.accepted += write.bytes.len() as u64;
            self.out.push(write.bytes);
            write.reply.send(Ok(()));
        }
    }

    /// Writes until the buffer is empty or the socket is full. Whether anything moved.
    pub(super) fn write_out(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        loop {
            self.admit_waiting_writes();
            let Some(stream) = self.stream.as_mut().filter(|_| !self.out.is_empty()) else { break };
            match stream.poll_write(cx, self.out.front()) {
                std::task::Poll::Ready(Ok(n)) => {
                    moved = true;
                    self.out.advance(n);
                    self.bytes_out += n as u64;
                }
                std::task::Poll::Ready(Err(failure)) => {
                    self.fail_stream(failure);
                    return true;
                }
                std::task::Poll::Pending => break,
            }
        }
        if moved {
            self.progressed();
            if let Some(stream) = &mut self.stream {
                // For sockets that are not TCP; what fails here fails the next write.
                let _ = stream.poll_flush(cx);
            }
            while self.waiting_flushes.front().is_some_and(|(upto, _)| *upto <= self.bytes_out) {
                if let Some((_, reply)) = self.waiting_flushes.pop_front() {
                    reply.send(Ok(()));
                }
            }
        }
        moved
    }

    /// Answers the writes that were too many. One that nobody awaits would leave a hole in the stream, so it ends the connection.
    pub(super) fn answer_overruns(&mut self) {
        for reply in std::mem::take(&mut self.overruns) {
            if reply.is_awaited() {
                reply.send(Err(WriteError::Overrun));
            } else {
                self.close(
                    Close::default(),
                    Some(Reason::Protocol(
                        "a Write was sent with do_send while too many were waiting for the peer".into(),
                    )),
                );
            }
        }
    }

    pub(super) fn fail_stream(&mut self, failure: StreamFailure) {
        self.fail(failure.into());
    }

    /// Whether the socket is to be read.
    pub(super) fn wants_read(&self) -> bool {
        if self.proof.close_notify_received || self.proof.fin_seen {
            return false;
        }
        match self.phase {
            Phase::Open => !self.paused && !self.held,
            Phase::Flushing | Phase::Lingering => !self.delivers_late() || (!self.paused && !self.held),
            _ => false,
        }
    }

    pub(super) fn delivers_late(&self) -> bool {
        self.options.late_data == LateData::Deliver
    }

    /// When the phase, as it is, is over. `None`: it may last.
    pub(super) fn phase_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Dialing => Some(self.phase_since + self.options.dial),
            Phase::Handshaking => Some(self.phase_since + self.options.handshake),
            Phase::Open => self.options.idle.map(|idle| self.progress + idle),
            Phase::Flushing => Some(self.progress + self.options.flush),
            Phase::Lingering if self.half_closed => self.options.idle.map(|idle| self.progress + idle),
            Phase::Lingering => Some(self.linger_until()),
            Phase::Lost => None,
        }
    }

    pub(super) fn linger_until(&self) -> Instant {
        let own = self.phase_since + self.options.linger;
        self.kill_at.map_or(own, |kill_at| own.min(kill_at))
    }

    /// The reason of the end, once the phase is `Lost`: the cause, or how the plain close went.
    pub(super) fn reason(&self) -> Reason {
        match &self.cause {
            Some(reason) => reason.clone(),
            None if self.proof.close_notify_received => Reason::Closed,
            None => Reason::Unanswered,
        }
    }

    pub(super) fn waiting_for(&self) -> WaitingFor {
        match self.phase {
            Phase::Dialing => WaitingFor::Connect,
            Phase::Handshaking => WaitingFor::Handshake,
            Phase::Lingering => WaitingFor::CloseNotify,
            _ if !self.out.is_empty() || self.phase == Phase::Flushing => WaitingFor::PeerToRead,
            _ if self.paused || self.held => WaitingFor::Application,
            _ => WaitingFor::Peer,
        }
    }

    pub(super) fn unsent(&self) -> u64 {
        (self.out.len() + self.waiting_bytes) as u64
    }
}
