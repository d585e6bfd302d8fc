//! The judge: every law that can be held against a script.

use exeunt::{Lost, Phase, Reason, Verdict, sim::agrees};

use crate::{
    cast::PLANNED,
    plan::{Asks, Other, Plan, Side, Speaks},
    play::{Outcome, Stage},
    script::{By, Fate, Inner, Line, Part, What, who},
};

/// What timers may add to a stop: each is a millisecond coarse, and it has four stages.
const COARSE: u64 = 8;

pub fn judge(plan: &Plan, outcome: &Outcome) -> Vec<String> {
    let stage = &outcome.stage;
    for (who, lost) in stage.kept.borrow().iter() {
        match lost() {
            Some(lost) => stage.script.tell(*who, By::Handle, What::Lost(Box::new(lost))),
            None => stage.script.wrong(format!("law 1: the handle of s{who} knows of no end")),
        }
    }
    for stopped in stage.stops.borrow().iter().take(1) {
        for row in &stopped.ledger.rows {
            stage.script.tell(who(&row.lost.peer.name), By::Ledger, What::Lost(Box::new(row.lost.clone())));
        }
    }
    let inner = &mut *stage.script.look();
    let mut judge = Judge { plan, outcome, inner, wrong: Vec::new() };
    judge.everybody();
    judge.books();
    judge.stops();
    let mut wrong = std::mem::take(&mut judge.wrong);
    wrong.append(&mut inner.wrong);
    wrong
}

struct Judge<'a> {
    plan: &'a Plan,
    outcome: &'a Outcome,
    inner: &'a Inner,
    wrong: Vec<String>,
}

