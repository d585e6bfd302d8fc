//! A pipe with weather: latency, chopped reads and writes, blocked writes, and one fault.
//!
//! What it decides hangs on the virtual moment alone, never on how often it was polled or on how long a record is: OpenSSL's randomness changes both.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    dice,
    weather::{Fault, Weather},
};

#[derive(Debug)]
struct Lane {
    weather: Weather,
    start: Instant,
    /// Outside a runtime the clock is the real one: then it stands still.
    latest: Instant,
    segments: VecDeque<(Instant, Bytes)>,
    held: Vec<u8>,
    under_way: usize,
    /// Nothing overtakes.
    last: Instant,
    fin: Option<Instant>,
    reset: bool,
    reader_gone: bool,
    corrupted: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Lane {
    fn new(weather: Weather, start: Instant) -> Shared {
        Arc::new(Mutex::new(Lane {
            weather,
            start,
            latest: start,
            segments: VecDeque::new(),
            held: Vec::new(),
            under_way: 0,
            last: start,
            fin: None,
            reset: false,
            reader_gone: false,
            corrupted: false,
            reader: None,
            writer: None,
        }))
    }

    fn now(&mut self) -> Instant {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.latest = Instant::now();
        }
        self.latest
    }

    fn die(&self, now: Instant, which: u64) -> u64 {
        dice::at(self.weather.seed ^ (which << 56), now.duration_since(self.start).as_millis() as u64)
    }

    fn fault(&self, now: Instant) -> Option<Fault> {
        self.weather.fault.filter(|(at, _)| self.start + *at <= now).map(|(_, fault)| fault)
    }

    fn fault_to_come(&self, now: Instant) -> Option<Instant> {
        self.weather.fault.map(|(at, _)| self.start + at).filter(|at| *at > now)
    }

    fn blocked_until(&self, now: Instant) -> Option<Instant> {
        let now = now.duration_since(self.start);
        self.weather.blocks.iter().find(|(from, to)| *from <= now && now < *to).map(|(_, to)| self.start + *to)
    }

    fn arrival(&mut self, now: Instant) -> Instant {
        let latency =
            Duration::from_millis(self.die(now, 1) % (self.weather.latency + 1) + u64::from(!self.weather.instant));
        self.last = self.last.max(now + latency);
        self.last
    }

    fn send(&mut self, now: Instant, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        if let Some(Fault::Corrupt { last }) = self.fault(now)
            && !std::mem::replace(&mut self.corrupted, true)
        {
            let n = if last { bytes.len() - 1 } else { 0 };
            bytes[n] ^= 0x55;
        }
        let arrival = self.arrival(now);
        self.segments.push_back((arrival, bytes.into()));
        self.wake_reader();
    }

    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn wake_writer(&mut self) {
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    fn is_reset(&mut self, now: Instant) -> bool {
        self.reset |= self.fault(now) == Some(Fault::Reset);
        self.reset
    }
}

type Shared = Arc<Mutex<Lane>>;

fn lock(lane: &Shared) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One end of a pipe: see [`pipe`].
#[derive(Debug)]
pub struct End {
    gone: Gone,
    incoming: Shared,
    outgoing: Shared,
    reading: Nap,
    writing: Nap,
}

/// A pipe in memory, as two ends: what the first writes has the first weather.
///
/// It behaves as TCP does, in its good days and its bad ones: a FIN is what a shutdown or a drop sends, a reset fails both directions, what was written before either is read before it (unless the
/// weather says otherwise). Time is tokio's, so under a paused clock it costs none.
///
/// ```
/// use exeunt::sim::{Weather, pipe};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let slow = Weather { latency: 400, chop_reads: 3, ..Weather::calm() };
/// let (mut here, mut there) = pipe(slow, Weather::calm());
/// here.write_all(b"exeunt").await?;
/// let mut bytes = [0; 6];
/// assert_eq!(there.read(&mut bytes).await?, 3);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub fn pipe(there: Weather, back: Weather) -> (End, End) {
    let start = Instant::now();
    let (there, back) = (Lane::new(there, start), Lane::new(back, start));
    let end = |incoming: &Shared, outgoing: &Shared| End {
        gone: Gone::default(),
        incoming: incoming.clone(),
        outgoing: outgoing.clone(),
        reading: Nap::default(),
        writing: Nap::default(),
    };
    (end(&back, &there), end(&there, &back))
}

impl End {
    /// Tells when this end has been dropped.
    pub fn gone(&self) -> Gone {
        self.gone.clone()
    }
}

/// Whether an [`End`] has been dropped: a closed socket.
#[derive(Clone, Debug, Default)]
pub struct Gone(Arc<AtomicBool>);

impl Gone {
    /// It has.
    pub fn is_gone(&self) -> bool {
        self.0.load(SeqCst)
    }
}

