//! How a simulated peer behaves: what it does by itself, and what it says to what it hears.

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};

use super::{Dice, Sieve};

/// What a simulated peer does, beside what it [says](Speech).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manners {
    /// It reads so many bytes at a time at most, with a pause after them. `None`: it reads nothing.
    pub reads: Option<(usize, Duration)>,
    /// It answers a close_notify with its own.
    pub answers: bool,
    /// Then it sends a FIN, too.
    pub fins: bool,
    /// It speaks TLS 1.2 at most.
    pub old: bool,
    /// How many session tickets it sends after the handshake, as a server of TLS 1.3. `None`: the library's own number, which is two.
    pub tickets: Option<usize>,
    /// What else it does, each so long after it came; sorted by that. What it says goes on beside it.
    pub does: Vec<(Duration, Act)>,
}

/// One thing that a simulated peer does.
#[derive(Clone, PartialEq, Eq)]
pub enum Act {
    /// Writes these.
    Say(Bytes),
    /// Writes so many bytes of a [pattern](super::pattern) of its own.
    Write(usize),
    /// Sends close_notify, and no FIN.
    CloseNotify,
    /// Sends a FIN, and no close_notify.
    Fin,
    /// Writes bytes that are no TLS: after a close_notify, data that nobody should look at.
    Garbage,
    /// Changes its keys, and asks the other to, too (TLS 1.3).
    KeyUpdate {
        /// The other has to answer with new keys of its own.
        asks: bool,
    },
    /// Sends a session ticket, as a server of TLS 1.3.
    Ticket,
    /// Asks for a new handshake, in TLS 1.2.
    Renegotiation,
    /// Goes away, with its socket.
    Drop,
}

impl fmt::Debug for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Say(bytes) if bytes.len() > 40 => write!(f, "Say({:?}… {} bytes)", &bytes.slice(..40), bytes.len()),
            Act::Say(bytes) => write!(f, "Say({bytes:?})"),
            Act::Write(len) => write!(f, "Write({len})"),
            Act::KeyUpdate { asks: true } => f.write_str("KeyUpdate, asked back"),
            Act::KeyUpdate { asks: false } => f.write_str("KeyUpdate"),
            Act::CloseNotify => f.write_str("CloseNotify"),
            Act::Fin => f.write_str("Fin"),
            Act::Garbage => f.write_str("Garbage"),
            Act::Ticket => f.write_str("Ticket"),
            Act::Renegotiation => f.write_str("Renegotiation"),
            Act::Drop => f.write_str("Drop"),
        }
    }
}

impl Act {
    /// Whether a connection may end by it.
    pub(super) fn ends(&self) -> bool {
        !matches!(self, Act::Say(_) | Act::Write(_) | Act::KeyUpdate { .. } | Act::Ticket)
    }
}

impl Manners {
    /// Reads at once, answers a close, and does nothing by itself.
    pub fn good() -> Self {
        Manners {
            reads: Some((16_384, Duration::ZERO)),
            answers: true,
            fins: true,
            old: false,
            tickets: None,
            does: Vec::new(),
        }
    }

    /// Slow perhaps, of an old version perhaps, with new keys and tickets when it suits nobody; but nothing that ends a connection. `span`: within how many milliseconds it does things.
    pub fn fair(dice: &mut Dice, span: u64) -> Self {
        let old = dice.percent(30);
        let act = |dice: &mut Dice| match dice.below(3) {
            0 => Act::Ticket,
            n => Act::KeyUpdate { asks: n == 1 },
        };
        let acts = if old { 0 } else { dice.below(4) };
        let mut manners = Manners {
            reads: Some(reads(dice)),
            old,
            tickets: dice.percent(40).then(|| dice.size(6)),
            does: by_moment((0..acts).map(|_| (dice.millis(span), act(dice))).collect()),
            ..Manners::good()
        };
        if manners.asks_for_keys_too_soon() {
            manners.does.truncate(1);
        }
        manners
    }

