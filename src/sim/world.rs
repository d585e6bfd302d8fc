//! The world of one run: its network, its dice, and what it remembers.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{Actor, Addr};
use tokio::{
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep, timeout},
};

use super::{
    Climate, Dice, Sieve, Speech,
    meeting::{Host, Meeting},
    run::DAY,
};
use crate::{
    Books, ClientTls, Ledger, Phase, Progress, ServerTls, Socket, Stop, StopPlan, Subscribe, Supervisor, Target,
};

/// What a scenario plays in: simulated peers, supervisors that are watched, and dice. A clone is the same world.
#[derive(Clone)]
pub struct World(pub(super) Rc<Inner>);

pub(super) struct Inner {
    pub(super) seed: u64,
    start: Instant,
    span: Duration,
    client_tls: ClientTls,
    server_tls: ServerTls,
    pub(super) sieve: RefCell<Sieve>,
    pub(super) script: RefCell<Vec<String>>,
    pub(super) wrong: RefCell<Vec<String>>,
    pub(super) hosts: RefCell<BTreeMap<String, Host>>,
    pub(super) meetings: RefCell<Vec<Rc<Meeting>>>,
    pub(super) troupes: RefCell<Vec<Rc<Troupe>>>,
    pub(super) tolerated: RefCell<BTreeSet<String>>,
    pub(super) prompt: Cell<bool>,
    stops: RefCell<Vec<JoinHandle<()>>>,
}

/// In what follows a handshake is likely to be under way: a few round trips of a millisecond, or of some more.
const HANDSHAKES: Duration = Duration::from_millis(20);

/// A supervisor, and all that it has told.
pub(super) struct Troupe {
    pub(super) address: Addr<Supervisor>,
    pub(super) books: Books,
    pub(super) told: RefCell<Vec<(Duration, Progress)>>,
    /// It told more than a subscriber could take.
    pub(super) missed: Cell<bool>,
    pub(super) asked: RefCell<Vec<(Duration, StopPlan)>>,
    pub(super) acknowledged: RefCell<Option<(Duration, Arc<Ledger>)>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.0.seed).field("now", &self.now()).finish_non_exhaustive()
    }
}

impl World {
    pub(super) fn new(seed: u64, sieve: Sieve, client_tls: ClientTls, server_tls: ServerTls) -> Self {
        let span = Dice::named(seed, "span").pick(&[50, 500, 5_000, 20_000]);
        World(Rc::new(Inner {
            seed,
            start: Instant::now(),
            span: Duration::from_millis(span),
            client_tls,
            server_tls,
            sieve: RefCell::new(sieve),
            script: RefCell::default(),
            wrong: RefCell::default(),
            hosts: RefCell::default(),
            meetings: RefCell::default(),
            troupes: RefCell::default(),
            tolerated: RefCell::default(),
            prompt: Cell::default(),
            stops: RefCell::default(),
        }))
    }

    /// The number that decided everything.
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// Virtual time since the world began.
    pub fn now(&self) -> Duration {
        // In a teardown the clock is out of reach.
        match tokio::runtime::Handle::try_current() {
            Ok(_) => self.0.start.elapsed(),
            Err(_) => Duration::ZERO,
        }
    }

    /// Within how long the weather and the peers do what they do: from 50 ms to 20 s, as the seed says. A scenario that lasts about as long meets most of it.
    pub fn span(&self) -> Duration {
        self.0.span
    }

    /// Dice for the scenario's own decisions, others for each name: what is thrown with them changes nothing for anybody else, so a scenario that takes another turn keeps its weather.
    pub fn dice(&self, name: &str) -> Dice {
        Dice::named(self.0.seed, &format!("scenario/{name}"))
    }

    /// Whether the scenario does something that it may leave out: true so many times in a hundred. What is done is a part of the plan, which shrinking tries to leave out.
    pub fn perhaps(&self, name: &str, percent: u64) -> bool {
        let dice = &mut Dice::named(self.0.seed, &format!("perhaps/{name}"));
        dice.percent(percent) && self.0.sieve.borrow_mut().keeps(name, format_args!("done"))
    }

