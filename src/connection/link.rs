//! A connection without its protocol: its life, the stream, the buffers, and who waits for what.

use std::{collections::VecDeque, sync::Arc, task::Context, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::{
    Close, LateData, Options, WriteError, life::Life, outbuf::OutBuf, reply::Reply, stream::Stream, switch::Switch,
    timer::Timer, tray::Tray,
};
use crate::{
    fate::{Lost, Reason},
    lifecycle::{Event, Phase},
    ticket::Entry,
    tls::StreamFailure,
};

/// The state that the actor owns beside its protocol.
pub(crate) struct Link {
    pub(super) entry: Arc<Entry>,
    pub(super) options: Options,
    /// The phase, and how it ends.
    pub(super) life: Life,
    pub(super) stream: Option<Stream>,
    pub(super) out: OutBuf,
    /// What a protocol has left unconsumed.
    pub(super) unread: BytesMut,
    /// `unread` is to be shown again although nothing came: reading was resumed.
    pub(super) show_again: bool,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Bytes that were accepted for writing, ever.
    pub(super) accepted: u64,
    /// Reading is paused by the application.
    pub(super) paused: bool,
    /// Reading is held by the protocol.
    pub(super) held: bool,
    /// While the connection is open the protocol moves the bytes itself: see [`Io::lend`](super::Io::lend).
    pub(super) driven: bool,
    /// The protocol is to be polled again in the same poll of the actor when bytes were written.
    pub(super) watches_writing: bool,
    /// The protocol has something to finish for others than those who hold a handle: see [`Io::keep`](super::Io::keep).
    pub(super) kept: bool,
    /// The protocol was told of write pressure.
    pub(super) pressed: bool,
    pub(super) waiting_writes: VecDeque<WaitingWrite>,
    pub(super) waiting_bytes: usize,
    /// What a stream has accepted and its protocol has not fetched yet waits here.
    pub(super) tray: Option<Arc<Tray>>,
    /// Writes that came when too many were waiting already: told, or fatal, once it is known whether anybody awaits the answer.
    pub(super) overruns: Vec<Reply<Result<(), WriteError>>>,
    pub(super) waiting_flushes: VecDeque<(u64, Reply<Result<(), WriteError>>)>,
    pub(super) waiting_ends: Vec<Reply<Lost>>,
    pub(super) phase_since: Instant,
    pub(super) progress: Instant,
    /// The linger that a stop allows at most.
    pub(super) linger_cap: Option<Duration>,
    /// The kill of a stop bounds the linger.
    pub(super) kill_at: Option<Instant>,
    pub(super) timer: Timer,
    /// TLS is being started or ended.
    pub(super) switch: Option<Box<Switch>>,
    pub(crate) milestones: Milestones,
}

/// When the connection came how far, as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Milestones {
    pub(crate) resolved: Option<Instant>,
    pub(crate) dialed: Option<Instant>,
    pub(crate) secured: Option<Instant>,
}

/// A write that waits for room below the high-water mark.
pub(super) struct WaitingWrite {
    pub(super) bytes: Bytes,
    pub(super) reply: Reply<Result<(), WriteError>>,
}

impl Link {
    pub(crate) fn new(entry: Arc<Entry>, mut options: Options) -> Self {
        options.write_high = options.write_high.max(1);
        options.write_low = options.write_low.min(options.write_high);
        let now = entry.admitted();
        let life = Life::new(entry.phase(), entry.is_secure());
        Link {
            entry,
            options,
            life,
            stream: None,
            out: OutBuf::default(),
            unread: BytesMut::new(),
            show_again: false,
            bytes_in: 0,
            bytes_out: 0,
            accepted: 0,
            paused: false,
            held: false,
            driven: false,
            watches_writing: false,
            kept: false,
            pressed: false,
            waiting_writes: VecDeque::new(),
            waiting_bytes: 0,
            tray: None,
            overruns: Vec::new(),
            waiting_flushes: VecDeque::new(),
            waiting_ends: Vec::new(),
            phase_since: now,
            progress: now,
            linger_cap: None,
            kill_at: None,
            timer: Timer::default(),
            switch: None,
            milestones: Milestones::default(),
        }
    }

    /// Moves the phase, by the table alone.
    pub(super) fn on(&mut self, event: Event) {
        let from = self.life.phase;
        if !self.life.on(event) {
            return;
        }
        let next = self.life.phase;
        tracing::debug!(%from, to = %next, ?event, "phase");
        if next == Phase::Lost {
            // The roll says so only when the socket is gone, and nothing is measured from here on: see `Connection::finish`.
            return;
        }
        let now = Instant::now();
        self.phase_since = now;
        self.progress = now;
        match event {
            Event::Dialed => self.milestones.dialed = Some(now),
            Event::Secured => self.milestones.secured = Some(now),
            _ => {}
        }
        self.entry.set_phase(next, now);
        crate::telling::moved(self.entry.role, from, next);
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
        if self.life.half_closed {
            // The close after a half-close starts the linger now.
            self.phase_since = Instant::now();
        }
        // As in the handshake, which has not begun.
        let cause = cause.or_else(|| self.is_to_be_secured().then_some(Reason::Cancelled));
        let event = self.life.close(cause, self.waits_for_switch());
        self.give_up_unwrapping();
        self.on(event);
    }

