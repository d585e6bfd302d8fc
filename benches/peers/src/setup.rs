//! What a client is told on its command line.

use std::time::Duration;

use openssl::ssl::{SslContext, SslMethod, SslMode, SslVerifyMode};

use crate::Result;

const USAGE: &str = "usage: peers serve | peers list | peers version | peers CLIENT SCENE --port P --ca FILE
    [--connections N] [--busy N] [--requests N] [--bytes N] [--workers N] [--resume] [--rest MS]
    [--groups LIST] [--roots] [--own-context]           of raw and exeunt
    [--buffers kept|released|freed] [--quickack]        of raw";

pub enum Asked {
    Serve,
    List,
    Version,
    Client(Setup),
}

#[derive(Clone, Debug, Default)]
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
    /// How long the connections rest between two requests.
    pub rest: Duration,
    /// The key exchange groups that are offered; else the library's own.
    pub groups: Option<String>,
    /// Whether the system's roots are trusted as well.
    pub roots: bool,
    /// Whether each connection has a TLS context of its own.
    pub own_context: bool,
    /// What the bare loop does with the library's record buffers.
    pub buffers: Buffers,
    /// Whether the bare loop asks for `TCP_QUICKACK` after each read.
    pub quickack: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Buffers {
    /// Kept, which is best for a busy connection.
    #[default]
    Kept,
    /// `SSL_MODE_RELEASE_BUFFERS`: given back whenever they are empty.
    Released,
    /// `SSL_free_buffers` after each answer.
    Freed,
}

impl std::str::FromStr for Buffers {
    type Err = &'static str;

    fn from_str(word: &str) -> std::result::Result<Self, Self::Err> {
        match word {
            "kept" => Ok(Buffers::Kept),
            "released" => Ok(Buffers::Released),
            "freed" if cfg!(feature = "aws-lc") => Err("AWS-LC has no SSL_free_buffers: it keeps none"),
            "freed" => Ok(Buffers::Freed),
            _ => Err("--buffers wants kept, released or freed"),
        }
    }
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
                Long("rest") => setup.rest = Duration::from_millis(parser.value()?.parse()?),
                Long("groups") => setup.groups = Some(parser.value()?.string()?),
                Long("roots") => setup.roots = true,
                Long("own-context") => setup.own_context = true,
                Long("buffers") => setup.buffers = parser.value()?.parse()?,
                Long("quickack") => setup.quickack = true,
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
            _ => Err(USAGE.into()),
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
        if self.roots {
            builder.set_default_verify_paths()?;
        }
        if let Some(groups) = &self.groups {
            builder.set_groups_list(groups)?;
        }
        builder.set_verify(SslVerifyMode::PEER);
        builder.set_read_ahead(true);
        builder.set_mode(SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
        if self.buffers == Buffers::Released {
            builder.set_mode(SslMode::RELEASE_BUFFERS);
        }
        Ok(builder)
    }

    /// As most applications have it.
    pub fn connector(&self) -> Result<openssl::ssl::SslConnectorBuilder> {
        let mut builder = openssl::ssl::SslConnector::builder(SslMethod::tls_client())?;
        builder.set_ca_file(&self.ca_file)?;
        Ok(builder)
    }
}
