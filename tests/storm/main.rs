//! The storm: seeded random plays of real connections over pipes with weather, each judged by the nine laws.
//!
//! One number decides everything: who meets whom, over what, what they do and when. The clock is virtual, the thread is one, the actors and OpenSSL are real.
//!
//! ```text
//! cargo test --test storm                                             a fixed number of seeds
//! STORM_SEEDS=100000 STORM_BASE=7 cargo test --release --test storm storm -- --nocapture    more of them
//! STORM_SEED=123 cargo test --test storm one -- --nocapture           one, with its script
//! STORM_SEED=123 STORM_WITHOUT=stop0,pair1 cargo test --test storm one -- --nocapture       without a part of its plan
//! ```
//!
//! A seed that fails is shrunk: what its plan cannot fail without is printed, with the command that plays that.
//!
//! What a seed decides is decided by virtual moments and counts, never by what OpenSSL makes of its own randomness. The length of a TLS 1.3 ticket may still differ by a cipher block, so a pipe
//! that is full to within a block of its capacity may block in one run and not in another.

mod cast;
mod laws;
mod plan;
mod play;
mod roles;
mod script;
mod sift;

use std::{
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

use exeunt::sim::{Played, Seeds, Sieve, Without};
use plan::Plan;
use play::{Outcome, play};
use script::{Line, What};

/// How many `cargo test` plays: about 20 seconds of them, unoptimized.
const SEEDS: u64 = 2_000;
const BASE: u64 = 1;

/// Panics that were planned are not shown.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let payload = info.payload();
            let words = payload.downcast_ref::<&str>().copied();
            if words.or(payload.downcast_ref::<String>().map(String::as_str)) != Some(cast::PLANNED) {
                loud(info);
            }
        }));
    });
}

/// What the seed plans, with another hand at it perhaps, and without what is to be left out.
fn plan(seed: u64, without: &Without, change: fn(&mut Plan)) -> (Plan, Sieve) {
    let (mut plan, mut sieve) = (Plan::of(seed), Sieve::new(without.clone()));
    change(&mut plan);
    plan.sift(&mut sieve);
    (plan, sieve)
}

fn run(seed: u64, plan: &Plan) -> (Outcome, Vec<String>) {
    hush();
    let outcome = play(seed, plan);
    let wrong = laws::judge(plan, &outcome);
    (outcome, wrong)
}

/// Plays one seed and holds it against the laws.
fn weather(seed: u64, without: &Without, change: fn(&mut Plan)) -> Played {
    let (plan, sieve) = plan(seed, without, change);
    let parts = sieve.parts().to_vec();
    // A panic is one of the play's own: the library's are told.
    let Ok((outcome, wrong)) = panic::catch_unwind(AssertUnwindSafe(|| run(seed, &plan))) else {
        return Played { wrong: vec!["the play panicked".into()], parts, ..Played::default() };
    };
    let script = match wrong.is_empty() {
        true => Vec::new(),
        false => outcome.stage.script.look().lines.iter().map(ToString::to_string).collect(),
    };
    Played { wrong, lives: outcome.stage.books.ledger().totals.lost, parts, script }
}

fn seeds() -> Seeds {
    Seeds::from_env("STORM", BASE..BASE + SEEDS).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn storm() {
    match seeds().explore(|seed, without| weather(seed, without, |_| {})) {
        Ok(report) => println!("{report}"),
        Err(failure) => panic!("{failure}"),
    }
}

/// Replays `STORM_SEED` with its script.
#[test]
fn one() {
    let seeds = seeds();
    if !seeds.loud {
        return;
    }
    let seed = seeds.range.start;
    let (plan, _) = plan(seed, &seeds.without, |_| {});
    let (outcome, wrong) = run(seed, &plan);
    println!("{plan:#?}");
    for line in &outcome.stage.script.look().lines {
        println!("{line}");
    }
    println!("{}", outcome.stage.books.ledger());
    assert!(wrong.is_empty(), "seed {seed}:\n  {}", wrong.join("\n  "));
}

/// A planted fault is found, and shrunk to one connection and what truncates it.
#[test]
fn a_fault_is_found_and_shrunk() {
    let hush: fn(&mut Plan) = |plan| plan.hushes_truncations = true;
    let seeds = Seeds::of(BASE..BASE + 300);
    let failure = seeds.explore(|seed, without| weather(seed, without, hush)).expect_err("it was not found");
    assert!(failure.smallest.wrong.iter().any(|wrong| wrong.contains("saw 0 Lost")), "{failure}");
    let (seed, shrunk) = (failure.seed, &failure.shrunk);
    let (smallest, _) = plan(seed, &shrunk.without, hush);
    assert_eq!(smallest.pairs.len(), 1, "{failure}");
    assert!(shrunk.parts.len() <= 6, "{failure}");
    // It is what is said: played again it fails, and nothing more can be left out.
    assert_eq!(weather(seed, &shrunk.without, hush).wrong, failure.smallest.wrong);
    for part in &shrunk.parts {
        let less = format!("{},{}", shrunk.without, part.key);
        assert!(weather(seed, &less.as_str().into(), hush).wrong.is_empty(), "it fails without {part}:\n{failure}");
    }
}

/// What each saw, in its order. Among those who see something in the same millisecond there is no order.
fn of_each(outcome: &Outcome) -> Vec<Line> {
    let mut lines = outcome.stage.script.look().lines.clone();
    for line in &mut lines {
        if let What::Lost(lost) = &mut line.what
            && outcome.torn
        {
            // Taken outside of the runtime, by the real clock.
            lost.age = std::time::Duration::ZERO;
        }
    }
    lines.sort_by_key(|line| (line.who, format!("{:?}", line.by), line.at));
    lines
}

#[test]
fn a_seed_plays_the_same_twice() {
    for seed in (BASE..BASE + 100).filter(|seed| !Plan::of(*seed).instant) {
        let plan = Plan::of(seed);
        let (first, second) = (of_each(&run(seed, &plan).0), of_each(&run(seed, &plan).0));
        for (a, b) in first.iter().zip(&second) {
            assert_eq!(a, b, "seed {seed}");
        }
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}
