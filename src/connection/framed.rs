//! The framed protocol: any codec, and calls that get their replies in order.

use std::{collections::VecDeque, fmt, marker::PhantomData, time::Duration};

use actix::{Handler, Message};
use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use tokio_util::codec::{Decoder, Encoder, LinesCodec};

use super::{
    Connection, EndOfStream, Io, Protocol, ProtocolError,
    reply::{Parked, Reply},
};
use crate::fate::Lost;

/// A protocol of frames, by any [`tokio_util::codec`] codec: each [`Call`] writes one frame and is answered by the next frame that comes.
///
/// In a drain it finishes the calls that were asked, refuses new ones, and closes. When the connection is lost, every unanswered call fails with the reason. A frame that no call asked for is a
/// protocol error.
///
/// ```no_run
/// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>) -> Result<(), Box<dyn std::error::Error>> {
/// use exeunt::{Call, Connect, Framed};
/// use tokio_util::codec::LengthDelimitedCodec;
///
/// let connection = supervisor.send(Connect::to("localhost:4433", Framed::new(LengthDelimitedCodec::new()))).await??;
/// let reply = connection.send(Call::new(bytes::Bytes::from_static(b"ping"))).await??;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Framed<C: Decoder> {
    codec: C,
    calls: VecDeque<Asked<C::Item>>,
    /// Frames that wait for room below the high-water mark.
    held: VecDeque<Bytes>,
    held_bytes: usize,
    within: Option<Duration>,
    most: usize,
    draining: bool,
    /// No deadline of a call is nearer than this.
    soonest: Option<Instant>,
}

/// Lines of text in UTF-8, ended by `\n` or `\r\n`, written with `\n`. A call is a line, its reply is the next line.
pub type Lines = Framed<LinesCodec>;

/// A call that was written, or is held, and not answered. Without a reply: nobody awaits it any more, but its answer will still come.
#[derive(Debug)]
struct Asked<T> {
    reply: Option<Reply<Result<T, CallError>>>,
    deadline: Option<(Instant, Duration)>,
    /// The call is written when so many bytes are. `None`: held.
    upto: Option<u64>,
}

impl<C: Decoder> Framed<C> {
    /// Frames by this codec.
    pub fn new(codec: C) -> Self {
        Framed {
            codec,
            calls: VecDeque::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            within: None,
            most: 1024,
            draining: false,
            soonest: None,
        }
    }

    /// The deadline of calls that bring none of their own. Default: none.
    pub fn call_timeout(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }

    /// How many calls may be unanswered at a time; more are refused. Default 1024.
    pub fn most_calls(mut self, most: usize) -> Self {
        self.most = most.max(1);
        self
    }

    fn is_done(&self) -> bool {
        self.held.is_empty() && !self.calls.iter().any(|call| call.reply.as_ref().is_some_and(Reply::is_awaited))
    }
}

impl<C: Decoder + Default> Default for Framed<C> {
    fn default() -> Self {
        Framed::new(C::default())
    }
}

/// Writes one frame and is answered by the frame that comes in its turn.
///
/// `C` is the codec, which the connection it is sent to tells; `I` is what the codec encodes.
pub struct Call<C, I> {
    item: I,
    within: Option<Duration>,
    codec: PhantomData<fn() -> C>,
}

impl<C, I> Call<C, I> {
    /// Calls with this.
    pub fn new(item: I) -> Self {
        Call { item, within: None, codec: PhantomData }
    }

    /// How long the reply may take, from when the connection's actor reads the message. Default: [`Framed::call_timeout`]. A reply that comes later is dropped; the connection and the calls
    /// behind go on.
    pub fn within(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }
}

impl<C, I: fmt::Debug> fmt::Debug for Call<C, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("item", &self.item).field("within", &self.within).finish()
    }
}

impl<C: Decoder + 'static, I> Message for Call<C, I>
where
    C::Item: 'static,
{
    type Result = Result<C::Item, CallError>;
}

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The connection was lost first.
    Lost {
        /// How.
        lost: Box<Lost>,
        /// Whether the call had left our buffers. If not, the peer has not seen it, and it can be asked again elsewhere.
        written: bool,
    },
    /// The reply did not come in time.
    TimedOut(Duration),
    /// The codec does not encode this. Its own words. Nothing was written.
    Encode(String),
    /// The connection is closing or draining. Nothing was written.
    Closing,
    /// So many calls are unanswered, or so many bytes wait for the peer, as may be. Nothing was written.
    TooMany,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Lost { lost, written: true } => write!(f, "the call was not answered: {lost}"),
            CallError::Lost { lost, written: false } => write!(f, "the call was never sent: {lost}"),
            CallError::TimedOut(within) => write!(f, "the call was not answered within {within:?}"),
            CallError::Encode(words) => write!(f, "the call was not sent: it cannot be encoded: {words}"),
            CallError::Closing => f.write_str("the call was not sent: the connection is closing"),
            CallError::TooMany => f.write_str("the call was not sent: too many calls are unanswered"),
        }
    }
}

impl std::error::Error for CallError {}

