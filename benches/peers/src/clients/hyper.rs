//! Bare `hyper::client::conn`: no pool. `TUNED`: with the TLS settings of the limit, else with those of `SslConnector`.

use std::pin::Pin;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use openssl::ssl::{Ssl, SslConnector};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::{
    Client, Lane,
    bodies::{Pieces, swallow},
    raw::Tls,
};
use crate::{Result, setup::Setup};

#[derive(Clone)]
pub struct Hyper<const TUNED: bool> {
    tuned: Tls,
    usual: SslConnector,
    port: u16,
}

type Sent = Either<Empty<Bytes>, Pieces>;

impl<const TUNED: bool> Hyper<TUNED> {
    async fn stream(&self) -> Result<Pin<Box<SslStream<TcpStream>>>> {
        if TUNED {
            return self.tuned.connect().await;
        }
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        socket.set_nodelay(true)?;
        let ssl: Ssl = self.usual.configure()?.into_ssl("localhost")?;
        let mut stream = Box::pin(SslStream::new(ssl, socket)?);
        stream.as_mut().connect().await?;
        Ok(stream)
    }
}

impl<const TUNED: bool> Client for Hyper<TUNED> {
    type Lane = SendRequest<Sent>;

    fn new(setup: &Setup) -> Result<Self> {
        Ok(Hyper { tuned: Tls::new(setup)?, usual: setup.connector()?.build(), port: setup.port })
    }

    async fn lane(&self) -> Result<Self::Lane> {
        let (sender, connection) = handshake(TokioIo::new(self.stream().await?)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn once(&self) -> Result<()> {
        let (mut sender, connection) = handshake(TokioIo::new(self.stream().await?)).await?;
        let connection = tokio::spawn(connection);
        sender.ask().await?;
        drop(sender);
        Ok(connection.await??)
    }
}

fn request(builder: http::request::Builder) -> http::request::Builder {
    builder.header("host", "localhost").header("accept", "*/*")
}

impl Lane for SendRequest<Sent> {
    async fn ask(&mut self) -> Result<()> {
        self.ready().await?;
        let request = request(http::Request::get("/bytes/100")).body(Either::Left(Empty::new()))?;
        let body = self.send_request(request).await?.into_body().collect().await?.to_bytes();
        super::bodies::is_whole(body.len() as u64, 100)
    }

    async fn download(&mut self, bytes: u64) -> Result<()> {
        self.ready().await?;
        let request = request(http::Request::get(format!("/bytes/{bytes}"))).body(Either::Left(Empty::new()))?;
        swallow(self.send_request(request).await?.into_body(), bytes).await
    }

    async fn upload(&mut self, bytes: u64) -> Result<()> {
        self.ready().await?;
        let request = request(http::Request::post("/upload")).body(Either::Right(Pieces::new(bytes)))?;
        swallow(self.send_request(request).await?.into_body(), 0).await
    }
}
