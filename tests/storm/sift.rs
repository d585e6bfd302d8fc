//! What a plan is made of, for shrinking.

use std::time::Duration;

use exeunt::{Options, sim::Sieve};

use crate::plan::{Asks, Bare, ChaosPlan, Other, OwnerPlan, Pair, Plan, Side, Speaks};

impl Plan {
    /// Leaves out what the sieve does.
    pub fn sift(&mut self, sieve: &mut Sieve) {
        sieve.option("limit", &mut self.limit);
        sieve.option("teardown", &mut self.teardown);
        sieve.list("stop", &mut self.stops);
        for (n, owner) in self.owners.iter_mut().enumerate() {
            sieve.within(&format!("owner{n}"), |sieve| owner.sift(sieve));
        }
        let mut n = 0..;
        self.pairs.retain_mut(|pair| {
            let key = format!("pair{}", n.next().unwrap_or(0));
            let stays = sieve.keeps(&key, format_args!("at {:?}", pair.at));
            if stays {
                sieve.within(&key, |sieve| pair.sift(sieve));
            }
            stays
        });
    }
}

impl OwnerPlan {
    fn sift(&mut self, sieve: &mut Sieve) {
        sieve.option("slow", &mut self.slow);
        sieve.value("forgets", &mut self.forgets, false);
        sieve.option("dies", &mut self.dies);
        sieve.value("keeps-handles", &mut self.keeps_handles, false);
        sieve.value("heeds-drain", &mut self.heeds_drain, false);
    }
}

impl Pair {
    fn sift(&mut self, sieve: &mut Sieve) {
        sieve.value("late", &mut self.at, Duration::ZERO);
        sieve.value("old", &mut self.old, false);
        sieve.value("wrong-name", &mut self.wrong_name, false);
        sieve.within("there", |sieve| self.there.sift(sieve));
        sieve.within("back", |sieve| self.back.sift(sieve));
        sieve.within("first", |sieve| self.first.sift(sieve));
        sieve.within("other", |sieve| match &mut self.other {
            Other::Ours(side) => side.sift(sieve),
            Other::Bare(Bare { echoes, manners }) => {
                sieve.value("echoes", echoes, false);
                manners.sift(sieve);
            }
            Other::Nobody(after) => sieve.option("after", after),
        });
    }
}

impl Side {
    fn sift(&mut self, sieve: &mut Sieve) {
        sieve.value("asks", &mut self.asks, Asks::Awaits);
        if !sieve.keeps("options", &self.options) {
            self.options = Options::default();
        }
        match &mut self.speaks {
            Speaks::Events { half_open, .. } => sieve.value("half-open", half_open, false),
            Speaks::Lines { within } => sieve.option("within", within),
            Speaks::Chaos(chaos) => sieve.within("chaos", |sieve| chaos.sift(sieve)),
        }
        sieve.list("op", &mut self.does);
    }
}

impl ChaosPlan {
    fn sift(&mut self, sieve: &mut Sieve) {
        sieve.value("echoes", &mut self.echoes, false);
        sieve.value("brakes", &mut self.brakes, false);
        sieve.value("hoards", &mut self.hoards, false);
        sieve.value("half-open", &mut self.half_open, false);
        sieve.value("ignores-drain", &mut self.ignores_drain, false);
        sieve.option("ticks", &mut self.ticks);
        sieve.option("errs", &mut self.errs);
        sieve.option("bomb", &mut self.bomb);
    }
}
