//! What a seed makes: who meets whom over what, and what they do when.

use std::time::Duration;

use exeunt::{
    LateData, Options, StopPlan,
    sim::{Act, Dice, Manners, Weather},
};

#[derive(Clone, Debug)]
pub struct Plan {
    /// Bytes may arrive in the millisecond in which they are sent. The supervisor gives its orders in no order, so who of two closes first is then not the seed's to say.
    pub instant: bool,
    pub limit: Option<usize>,
    pub owners: Vec<OwnerPlan>,
    pub pairs: Vec<Pair>,
    /// In the order of their moments. Empty: one when everybody has done everything, or none before the teardown.
    pub stops: Vec<(Duration, StopPlan)>,
    pub teardown: Option<Duration>,
    /// A planted fault, for what has to be found: owners are not told of truncations.
    pub hushes_truncations: bool,
}

#[derive(Clone, Debug)]
pub struct OwnerPlan {
    /// How long it takes over each `Data`: at least, and how much more at most. `None`: it answers within its handler.
    pub slow: Option<(u64, u64)>,
    /// The answer to `Data` is dropped in place of being sent.
    pub forgets: bool,
    /// It goes away: so late, and by a panic or by itself.
    pub dies: Option<(Duration, bool)>,
    pub keeps_handles: bool,
    /// It closes what the drain is about to close.
    pub heeds_drain: bool,
}

#[derive(Clone, Debug)]
pub struct Pair {
    pub at: Duration,
    /// TLS 1.2.
    pub old: bool,
    pub wrong_name: bool,
    /// The first is the server of the handshake.
    pub server: bool,
    pub there: Weather,
    pub back: Weather,
    pub first: Side,
    pub other: Other,
}

#[derive(Clone, Debug)]
pub enum Other {
    Ours(Box<Side>),
    Bare(Bare),
    /// There is nobody: the resolver says so after a while, or never.
    Nobody(Option<Duration>),
}

#[derive(Clone, Debug)]
pub struct Side {
    pub speaks: Speaks,
    pub asks: Asks,
    pub options: Options,
    pub does: Vec<(Duration, Op)>,
}

