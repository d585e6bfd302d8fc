//! `exeunt::sim` as a user has it: a protocol, an owner and a server of one's own, stopped at any moment in any weather; and applications with a defect, which it has to find.
//!
//! ```text
//! cargo test --test sim
//! EXEUNT_SIM_SEEDS=100000 cargo test --release --test sim any_moment -- --nocapture     more seeds
//! EXEUNT_SIM_SEED=17 cargo test --test sim an_owner -- --nocapture                      one, with its script
//! ```

mod asker;
#[cfg(not(feature = "aws-lc"))] // Its bindings lack the calls.
mod awkward;
mod finds;
mod reader;

use std::time::Duration;

use asker::askers;
use bytes::BytesMut;
use exeunt::{
    Adopt, Io, Protocol, ProtocolError, StopPlan, Supervisor,
    sim::{self, Climate, Speech, Without, World, pattern},
};
use reader::readers;

const SECOND: Duration = Duration::from_secs(1);

/// So many `cargo test` plays of each scenario.
const SEEDS: u64 = 500;

/// A drain that is longer than any span and all that is done here.
fn plan() -> StopPlan {
    StopPlan::new().drain(SECOND * 300).linger(SECOND * 5)
}

#[test]
fn a_protocol_of_ones_own_is_stopped_at_any_moment() {
    sim::seeds(0..SEEDS, |world| askers(world, Climate::Any, None));
}

#[test]
fn an_owner_of_ones_own_is_stopped_at_any_moment() {
    sim::seeds(0..SEEDS, readers);
}

/// A server: sockets that were accepted elsewhere, with simulated clients at their other ends.
async fn served(world: World) {
    /// Says everything back.
    struct Echo;
    impl Protocol for Echo {
        fn data(&mut self, io: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
            io.write_bytes(data.split().freeze());
            Ok(())
        }
        fn pressure(&mut self, io: &mut Io<'_, Self>, on: bool) {
            io.hold_reading(on);
        }
    }
    let supervisor = world.supervise(Supervisor::new().max_connections(5));
    world.stop_within(&supervisor, world.span(), plan());
    for n in 0..8 {
        let client = format!("client{n}.sim.test");
        let words = pattern(n, 0, world.dice(&client).bytes());
        let socket = world.client(&client, Climate::Any, Speech::none().opening(words));
        supervisor.do_send(Adopt::server(socket, &client, &world.server_tls(), Echo));
        tokio::time::sleep(world.dice("pause").moment(Duration::ZERO..world.span() / 5)).await;
    }
}

#[test]
fn a_server_of_ones_own_is_stopped_at_any_moment() {
    sim::seeds(0..SEEDS, served);
}

/// A seed decides everything: the script of a run, to the millisecond.
#[test]
fn a_seed_plays_the_same_twice() {
    for seed in 0..50 {
        let play = || sim::play(seed, &Without::default(), |world| askers(world, Climate::Any, None));
        assert_eq!(play().script, play().script, "seed {seed}");
    }
}
