//! `exeunt::sim` as a user has it: a protocol, an owner and a server of one's own, stopped at any moment in any weather; and applications with a defect, which it has to find.
//!
//! ```text
//! cargo test --test sim
//! EXEUNT_SIM_SEEDS=100000 cargo test --release --test sim any_moment -- --nocapture     more seeds
//! EXEUNT_SIM_SEED=17 cargo test --test sim an_owner -- --nocapture                      one, with its script
//! ```

mod asker;
mod finds;
mod reader;

use std::time::Duration;

use asker::askers;
use bytes::BytesMut;
use exeunt::{
    Adopt, Call, Connect, Io, Lines, Protocol, ProtocolError, Reason, StopPlan, Supervisor,
    sim::{self, Act, Climate, Conditions, Manners, Speech, Weather, Without, World, pattern},
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

/// New keys, tickets and a new handshake in the midst of calls: all of them happen, and nobody but the client of TLS 1.2 who asks for what is forbidden is the worse for it.
#[test]
#[cfg(not(feature = "aws-lc"))] // Its bindings lack the calls.
fn awkward_moments_are_borne() {
    let calls = |acts: Vec<Act>, old: bool| {
        sim::play(1, &Without::default(), move |world| async move {
            let does = acts.into_iter().enumerate().map(|(n, act)| (Duration::from_millis(20 + 20 * n as u64), act));
            let manners = Manners { old, tickets: Some(5), does: does.collect(), ..Manners::good() };
            let conditions = Conditions { there: Weather::calm(), back: Weather::calm(), manners };
            let climate = Climate::Exactly(Box::new(conditions));
            world.host("upper.sim.test:1", climate, || Speech::lines(str::to_uppercase));
            let supervisor = world.supervise(Supervisor::new());
            let connect = Connect::to("upper.sim.test:1", Lines::default()).tls(&world.client_tls());
            let connection = supervisor.send(connect).await.unwrap().unwrap();
            for _ in 0..40 {
                assert_eq!(connection.send(Call::new("call")).await.unwrap().unwrap(), "CALL");
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            assert_eq!(connection.close().await.reason, Reason::Closed);
        })
    };
    let asked = Act::KeyUpdate { asks: true };
    for (acts, old) in
        [(vec![Act::Ticket, Act::KeyUpdate { asks: false }, asked], false), (vec![Act::Renegotiation], true)]
    {
        let played = calls(acts.clone(), old);
        assert!(played.wrong.is_empty(), "{:?}", played.wrong);
        let did = |what: &str| played.script.iter().filter(|line| line.contains(what)).count();
        for what in acts.iter().map(|act| format!("{act:?}")) {
            let what = what.split(',').next().unwrap_or_default();
            assert!(did(&format!("Did(\"{what}")) > 0, "{what}: {:#?}", played.script);
        }
    }
}
