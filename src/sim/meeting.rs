//! A pipe with a simulated peer at its other end.

use std::{
    cell::{Cell, RefCell},
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use tokio::{task::spawn_local, time::sleep};

use super::{
    Dice, Manners, Sieve, Speech, Weather, World,
    peer::{Told, peer},
    pipe::{Gone, pipe},
};
use crate::{
    Attempt, DialFailure, Socket, Target,
    dial::seam::{self, Reached},
};

/// What a simulated peer may do to whoever meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Climate {
    /// Nothing: a millisecond each way, and a peer with good manners.
    Calm,
    /// What every connection has to bear: latency, pieces, little room, blocked writes, slow readers, new keys, tickets. Nothing breaks a connection, so the judge blames the application if one breaks.
    Fair,
    /// Anything: resets, black holes, truncations, corrupt bytes, peers that close, vanish or do not answer.
    Any,
    /// These conditions, each time.
    Exactly(Box<Conditions>),
}

/// What a [`Climate`] makes of one meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The weather of what the application writes.
    pub there: Weather,
    /// The weather of what the peer writes. [`Weather::holds`] is not for it: its TLS stream takes a flush that is not done at once for a failure.
    pub back: Weather,
    /// How the peer behaves.
    pub manners: Manners,
}

impl Climate {
    fn conditions(&self, dice: &mut Dice, span: u64) -> Conditions {
        match self {
            Climate::Calm => Conditions { there: Weather::calm(), back: Weather::calm(), manners: Manners::good() },
            Climate::Fair => Conditions {
                there: Weather::fair(dice, span),
                back: Weather::fair(dice, span),
                manners: Manners::fair(dice, span),
            },
            Climate::Any => {
                let (there, back) = Weather::both(dice, span, false);
                Conditions { there, back, manners: Manners::any(dice, span) }
            }
            Climate::Exactly(conditions) => (**conditions).clone(),
        }
    }
}

impl Conditions {
    fn sift(&mut self, sieve: &mut Sieve) {
        self.back.holds = false;
        sieve.within("there", |sieve| self.there.sift(sieve));
        sieve.within("back", |sieve| self.back.sift(sieve));
        sieve.within("peer", |sieve| self.manners.sift(sieve));
    }

    /// Whether nothing of it breaks a connection.
    fn is_fair(&self) -> bool {
        let weather = [&self.there, &self.back];
        weather.iter().all(|weather| weather.fault.is_none() && !weather.drop_resets)
            && self.manners.answers
            && self.manners.reads.is_some()
            && self.manners.does.iter().all(|(_, act)| !act.ends())
            && !self.manners.asks_for_keys_too_soon()
    }
}

/// A name that can be connected to.
#[derive(Clone)]
pub(super) struct Host {
    climate: Climate,
    speech: Rc<RefCell<dyn FnMut() -> Speech>>,
    dials: Rc<Cell<u64>>,
}

impl Host {
    pub(super) fn new(climate: Climate, speech: impl FnMut() -> Speech + 'static) -> Self {
        Host { climate, speech: Rc::new(RefCell::new(speech)), dials: Rc::default() }
    }
}

/// What became of one socket of ours and of who is at its other end.
pub(super) struct Meeting {
    /// As the ledger names it. Several may have one name.
    pub(super) name: String,
    pub(super) fair: bool,
    pub(super) socket: Gone,
    /// Plaintext bytes that the peer wrote, or tried to.
    pub(super) sent: Cell<u64>,
    pub(super) received: Cell<u64>,
    /// The peer sent close_notify, or tried to.
    pub(super) closes: Cell<bool>,
    /// How the peer saw us end: with close_notify or without.
    pub(super) end: Cell<Option<bool>>,
}

/// How many milliseconds a dial takes at most when it is answered. Chosen arbitrarily.
const DIAL: u64 = 40;

