//! hyper-util's legacy client with hyper-openssl, which resumes sessions.

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Empty};
use hyper_openssl::client::legacy::HttpsConnector;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{
    Client, Lane,
    bodies::{Pieces, is_whole, swallow},
};
use crate::{Result, setup::Setup};

type Sent = Either<Empty<Bytes>, Pieces>;

#[derive(Clone)]
pub struct HyperUtil {
    pool: Pool<HttpsConnector<HttpConnector>, Sent>,
    base: String,
    small: http::Uri,
}

impl Client for HyperUtil {
    type Lane = Self;

    const POOLED: bool = true;

    fn new(setup: &Setup) -> Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let https = HttpsConnector::with_connector(http, setup.connector()?)?;
        let pool = Pool::builder(TokioExecutor::new()).build(https);
        Ok(HyperUtil { pool, base: setup.url(""), small: setup.url("/bytes/100").parse()? })
    }

    async fn lane(&self) -> Result<Self> {
        Ok(self.clone())
    }

    async fn once(&self) -> Result<()> {
        let request = http::Request::get(self.small.clone()).header("connection", "close");
        self.small(request).await
    }
}

impl HyperUtil {
    async fn small(&self, request: http::request::Builder) -> Result<()> {
        let request = request.header("accept", "*/*").body(Either::Left(Empty::new()))?;
        let body = self.pool.request(request).await?.into_body().collect().await?.to_bytes();
        is_whole(body.len() as u64, 100)
    }
}

impl Lane for HyperUtil {
    async fn ask(&mut self) -> Result<()> {
        self.small(http::Request::get(self.small.clone())).await
    }

    async fn gather(&mut self, together: usize) -> Result<()> {
        self.small(http::Request::get(format!("{}/gather/{together}", self.base))).await
    }

    async fn download(&mut self, bytes: u64) -> Result<()> {
        let request = http::Request::get(format!("{}/bytes/{bytes}", self.base)).body(Either::Left(Empty::new()))?;
        swallow(self.pool.request(request).await?.into_body(), bytes).await
    }

    async fn upload(&mut self, bytes: u64) -> Result<()> {
        let request = http::Request::post(format!("{}/upload", self.base)).body(Either::Right(Pieces::new(bytes)))?;
        swallow(self.pool.request(request).await?.into_body(), 0).await
    }
}
