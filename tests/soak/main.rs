//! Random lives on real sockets, while everything goes wrong; at the end nothing remains.
//!
//! Rounds of connections live at random against real peers (an echo of Python's asyncio, `openssl s_server`, an echo of ours) behind a relay that resets, truncates, corrupts, stalls and swallows. In some rounds the process
//! runs out of descriptors, in some the supervisor is stopped at a random moment by a random plan, in some its system is simply dropped, or its arbiter's thread is. After each round: every ticket is spent, the ledger
//! adds up, and after all of them descriptors and memory are back where they were after the first rounds.
//!
//! `cargo test --test soak` runs a few rounds. `MALLOC_ARENA_MAX=2 SOAK_SECONDS=600 SOAK_SEED=7 cargo test --release --test soak -- --nocapture` runs for so long, and prints what it did. (glibc makes an arena
//! a thread, up to eight a core; with the relay's thousands of threads, memory would grow to many half-empty ones and say nothing of ours.)

mod life;
mod peers;
mod relay;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use actix::{Actor, Arbiter, System};
use exeunt::{Books, Stop, StopPlan, Supervisor};
use life::Dice;
use peers::Peers;

/// Rounds before the books of descriptors and memory are opened: allocators, OpenSSL and the system keep what they once had.
const WARM_UP: u32 = 4;

#[test]
fn nothing_remains_after_random_lives() {
    let seconds = variable("SOAK_SECONDS");
    let seed = variable("SOAK_SEED").unwrap_or(1);
    assert!(
        seconds.is_none() || std::env::var_os("MALLOC_ARENA_MAX").is_some(),
        "a long soak measures memory: run it with MALLOC_ARENA_MAX=2"
    );
    let mut dice = Dice::new(seed);
    let peers = Peers::start();
    let began = Instant::now();
    let mut totals: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut round, mut admitted) = (0, 0);
    let mut after_warm_up = None;
    loop {
        let over = match seconds {
            Some(seconds) => began.elapsed() >= Duration::from_secs(seconds) && round > WARM_UP,
            None => round >= WARM_UP + 6,
        };
        if over {
            break;
        }
        let books = play(round, &mut dice, &peers);
        let ledger = books.ledger();
        assert_eq!(books.outstanding(), 0, "round {round} of seed {seed}: a ticket is left");
        assert_eq!(ledger.totals.admitted, ledger.totals.lost, "round {round} of seed {seed}");
        assert_eq!(ledger.totals.lost, ledger.totals.by_reason.values().sum::<u64>(), "round {round} of seed {seed}");
        for (reason, count) in &ledger.totals.by_reason {
            *totals.entry(reason).or_default() += count;
        }
        admitted += ledger.totals.admitted;
        round += 1;
        if round % 50 == 0 {
            println!("{round} rounds, {admitted} connections, resident {} KB", resident());
        }
        if round == WARM_UP {
            peers.wait_until_idle();
            after_warm_up = Some((descriptors(), resident()));
        }
    }
    let (descriptors_before, resident_before) = after_warm_up.expect("there are more rounds than warm-up ones");
    peers.wait_until_idle();
    let (descriptors, resident) = (descriptors(), resident());
    println!("seed {seed}: {round} rounds, {admitted} connections in {:.0?}: {totals:?}", began.elapsed());
    println!("descriptors {descriptors_before} -> {descriptors}, resident {resident_before} KB -> {resident} KB");
    assert_eq!(descriptors, descriptors_before, "descriptors are left");
    // A leak of one small object a connection would show: 200 bytes each are more than this allows after a minute.
    let allowed = 8 * 1024 + admitted / 20;
    assert!(
        resident < resident_before + allowed,
        "{} KB are left of {admitted} connections",
        resident - resident_before
    );
    assert!(admitted > 100 && totals.len() >= 5, "a soak in which little happened: {totals:?}");
}

/// One round: a system, a supervisor, lives, and an end.
fn play(round: u32, dice: &mut Dice, peers: &Peers) -> Books {
    let supervisor = Supervisor::new().workers(dice.below(3)).max_connections(1000);
    let books = supervisor.books();
    let system = System::new();
    let mut dice = dice.fork();
    system.block_on(async {
        let arbiter = (dice.below(6) == 0).then(Arbiter::new);
        let supervisor = match &arbiter {
            Some(arbiter) => Supervisor::start_in_arbiter(&arbiter.handle(), |_| supervisor),
            None => supervisor.start(),
        };
        let lives: Vec<_> = (0..20 + dice.below(30))
            .map(|_| actix::spawn(life::live(supervisor.clone(), peers.somebody(&mut dice), dice.fork())))
            .collect();
        // In some rounds the process has no descriptor left for a while.
        let taken = (round % 5 == 3).then(take_descriptors);
        let moment = Duration::from_millis(dice.below(400) as u64);
        tokio::time::sleep(moment).await;
        drop(taken);
        match dice.below(4) {
            // The thread goes away under them, or all of it does, without a word.
            0 => {
                if let Some(arbiter) = arbiter {
                    arbiter.stop();
                    let _ = tokio::task::spawn_blocking(move || arbiter.join()).await;
                }
            }
            n => {
                let plan = StopPlan::new()
                    .drain(Duration::from_millis(dice.below(300) as u64))
                    .linger(Duration::from_millis(dice.below(300) as u64));
                if n == 1 {
                    supervisor.do_send(Stop::by(plan));
                    tokio::time::sleep(Duration::from_millis(dice.below(200) as u64)).await;
                }
                let plan = if n == 1 { StopPlan::now() } else { plan };
                let ledger = supervisor.send(Stop::by(plan)).await.expect("the supervisor lives");
                assert_eq!(books.outstanding(), 0, "acknowledged with a ticket left");
                assert!(
                    ledger.elapsed < plan.budget() + Duration::from_secs(20),
                    "a stop that took {:?}",
                    ledger.elapsed
                );
                if let Some(arbiter) = arbiter {
                    arbiter.stop();
                    let _ = tokio::task::spawn_blocking(move || arbiter.join()).await;
                }
            }
        }
        for life in lives {
            life.abort();
            if let Err(error) = life.await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    });
    drop(system);
    books
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

fn take_descriptors() -> Vec<std::fs::File> {
    std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// KB of resident memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
