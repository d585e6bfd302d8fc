//! What a client is told on its command line.

use openssl::ssl::{SslContext, SslMethod, SslMode, SslVerifyMode};

use crate::Result;

pub enum Asked {
    Serve,
    List,
    Version,
    Client(Setup),
}

#[derive(Debug, Default)]
pub struct Setup {
    pub client: String,
    pub scene: String,
    pub port: u16,
    pub ca_file: String,
    pub ca_pem: String,
    /// Connections.
    pub connections: usize,
    /// Of those, how many are asked at a time.
    pub busy: usize,
    /// Requests in all, or new connections.
    pub requests: usize,
    /// Of a bulk transfer.
    pub bytes: u64,
    /// Whether sessions are resumed, where that is for the client to say.
    pub resume: bool,
    /// Threads of the supervisor.
    pub workers: usize,
}

impl Asked {
    pub fn from_arguments() -> Result<Self> {
        use lexopt::prelude::*;
        let mut parser = lexopt::Parser::from_env();
        let mut setup = Setup { connections: 1, busy: 1, requests: 1, ..Setup::default() };
        let mut words = Vec::new();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(word) => words.push(word.string()?),
                Long("port") => setup.port = parser.value()?.parse()?,
                Long("ca") => setup.ca_file = parser.value()?.string()?,
                Long("connections") => setup.connections = parser.value()?.parse()?,
                Long("busy") => setup.busy = parser.value()?.parse()?,
                Long("requests") => setup.requests = parser.value()?.parse()?,
                Long("bytes") => setup.bytes = parser.value()?.parse()?,
                Long("workers") => setup.workers = parser.value()?.parse()?,
                Long("resume") => setup.resume = true,
                _ => return Err(argument.unexpected().into()),
            }
        }
        match words.as_slice() {
            [one] if one == "serve" => Ok(Asked::Serve),
            [one] if one == "list" => Ok(Asked::List),
            [one] if one == "version" => Ok(Asked::Version),
            [client, scene] => {
                (setup.client, setup.scene) = (client.clone(), scene.clone());
                if !setup.ca_file.is_empty() {
                    setup.ca_pem = std::fs::read_to_string(&setup.ca_file)?;
                }
                Ok(Asked::Client(setup))
            }
            _ => Err("usage: peers serve | peers list | peers CLIENT SCENE --port P --ca FILE [--connections N] [--busy N] [--requests N] [--bytes N] [--workers N] [--resume]".into()),
        }
    }
}

impl Setup {
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// The settings that are best for a bare loop: read-ahead, and buffers that are kept. `SslConnector` would set `RELEASE_BUFFERS`, and nothing in the bindings clears a mode again.
    pub fn context(&self) -> Result<openssl::ssl::SslContextBuilder> {
        let mut builder = SslContext::builder(SslMethod::tls_client())?;
        for certificate in openssl::x509::X509::stack_from_pem(self.ca_pem.as_bytes())? {
            builder.cert_store_mut().add_cert(certificate)?;
        }
        builder.set_verify(SslVerifyMode::PEER);
        builder.set_read_ahead(true);
        builder.set_mode(SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
        Ok(builder)
    }

    /// As most applications have it.
    pub fn connector(&self) -> Result<openssl::ssl::SslConnectorBuilder> {
        let mut builder = openssl::ssl::SslConnector::builder(SslMethod::tls_client())?;
        builder.set_ca_file(&self.ca_file)?;
        Ok(builder)
    }
}