    /// The configuration of clients that trust the simulated: for [`Connect::tls`](crate::Connect::tls), say. Names in [`DOMAIN`](super::DOMAIN) are theirs.
    pub fn client_tls(&self) -> ClientTls {
        self.0.client_tls.clone()
    }

    /// The configuration of servers, for [`Adopt::server`](crate::Adopt::server).
    pub fn server_tls(&self) -> ServerTls {
        self.0.server_tls.clone()
    }

    /// From now on, whoever connects to `target` (`db.sim.test:5432`, say) reaches a simulated server, a new one each time: [`Connect`](crate::Connect) finds it without being told. In a simulation
    /// there is nobody else: another name has no address.
    pub fn host(&self, target: &str, climate: Climate, speech: impl FnMut() -> Speech + 'static) {
        match target.parse::<Target>() {
            Ok(target) => drop(self.0.hosts.borrow_mut().insert(target.to_string(), Host::new(climate, speech))),
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// A socket with a simulated server at its other end, for [`Adopt::client`](crate::Adopt::client) with this name.
    pub fn server(&self, name: &str, climate: Climate, speech: Speech) -> Socket {
        self.meet(name, climate, true, speech)
    }

    /// A socket with a simulated client at its other end, for [`Adopt::server`](crate::Adopt::server) with this name.
    pub fn client(&self, name: &str, climate: Climate, speech: Speech) -> Socket {
        self.meet(name, climate, false, speech)
    }

    /// Starts a supervisor under the eyes of the judge. One with [`workers`](Supervisor::workers) of its own cannot be simulated: they are threads.
    ///
    /// It is stopped when the scenario is over, or [earlier](World::stop_within).
    pub fn supervise(&self, supervisor: Supervisor) -> Addr<Supervisor> {
        let books = supervisor.books();
        let address = supervisor.start();
        let troupe = Rc::new(Troupe {
            address: address.clone(),
            books,
            told: RefCell::default(),
            missed: Cell::default(),
            asked: RefCell::default(),
            acknowledged: RefCell::default(),
        });
        self.0.troupes.borrow_mut().push(troupe.clone());
        // In its mailbox before anything that a caller sends.
        let progress = address.send(Subscribe);
        let world = self.clone();
        spawn_local(async move {
            let Ok(mut progress) = progress.await else { return };
            while let Some(told) = progress.next().await {
                match told {
                    Ok(told) => world.heard(&troupe, told),
                    Err(_) => troupe.missed.set(true),
                }
            }
        });
        address
    }

    fn heard(&self, troupe: &Troupe, told: Progress) {
        match &told {
            Progress::Connected { id, peer } => self.note(format!("connection {id} ({peer}) is open")),
            Progress::Lost(lost) => {
                self.note(format!("{lost}; {:?} in {} out {}", lost.proof, lost.bytes_in, lost.bytes_out));
                let same = |meeting: &&Rc<Meeting>| *meeting.name == *lost.peer.name;
                let meetings = self.0.meetings.borrow();
                let gone = meetings.iter().filter(same).filter(|meeting| meeting.socket.is_gone()).count();
                let before = troupe.told.borrow();
                let before = before.iter().filter(|(_, told)| {
                    matches!(told, Progress::Lost(before) if before.peer.name == lost.peer.name && before.phase > Phase::Dialing)
                });
                let lost_now = before.count() + usize::from(lost.phase > Phase::Dialing);
                if meetings.iter().any(|meeting| same(&meeting)) && lost_now > gone {
                    self.fail(format!("law 3: a connection is told lost with its socket open: {lost}"));
                }
            }
            Progress::Stopping(remaining) => self.note(format!("{:?}: {remaining}", remaining.stage)),
            Progress::Stopped(ledger) => self.note(format!("stopped: {}", ledger.verdict())),
            other => self.note(format!("{other:?}")),
        }
        troupe.told.borrow_mut().push((self.now(), told));
    }

    /// A stop by this plan at any moment within so long, as the seed says; shrinking tries to have it at the end instead. Returns at once: the scenario goes on, and is to bear it.
    pub fn stop_within(&self, supervisor: &Addr<Supervisor>, within: Duration, plan: StopPlan) {
        let Some((n, troupe)) = self.troupe(supervisor) else {
            return self.fail("stop_within: this supervisor was not started by `supervise`");
        };
        let key = format!("stop{n}.{}", troupe.asked.borrow().len());
        let dice = &mut Dice::named(self.0.seed, &key);
        // Else a long span would hardly ever meet a handshake.
        let within = if dice.percent(15) { within.min(HANDSHAKES) } else { within };
        let after = dice.moment(Duration::ZERO..within);
        if self.0.sieve.borrow_mut().keeps(&key, format_args!("{plan:?} after {after:?}")) {
            let world = self.clone();
            let stop = spawn_local(async move {
                sleep(after).await;
                world.stop(&troupe, plan).await;
            });
            self.0.stops.borrow_mut().push(stop);
        }
    }

    fn troupe(&self, supervisor: &Addr<Supervisor>) -> Option<(usize, Rc<Troupe>)> {
        let troupes = self.0.troupes.borrow();
        let mut troupes = troupes.iter().enumerate();
        troupes.find(|(_, troupe)| troupe.address == *supervisor).map(|(n, troupe)| (n, troupe.clone()))
    }

    async fn stop(&self, troupe: &Troupe, plan: StopPlan) {
        troupe.asked.borrow_mut().push((self.now(), plan));
        self.note(format!("a stop is asked for: {plan:?}"));
        match timeout(DAY, troupe.address.send(Stop::by(plan))).await {
            Ok(Ok(ledger)) => {
                if troupe.books.outstanding() > 0 {
                    self.fail("law 6: a stop was acknowledged with connections outstanding");
                }
                troupe.acknowledged.borrow_mut().get_or_insert((self.now(), ledger));
            }
            Ok(Err(_)) => self.fail("law 6: the supervisor died in its stop"),
            Err(_) => self.fail("law 6: a stop was not acknowledged within a day"),
        }
    }

    /// Everybody leaves.
    pub(super) async fn end(&self) {
        let troupes = self.0.troupes.borrow().clone();
        for troupe in troupes {
            if troupe.asked.borrow().is_empty() {
                self.stop(&troupe, StopPlan::default()).await;
            }
        }
        for stop in self.0.stops.take() {
            // It bounds itself, and a panic in it is written down by the hook.
            let _ = stop.await;
        }
        // Whoever is late is seen: a second end, say.
        sleep(Duration::from_secs(120)).await;
    }

    /// In a stop in fair weather, every connection has to end before the drain does: an application that does not heed [`Draining`](crate::Draining) fails. The plan's drain has to be longer than the
    /// application's work and the world's [span](World::span) may take together.
    pub fn expect_prompt(&self) {
        self.0.prompt.set(true);
    }

    /// Ends with this [code](crate::Reason::code) are no failure: `"protocol_error"` and `"panicked"` otherwise always are, and in fair weather whatever the network could be blamed for in foul.
    pub fn tolerate(&self, code: &str) {
        self.0.tolerated.borrow_mut().insert(code.to_owned());
    }

    /// A law of the scenario's own was broken. So says a panic, too.
    pub fn fail(&self, words: impl Into<String>) {
        self.0.wrong.borrow_mut().push(words.into());
    }

    /// Something that whoever reads a failure wants to know.
    pub fn note(&self, words: impl fmt::Display) {
        let line = format!("{:>9} ms  {words}", self.now().as_millis());
        self.0.script.borrow_mut().push(line);
    }
}
