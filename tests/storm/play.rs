//! The play: the cast enters, acts by the plan, and leaves.

use std::{any::Any, cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use actix::{Actor, Addr};
use bytes::Bytes;
use exeunt::{
    Books, Ledger, Lost, Owner, Progress, Remaining, Socket, Stop, StopPlan, Subscribe, Subscription, Supervisor,
    sim::{Dice, End, Speech, peer, pipe},
};
use tokio::{
    task::{JoinHandle, LocalSet, spawn_local},
    time::{sleep, timeout},
};

use crate::{
    cast::{ECHOES, Recorder},
    plan::{Other, Plan, stop_plan},
    roles::{Entrance, Way, enter},
    script::{By, Script, What, who},
};

/// In virtual time. What takes longer hangs.
pub const HOUR: Duration = Duration::from_secs(3600);

pub struct Stage {
    pub script: Script,
    pub supervisor: Addr<Supervisor>,
    pub books: Books,
    pub owners: Vec<Owner>,
    _recorders: Vec<Box<dyn Any>>,
    tasks: RefCell<Vec<JoinHandle<()>>>,
    /// Handles that are kept to the end, as what they say of it.
    pub kept: RefCell<Vec<(usize, Look<Option<Lost>>)>>,
    /// Whether a connection's address is dead.
    pub dead: RefCell<Vec<(usize, Look<bool>)>>,
    pub stops: RefCell<Vec<Stopped>>,
    pub remaining: RefCell<Option<Remaining>>,
}

/// A look at something that may have ended.
pub type Look<T> = Box<dyn Fn() -> T>;

/// One stop: when it was asked for, by what plan, when it was acknowledged, and with what.
pub struct Stopped {
    pub at: u64,
    pub plan: StopPlan,
    pub acknowledged: u64,
    pub ledger: Arc<Ledger>,
}

pub struct Outcome {
    pub stage: Rc<Stage>,
    pub torn: bool,
}

/// Plays a plan to its end.
pub fn play(seed: u64, plan: &Plan) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let local = LocalSet::new();
    let stage = local.block_on(&runtime, async { Stage::set(plan).await });
    match plan.teardown {
        Some(after) => local.block_on(&runtime, async { sleep(after).await }),
        None => local.block_on(&runtime, stage.clone().finish(seed, plan)),
    }
    stage.script.look().over = true;
    // As an actix system does it: the tasks first, outside of the runtime, with its clock and reactor out of reach.
    drop(local);
    drop(runtime);
    Outcome { stage, torn: plan.teardown.is_some() }
}

impl Stage {
    async fn set(plan: &Plan) -> Rc<Stage> {
        let script = Script::new(plan.pairs.len() * 2, plan.owners.len());
        let supervisor = Supervisor::new();
        let supervisor = match plan.limit {
            Some(limit) => supervisor.max_connections(limit),
            None => supervisor,
        };
        let books = supervisor.books();
        let recorders: Vec<_> = plan
            .owners
            .iter()
            .enumerate()
            .map(|(me, owner)| {
                let (plan, script, hushes_truncations) = (owner.clone(), script.clone(), plan.hushes_truncations);
                Recorder { me, plan, script, kept: Vec::new(), hushes_truncations }.start()
            })
            .collect();
        let stage = Rc::new(Stage {
            script,
            supervisor: supervisor.start(),
            books,
            owners: recorders.iter().map(|recorder| Owner::new(recorder.clone())).collect(),
            _recorders: recorders.into_iter().map(|recorder| Box::new(recorder) as Box<dyn Any>).collect(),
            tasks: RefCell::default(),
            kept: RefCell::default(),
            dead: RefCell::default(),
            stops: RefCell::default(),
            remaining: RefCell::default(),
        });
        let progress = stage.supervisor.send(Subscribe).await.unwrap();
        stage.spawn(stage.clone().watch(progress));
        for (n, pair) in plan.pairs.iter().enumerate() {
            stage.spawn(stage.clone().raise(n * 2, pair.clone()));
        }
        for (at, plan) in plan.stops.clone() {
            let own = stage.clone();
            stage.spawn(async move {
                sleep(at).await;
                own.stop(plan).await;
            });
        }
        stage
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push(spawn_local(task));
    }