impl<C, I> Handler<Call<C, I>> for Connection<Framed<C>>
where
    C: Decoder + Encoder<I> + Send + Unpin + 'static,
    <C as Decoder>::Item: Send + 'static,
    <C as Decoder>::Error: fmt::Display,
    <C as Encoder<I>>::Error: fmt::Display,
{
    type Result = Parked<Result<C::Item, CallError>>;

    fn handle(&mut self, call: Call<C, I>, context: &mut Self::Context) -> Self::Result {
        let (framed, mut io) = self.parts(context);
        if framed.draining || io.is_draining() || io.link().life.is_closing() {
            return Parked::now(Err(CallError::Closing));
        }
        let mark = io.link().options.write_high;
        if framed.calls.len() >= framed.most || framed.held_bytes >= mark {
            return Parked::now(Err(CallError::TooMany));
        }
        let encoded = if framed.held.is_empty() && io.is_writable() {
            io.write_with(|buffer| framed.codec.encode(call.item, buffer)).map(|()| Some(io.link().accepted))
        } else {
            let mut frame = BytesMut::new();
            framed.codec.encode(call.item, &mut frame).map(|()| {
                framed.held_bytes += frame.len();
                framed.held.push_back(frame.freeze());
                io.link().watches_writing = true;
                None
            })
        };
        let upto = match encoded {
            Ok(upto) => upto,
            Err(error) => return Parked::now(Err(CallError::Encode(error.to_string()))),
        };
        let (reply, parked) = Reply::later();
        let within = call.within.or(framed.within);
        // What the clock cannot say is never.
        let deadline = within.and_then(|within| Some((Instant::now().checked_add(within)?, within)));
        if let Some((at, _)) = deadline {
            framed.soonest = Some(framed.soonest.map_or(at, |soonest| soonest.min(at)));
        }
        framed.calls.push_back(Asked { reply: Some(reply), deadline, upto });
        parked
    }
}

impl<C> Framed<C>
where
    C: Decoder + Send + Unpin + 'static,
    C::Item: Send + 'static,
    C::Error: fmt::Display,
{
    /// Gives a frame to the call whose turn it is.
    fn answer(&mut self, frame: C::Item) -> Result<(), ProtocolError> {
        // A call that is still held cannot have asked for it.
        let sent = self.calls.front().is_some_and(|asked| asked.upto.is_some());
        let Some(asked) = sent.then(|| self.calls.pop_front()).flatten() else {
            return Err(ProtocolError::new("the peer sent a frame that no call had asked for"));
        };
        if let Some(reply) = asked.reply {
            reply.send(Ok(frame));
        }
        Ok(())
    }

    fn last_frames(&mut self, rest: &mut BytesMut) -> Result<(), ProtocolError> {
        while let Some(frame) = self.codec.decode_eof(rest).map_err(|error| ProtocolError::new(error.to_string()))? {
            self.answer(frame)?;
        }
        Ok(())
    }

    fn write_held(&mut self, io: &mut Io<'_, Self>) {
        while io.is_writable() {
            let Some(frame) = self.held.pop_front() else {
                io.link().watches_writing = false;
                return;
            };
            self.held_bytes -= frame.len();
            io.write_bytes(frame);
            let upto = io.link().accepted;
            if let Some(asked) = self.calls.iter_mut().find(|asked| asked.upto.is_none()) {
                asked.upto = Some(upto);
            }
        }
    }

    fn close_when_done(&mut self, io: &mut Io<'_, Self>) {
        if self.draining && self.is_done() {
            io.close();
        }
    }
}

impl<C> Protocol for Framed<C>
where
    C: Decoder + Send + Unpin + 'static,
    C::Item: Send + 'static,
    C::Error: fmt::Display,
{
    fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        while let Some(frame) = self.codec.decode(data).map_err(|error| ProtocolError::new(error.to_string()))? {
            self.answer(frame)?;
        }
        self.close_when_done(io);
        Ok(())
    }

    fn end_of_stream(&mut self, io: &mut Io<'_, Self>, end: EndOfStream) {
        // Some codecs let the end of the stream end a frame. A truncated stream ends none (law 5).
        if end.is_clean()
            && let Err(error) = self.last_frames(&mut io.take_unread())
        {
            return io.fail(error);
        }
        io.close();
    }

    fn drain(&mut self, io: &mut Io<'_, Self>, _: Instant) {
        self.draining = true;
        self.close_when_done(io);
    }

    fn deadline(&self) -> Option<Instant> {
        self.soonest
    }

    fn timeout(&mut self, io: &mut Io<'_, Self>) {
        let now = Instant::now();
        for asked in &mut self.calls {
            if let Some((_, within)) = asked.deadline.filter(|(at, _)| *at <= now)
                && let Some(reply) = asked.reply.take()
            {
                reply.send(Err(CallError::TimedOut(within)));
            }
        }
        let waiting = self.calls.iter().filter(|asked| asked.reply.is_some());
        self.soonest = waiting.filter_map(|asked| asked.deadline).map(|(at, _)| at).min();
        self.close_when_done(io);
    }

    fn poll(&mut self, io: &mut Io<'_, Self>, cx: &mut std::task::Context<'_>) {
        if !self.held.is_empty() {
            self.write_held(io);
        }
        if self.draining {
            // A caller that goes away is to wake us: it is waited for no longer.
            for reply in self.calls.iter().filter_map(|asked| asked.reply.as_ref()) {
                reply.poll_given_up(cx);
            }
            self.close_when_done(io);
        }
    }

    fn lost(&mut self, lost: &Lost) {
        for asked in self.calls.drain(..) {
            if let Some(reply) = asked.reply {
                let written = asked.upto.is_some_and(|upto| upto <= lost.bytes_out);
                reply.send(Err(CallError::Lost { lost: Box::new(lost.clone()), written }));
            }
        }
    }
}
