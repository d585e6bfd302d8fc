//! reqwest, on OpenSSL (by native-tls) or on rustls.

use reqwest::{Body, Certificate, Url};

use super::{
    Client, Lane,
    bodies::{Pieces, is_whole, swallow},
};
use crate::{Result, setup::Setup};

#[derive(Clone)]
pub struct Reqwest<const RUSTLS: bool> {
    client: reqwest::Client,
    base: Url,
    small: Url,
}

impl<const RUSTLS: bool> Client for Reqwest<RUSTLS> {
    type Lane = Self;

    const POOLED: bool = true;

    fn new(setup: &Setup) -> Result<Self> {
        let authority = Certificate::from_pem(setup.ca_pem.as_bytes())?;
        let builder = reqwest::Client::builder().no_proxy();
        let builder = match RUSTLS {
            // It resumes by itself, and has no switch for that.
            true if setup.scene == "connect" && !setup.resume => {
                builder.tls_backend_preconfigured(without_resumption(setup)?)
            }
            true => builder.tls_certs_only([authority]).tls_backend_rustls(),
            false => builder.tls_certs_only([authority]).tls_backend_native(),
        };
        Ok(Reqwest { client: builder.build()?, base: setup.url("/").parse()?, small: setup.url("/bytes/100").parse()? })
    }

    async fn lane(&self) -> Result<Self> {
        Ok(self.clone())
    }

    async fn once(&self) -> Result<()> {
        let reply = self.client.get(self.small.clone()).header("connection", "close").send().await?;
        is_whole(reply.bytes().await?.len() as u64, 100)
    }
}

fn without_resumption(setup: &Setup) -> Result<rustls::ClientConfig> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(setup.ca_pem.as_bytes())?)?;
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

impl<const RUSTLS: bool> Lane for Reqwest<RUSTLS> {
    async fn ask(&mut self) -> Result<()> {
        let reply = self.client.get(self.small.clone()).send().await?;
        is_whole(reply.bytes().await?.len() as u64, 100)
    }

    async fn gather(&mut self, together: usize) -> Result<()> {
        let reply = self.client.get(self.base.join(&format!("gather/{together}"))?).send().await?;
        is_whole(reply.bytes().await?.len() as u64, 100)
    }

    async fn download(&mut self, bytes: u64) -> Result<()> {
        let reply = self.client.get(self.base.join(&format!("bytes/{bytes}"))?).send().await?;
        swallow(Body::from(reply), bytes).await
    }

    async fn upload(&mut self, bytes: u64) -> Result<()> {
        let reply = self.client.post(self.base.join("upload")?).body(Body::wrap(Pieces::new(bytes))).send().await?;
        is_whole(reply.bytes().await?.len() as u64, 0)
    }
}