    /// OpenSSL (3.0, at least) answers a KeyUpdate with its next write, or when it reads the next message of that kind; and then, while a record waits for room in the socket, it fails with "bad write retry" (a rest of openssl#8677).
    pub(super) fn asks_for_keys_too_soon(&self) -> bool {
        let acts = self.does.iter().map(|(_, act)| act);
        let mut asked = acts.skip_while(|act| **act != Act::KeyUpdate { asks: true });
        asked.next().is_some() && asked.any(|act| matches!(act, Act::KeyUpdate { .. } | Act::Ticket))
    }

    /// Anything but plaintext that its speech does not say: it may close, break off, renegotiate, write garbage below TLS, or read nothing.
    pub fn any(dice: &mut Dice, span: u64) -> Self {
        let act = |dice: &mut Dice| match dice.below(12) {
            0..3 => Act::CloseNotify,
            3..5 => Act::Fin,
            5 => Act::Garbage,
            6..8 => Act::Drop,
            8 => Act::Ticket,
            9 => Act::Renegotiation,
            n => Act::KeyUpdate { asks: n == 10 },
        };
        let acts = dice.below(4);
        Manners {
            reads: dice.percent(90).then(|| reads(dice)),
            answers: dice.percent(75),
            fins: dice.percent(70),
            old: dice.percent(30),
            tickets: dice.percent(40).then(|| dice.size(6)),
            does: by_moment((0..acts).map(|_| (dice.millis(span), act(dice))).collect()),
        }
    }

    /// Leaves out what the sieve does.
    pub fn sift(&mut self, sieve: &mut Sieve) {
        let good = Manners::good();
        let mut reads = self.reads;
        sieve.value("reads", &mut reads, good.reads);
        self.reads = reads;
        sieve.value("answers", &mut self.answers, good.answers);
        sieve.value("fins", &mut self.fins, good.fins);
        sieve.value("old", &mut self.old, good.old);
        sieve.option("tickets", &mut self.tickets);
        sieve.list("act", &mut self.does);
    }
}

fn reads(dice: &mut Dice) -> (usize, Duration) {
    let pause = if dice.percent(60) { Duration::ZERO } else { dice.millis(100) };
    (dice.pick(&[1_000, 16_384, 100_000]), pause)
}

pub(super) fn by_moment(mut does: Vec<(Duration, Act)>) -> Vec<(Duration, Act)> {
    does.sort_by_key(|(at, _)| *at);
    does
}

/// What a simulated peer says: it is given all that it has heard and not taken yet, takes what it likes of it, and answers with what is to be written.
pub struct Speech {
    pub(super) opening: Bytes,
    answers: Box<dyn FnMut(&mut BytesMut) -> Bytes>,
}

impl Speech {
    /// By this function. It is called after each read; bytes that it leaves are there again the next time, with more behind them.
    pub fn new(speech: impl FnMut(&mut BytesMut) -> Bytes + 'static) -> Self {
        Speech { opening: Bytes::new(), answers: Box::new(speech) }
    }

    /// It begins with these, before it has heard anything.
    pub fn opening(self, bytes: impl Into<Bytes>) -> Self {
        Speech { opening: bytes.into(), ..self }
    }

    /// Says nothing.
    pub fn none() -> Self {
        Speech::new(|heard| {
            heard.clear();
            Bytes::new()
        })
    }

    /// Says everything back.
    pub fn echo() -> Self {
        Speech::new(|heard| heard.split().freeze())
    }

    /// Answers each line, without its newline, with a line. What is longer than a line is waited for.
    pub fn lines(mut answer: impl FnMut(&str) -> String + 'static) -> Self {
        Speech::new(move |heard| {
            let mut answers = BytesMut::new();
            while let Some(end) = heard.iter().position(|byte| *byte == b'\n') {
                let line = heard.split_to(end + 1);
                answers.extend_from_slice(answer(&String::from_utf8_lossy(&line[..end])).as_bytes());
                answers.extend_from_slice(b"\n");
            }
            answers.freeze()
        })
    }

    pub(super) fn answer(&mut self, heard: &mut BytesMut) -> Bytes {
        (self.answers)(heard)
    }
}

impl fmt::Debug for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Speech(..)")
    }
}
