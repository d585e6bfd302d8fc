//! The runs: small ones with every test, large ones on demand, and one for each planted fault.

use std::{collections::BTreeSet, time::Instant};

use stateright::{Checker, HasDiscoveries, Model};

use super::{
    Cast,
    fault::Fault,
    happens::Happens::{self, *},
    laws::is_law,
    state::Left,
};

const EVERYTHING: fn(Happens) -> bool = |_| true;

/// An ordinary life, and no more of it than is needed to be somewhere when a stop comes.
const LITTLE: fn(Happens) -> bool =
    |what| matches!(what, SeesKill | Obeys | SaysCloseNotify | Secured | PeerCloses | AppCloses);

/// One connection, one stop, and everything that can befall it.
pub(super) fn life() -> Cast {
    Cast {
        left: Left { connects: 1, accepts: 0, evictions: 0, stops: 1 },
        upsets: 1,
        dials: false,
        plan: (0, 0, 1),
        later_plans: &[],
        until: 3,
        punctual: true,
        eager: false,
        happens: EVERYTHING,
        fault: None,
    }
}

/// One that is asked for, one that is accepted, and a stop in whose lame duck they may cross.
fn crossing() -> Cast {
    Cast {
        left: Left { connects: 1, accepts: 1, evictions: 0, stops: 1 },
        upsets: 0,
        plan: (1, 0, 1),
        until: 2,
        happens: |what| matches!(what, SeesKill | Obeys | SaysCloseNotify | Secured | PeerCloses),
        ..life()
    }
}

/// One connection, an eviction, and a second stop at any time: one that joins, one that kills, one that closes, and one that would rather have more time.
fn stops() -> Cast {
    Cast {
        left: Left { connects: 1, accepts: 0, evictions: 1, stops: 2 },
        upsets: 0,
        plan: (1, 1, 1),
        later_plans: &[None, Some((0, 0, 0)), Some((0, 0, 1)), Some((9, 9, 9))],
        until: 3,
        happens: |what| matches!(what, SeesKill | Obeys | SaysCloseNotify | Secured | PeerCloses),
        ..life()
    }
}

fn small() -> [(&'static str, Cast); 3] {
    [("one life", life()), ("crossing", crossing()), ("stops", stops())]
}

/// Walks everything; no law may be broken in any, and each scene is to be seen in one of them.
fn explore(casts: impl IntoIterator<Item = (&'static str, Cast)>) {
    let (mut unseen, mut broken) = (BTreeSet::new(), Vec::new());
    for (title, cast) in casts {
        let began = Instant::now();
        let checker = cast.checker().spawn_bfs().join();
        println!(
            "{title}: {} unique states of {} reached, depth {}, {:.1} s",
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            began.elapsed().as_secs_f64()
        );
        let found = checker.discoveries();
        let names = checker.model().properties().into_iter().map(|property| property.name);
        let (laws, scenes): (Vec<_>, Vec<_>) = names.partition(|name| is_law(name));
        broken.extend(laws.iter().filter_map(|law| Some(format!("{title}: {law}:\n{}", found.get(law)?))));
        let not_here: BTreeSet<_> = scenes.into_iter().filter(|scene| !found.contains_key(scene)).collect();
        unseen = if unseen.is_empty() && title == "one life" { not_here } else { &unseen & &not_here };
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(unseen.is_empty(), "not seen: {unseen:#?}");
}

/// The laws hold in every order of events, within a small bound.
#[test]
fn explores_small() {
    explore(small());
}

/// The same within large ones: `cargo test --release --lib model::runs::explores_all -- --ignored --nocapture`.
#[test]
#[ignore = "minutes, and some GB"]
fn explores_all() {
    let some: fn(Happens) -> bool = |what| LITTLE(what) || matches!(what, TimesOut | AppAborts | ThreadLost | Reset);
    let all = [
        (
            "one life, from the dial, with a timer that may be late",
            Cast { dials: true, punctual: false, plan: (1, 1, 1), until: 5, ..life() },
        ),
        (
            "one life, an eviction, two misfortunes",
            Cast { left: Left { evictions: 1, ..life().left }, upsets: 2, ..life() },
        ),
        ("one life, two stops", Cast { upsets: 1, until: 5, happens: EVERYTHING, ..stops() }),
        ("two lives", Cast { left: Left { connects: 2, ..life().left }, until: 1, happens: some, ..life() }),
        (
            "two that cross, two stops",
            Cast { left: Left { stops: 2, ..crossing().left }, later_plans: &[None, Some((0, 0, 0))], ..crossing() },
        ),
        (
            "three that cross",
            Cast {
                left: Left { connects: 2, ..crossing().left },
                plan: (1, 0, 0),
                until: 1,
                happens: |what| matches!(what, SeesKill | Obeys | Secured),
                ..crossing()
            },
        ),
    ];
    explore(small().into_iter().chain(all));
}

/// Each planted fault is found, as a breach of the law that it breaks.
#[test]
fn every_planted_fault_is_found() {
    for (fault, law, run) in Fault::ALL {
        let (_, cast) = small().into_iter().find(|(title, _)| *title == run).unwrap();
        let cast = Cast { fault: Some(fault), ..cast };
        let checker = cast.checker().finish_when(HasDiscoveries::AnyOf([law].into())).spawn_bfs().join();
        let Some(path) = checker.discovery(law) else { panic!("{fault:?} does not break the law: {law}") };
        let states = checker.unique_state_count();
        println!("{fault:?} breaks \"{law}\" ({run}, {states} states): {:?}", path.into_actions());
    }
}
