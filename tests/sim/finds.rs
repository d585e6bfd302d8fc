//! What a simulation has to find, and to shrink.

use std::cell::RefCell;

use exeunt::sim::{self, Climate, Failure, Seeds, Speech, Without, World};

use crate::asker::{Defect, askers};

fn found<F: Future<Output = ()>>(scenario: impl Fn(World) -> F) -> Failure {
    let seeds = Seeds::of(0..300);
    let failure = *seeds.explore(|seed, without| sim::play(seed, without, &scenario)).expect_err("it was not found");
    // What was found can be replayed, small as it is; and nothing more can be left out of it.
    let replay = |without: &Without| sim::play(failure.seed, without, &scenario).wrong;
    assert_eq!(replay(&failure.shrunk.without), failure.smallest.wrong);
    for part in &failure.shrunk.parts {
        let less = format!("{},{}", failure.shrunk.without, part.key);
        assert!(replay(&less.as_str().into()).is_empty(), "it fails without {part} as well:\n{failure}");
    }
    failure
}

#[track_caller]
fn assert_says(failure: &Failure, words: &str) {
    let said = failure.smallest.wrong.iter().any(|wrong| wrong.contains(words));
    assert!(said, "{failure}");
}

#[test]
fn finds_a_protocol_that_takes_a_piece_for_the_whole() {
    let failure = found(|world| askers(world, Climate::Any, Some(Defect::OnePiece)));
    assert_says(&failure, "the application's own fault");
    assert!(failure.shrunk.parts.len() <= 1, "{failure}");
}

#[test]
fn finds_a_protocol_that_does_not_heed_the_drain() {
    let failure = found(|world| askers(world, Climate::Fair, Some(Defect::IgnoresTheDrain)));
    assert_says(&failure, "somebody does not heed it");
    assert!(failure.shrunk.parts.len() <= 2, "{failure}");
}

#[test]
fn finds_a_protocol_that_panics_in_the_drain() {
    let failure = found(|world| askers(world, Climate::Any, Some(Defect::Panics)));
    assert_says(&failure, "a drain, and an answer after it");
    assert!(failure.shrunk.parts.iter().any(|part| part.key.starts_with("stop")), "{failure}");
}

#[test]
fn finds_a_socket_that_is_kept() {
    thread_local! {
        static KEPT: RefCell<Vec<exeunt::Socket>> = const { RefCell::new(Vec::new()) };
    }
    let failure = found(|world| async move {
        let socket = world.server("lost.sim.test", Climate::Any, Speech::none());
        if world.perhaps("it is forgotten", 10) {
            KEPT.with_borrow_mut(|kept| kept.push(socket));
        }
    });
    assert_says(&failure, "still open after every stop");
    assert_eq!(failure.shrunk.parts.len(), 1, "{failure}");
}

#[test]
fn finds_a_scenario_that_never_ends() {
    let failure = found(|world| async move {
        if world.perhaps("it hangs", 10) {
            std::future::pending::<()>().await;
        }
    });
    assert_says(&failure, "did not come to its end");
}