    /// Awaits, but not for ever.
    pub async fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> Option<T> {
        let answer = timeout(HOUR, future).await.ok();
        if answer.is_none() {
            self.script.wrong(format!("{what} was never answered"));
        }
        answer
    }

    /// Two who take part, and what is between them.
    async fn raise(self: Rc<Self>, first: usize, pair: crate::plan::Pair) {
        sleep(pair.at).await;
        let second = first + 1;
        let entrance =
            |who, side, server, way| Entrance { who, side, server, old: pair.old, wrong_name: pair.wrong_name, way };
        if let Other::Nobody(after) = pair.other {
            return enter(&self, entrance(first, pair.first, false, Way::Nowhere(after)));
        }
        let (ours, theirs) = pipe(pair.there, pair.back);
        let watched = |who: usize, end: End| {
            self.script.look().parts[who].socket = Some(end.gone());
            Way::Socket(Socket::boxed(end))
        };
        enter(&self, entrance(first, pair.first, pair.server, watched(first, ours)));
        match pair.other {
            Other::Ours(side) => enter(&self, entrance(second, *side, !pair.server, watched(second, theirs))),
            // Not awaited at the end: it may be silent for ever.
            Other::Bare(plan) => {
                let speech = if plan.echoes { echo() } else { Speech::none() };
                let script = self.script.clone();
                let tells = move |told| script.told(second, told);
                drop(spawn_local(peer(second, !pair.server, plan.manners, speech, theirs, tells)));
            }
            Other::Nobody(_) => {}
        }
    }

    /// Writes down what the supervisor tells.
    async fn watch(self: Rc<Self>, mut progress: Subscription) {
        let mut stopped = false;
        while let Some(told) = progress.next().await {
            if stopped {
                self.script.wrong("progress after Stopped");
            }
            match told {
                Ok(Progress::Connected { peer, .. }) => {
                    self.script.tell(who(&peer.name), By::Progress, What::Connected);
                }
                Ok(Progress::Lost(lost)) => {
                    self.script.tell(who(&lost.peer.name), By::Progress, What::Lost(Box::new(lost)));
                }
                Ok(Progress::Stopping(remaining)) => drop(self.remaining.borrow_mut().get_or_insert(remaining)),
                Ok(Progress::Stopped(_)) => stopped = true,
                other => self.script.wrong(format!("{other:?}")),
            }
        }
    }

    async fn stop(&self, plan: StopPlan) {
        let at = self.script.now();
        if let Some(Ok(ledger)) = self.within("a stop", self.supervisor.send(Stop::by(plan))).await {
            if self.books.outstanding() > 0 {
                self.script.wrong("law 6: a stop was acknowledged with tickets outstanding");
            }
            let acknowledged = self.script.now();
            self.stops.borrow_mut().push(Stopped { at, plan, acknowledged, ledger });
        } else {
            self.script.wrong("a stop was not answered");
        }
    }

    async fn finish(self: Rc<Self>, seed: u64, plan: &Plan) {
        if plan.stops.is_empty() {
            let last =
                plan.pairs.iter().map(|pair| pair.at + pair.first.does.last().map_or(HOUR / 3600, |(at, _)| *at)).max();
            sleep(last.unwrap_or_default() * 3 / 2).await;
            self.stop(stop_plan(&mut Dice::new(!seed))).await;
        }
        // They spawn others while they are awaited.
        loop {
            let Some(task) = self.tasks.borrow_mut().pop() else { break };
            if let Some(Err(error)) = self.within("somebody's act", task).await {
                self.script.wrong(format!("a task of the play's own failed: {error}"));
            }
        }
        // For owners that are slow.
        sleep(Duration::from_secs(120)).await;
    }
}

fn echo() -> Speech {
    let mut echoes = 0;
    Speech::new(move |heard| {
        echoes += 1;
        let heard = heard.split().freeze();
        if echoes < ECHOES { heard } else { Bytes::new() }
    })
}
