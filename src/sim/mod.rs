//! Simulation: a test of *your* shutdown, in which one seed decides everything.
//!
//! Your actors and protocols, the supervisor, the connections and OpenSSL are real. The network is not: pipes in memory delay, split and merge, take little, block, reset, swallow, corrupt, and end
//! without close_notify; simulated peers are slow, close, vanish, change their keys; a stop comes at any moment. The clock is virtual, so ten minutes of silence cost nothing, and thousands of lives a second
//! are played on one thread. A seed that fails can be replayed, and its plan is shrunk to what it cannot fail without.
//!
//! ```
//! use std::time::Duration;
//!
//! use exeunt::{
//!     Call, Connect, Lines, StopPlan, Supervisor,
//!     sim::{self, Climate, Speech, World},
//! };
//!
//! /// The application under test. It knows nothing of the simulation.
//! async fn application(supervisor: actix::Addr<Supervisor>, tls: exeunt::ClientTls) {
//!     let Ok(Ok(connection)) = supervisor.send(Connect::to("upper.sim.test:4433", Lines::default()).tls(&tls)).await else {
//!         return; // Refused, or lost in the handshake: the ledger says why.
//!     };
//!     for _ in 0..10 {
//!         match connection.send(Call::new("hello")).await {
//!             Ok(Ok(reply)) => assert_eq!(reply, "HELLO"),
//!             _ => return,
//!         }
//!     }
//! }
//!
//! async fn scenario(world: World) {
//!     world.host("upper.sim.test:4433", Climate::Any, || Speech::lines(|line| line.to_uppercase()));
//!     let supervisor = world.supervise(Supervisor::new());
//!     world.stop_within(&supervisor, Duration::from_secs(5), StopPlan::new());
//!     application(supervisor, world.client_tls()).await;
//! }
//!
//! sim::seeds(0..20, scenario); // In a test: thousands.
//! ```
//!
//! # What is judged
//!
//! When the scenario's future is done and every supervisor is stopped:
//!
//! - One `Lost` for each that was admitted, `Connected` at most once and before it, nothing after it; as many as the books say, and none outstanding.
//! - Reason and proof agree; told lost means that the socket is closed.
//! - Nobody received more than was sent, and a peer that saw our close_notify received all of it.
//! - The stop came in time, with a row for each that was alive, and abandoned nobody; no socket is left open anywhere.
//! - Nobody panicked, no protocol failed, and in fair weather no connection broke: then it is the application's fault. [`World::tolerate`] names exceptions; [`World::expect_prompt`] asks for more.
//! - What the scenario itself says: by [`World::fail`], or by a panic.
//!
//! # What makes a plan
//!
//! Every choice has a name: the weather's (`db.sim.test:5432#0/back/fault`), a peer's, the moment of a stop, and the scenario's own by [`World::perhaps`]. Each has dice of its own, so leaving one out changes no
//! other, and that is how [`shrink`] works. A plan of another kind passes through a [`Sieve`] by itself and is played by [`Seeds::explore`].
//!
//! # What it is not
//!
//! One thread: no [`workers`](crate::Supervisor::workers), and no [`Listen`](crate::Listen) (accepted sockets come by [`World::client`] and [`Adopt`](crate::Adopt)). No real socket, file or thread may be waited for. Replays are exact but
//! for what OpenSSL's own randomness changes: signatures and tickets may differ in length by some bytes, so a pipe that is full to within these may block in one run and not in another. Runs of code that hangs on the order of a
//! `HashMap`, on the real clock or on other randomness differ, too.

mod dice;
mod identity;
mod judge;
mod manners;
mod meeting;
mod peer;
mod pipe;
mod run;
mod seeds;
mod shrink;
mod weather;
mod world;

#[doc(no_inline)]
pub use crate::tls::Quiet;
pub use dice::{Dice, at, pattern};
pub use identity::{DOMAIN, client_tls, server_tls};
pub use judge::agrees;
pub use manners::{Act, Manners, Speech};
pub use meeting::{Climate, Conditions};
pub use peer::{Told, peer};
pub use pipe::{End, Gone, pipe};
pub use run::{Played, play};
pub use seeds::{Failure, Report, Seeds, seeds};
pub use shrink::{Part, Shrunk, Sieve, Without, shrink};
pub use weather::{Fault, Weather};
pub use world::World;