impl<'a> Judge<'a> {
    fn hold(&mut self, holds: bool, words: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(words());
        }
    }

    fn stage(&self) -> &'a Stage {
        &self.outcome.stage
    }

    fn side(&self, who: usize) -> Option<&'a Side> {
        let pair = self.plan.pairs.get(who / 2)?;
        match (&pair.other, who % 2) {
            (_, 0) => Some(&pair.first),
            (Other::Ours(side), _) => Some(side),
            _ => None,
        }
    }

    fn lines(&self, who: usize) -> impl Iterator<Item = &'a Line> + use<'a> {
        self.inner.lines.iter().filter(move |line| line.who == who)
    }

    fn tellings(&self, who: usize) -> Vec<(By, u64, &'a Lost)> {
        self.lines(who)
            .filter_map(|line| match &line.what {
                What::Lost(lost) => Some((line.by, line.at, &**lost)),
                _ => None,
            })
            .collect()
    }

    fn part(&self, who: usize) -> &'a Part {
        &self.inner.parts[who]
    }

    fn owner_lives(&self, owner: usize) -> bool {
        self.inner.owners_gone[owner].is_none()
    }

    fn everybody(&mut self) {
        for who in 0..self.plan.pairs.len() * 2 {
            let Some(side) = self.side(who) else {
                self.received(who, None);
                continue;
            };
            let tellings = self.tellings(who);
            let lost = tellings.first().map(|(_, _, lost)| *lost);
            self.one_lost(who, side, &tellings);
            self.order(who);
            self.received(who, lost);
            if let Some(lost) = lost {
                self.reason(who, lost);
                self.written(who, side, lost);
            }
        }
    }

    /// Law 1, and that all who tell of an end tell the same.
    fn one_lost(&mut self, who: usize, side: &Side, tellings: &[(By, u64, &Lost)]) {
        for (by, _, lost) in tellings {
            self.hold(*lost == tellings[0].2, || {
                format!("law 1: s{who} has two ends: {:?} says {}, {by:?} {lost}", tellings[0].0, tellings[0].2)
            });
        }
        let torn = self.outcome.torn;
        let count = |is: fn(&By) -> bool| tellings.iter().filter(|(by, ..)| is(by)).count();
        let admitted = usize::from(!tellings.is_empty());
        let owners = count(|by| matches!(by, By::Owner(_)));
        match (&side.speaks, self.part(who).owner) {
            (Speaks::Chaos(_), _) => {
                let told = count(|by| *by == By::Protocol);
                self.hold(told == admitted, || format!("law 1: Protocol::lost of s{who} was called {told} times"));
            }
            (Speaks::Events { .. }, Some(owner)) if !torn && self.owner_lives(owner) => {
                self.hold(owners == admitted, || format!("law 1: the owner of s{who} saw {owners} Lost"));
            }
            _ => self.hold(owners <= 1, || format!("law 1: owners of s{who} saw {owners} Lost")),
        }
        if torn {
            return;
        }
        let told = count(|by| *by == By::Progress);
        self.hold(told == admitted, || format!("law 1: s{who} has {told} Lost in the progress"));
        let asked = self.lines(who).find(|line| line.what == What::Did("asks".into()));
        let refused = self.lines(who).any(|line| line.what == What::Refused);
        if asked.is_some() && matches!(side.asks, Asks::Awaits) {
            self.hold(refused != (admitted == 1), || {
                format!("law 1: s{who} was refused: {refused}, ended: {admitted}")
            });
        }
        let first_stop = self.stage().stops.borrow().iter().map(|stop| stop.at).min();
        if let (Some(asked), Some(stop)) = (asked, first_stop) {
            self.hold(asked.at <= stop || admitted == 0, || format!("law 6: s{who} was admitted after the stop"));
        }
        let dropped = self.lines(who).any(|line| line.what == What::Answered("DROPPED".into()));
        self.hold(!dropped, || format!("an answer of s{who} was dropped and its end not told"));
    }

    /// Law 2, for each who watches.
    fn order(&mut self, who: usize) {
        let owners = (0..self.plan.owners.len()).map(By::Owner);
        for by in owners.chain([By::Protocol, By::Progress]) {
            let seen: Vec<_> = self.lines(who).filter(|line| line.by == by).map(|line| &line.what).collect();
            let count = |is: fn(&What) -> bool| seen.iter().filter(|what| is(what)).count();
            let place = |is: fn(&What) -> bool| seen.iter().position(|what| is(what));
            let connected = place(|what| *what == What::Connected);
            let eof = place(|what| matches!(what, What::Eof { .. }));
            let last_data = seen.iter().rposition(|what| matches!(what, What::Data(_)));
            let lost = place(|what| matches!(what, What::Lost(_)));
            let in_order = connected.is_none_or(|n| n == 0)
                && count(|what| *what == What::Connected) <= 1
                && count(|what| matches!(what, What::Eof { .. })) <= 1
                && count(|what| *what == What::Draining) <= 1 + self.given_to(who, by)
                && eof.is_none_or(|eof| last_data.is_none_or(|data| data < eof))
                && lost.is_none_or(|lost| lost + 1 == seen.len());
            self.hold(in_order, || format!("law 2: {by:?} saw of s{who}: {seen:?}"));
        }
    }

    /// How often the connection was handed over to that owner: in a drain, an heir is told of it.
    fn given_to(&self, who: usize, by: By) -> usize {
        let By::Owner(owner) = by else { return 0 };
        let given = format!("owned by {owner}");
        self.lines(who).filter(|line| matches!(&line.what, What::Answered(words) if words.contains(&given))).count()
    }

    /// Law 5, and that reason and proof agree.
    fn reason(&mut self, who: usize, lost: &Lost) {
        let proof = lost.proof;
        let agrees = agrees(lost)
            && match &lost.reason {
                Reason::Abandoned => self.outcome.torn,
                Reason::Panicked(words) => words == PLANNED,
                _ => true,
            };
        self.hold(agrees, || format!("law 5: s{who}: {lost} with {proof:?}"));
        let saw = |clean| self.lines(who).any(|line| line.what == What::Eof { clean });
        let (clean_end, cut_short) = (saw(true), saw(false));
        let clean = matches!(lost.reason, Reason::Closed | Reason::ClosedByPeer);
        self.hold(!cut_short || !clean, || format!("law 5: s{who} saw a truncation, and {lost}"));
        self.hold(!clean_end || proof.close_notify_received, || format!("law 5: s{who} saw a clean end, and {lost}"));
        self.hold(!clean_end || lost.reason != Reason::Truncated, || format!("s{who} saw a clean end, and {lost}"));
        let connected = self.lines(who).any(|line| line.by == By::Progress && line.what == What::Connected);
        self.hold(self.outcome.torn || connected == (lost.phase >= Phase::Open), || {
            format!("s{who} was connected: {connected}, and {lost}")
        });
    }

    /// Law 4: what was accepted was sent or is counted.
    fn written(&mut self, who: usize, side: &Side, lost: &Lost) {
        let part = self.part(who);
        let least = part.accepted();
        let most = part.sum(&[Fate::Accepted, Fate::Unknown, Fate::Lost]);
        let told = (lost.bytes_out + lost.bytes_unsent) as usize;
        // A call that is held waits in its protocol, and is told by its own answer.
        let most = if matches!(side.speaks, Speaks::Lines { .. }) { usize::MAX } else { most };
        self.hold((least..=most).contains(&told), || {
            format!("law 4: s{who} had {least} to {most} bytes accepted, and {told} are told: {lost}")
        });
        self.hold(part.flushed as u64 <= lost.bytes_out, || {
            format!("law 4: s{who} was told that {} bytes were flushed, and {} were", part.flushed, lost.bytes_out)
        });
    }

    /// Laws 4 and 5 from the other end: what came is what was sent, from its beginning, and all of it before a clean end.
    fn received(&mut self, who: usize, lost: Option<&Lost>) {
        let (part, other) = (self.part(who), self.part(who ^ 1));
        let speaks = self.side(who).map(|side| &side.speaks);
        if matches!(speaks, Some(Speaks::Lines { .. })) {
            return self.replies(who);
        }
        let sent = other.sent.iter().filter(|(_, fate)| matches!(fate, Fate::Accepted | Fate::Unknown));
        let sent: Vec<u8> = sent.flat_map(|(bytes, _)| bytes.iter().copied()).collect();
        // An owner that died took data with it.
        let whole = match speaks {
            Some(Speaks::Events { .. }) => self.inner.owners_gone.iter().all(Option::is_none) && !self.outcome.torn,
            _ => true,
        };
        let got = part.received.len();
        // What a protocol writes itself overtakes the `Write`s that wait for room, and they its held calls; when either is taken nobody is told: their order is known only where one of the two writes.
        let protocol_writes = match self.side(who ^ 1).map(|side| &side.speaks) {
            Some(Speaks::Chaos(chaos)) => chaos.echoes || chaos.ticks.is_some(),
            Some(Speaks::Lines { .. }) => true,
            _ => false,
        };
        let mixed = protocol_writes && !self.plays_no_write(who ^ 1);
        if !mixed && (whole || self.inner.owners_gone.iter().all(Option::is_none)) {
            self.hold(sent.starts_with(&part.received), || {
                let same = sent.iter().zip(&part.received).take_while(|(a, b)| a == b).count();
                format!("law 4: s{who} received {got} bytes, of which {same} are those that were sent ({})", sent.len())
            });
        }
        let theirs = self.tellings(who ^ 1).first().map(|(_, _, lost)| *lost);
        if let Some(theirs) = theirs {
            self.hold(got as u64 <= theirs.bytes_out, || format!("law 4: s{who} received {got} bytes of {theirs}"));
        }
        if let Some(lost) = lost {
            let hoards = matches!(speaks, Some(Speaks::Chaos(plan)) if plan.hoards);
            let all = if whole && !hoards { lost.bytes_in == got as u64 } else { lost.bytes_in >= got as u64 };
            self.hold(all, || format!("s{who} was given {got} bytes, and {} are told: {lost}", lost.bytes_in));
        }
        if whole && self.lines(who).any(|line| line.what == What::Eof { clean: true }) {
            let least = other.accepted().max(theirs.map_or(0, |theirs| theirs.bytes_out as usize));
            self.hold(got >= least, || format!("law 4: a clean end, and s{who} received {got} bytes of {least}"));
        }
    }

    /// An echo that writes nothing of its own answers each call with itself.
    fn replies(&mut self, who: usize) {
        let echoes = match (&self.plan.pairs[who / 2].other, self.side(who ^ 1).map(|side| &side.speaks)) {
            (_, Some(Speaks::Chaos(chaos))) => chaos.echoes && chaos.ticks.is_none() && self.plays_no_write(who ^ 1),
            (Other::Bare(bare), _) => bare.echoes && bare.manners.does.is_empty(),
            _ => false,
        };
        if echoes && self.plays_no_write(who) {
            for (line, reply) in &self.part(who).calls {
                self.hold(line == reply, || format!("s{who} called {line:.20} and got {reply:.20}"));
            }
        }
    }

    fn plays_no_write(&self, who: usize) -> bool {
        use crate::plan::Op::{Burst, DoWrite, Write};
        let writes = |op: &_| matches!(op, Write(_) | DoWrite(_) | Burst(_));
        self.side(who).is_some_and(|side| !side.does.iter().any(|(_, op)| writes(op)))
    }

    /// Law 9: the books add up.
    fn books(&mut self) {
        let books = &self.stage().books;
        let totals = books.ledger().totals;
        self.hold(books.outstanding() == 0, || format!("law 1: {} tickets are left", books.outstanding()));
        self.hold(totals.admitted == totals.lost && totals.lost == totals.by_reason.values().sum::<u64>(), || {
            format!("law 9: the totals do not add up: {totals:?}")
        });
        let ended = (0..self.plan.pairs.len() * 2).filter(|who| !self.tellings(*who).is_empty()).count() as u64;
        self.hold(self.outcome.torn || ended == totals.lost, || format!("law 9: {ended} have ended: {totals:?}"));
        for (who, is_dead) in self.stage().dead.borrow().iter() {
            self.hold(is_dead(), || format!("law 3: the actor of s{who} is left"));
        }
    }

    /// Laws 6 and 9: in time, and with a row for each that was alive.
    fn stops(&mut self) {
        let stops = self.stage().stops.borrow();
        let Some(first) = stops.iter().min_by_key(|stop| stop.at) else { return };
        let late = stops.iter().filter(|stop| stop.at <= first.acknowledged);
        let due = late.map(|stop| stop.at + stop.plan.budget().as_millis() as u64).min().unwrap_or_default();
        let done = first.acknowledged;
        self.hold(done <= due + COARSE, || format!("law 6: a stop was due at {due} and acknowledged at {done}"));
        for stop in stops.iter() {
            self.hold(std::sync::Arc::ptr_eq(&stop.ledger, &first.ledger), || "law 9: two ledgers".into());
        }
        let rows = &first.ledger.rows;
        let alive = self.stage().remaining.borrow().as_ref().map(|remaining| remaining.total());
        self.hold(alive == Some(rows.len()), || format!("law 9: {} rows, and alive were {alive:?}", rows.len()));
        self.hold(!matches!(first.ledger.verdict(), Verdict::Abandoned(_)), || "a stop abandoned".into());
        for who in 0..self.plan.pairs.len() * 2 {
            let ends = self.tellings(who);
            let Some((_, at, _)) = ends.iter().find(|(by, ..)| *by == By::Progress) else { continue };
            let rows = ends.iter().filter(|(by, ..)| *by == By::Ledger).count();
            let holds = match at.cmp(&first.at) {
                std::cmp::Ordering::Less => rows == 0,
                std::cmp::Ordering::Equal => rows <= 1,
                std::cmp::Ordering::Greater => rows == 1,
            };
            self.hold(holds, || format!("law 9: s{who} has {rows} rows"));
        }
    }
}