impl World {
    /// A number for each that meets somebody of this name, and the dice for it.
    fn next(&self, name: &str) -> (String, Dice) {
        let n = self.0.meetings.borrow().iter().filter(|meeting| meeting.name == name).count();
        let key = format!("{name}#{n}");
        let dice = Dice::named(self.0.seed, &key);
        (key, dice)
    }

    pub(super) fn meet(&self, name: &str, climate: Climate, peer_serves: bool, mut speech: Speech) -> Socket {
        let (key, mut dice) = self.next(name);
        let mut conditions = climate.conditions(&mut dice, self.span().as_millis() as u64);
        self.0.sieve.borrow_mut().within(&key, |sieve| conditions.sift(sieve));
        let fair = conditions.is_fair();
        let Conditions { there, back, manners } = conditions;
        let (ours, theirs) = pipe(there, back);
        let meeting = Rc::new(Meeting {
            name: name.to_owned(),
            fair,
            socket: ours.gone(),
            sent: Cell::default(),
            received: Cell::default(),
            closes: Cell::default(),
            end: Cell::default(),
        });
        let me = {
            let mut meetings = self.0.meetings.borrow_mut();
            meetings.push(meeting.clone());
            meetings.len()
        };
        self.note(format!("{key} is met"));
        let world = self.clone();
        spawn_local(async move {
            let tells = |told| world.told(&key, &meeting, told);
            peer(me, peer_serves, manners, std::mem::replace(&mut speech, Speech::none()), theirs, tells).await;
            world.note(format!("{key} has gone"));
        });
        Socket::boxed(ours)
    }

    fn told(&self, key: &str, meeting: &Meeting, told: Told) {
        match told {
            Told::Received(bytes) => {
                meeting.received.set(meeting.received.get() + bytes.len() as u64);
                self.note(format!("{key} received {} bytes", bytes.len()));
            }
            Told::Writes(bytes) => {
                meeting.sent.set(meeting.sent.get() + bytes.len() as u64);
                self.note(format!("{key} writes {} bytes", bytes.len()));
            }
            Told::Closes => {
                meeting.closes.set(true);
                self.note(format!("{key} sends close_notify"));
            }
            Told::Wrote(Some(true)) => {}
            Told::End { clean } => {
                meeting.end.set(Some(clean));
                self.note(format!("{key} sees the end, {}", if clean { "with close_notify" } else { "cut short" }));
            }
            told => self.note(format!("{key}: {told:?}")),
        }
    }

    /// What takes the place of the network.
    pub(super) fn install(&self) -> seam::Installed {
        let world = self.clone();
        seam::install(move |target| world.reach(target))
    }

    fn reach(&self, target: &Target) -> Reached {
        let name = target.to_string();
        let host = self.0.hosts.borrow().get(&name).cloned();
        let Some(Host { climate, speech, dials }) = host else {
            let message = "nobody of that name is in the simulation".to_owned();
            let failure = DialFailure::Resolve { host: target.host.clone(), message };
            return Box::pin(std::future::ready(Err(failure)));
        };
        let key = format!("{name}/dial{}", dials.replace(dials.get() + 1));
        let dice = &mut Dice::named(self.0.seed, &key);
        let latency = Duration::from_millis(1 + if climate == Climate::Calm { 0 } else { dice.below(DIAL) });
        let trouble = if climate == Climate::Any { dice.below(100) } else { 100 };
        let keeps = |what: &str| self.0.sieve.borrow_mut().keeps(&key, format_args!("{what}"));
        if trouble < 4 && keeps("nobody answers") {
            return Box::pin(std::future::pending());
        }
        if (4..8).contains(&trouble) && keeps("refused") {
            return Box::pin(async move {
                sleep(latency).await;
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
                let kind = std::io::ErrorKind::ConnectionRefused;
                Err(DialFailure::Connect { attempts: vec![Attempt { address, kind, message: kind.to_string() }] })
            });
        }
        let speech = (speech.borrow_mut())();
        let socket = self.meet(&name, climate, true, speech);
        Box::pin(async move {
            sleep(latency).await;
            Ok(socket)
        })
    }
}