    /// Our close_notify, and reading on until the peer ends its direction.
    pub(super) fn half_close(&mut self) {
        if self.half_closes_then() {
            return;
        }
        if let Some(event) = self.life.half_close() {
            self.options.late_data = LateData::Deliver;
            self.on(event);
        }
    }

    /// Ends without another byte.
    pub(super) fn abort(&mut self, reason: Reason) {
        if let Some(event) = self.life.abort(reason) {
            self.on(event);
        }
    }

    /// The dial, the handshake, the socket or TLS failed.
    pub(super) fn fail(&mut self, reason: Reason) {
        let event = self.life.fail(reason, self.owes());
        self.on(event);
    }

    /// The deadline of the phase has passed.
    pub(super) fn timed_out(&mut self) {
        let event = self.life.timed_out(self.owes());
        self.on(event);
    }

    #[cfg(feature = "http")]
    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }

    /// How the peer has ended its direction, if it has.
    #[cfg(feature = "http")]
    pub(crate) fn ended(&self) -> Option<super::EndOfStream> {
        use super::EndOfStream;
        let proof = &self.life.proof;
        match proof.close_notify_received {
            true => Some(EndOfStream::CloseNotify),
            false if !proof.fin_seen => None,
            false => Some(if self.life.secure { EndOfStream::Truncated } else { EndOfStream::Fin }),
        }
    }

    /// What has ended it, if anything but a plain close of ours has.
    pub(crate) fn cause(&self) -> Option<&Reason> {
        self.life.cause.as_ref()
    }

    /// Whether an end now would cost bytes.
    fn owes(&self) -> bool {
        self.unsent() > 0
    }

    /// A write of the protocol's own: accepted whatever the marks say, as long as nobody asked for a close.
    pub(super) fn accept(&mut self, bytes: usize) -> bool {
        if self.life.is_closing() {
            return false;
        }
        self.accepted += bytes as u64;
        true
    }

    pub(super) fn is_writable(&self) -> bool {
        !self.life.is_closing() && self.out.len() < self.options.write_high
    }

    /// Takes waiting writes, oldest first, while there is less than `mark`. In `Flushing` too: they were asked before the close (law 4).
    pub(super) fn admit_waiting_writes(&mut self, mark: usize) {
        while self.out.len() < mark {
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
            self.admit_waiting_writes(self.options.write_high);
            let most = self.may_write();
            let Some(stream) = self.stream.as_mut().filter(|_| most > 0) else { break };
            let front = self.out.front();
            match stream.poll_write(cx, &front[..front.len().min(most)]) {
                std::task::Poll::Ready(Ok(n)) => {
                    moved = true;
                    self.out.advance(n);
                    self.wrote(n);
                    self.bytes_out += n as u64;
                }
                std::task::Poll::Ready(Err(failure)) => {
                    self.fail_stream(failure);
                    return true;
                }
                std::task::Poll::Pending => break,
            }
        }
        if let Some(stream) = &mut self.stream {
            // For sockets that are not TCP. Also when nothing moved: a flush that was pending is to be asked for again. What fails here fails the next write.
            let _ = stream.poll_flush(cx);
        }
        if moved {
            self.progressed();
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
        if self.overruns.is_empty() {
            return;
        }
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

    /// Whether a read may bring something. `false`: `cx` is woken when it may.
    pub(super) fn is_readable(&self, cx: &mut Context<'_>) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.poll_readable(cx).is_ready())
    }

    /// Whether the socket is to be read.
    pub(super) fn wants_read(&self) -> bool {
        // Where TLS was to begin and a close has come before it, what is still said is thrown away, so that the peer's end is seen.
        let elsewhere = self.life.phase == Phase::Open && (self.driven || self.is_to_be_secured());
        !elsewhere && self.life.wants_read(self.delivers_late(), self.paused || self.held)
    }

    pub(super) fn delivers_late(&self) -> bool {
        (self.options.late_data == LateData::Deliver && !self.is_to_be_secured()) || self.life.unwraps
    }

    pub(super) fn unsent(&self) -> u64 {
        let on_tray = self.tray.as_ref().map_or(0, |tray| tray.unsent());
        (self.out.len() + self.waiting_bytes + on_tray) as u64
    }
}
