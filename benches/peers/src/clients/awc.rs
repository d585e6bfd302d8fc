//! awc, actix's own client, on OpenSSL.

use std::time::Duration;

use awc::{ClientResponse, Connector, body::SizedStream, error::PayloadError};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use super::{
    Client, Lane,
    bodies::{Pieces, is_whole},
};
use crate::{Result, setup::Setup};

#[derive(Clone)]
pub struct Awc {
    client: awc::Client,
    base: String,
    small: awc::http::Uri,
}

/// Longer than any scene: thousands of connections that are made at once want more than its 5 s, and idle ones more than its 15 s.
const LONG: Duration = Duration::from_secs(600);

impl Client for Awc {
    type Lane = Self;

    const POOLED: bool = true;

    fn new(setup: &Setup) -> Result<Self> {
        let connector = Connector::new()
            .openssl(setup.connector()?.build())
            .limit(0)
            .timeout(LONG)
            .handshake_timeout(LONG)
            .conn_keep_alive(LONG)
            .conn_lifetime(LONG);
        let client = awc::Client::builder().connector(connector).timeout(LONG).finish();
        Ok(Awc { client, base: setup.url(""), small: setup.url("/bytes/100").parse()? })
    }

    async fn lane(&self) -> Result<Self> {
        Ok(self.clone())
    }

    async fn once(&self) -> Result<()> {
        let reply = self.client.get(self.small.clone()).force_close().send().await.map_err(words)?;
        whole(reply).await
    }
}

/// Its errors are not for every thread.
fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

async fn whole<S>(mut reply: ClientResponse<S>) -> Result<()>
where
    S: Stream<Item = std::result::Result<Bytes, PayloadError>> + Unpin,
{
    let body = reply.body().await.map_err(words)?;
    is_whole(body.len() as u64, 100)
}

impl Lane for Awc {
    async fn ask(&mut self) -> Result<()> {
        let reply = self.client.get(self.small.clone()).send().await.map_err(words)?;
        whole(reply).await
    }

    async fn gather(&mut self, together: usize) -> Result<()> {
        let reply = self.client.get(format!("{}/gather/{together}", self.base)).send().await.map_err(words)?;
        whole(reply).await
    }

    async fn download(&mut self, bytes: u64) -> Result<()> {
        let mut reply = self.client.get(format!("{}/bytes/{bytes}", self.base)).send().await.map_err(words)?;
        let mut came = 0;
        while let Some(piece) = reply.next().await {
            came += piece.map_err(words)?.len() as u64;
        }
        is_whole(came, bytes)
    }

    async fn upload(&mut self, bytes: u64) -> Result<()> {
        let body = SizedStream::new(bytes, Pieces::new(bytes));
        let mut reply = self.client.post(format!("{}/upload", self.base)).send_body(body).await.map_err(words)?;
        is_whole(reply.body().await.map_err(words)?.len() as u64, 0)
    }
}
