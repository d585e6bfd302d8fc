//! What may happen to the bytes between two ends.

use std::{fmt, time::Duration};

use super::{Dice, Sieve};

/// How one direction of a [`pipe`](super::pipe) behaves.
#[derive(Clone, PartialEq, Eq)]
pub struct Weather {
    /// What its dice are thrown with.
    pub seed: u64,
    /// No latency is a latency, too: bytes may be read in the millisecond in which they are written. Else they take a millisecond at least, and who of two that do something at once was first
    /// does not hang on the order in which their tasks run.
    pub instant: bool,
    /// How much longer they take: so many milliseconds at most, another number at each moment. Nothing overtakes.
    pub latency: u64,
    /// Bytes under way at most. A writer waits for room.
    pub capacity: usize,
    /// The most that one read moves: 0 for all. So records come in pieces, or many at once.
    pub chop_reads: usize,
    /// The most that one write moves: 0 for all.
    pub chop_writes: usize,
    /// When writes block: from, to.
    pub blocks: Vec<(Duration, Duration)>,
    /// Bytes stay behind until they are flushed, as in a socket that is not TCP.
    pub holds: bool,
    /// A reader that is dropped with bytes unread resets, as TCP does.
    pub drop_resets: bool,
    /// One thing that breaks the connection, and when.
    pub fault: Option<(Duration, Fault)>,
}

/// What breaks a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Both directions fail at once, if it is the weather of both.
    Reset,
    /// What is written vanishes.
    BlackHole,
    /// The reader sees a FIN that the writer did not send.
    Fin {
        /// What is written fails from then on; else it vanishes.
        writer_told: bool,
    },
    /// A byte of the next write is another.
    Corrupt {
        /// Its last byte, and not its first.
        last: bool,
    },
}

/// Bytes under way when nothing else is asked for: what Linux gives a socket to begin with.
const CAPACITY: usize = 65_536;

impl Weather {
    /// Everything arrives after a millisecond, in one piece.
    pub fn calm() -> Self {
        Weather {
            seed: 0,
            instant: false,
            latency: 0,
            capacity: CAPACITY,
            chop_reads: 0,
            chop_writes: 0,
            blocks: Vec::new(),
            holds: false,
            drop_resets: false,
            fault: None,
        }
    }

    /// Nothing that breaks a connection: latency, pieces, little room, writes that block for a while. `span`: how many milliseconds it is interesting for.
    pub fn fair(dice: &mut Dice, span: u64) -> Self {
        Weather { fault: None, drop_resets: false, ..Weather::any(dice, span, false) }
    }

    /// Anything. Two directions of one pipe are better thrown with [`both`](Weather::both).
    pub fn any(dice: &mut Dice, span: u64, instant: bool) -> Self {
        let fine = dice.percent(40);
        let chop = |dice: &mut Dice| if fine || dice.percent(50) { 0 } else { dice.pick(&[50, 300, 2_000, 9_000]) };
        let block = |dice: &mut Dice| {
            let from = dice.millis(span);
            (from, from + dice.millis(span))
        };
        let blocks = if fine { 0 } else { dice.below(3) };
        Weather {
            seed: dice.roll(),
            instant,
            latency: if fine { 0 } else { dice.pick(&[0, 1, 5, 40, 400]) },
            capacity: dice.pick(&[4_096, 20_000, CAPACITY, 1 << 20]),
            chop_reads: chop(dice),
            chop_writes: chop(dice),
            blocks: (0..blocks).map(|_| block(dice)).collect(),
            holds: !fine && dice.percent(20),
            drop_resets: dice.percent(40),
            fault: dice.percent(25).then(|| {
                let early = dice.percent(25);
                let at = if early { dice.millis(10) } else { dice.millis(span + span / 2) };
                let fin = Fault::Fin { writer_told: dice.percent(50) };
                let corrupt = Fault::Corrupt { last: dice.percent(50) };
                (at, dice.pick(&[Fault::Reset, Fault::BlackHole, fin, corrupt]))
            }),
        }
    }

    /// Any weather for both directions: a reset of one is a reset of the other.
    pub fn both(dice: &mut Dice, span: u64, instant: bool) -> (Self, Self) {
        let (mut there, mut back) = (Weather::any(dice, span, instant), Weather::any(dice, span, instant));
        let reset = [there.fault, back.fault].into_iter().flatten().find(|(_, fault)| *fault == Fault::Reset);
        if let Some(reset) = reset {
            (there.fault, back.fault) = (Some(reset), Some(reset));
        }
        (there, back)
    }

    /// Leaves out what the sieve does.
    pub fn sift(&mut self, sieve: &mut Sieve) {
        let calm = Weather::calm();
        sieve.value("latency", &mut self.latency, calm.latency);
        sieve.value("capacity", &mut self.capacity, 1 << 20);
        sieve.value("chop-reads", &mut self.chop_reads, calm.chop_reads);
        sieve.value("chop-writes", &mut self.chop_writes, calm.chop_writes);
        sieve.list("block", &mut self.blocks);
        sieve.value("holds", &mut self.holds, calm.holds);
        sieve.value("drop-resets", &mut self.drop_resets, calm.drop_resets);
        sieve.option("fault", &mut self.fault);
    }
}

impl Default for Weather {
    fn default() -> Self {
        Weather::calm()
    }
}

/// What is not as in calm weather.
impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (calm, mut weather) = (Weather::calm(), f.debug_struct("Weather"));
        macro_rules! fields {
            ($($field:ident)*) => {$(
                if self.$field != calm.$field {
                    weather.field(stringify!($field), &self.$field);
                }
            )*};
        }
        fields!(seed instant latency capacity chop_reads chop_writes blocks holds drop_resets fault);
        weather.finish()
    }
}
