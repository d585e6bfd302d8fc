//! One run of a scenario.

use std::{
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
    time::Duration,
};

use tokio::time::timeout;

use super::{Part, Sieve, Without, World, client_tls, server_tls};

/// In virtual time. What takes longer hangs.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// What came of one run.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// What was wrong: nothing, if it is empty.
    pub wrong: Vec<String>,
    /// How many connections were admitted and ended.
    pub lives: u64,
    /// What its plan was made of.
    pub parts: Vec<Part>,
    /// What happened, with its moments.
    pub script: Vec<String>,
}

thread_local! {
    /// The panics of this thread's run, if there is one.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// In a run, a panic is written down and not printed: shrinking would print it a hundred times.
fn listen_to_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let heard = PANICS.try_with(|panics| match panics.try_borrow_mut().as_deref_mut() {
                Ok(Some(panics)) => {
                    panics.push(info.to_string().replacen(":\n", ": ", 1));
                    true
                }
                _ => false,
            });
            if !heard.unwrap_or(false) {
                loud(info);
            }
        }));
    });
}

/// Plays a scenario once: an actix system of one thread whose clock is virtual, so that nothing waits and every delay is exact. What is `without` is left out of the plan.
///
/// The scenario's future is awaited, then every supervisor is stopped that was not stopped yet, then the [judge](super#what-is-judged) speaks. A panic, in the scenario or in any actor, is
/// a failure, unless ends by `"panicked"` are [tolerated](World::tolerate).
///
/// It must be called outside of any runtime. Nothing in it may use a real socket, or a thread to wait for: the clock would not wait for them.
pub fn play<F: Future<Output = ()>>(seed: u64, without: &Without, scenario: impl FnOnce(World) -> F) -> Played {
    let (client, server, runtime) = match (client_tls(false), server_tls(), runtime()) {
        (Ok(client), Ok(server), Ok(runtime)) => (client, server, runtime),
        (client, server, runtime) => {
            let errors = [client.err().map(|e| e.to_string()), server.err().map(|e| e.to_string())];
            let errors = errors.into_iter().chain([runtime.err().map(|e| e.to_string())]).flatten();
            return Played { wrong: errors.collect(), ..Played::default() };
        }
    };
    listen_to_panics();
    let before = PANICS.replace(Some(Vec::new()));
    let system = actix::System::with_tokio_rt(|| runtime);
    let sieve = Sieve::new(without.clone());
    let world = system.block_on(async { World::new(seed, sieve, client, server) });
    let network = world.install();
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        system.block_on(async {
            if timeout(DAY, scenario(world.clone())).await.is_err() {
                world.fail("the scenario did not come to its end within a day");
            }
            world.end().await;
            world.judge();
        });
    }));
    drop(network);
    drop(system);
    let panics = PANICS.replace(before).unwrap_or_default();
    let mut wrong = world.0.wrong.take();
    let tolerated = world.0.tolerated.borrow().contains("panicked") && ended.is_ok();
    wrong.extend(panics.into_iter().filter(|_| !tolerated));
    let lives = world.0.troupes.borrow().iter().map(|troupe| troupe.books.ledger().totals.lost).sum();
    // The actors have gone with the system: nobody else looks at the world any more.
    Played { wrong, lives, parts: world.0.sieve.take().parts().to_vec(), script: world.0.script.take() }
}

/// Time, and no reactor: a socket of the operating system in a simulation is a mistake, which tokio so tells.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()
}
