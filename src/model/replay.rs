//! Paths of the model, played by the real actors over pipes under a clock that stands still: wherever the model comes to rest, they must be where it is.
//!
//! Only an eager cast can be played so: what the library does by itself it does before the next thing comes from outside. Not played: a thread that hangs or is lost (there is one), deadlines of
//! connections other than the linger that a stop bounds, the dial, and TLS that ends.

use std::{collections::BTreeMap, sync::Arc};

use stateright::{Checker, Model};

use super::{
    Cast,
    child::Child,
    fault::Fault,
    happens::Happens,
    runs::life,
    stage::{Stage, told},
    state::{Act, Ask, Left, State},
};

/// Two connections, two stops, and all that can be played.
fn playable() -> Cast {
    use Happens::*;
    Cast {
        left: Left { connects: 1, accepts: 1, evictions: 1, stops: 2 },
        plan: (1, 1, 2),
        later_plans: &[None, Some((0, 0, 0)), Some((0, 0, 1)), Some((9, 9, 9))],
        until: 6,
        eager: true,
        happens: |what| {
            !matches!(what, TimesOut | Hangs | ThreadLost | Dialed | DialFails | AppUnwraps | AppUnwrapsAndWrites)
        },
        ..life()
    }
}

/// Plays a path. What was refused leaves the stage at once, as the model numbers only those admitted.
async fn play(cast: &Cast, path: &[(State, Option<Act>)]) {
    let mut stage = Stage::new(cast);
    let mut acts = Vec::new();
    for pair in path.windows(2) {
        let ((_, Some(act)), (after, _)) = (&pair[0], &pair[1]) else { unreachable!() };
        acts.push(*act);
        let inside = matches!(act, Act::Child(_, what) if what.is_internal() || *what == Happens::TimesOut);
        if !inside {
            stage.play(*act).await;
        }
        let mut left = Vec::new();
        cast.inside(after, &mut left);
        if left.is_empty() {
            stage.parts.truncate(after.children.len());
            stage.assert_agrees(after, &acts);
        }
    }
    let (end, _) = path.last().unwrap();
    if end.is_over() && end.left.stops == 0 {
        let mut ledgers = Vec::new();
        for stop in std::mem::take(&mut stage.stops) {
            ledgers.push(stop.await.unwrap());
        }
        assert!(ledgers.windows(2).all(|two| Arc::ptr_eq(&two[0], &two[1])), "one ledger, after {acts:?}");
        let (rows, totals) = end.register.account();
        let row = |row: &crate::Row| (row.lost.id, row.phase_at_stop, told(&row.lost));
        let real: Vec<_> = ledgers[0].rows.iter().map(row).collect();
        assert_eq!(real, rows.iter().map(row).collect::<Vec<_>>(), "rows, after {acts:?}");
        let real = &ledgers[0].totals;
        assert_eq!((real.admitted, real.lost, &real.by_reason), (totals.admitted, totals.lost, &totals.by_reason));
    }
}

/// Walks on to the end, anywhere. The same `seed` walks the same way.
fn walk(cast: &Cast, mut path: Vec<(State, Option<Act>)>, seed: u64) -> Vec<(State, Option<Act>)> {
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    loop {
        let (state, act) = path.last_mut().unwrap();
        let mut acts = Vec::new();
        cast.actions(state, &mut acts);
        if acts.is_empty() {
            return path;
        }
        // Knuth's MMIX generator; its high bits are the good ones.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut chosen = acts[(random >> 33) as usize % acts.len()];
        // What ends a life before it has begun is drawn more rarely, or there would be little else.
        if matches!(chosen, Act::Child(_, Happens::HandshakeFails | Happens::GivenUp) | Act::Send(Ask::Stop(_))) {
            chosen = acts[(random >> 43) as usize % acts.len()];
        }
        *act = Some(chosen);
        let next = cast.next_state(state, chosen).unwrap();
        path.push((next, None));
    }
}

fn on_stage(play: impl Future<Output = ()>) {
    actix_rt::System::new().block_on(async {
        tokio::time::pause();
        play.await;
    });
}

/// Random walks through everything that can be played.
#[test]
fn random_walks_are_played_by_the_real_actors() {
    on_stage(async {
        let cast = playable();
        let mut ends = BTreeMap::<_, usize>::new();
        let mut acts = 0;
        for seed in 0..400 {
            let path = walk(&cast, vec![(State::new(cast.left), None)], seed);
            play(&cast, &path).await;
            acts += path.len() - 1;
            let lost = path.last().unwrap().0.children.iter().filter_map(|child: &Child| child.lost.as_ref());
            lost.for_each(|lost| *ends.entry(lost.reason.code()).or_default() += 1);
        }
        println!("400 walks, {acts} acts: {ends:?}");
    });
}

/// And a model that is wrong is not: here, one that takes a FIN for a close_notify.
#[test]
#[should_panic(expected = "assertion `left == right` failed: ")]
fn a_wrong_model_is_noticed() {
    on_stage(async {
        let cast = Cast { fault: Some(Fault::FinIsClean), ..playable() };
        for seed in 0..200 {
            play(&cast, &walk(&cast, vec![(State::new(cast.left), None)], seed)).await;
        }
    });
}

/// The shortest path to each scene, and on to an end.
#[test]
fn scenes_are_played_by_the_real_actors() {
    let cast = Cast { left: Left { evictions: 0, stops: 1, ..playable().left }, ..playable() };
    let one =
        Cast { left: Left { accepts: 0, ..playable().left }, later_plans: &[None, Some((0, 0, 1))], ..playable() };
    on_stage(async {
        let mut played = BTreeMap::new();
        for cast in [one, cast] {
            let checker = cast.clone().checker().target_max_depth(16).spawn_bfs().join();
            for (scene, path) in checker.discoveries() {
                let path = walk(&cast, path.into_vec(), 1);
                play(&cast, &path).await;
                played.insert(scene, path.len() - 1);
            }
        }
        println!("{} scenes: {played:#?}", played.len());
    });
}
