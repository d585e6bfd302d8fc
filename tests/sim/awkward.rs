//! Messages of TLS's own in the midst of calls.

use std::time::Duration;

use exeunt::{
    Call, Connect, Lines, Reason, Supervisor,
    sim::{self, Act, Climate, Conditions, Manners, Played, Speech, Weather, Without, World},
};

/// Forty calls in 120 ms, while the peer does one of these every 20.
fn calls(acts: &[Act], old: bool) -> Played {
    let does = acts.iter().zip(1..).map(|(act, n)| (Duration::from_millis(20 * n), act.clone())).collect();
    let manners = Manners { old, tickets: Some(5), does, ..Manners::good() };
    let conditions = Conditions { there: Weather::calm(), back: Weather::calm(), manners };
    sim::play(1, &Without::default(), |world: World| async move {
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
}

/// The calls are answered and the close is clean; and the messages were sent indeed.
#[track_caller]
fn assert_borne(played: &Played, sent: &[&str]) {
    assert!(played.wrong.is_empty(), "{:#?}", played.wrong);
    for what in sent {
        assert!(played.script.iter().any(|line| line.contains(what)), "{what}: {:#?}", played.script);
    }
}

#[test]
fn new_keys_and_tickets_in_the_midst_of_calls() {
    let acts = [Act::Ticket, Act::KeyUpdate { asks: false }, Act::KeyUpdate { asks: true }, Act::Ticket];
    assert_borne(&calls(&acts, false), &["Ticket", "KeyUpdate { asks: false }", "KeyUpdate { asks: true }"]);
}

#[test]
fn a_server_of_tls12_renegotiates_in_the_midst_of_calls() {
    assert_borne(&calls(&[Act::Renegotiation, Act::Renegotiation], true), &["Renegotiation"]);
}