#[derive(Clone, Debug)]
pub enum Speaks {
    Events { owner: usize, half_open: bool },
    Lines { within: Option<Duration> },
    Chaos(ChaosPlan),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Asks {
    Awaits,
    DoSends,
    GivesUp(Duration),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Write(usize),
    DoWrite(usize),
    Burst(Vec<usize>),
    Flush,
    Close {
        linger: Option<Duration>,
        discard: bool,
    },
    Abort,
    HalfClose,
    Pause,
    Resume,
    Evict {
        abort: bool,
    },
    /// `HandOver` or `Call`, as the protocol has it.
    Special(u64),
    Info,
    DropHandle,
}

/// A protocol of the user's that does what a protocol may do, and some things that it should not.
#[derive(Clone, Debug, Default)]
pub struct ChaosPlan {
    pub echoes: bool,
    pub brakes: bool,
    pub hoards: bool,
    pub half_open: bool,
    pub ignores_drain: bool,
    pub ticks: Option<Duration>,
    /// An error at the so-manieth data.
    pub errs: Option<u32>,
    /// A panic in the so-manieth call of this one.
    pub bomb: Option<(Callback, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    Connected,
    Data,
    End,
    Pressure,
    Drain,
    Timeout,
    Poll,
    Lost,
}

#[derive(Clone, Debug)]
pub struct Bare {
    pub echoes: bool,
    pub manners: Manners,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let span = dice.pick(&[50, 500, 5_000, 20_000]);
        let instant = dice.percent(25);
        let owners = (0..1 + dice.below(3)).map(|_| owner(dice, span)).collect::<Vec<_>>();
        let pairs = (0..1 + dice.below(6)).map(|_| pair(dice, span, owners.len(), instant)).collect();
        let limit = dice.percent(15).then(|| 1 + dice.size(6));
        let teardown = dice.percent(15).then(|| dice.millis(span * 3 / 2 + 10));
        let mut stops: Vec<_> = match dice.below(100) {
            0..25 => vec![],
            // In the midst of the handshakes.
            25..35 => vec![(dice.millis(10), stop_plan(dice))],
            35..75 => vec![(dice.millis(span * 3 / 2 + 10), stop_plan(dice))],
            _ => (0..2 + dice.below(2)).map(|_| (dice.millis(span * 3 / 2 + 10), stop_plan(dice))).collect(),
        };
        stops.sort_by_key(|(at, _)| *at);
        Plan { instant, limit, owners, pairs, stops, teardown, hushes_truncations: false }
    }
}

pub fn stop_plan(dice: &mut Dice) -> StopPlan {
    if dice.percent(15) {
        return StopPlan::now();
    }
    let mut plan = StopPlan::new();
    plan.drain = dice.pick(&[0, 20, 1_000, 8_000, 30_000]).into_millis(dice);
    plan.linger = dice.pick(&[0, 20, 1_000, 5_000]).into_millis(dice);
    if dice.percent(20) {
        plan.lame_duck = dice.millis(2_000);
    }
    plan
}

trait IntoMillis {
    fn into_millis(self, dice: &mut Dice) -> Duration;
}

impl IntoMillis for u64 {
    fn into_millis(self, dice: &mut Dice) -> Duration {
        dice.millis(self + 1)
    }
}

fn owner(dice: &mut Dice, span: u64) -> OwnerPlan {
    OwnerPlan {
        slow: dice.percent(40).then(|| (dice.below(50), 1 + dice.below(span / 10 + 2))),
        forgets: dice.percent(10),
        dies: dice.percent(25).then(|| (dice.millis(span + span / 2), dice.percent(30))),
        keeps_handles: dice.percent(50),
        heeds_drain: dice.percent(50),
    }
}

fn pair(dice: &mut Dice, span: u64, owners: usize, instant: bool) -> Pair {
    let server = dice.percent(40);
    let first = side(dice, span, owners);
    let other = match dice.below(100) {
        0..50 => Other::Ours(Box::new(side(dice, span, owners))),
        50..95 => Other::Bare(bare(dice, span)),
        _ => Other::Nobody(dice.percent(60).then(|| dice.millis(15_000))),
    };
    let (there, mut back) = Weather::both(dice, span, instant);
    // tokio_openssl takes a flush that is not done at once for a failure.
    back.holds &= matches!(other, Other::Ours(_));
    let at = if dice.percent(70) { Duration::ZERO } else { dice.millis(span) };
    let old = dice.percent(35);
    let other = match other {
        Other::Bare(bare) => Other::Bare(Bare { manners: Manners { old, ..bare.manners }, ..bare }),
        other => other,
    };
    Pair { at, old, wrong_name: dice.percent(3), server, there, back, first, other }
}

fn side(dice: &mut Dice, span: u64, owners: usize) -> Side {
    let mut options = Options::default();
    options.handshake = dice.pick(&[10_000, 2_000, 300, 5]).into_millis(dice) + Duration::from_millis(1);
    options.dial = dice.millis(12_000) + Duration::from_millis(1);
    options.idle = dice.percent(25).then(|| dice.millis(span) + Duration::from_millis(1));
    options.flush = dice.pick(&[30_000, 2_000, 100]).into_millis(dice) + Duration::from_millis(1);
    options.linger = dice.pick(&[5_000, 500, 1]).into_millis(dice);
    options.late_data = if dice.percent(30) { LateData::Deliver } else { LateData::Discard };
    if dice.percent(60) {
        options.write_high = dice.pick(&[1, 100, 5_000, 40_000]);
        options.write_low = dice.size(options.write_high + 1);
    }
    let speaks = match dice.below(10) {
        0..5 => Speaks::Events { owner: dice.size(owners), half_open: dice.percent(30) },
        5..7 => Speaks::Lines { within: dice.percent(40).then(|| dice.millis(span) + Duration::from_millis(1)) },
        _ => Speaks::Chaos(chaos(dice, span)),
    };
    let asks = match dice.below(100) {
        0..80 => Asks::Awaits,
        80..92 => Asks::DoSends,
        _ => Asks::GivesUp(dice.millis(300)),
    };
    let mut does: Vec<_> = (0..dice.below(10)).map(|_| (dice.millis(span), op(dice))).collect();
    does.sort_by_key(|(at, _)| *at);
    Side { speaks, asks, options, does }
}

fn op(dice: &mut Dice) -> Op {
    match dice.below(100) {
        0..25 => Op::Write(dice.bytes()),
        25..30 => Op::DoWrite(dice.bytes()),
        30..37 => Op::Burst((0..2 + dice.below(5)).map(|_| dice.bytes()).collect()),
        37..45 => Op::Flush,
        45..53 => Op::Close { linger: dice.percent(30).then(|| dice.millis(3_000)), discard: dice.percent(15) },
        53..56 => Op::Abort,
        56..61 => Op::HalfClose,
        61..66 => Op::Pause,
        66..72 => Op::Resume,
        72..75 => Op::Evict { abort: dice.percent(50) },
        75..90 => Op::Special(dice.roll()),
        90..94 => Op::Info,
        _ => Op::DropHandle,
    }
}

fn chaos(dice: &mut Dice, span: u64) -> ChaosPlan {
    use Callback::*;
    ChaosPlan {
        echoes: dice.percent(70),
        brakes: dice.percent(60),
        hoards: dice.percent(15),
        half_open: dice.percent(20),
        ignores_drain: dice.percent(20),
        ticks: dice.percent(20).then(|| dice.millis(span / 4 + 2) + Duration::from_millis(1)),
        errs: dice.percent(8).then(|| 1 + dice.below(5) as u32),
        bomb: dice.percent(20).then(|| {
            let callback = dice.pick(&[Connected, Data, End, Pressure, Drain, Timeout, Poll, Lost]);
            (callback, 1 + dice.below(4) as u32)
        }),
    }
}

fn bare(dice: &mut Dice, span: u64) -> Bare {
    let mut does: Vec<_> = (0..dice.below(7))
        .map(|_| {
            let act = match dice.below(14) {
                0..6 => Act::Write(dice.bytes()),
                6 => Act::CloseNotify,
                7 => Act::Fin,
                8 => Act::Garbage,
                9 => Act::Drop,
                10 => Act::Ticket,
                11 => Act::Renegotiation,
                n => Act::KeyUpdate { asks: n == 12 },
            };
            // In the handshake and right behind it, or at any time.
            let within = if dice.percent(20) { 10 } else { span };
            (dice.millis(within), act)
        })
        .collect();
    does.sort_by_key(|(at, _)| *at);
    let manners = Manners {
        reads: dice.percent(85).then(|| {
            let pause = if dice.percent(60) { Duration::ZERO } else { dice.millis(100) };
            (dice.pick(&[1_000, 16_384, 100_000]), pause)
        }),
        answers: dice.percent(75),
        fins: dice.percent(70),
        old: false,
        tickets: dice.percent(30).then(|| dice.size(8)),
        does,
    };
    Bare { echoes: dice.percent(50), manners }
}