#[derive(Debug, Default)]
struct Nap(Option<Pin<Box<Sleep>>>);

impl Nap {
    /// Wakes the task at this moment. In a teardown, where nobody will be woken any more, it does nothing.
    fn until(&mut self, at: Option<Instant>, cx: &mut Context<'_>) {
        self.0 = at.filter(|_| tokio::runtime::Handle::try_current().is_ok()).map(|at| Box::pin(sleep_until(at)));
        if let Some(sleep) = &mut self.0
            && sleep.as_mut().poll(cx).is_ready()
        {
            cx.waker().wake_by_ref();
        }
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let lane = &mut *lock(&this.incoming);
        let now = lane.now();
        if lane.is_reset(now) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let cut = lane.weather.fault.filter(|(_, fault)| matches!(fault, Fault::BlackHole | Fault::Fin { .. }));
        let cut = cut.map(|(at, fault)| (lane.start + at, fault));
        let comes = |at: Instant| cut.is_none_or(|(from, _)| at < from);
        let mut next = None;
        match lane.segments.front_mut() {
            Some((at, bytes)) if *at <= now && comes(*at) => {
                let chop = if lane.weather.chop_reads == 0 { usize::MAX } else { lane.weather.chop_reads };
                let n = bytes.len().min(buf.remaining()).min(chop);
                buf.put_slice(&bytes[..n]);
                bytes.advance(n);
                if bytes.is_empty() {
                    lane.segments.pop_front();
                }
                lane.under_way -= n;
                lane.wake_writer();
                return Poll::Ready(Ok(()));
            }
            Some((at, _)) if comes(*at) => next = Some(*at),
            Some(_) => {}
            None => match lane.fin.filter(|at| comes(*at)) {
                Some(at) if at <= now => return Poll::Ready(Ok(())),
                at => next = at,
            },
        }
        if matches!(cut, Some((from, Fault::Fin { .. })) if from <= now) {
            return Poll::Ready(Ok(()));
        }
        lane.reader = Some(cx.waker().clone());
        let fault = lane.fault_to_come(now);
        this.reading.until(next.into_iter().chain(fault).min(), cx);
        Poll::Pending
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let lane = &mut *lock(&this.outgoing);
        let now = lane.now();
        if lane.is_reset(now) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let swallows = match lane.fault(now) {
            Some(Fault::Fin { writer_told: true }) => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(Fault::Fin { writer_told: false }) => return Poll::Ready(Ok(buf.len())),
            fault => fault == Some(Fault::BlackHole),
        };
        if lane.reader_gone && !swallows {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let blocked = lane.blocked_until(now);
        let room = lane.weather.capacity.saturating_sub(lane.under_way);
        if blocked.is_some() || room == 0 {
            lane.writer = Some(cx.waker().clone());
            let fault = lane.fault_to_come(now);
            this.writing.until(blocked.into_iter().chain(fault).min(), cx);
            return Poll::Pending;
        }
        let chop = if lane.weather.chop_writes == 0 { usize::MAX } else { lane.weather.chop_writes };
        let n = buf.len().min(room).min(chop);
        lane.under_way += n;
        match (swallows, lane.weather.holds) {
            (true, _) => {}
            (false, true) => lane.held.extend_from_slice(&buf[..n]),
            (false, false) => lane.send(now, &buf[..n]),
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let lane = &mut *lock(&this.outgoing);
        let now = lane.now();
        if let Some(until) = lane.blocked_until(now).filter(|_| !lane.held.is_empty()) {
            lane.writer = Some(cx.waker().clone());
            this.writing.until(Some(until), cx);
            return Poll::Pending;
        }
        let held = std::mem::take(&mut lane.held);
        if !held.is_empty() {
            lane.send(now, &held);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.outgoing).shut();
        Poll::Ready(Ok(()))
    }
}

impl Lane {
    fn shut(&mut self) {
        let now = self.now();
        if self.fin.is_none() {
            let held = std::mem::take(&mut self.held);
            if !held.is_empty() {
                self.send(now, &held);
            }
            self.fin = Some(self.arrival(now));
            self.wake_reader();
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.gone.0.store(true, SeqCst);
        let mut incoming = lock(&self.incoming);
        incoming.reader_gone = true;
        incoming.wake_writer();
        let now = incoming.now();
        let unread = incoming.segments.front().is_some_and(|(at, _)| *at <= now) && incoming.weather.drop_resets;
        drop(incoming);
        let mut outgoing = lock(&self.outgoing);
        if unread && outgoing.fault(now) != Some(Fault::BlackHole) {
            outgoing.reset = true;
            outgoing.wake_reader();
        } else {
            outgoing.held.clear();
            outgoing.shut();
        }
    }
}
