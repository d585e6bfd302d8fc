//! The peers: who they are, how each is started, and how each is made to speak and to close.

use std::{net::SocketAddr, path::PathBuf};

use bytes::Bytes;
use exeunt::{Events, Handle};

use super::{process::Process, stage::Stage};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tool {
    /// `openssl s_server` and `openssl s_client`.
    Openssl,
    /// Python's `ssl` with blocking sockets.
    Python,
    /// Python's `asyncio`.
    Asyncio,
    /// `gnutls-serv` and `gnutls-cli`.
    Gnutls,
}

/// A peer and its part: it is the server when `serves`, and speaks one version only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cast {
    pub tool: Tool,
    pub serves: bool,
    pub version: &'static str,
}

macro_rules! casts {
    ($($name:ident $tool:ident $serves:literal;)*) => {
        $(pub fn $name(version: &'static str) -> Cast { Cast { tool: Tool::$tool, serves: $serves, version } })*
    };
}
casts! {
    openssl_server Openssl true;
    openssl_client Openssl false;
    python_server Python true;
    python_client Python false;
    asyncio_server Asyncio true;
    asyncio_client Asyncio false;
    gnutls_server Gnutls true;
    gnutls_client Gnutls false;
}

/// What is special about a peer in one play.
#[derive(Clone, Debug, PartialEq)]
pub enum Knob {
    /// As a client, trusts an authority that is not ours.
    Distrusting,
    /// As a server, demands a certificate of the client.
    Demanding,
    /// Speaks this protocol only.
    Alpn(&'static str),
    /// As a server, answers a request of HTTP/1.0 and closes. Without it, gnutls-serv echoes, and never closes; s_server never closes with close_notify.
    Web,
    /// As a client (s_client), keeps its session in this file, or offers the one in it.
    SessionTo(PathBuf),
    SessionFrom(PathBuf),
    /// As a client (gnutls-cli), connects, closes, and resumes.
    Resuming,
}
use Knob::*;

pub struct Peer {
    pub cast: Cast,
    pub process: Process,
    /// Where a peer that serves is to be found.
    pub address: Option<SocketAddr>,
}

impl Peer {
    /// Brings the peer and us together: whoever serves is there first, the other one connects to it. What comes of it, our owner is told.
    pub async fn enter(cast: Cast, stage: &mut Stage, knobs: &[Knob]) -> Peer {
        Peer::enter_through(cast, stage, knobs, |address| address).await
    }

    /// As [`enter`](Peer::enter), but whoever connects, connects to what `between` says.
    pub async fn enter_through(
        cast: Cast,
        stage: &mut Stage,
        knobs: &[Knob],
        between: impl FnOnce(SocketAddr) -> SocketAddr,
    ) -> Peer {
        if cast.serves {
            let peer = Peer::serve(cast, stage, knobs).await;
            stage.connect(between(peer.address.unwrap()));
            peer
        } else {
            let address = between(stage.listen().await);
            Peer::call(cast, stage, knobs, address)
        }
    }

    /// A peer that listens.
    pub async fn serve(cast: Cast, stage: &Stage, knobs: &[Knob]) -> Peer {
        loop {
            // gnutls-serv must be told a port. Another may take it before, so it may have to be told another.
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let (program, arguments) = server(cast, stage, knobs, free.port());
            let mut process = Process::start(program, arguments);
            let address = match cast.tool {
                Tool::Openssl => process.says("ACCEPT ").await,
                Tool::Python | Tool::Asyncio => process.says("LISTENING ").await,
                Tool::Gnutls => match process.says_one_of(&["listening on IPv4", "bind() failed"]).await {
                    (0, _) => free.to_string(),
                    _ => continue,
                },
            };
            return Peer { cast, process, address: Some(address.trim().parse().unwrap()) };
        }
    }

    /// A peer that connects.
    pub fn call(cast: Cast, stage: &Stage, knobs: &[Knob], to: SocketAddr) -> Peer {
        let (program, arguments) = client(cast, stage, knobs, to);
        Peer { cast, process: Process::start(program, arguments), address: None }
    }

    /// A line there and the same line back.
    pub async fn exchange(&mut self, stage: &mut Stage, connection: &Handle<Events>) {
        stage.send(connection, Bytes::from_static(b"hello\n")).await;
        self.answer_hello().await;
        assert_eq!(stage.receive(6).await, b"hello\n");
    }

    pub async fn answer_hello(&mut self) {
        match (self.cast.tool, self.cast.serves) {
            (Tool::Openssl, _) | (Tool::Gnutls, false) => {
                self.process.says("hello").await;
                self.process.tell("hello\n");
            }
            (Tool::Python | Tool::Asyncio, _) => {
                self.process.tell("echo 6\n");
                self.process.says("ECHOED").await;
            }
            // It echoes unasked.
            (Tool::Gnutls, true) => {}
        }
    }

    /// Makes a peer that must be told answer our close_notify.
    pub fn will_answer_close(&mut self) {
        if self.cast.tool == Tool::Python {
            self.process.tell("end\nclose\n");
        }
    }

    /// Waits until the peer has seen our close_notify as what it is, if it tells.
    pub async fn saw_close_notify(&mut self) {
        match (self.cast.tool, self.cast.serves) {
            (Tool::Openssl, true) => self.process.says("DONE").await,
            (Tool::Openssl, false) => self.process.says("closed").await,
            (Tool::Python, _) => self.process.says("END close_notify").await,
            (Tool::Asyncio, _) => self.process.says("LOST None").await,
            (Tool::Gnutls, false) => self.process.says("Peer has closed the GnuTLS connection").await,
            (Tool::Gnutls, true) => String::new(),
        };
    }
}

fn server(cast: Cast, stage: &Stage, knobs: &[Knob], port: u16) -> (&'static str, Vec<String>) {
    let [cert, key, ca] = [stage.files.certificate(), stage.files.key(), stage.files.ca()];
    let [cert, key, ca] = [cert, key, ca].map(|path| path.to_str().unwrap().to_owned());
    let script = |script: &str| {
        let wishes = knobs.iter().map(|knob| match knob {
            Demanding => "demand".to_owned(),
            Alpn(name) => format!("alpn={name}"),
            knob => panic!("a Python server has no {knob:?}"),
        });
        let arguments = [script, "server", &cert, &key, &ca, cast.version].map(str::to_owned);
        ("python3", arguments.into_iter().chain(wishes).collect())
    };
    match cast.tool {
        Tool::Python => script(PUPPET),
        Tool::Asyncio => script(PUPPET_ASYNCIO),
        Tool::Openssl => {
            let mut line = format!("s_server -accept 127.0.0.1:0 {} -cert {cert} -key {key}", openssl_version(cast));
            for knob in knobs {
                line += &match knob {
                    Demanding => format!(" -Verify 1 -verify_return_error -CAfile {ca}"),
                    Alpn(name) => format!(" -alpn {name}"),
                    Web => " -www".to_owned(),
                    knob => panic!("s_server has no {knob:?}"),
                };
            }
            ("openssl", words(&line))
        }
        Tool::Gnutls => {
            let mode = if knobs.contains(&Web) { "--http" } else { "--echo" };
            let mut line =
                format!("{mode} -p {port} --x509certfile {cert} --x509keyfile {key} {}", gnutls_version(cast));
            for knob in knobs {
                line += &match knob {
                    Demanding => format!(" --require-client-cert --x509cafile {ca}"),
                    Alpn(name) => format!(" --alpn {name}"),
                    Web => String::new(),
                    knob => panic!("gnutls-serv has no {knob:?}"),
                };
            }
            ("gnutls-serv", words(&line))
        }
    }
}

fn client(cast: Cast, stage: &Stage, knobs: &[Knob], to: SocketAddr) -> (&'static str, Vec<String>) {
    let trusted = if knobs.contains(&Distrusting) { "stranger.pem" } else { "ca.pem" };
    let ca = stage.files.path().join(trusted).to_str().unwrap().to_owned();
    let port = to.port();
    let script = |script: &str| {
        let mut line = format!("{script} client {port} {ca} {}", cast.version);
        for knob in knobs {
            line += &match knob {
                Distrusting => String::new(),
                Alpn(name) => format!(" alpn={name}"),
                knob => panic!("a Python client has no {knob:?}"),
            };
        }
        ("python3", words(&line))
    };
    match cast.tool {
        Tool::Python => script(PUPPET),
        Tool::Asyncio => script(PUPPET_ASYNCIO),
        Tool::Openssl => {
            let verify = format!("-CAfile {ca} -verify_return_error -verify_hostname localhost -servername localhost");
            let mut line = format!("s_client -connect {to} {} {verify}", openssl_version(cast));
            for knob in knobs {
                line += &match knob {
                    Distrusting => String::new(),
                    Alpn(name) => format!(" -alpn {name}"),
                    SessionTo(path) => format!(" -sess_out {}", path.display()),
                    SessionFrom(path) => format!(" -sess_in {}", path.display()),
                    knob => panic!("s_client has no {knob:?}"),
                };
            }
            ("openssl", words(&line))
        }
        Tool::Gnutls => {
            let mut line = format!("--x509cafile {ca} -p {port} {} 127.0.0.1", gnutls_version(cast));
            for knob in knobs {
                line += &match knob {
                    Distrusting => String::new(),
                    Alpn(name) => format!(" --alpn {name}"),
                    Resuming => " -r".to_owned(),
                    knob => panic!("gnutls-cli has no {knob:?}"),
                };
            }
            ("gnutls-cli", words(&line))
        }
    }
}

pub const PUPPET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/puppet.py");
const PUPPET_ASYNCIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/puppet_asyncio.py");

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn openssl_version(cast: Cast) -> String {
    format!("-tls{}", cast.version.replace('.', "_"))
}

fn gnutls_version(cast: Cast) -> String {
    format!("--priority NORMAL:-VERS-ALL:+VERS-TLS{}", cast.version)
}
