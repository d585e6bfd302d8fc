//! The HTTP session. `BUILT`: by `session.get(url).send()`, else by `session.execute` with a request that is put together before.

use std::time::Duration;

use exeunt::http::{Body, Limits, Response, Session, Timeouts};

use super::{
    super::{
        Client, Lane,
        bodies::{Pieces, is_whole, swallow},
    },
    Stage,
};
use crate::{Result, setup::Setup};

#[derive(Clone)]
pub struct Http<const BUILT: bool> {
    stage: Stage,
    session: Session,
    base: String,
    small_url: String,
    small: http::Uri,
}

/// Longer than any scene: thousands of connections that are made at once want more than 10 s for their handshakes, and idle ones more than 15 s.
const LONG: Duration = Duration::from_secs(600);

impl<const BUILT: bool> Http<BUILT> {
    /// The headers are those of the other clients, and no limit gets in the way.
    pub fn on(stage: &Stage, setup: &Setup) -> Result<Self> {
        let limits = Limits { total: usize::MAX, idle: LONG, ..Limits::default() };
        let timeouts = Timeouts { dial: LONG, handshake: LONG, ..Timeouts::default() };
        let session = Session::builder().tls(&stage.tls).limits(limits).timeouts(timeouts);
        let session = session.no_default_headers().header("accept", "*/*").decode(false).start(&stage.supervisor)?;
        let small_url = setup.url("/bytes/100");
        Ok(Http { stage: stage.clone(), session, base: setup.url(""), small: small_url.parse()?, small_url })
    }

    async fn small(&self, request: http::request::Builder) -> Result<()> {
        whole(self.session.execute(request.body(Body::empty())?).await?).await
    }
}

async fn whole(response: Response) -> Result<()> {
    is_whole(response.bytes().await?.len() as u64, 100)
}

impl<const BUILT: bool> Client for Http<BUILT> {
    type Lane = Self;

    const POOLED: bool = true;

    fn new(setup: &Setup) -> Result<Self> {
        Http::on(&Stage::new(setup)?, setup)
    }

    async fn lane(&self) -> Result<Self> {
        Ok(self.clone())
    }

    async fn once(&self) -> Result<()> {
        self.small(http::Request::get(self.small.clone()).header("connection", "close")).await
    }

    async fn end(self, lanes: Vec<Self>) -> Result<()> {
        self.stage.stop().await?;
        drop(lanes);
        Ok(())
    }
}

impl<const BUILT: bool> Lane for Http<BUILT> {
    async fn ask(&mut self) -> Result<()> {
        match BUILT {
            true => whole(self.session.get(&self.small_url).send().await?).await,
            false => self.small(http::Request::get(self.small.clone())).await,
        }
    }

    async fn gather(&mut self, together: usize) -> Result<()> {
        self.small(http::Request::get(format!("{}/gather/{together}", self.base))).await
    }

    async fn download(&mut self, bytes: u64) -> Result<()> {
        let response = self.session.get(&format!("{}/bytes/{bytes}", self.base)).send().await?;
        swallow(response.into_body(), bytes).await
    }

    async fn upload(&mut self, bytes: u64) -> Result<()> {
        let request = http::Request::post(format!("{}/upload", self.base)).body(Body::wrap(Pieces::new(bytes)))?;
        is_whole(self.session.execute(request).await?.bytes().await?.len() as u64, 0)
    }
}
