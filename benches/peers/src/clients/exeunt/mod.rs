//! exeunt, in the ways in which it is used, and alone.

mod calls;
mod http;
#[path = "../../../../shared/nothing.rs"]
mod nothing;
#[path = "../../../../shared/peer.rs"]
mod peer;
mod pipelined;
mod pipes;
mod protocols;
mod supervisor;
mod workers;

use std::rc::Rc;

use actix::{Actor, Addr};
use exeunt::{ClientTls, Connect, Protocol, Run, Stop, Supervisor, tls::ClientTlsBuilder};

pub use calls::Calls;
pub use http::Http;
pub use protocols::Protocols;

use super::Client;
use crate::{Result, scenes, setup::Setup};

/// A supervisor with what its clients trust.
#[derive(Clone)]
pub struct Stage {
    supervisor: Addr<Supervisor>,
    tls: ClientTls,
    /// Each connection's own is made by it, where that is asked for.
    own: Option<Rc<ClientTlsBuilder>>,
    port: u16,
}

impl Stage {
    fn new(setup: &Setup) -> Result<Self> {
        Self::under(Supervisor::new().workers(setup.workers).start(), setup)
    }

    fn under(supervisor: Addr<Supervisor>, setup: &Setup) -> Result<Self> {
        let mut builder =
            ClientTls::builder().trust_pem(&setup.ca_pem).resumption(setup.resume).system_roots(setup.roots);
        if let Some(groups) = &setup.groups {
            builder = builder.groups(groups);
        }
        let own = setup.own_context.then(|| Rc::new(builder.clone()));
        Ok(Stage { supervisor, tls: builder.build()?, own, port: setup.port })
    }

    /// As the bare loop dials: by address, so that no name is resolved, and with the name that is verified.
    fn connect<P: Protocol>(&self, protocol: P) -> Result<Connect<P>> {
        let connect = Connect::to(format!("127.0.0.1:{}", self.port), protocol).server_name("localhost");
        Ok(match &self.own {
            None => connect.tls(&self.tls),
            Some(own) => connect.tls(&ClientTlsBuilder::clone(own).build()?),
        })
    }

    async fn stop(&self) -> Result<()> {
        let ledger = self.supervisor.send(Stop::new()).await?;
        match ledger.verdict() {
            exeunt::Verdict::Clean => Ok(()),
            verdict => Err(format!("the stop was {verdict}").into()),
        }
    }
}

/// As the manual says: the application's future ends, and `run` does the rest.
pub fn ends(setup: &Setup) -> Result<()> {
    async fn hold<C: Client>(
        client: Result<C>,
        connections: usize,
    ) -> std::result::Result<(), Box<dyn std::error::Error>> {
        // The pool's handles and the connections' go when this returns.
        scenes::open(&client?, connections).await.map(drop)
    }
    let http = setup.client == "exeunt-http";
    let run = Run::new(Supervisor::new()).ledger(|_| {});
    let code = run.run(|supervisor| {
        let stage = Stage::under(supervisor, setup);
        let http = http.then(|| {
            stage.as_ref().map_err(|error| error.to_string().into()).and_then(|stage| Http::<false>::on(stage, setup))
        });
        let calls = stage.map(Calls::on);
        let connections = setup.connections;
        async move {
            match http {
                Some(http) => hold(http, connections).await,
                None => hold(calls, connections).await,
            }
        }
    });
    match code == std::process::ExitCode::SUCCESS {
        true => Ok(()),
        false => Err("`run` did not end well".into()),
    }
}

/// What no other client has.
pub fn alone(setup: &Setup) -> Result<()> {
    match setup.scene.as_str() {
        "pipelined" => actix::System::new().block_on(pipelined::pipelined(setup)),
        "workers" => actix::System::new().block_on(workers::workers(setup)),
        "supervisor" => actix::System::new().block_on(supervisor::supervisor(setup)),
        "pipes" => actix::System::new().block_on(pipes::pipes(setup)),
        other => Err(format!("there is no scene {other} for exeunt alone").into()),
    }
}
