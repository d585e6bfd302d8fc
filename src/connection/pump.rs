//! One poll of a connection: orders, handshake, bytes, callbacks, deadlines.
//!
//! It is an item of the actor's own context, polled with `&mut` actor right after the mailbox: that is what serializes messages and I/O. There is no second task, no
//! channel and no message a chunk.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use actix::{ActorContext, Context, fut::ActorFuture};
use bytes::BytesMut;
use tokio::time::Instant;

use super::{Close, Connection, EndOfStream, LateData, Protocol, child::panic_message, life::Drain};
use crate::{
    fate::Reason,
    lifecycle::Phase,
    tls::{RECORD, ReadEvent},
};

/// Turns in one poll, so that one busy peer does not starve its thread: 16 records, a quarter of a megabyte.
const TURNS: usize = 16;

thread_local! {
    /// The buffer that a thread lends to whichever connection is reading: an idle one holds none (law 8).
    static LENT: Cell<BytesMut> = Cell::new(BytesMut::new());
}

/// The future that an actor spawns on its own context.
pub(super) struct Pump;

impl<P: Protocol> ActorFuture<Connection<P>> for Pump {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        connection: &mut Connection<P>,
        context: &mut Context<Connection<P>>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<()> {
        // A panic of the protocol's ends this connection, and no other, with the panic's message as its reason. `AssertUnwindSafe`: nothing of the
        // connection is used afterwards but to close it and to tell `lost`.
        match catch_unwind(AssertUnwindSafe(|| connection.pump(context, cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => {
                context.terminate();
                Poll::Ready(())
            }
            Err(payload) => {
                connection.link.abort(Reason::Panicked(panic_message(&*payload)));
                connection.finish();
                context.terminate();
                Poll::Ready(())
            }
        }
    }
}

impl<P: Protocol> Connection<P> {
    fn pump(&mut self, context: &mut Context<Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        let tidy = self.obey(context);
        let mut untold = tidy;
        self.notice_release(context, cx);
        for _ in 0..TURNS {
            let moved = match self.link.life.phase {
                Phase::Dialing | Phase::Handshaking => self.start(context, cx),
                Phase::Open | Phase::Flushing | Phase::Lingering => self.turn(context, cx),
                Phase::Lost => {
                    self.finish();
                    return Poll::Ready(());
                }
            };
            if !moved && !self.check_deadlines(context, cx) {
                self.link.entry.set_waiting_for(self.link.waiting_for());
                if std::mem::take(&mut untold) && self.link.life.phase == Phase::Open {
                    let (protocol, mut io) = self.parts(context);
                    protocol.idle(&mut io);
                    // A protocol that moved the bytes itself may leave that to the pump from here on.
                    continue;
                }
                if tidy && let Some(stream) = &mut self.link.stream {
                    // Not before: to ask the library whether there is something to read brings its buffer back.
                    stream.give_back_buffers();
                }
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what the supervisor has ordered. Whether the connection is to give its buffers back when nothing has moved.
    fn obey(&mut self, context: &mut Context<Self>) -> bool {
        let Some(orders) = self.link.entry.take_orders() else { return false };
        let link = &mut self.link;
        link.kill_at = orders.kill_at.or(link.kill_at);
        link.linger_cap = orders.linger.or(link.linger_cap);
        if orders.owner_gone {
            link.close(Close::default(), Some(Reason::OwnerGone));
        }
        if let Some(until) = orders.drain_until {
            match link.life.drain() {
                Drain::GiveUp => link.close(Close::default(), None),
                Drain::Finish => {
                    let (protocol, mut io) = self.parts(context);
                    protocol.drain(&mut io, until);
                }
                Drain::Nothing => {}
            }
        }
        if orders.close {
            // A half-closed connection, too, has had its time.
            self.link.close(Close::default(), None);
        }
        orders.tidy
    }

    /// Nobody can send a message any more, or nobody awaits the connect.
    fn notice_release(&mut self, context: &mut Context<Self>, cx: &mut TaskContext<'_>) {
        if self.link.life.phase < Phase::Open && self.reply.as_ref().is_some_and(|reply| reply.poll_given_up(cx)) {
            self.link.abort(Reason::Cancelled);
        }
        if self.link.switch_is_given_up(cx) {
            self.link.abort(Reason::Cancelled);
        }
        let kept = self.link.kept && self.link.life.phase == Phase::Open;
        if !context.connected() && !kept && (!self.link.life.is_closing() || self.link.life.half_closed) {
            // Completion is ownership: dropping the last handle is a graceful close. When it was dropped because the owner is gone, that is the reason.
            let cause = self.link.entry.owner_is_gone().then_some(Reason::OwnerGone);
            self.link.close(Close::default(), cause);
        }
    }

    /// Dials and shakes hands; when that is done, tells the protocol and whoever asked for the connection.
    fn start(&mut self, context: &mut Context<Self>, cx: &mut TaskContext<'_>) -> bool {
        if self.start.poll(&mut self.link, cx).is_pending() {
            return false;
        }
        if self.link.life.phase == Phase::Open {
            match self.link.life.opens() {
                true => self.opened(context),
                false => self.secured(context),
            }
        }
        true
    }

    /// A turn: the protocol's own futures, then write, then close_notify when it is due, then read. Whether there is a reason for another.
    fn turn(&mut self, context: &mut Context<Self>, cx: &mut TaskContext<'_>) -> bool {
        self.link.answer_overruns();
        let (protocol, mut io) = self.parts(context);
        protocol.poll(&mut io, cx);
        let wrote = self.link.write_out(cx);
        let accepted = self.link.accepted;
        self.tell_pressure(context);
        // Writing goes on until the buffer is empty or the socket is full: that it moved is a reason only for who wants to know, or where it ended the connection.
        let mut again = wrote && (self.link.watches_writing || self.link.life.phase != Phase::Open);
        if self.link.life.phase == Phase::Flushing {
            again |= self.say_close_notify(cx);
            self.notice_unwrapped(context);
        }
        if self.begin_handshake(cx) {
            return true;
        }
        again |= self.read(context, cx);
        again || self.link.accepted != accepted
    }

    fn tell_pressure(&mut self, context: &mut Context<Self>) {
        let link = &mut self.link;
        let on = match link.pressed {
            false => link.out.len() >= link.options.write_high && !link.life.is_closing(),
            true => link.out.len() > link.options.write_low,
        };
        if on != link.pressed {
            link.pressed = on;
            let (protocol, mut io) = self.parts(context);
            protocol.pressure(&mut io, on);
        }
    }

    /// The middle of the close recipe: when all is written, our close_notify.
    fn say_close_notify(&mut self, cx: &mut TaskContext<'_>) -> bool {
        let link = &mut self.link;
        // What is to go after the TLS that this ends does not keep it.
        if link.may_write() > 0 || (link.switch.is_none() && !link.waiting_writes.is_empty()) {
            return false;
        }
        let Some(stream) = &mut link.stream else { return false };
        match stream.poll_close_notify(cx) {
            Poll::Pending => return false,
            // A socket that is not TCP may hold it back until it is flushed.
            Poll::Ready(Ok(())) if stream.poll_flush(cx).is_pending() => return false,
            Poll::Ready(Ok(())) => {
                let flushed = link.life.flushed();
                link.on(flushed);
            }
            Poll::Ready(Err(failure)) => link.fail_stream(failure),
        }
        // The peer may have ended its direction while we were still writing.
        if let Some(event) = link.life.peer_was_first() {
            link.on(event);
        }
        true
    }

    /// Reads once and shows it to the protocol. Whether anything moved.
    fn read(&mut self, context: &mut Context<Self>, cx: &mut TaskContext<'_>) -> bool {
        let shows = self.link.life.phase == Phase::Open || self.link.delivers_late();
        if self.link.show_again && shows && self.link.wants_read() {
            self.link.show_again = false;
            if !self.link.unread.is_empty() {
                let mut data = std::mem::take(&mut self.link.unread);
                self.show(context, &mut data);
                self.put_back(data, false);
                return true;
            }
        }
        if !self.link.wants_read() || !self.link.is_readable(cx) {
            return false;
        }
        let lent = self.link.unread.is_empty();
        let mut buffer = if lent { LENT.take() } else { std::mem::take(&mut self.link.unread) };
        buffer.reserve(RECORD);
        let Some(stream) = &mut self.link.stream else { return false };
        let read = stream.poll_read(cx, &mut buffer);
        if let Poll::Ready(Ok(ReadEvent::Data(n))) = read {
            self.link.progressed();
            if self.link.life.phase == Phase::Open || self.link.delivers_late() {
                self.link.bytes_in += n as u64;
                self.show(context, &mut buffer);
            } else {
                buffer.clear();
            }
        }
        // Back in its place before anything else is told: a protocol may take what is unread at the end of the stream.
        self.put_back(buffer, lent);
        match read {
            Poll::Pending => false,
            Poll::Ready(read) => {
                match read {
                    Ok(ReadEvent::Data(_)) => {}
                    Ok(ReadEvent::CloseNotify) => self.peer_ended(context, EndOfStream::CloseNotify),
                    Ok(ReadEvent::PlainFin) => self.peer_ended(context, EndOfStream::Fin),
                    Ok(ReadEvent::Fin) => self.peer_ended(context, EndOfStream::Truncated),
                    Err(failure) => self.link.fail_stream(failure),
                }
                true
            }
        }
    }

    fn put_back(&mut self, mut buffer: BytesMut, lent: bool) {
        if !lent {
            // All taken: then the allocation is let go, too, for an idle connection holds no buffer (law 8).
            self.link.unread = if buffer.is_empty() { BytesMut::new() } else { buffer };
            return;
        }
        if !buffer.is_empty() {
            // Copied, so that a few bytes of a next message do not keep the thread's whole buffer.
            self.link.unread = BytesMut::from(&buffer[..]);
            buffer.clear();
        }
        LENT.set(buffer);
    }

    /// Shows the protocol what it has not consumed.
    fn show(&mut self, context: &mut Context<Self>, data: &mut BytesMut) {
        let (protocol, mut io) = self.parts(context);
        let result = protocol.data(&mut io, data);
        let limit = self.link.options.unread;
        let error = match result {
            Err(error) => error.0,
            Ok(()) if data.len() > limit => {
                format!("a message is longer than {limit} bytes, which is the limit of what may stay unconsumed")
            }
            Ok(()) => return,
        };
        data.clear();
        self.link.close(Close::default().late_data(LateData::Discard), Some(Reason::Protocol(error)));
    }

    fn peer_ended(&mut self, context: &mut Context<Self>, end: EndOfStream) {
        // The end of TLS alone, which was asked for, is not the end of the stream.
        let unwraps = self.link.life.unwraps && end.is_clean();
        let tell = (self.link.life.phase == Phase::Open || self.link.delivers_late()) && !unwraps;
        self.link.peer_ended(end.is_clean());
        self.notice_unwrapped(context);
        if tell {
            let (protocol, mut io) = self.parts(context);
            protocol.end_of_stream(&mut io, end);
        }
    }

    /// Whether a deadline has passed and was acted on.
    fn check_deadlines(&mut self, context: &mut Context<Self>, cx: &mut TaskContext<'_>) -> bool {
        if self.link.life.phase == Phase::Lost {
            return true;
        }
        let of_phase = self.link.phase_deadline();
        let of_protocol = match self.link.life.phase {
            Phase::Open | Phase::Flushing | Phase::Lingering => self.protocol.deadline(),
            // TLS that is started later stops no clock of the protocol's.
            _ if self.link.life.connected => self.protocol.deadline(),
            _ => None,
        };
        let nearest = match (of_phase, of_protocol) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if !self.link.timer.poll(cx, nearest) {
            return false;
        }
        let now = Instant::now();
        if of_protocol.is_some_and(|deadline| deadline <= now) {
            let (protocol, mut io) = self.parts(context);
            protocol.timeout(&mut io);
        }
        if of_phase.is_some_and(|deadline| deadline <= now) {
            self.link.timed_out();
        }
        true
    }
}
