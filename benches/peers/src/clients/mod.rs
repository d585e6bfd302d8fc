//! The clients. What they have in common is small: a lane asks one thing at a time, and a client ends as its manual says.

#[cfg(feature = "awc")]
mod awc;
mod bodies;
mod exeunt;
mod hyper;
#[cfg(feature = "hyper-util")]
mod hyper_util;
mod raw;
#[cfg(feature = "reqwest")]
mod reqwest;

use crate::{Result, scenes, setup::Setup};

/// A client as a whole: a pool, or what makes connections.
pub trait Client: Clone + 'static {
    type Lane: Lane;

    /// Whether it has a pool: then a lane is a handle to all of it, and connections come to be by asking for as many things at once.
    const POOLED: bool = false;

    fn new(setup: &Setup) -> Result<Self>;

    async fn lane(&self) -> Result<Self::Lane>;

    /// One request on a connection of its own, which is closed as well as this client can.
    async fn once(&self) -> Result<()>;

    /// Ends, as the program that uses it ends. What does not say anything of it drops it.
    async fn end(self, lanes: Vec<Self::Lane>) -> Result<()> {
        drop(lanes);
        Ok(())
    }
}

/// What asks one thing at a time.
pub trait Lane: 'static {
    /// The small request: a reply of 100 bytes.
    async fn ask(&mut self) -> Result<()>;

    /// As `ask`, but it is answered when so many have asked it: for pools.
    async fn gather(&mut self, _together: usize) -> Result<()> {
        Err("this client has no pool".into())
    }

    async fn download(&mut self, _bytes: u64) -> Result<()> {
        Err("this client downloads nothing here".into())
    }

    async fn upload(&mut self, _bytes: u64) -> Result<()> {
        Err("this client uploads nothing here".into())
    }
}

pub const NAMES: &[&str] = &[
    "raw-line",
    "raw-http",
    "hyper",
    "hyper-tuned",
    #[cfg(feature = "hyper-util")]
    "hyper-util",
    #[cfg(feature = "awc")]
    "awc",
    #[cfg(feature = "reqwest")]
    "reqwest-openssl",
    #[cfg(feature = "reqwest")]
    "reqwest-rustls",
    "exeunt-call",
    "exeunt-protocol",
    "exeunt-http",
    "exeunt-get",
];

pub fn run(setup: &Setup) -> Result<()> {
    match setup.client.as_str() {
        "raw-line" => scenes::play::<raw::Raw<raw::Line>>(setup),
        "raw-http" => scenes::play::<raw::Raw<raw::Http>>(setup),
        "hyper" => scenes::play::<hyper::Hyper<false>>(setup),
        "hyper-tuned" => scenes::play::<hyper::Hyper<true>>(setup),
        #[cfg(feature = "hyper-util")]
        "hyper-util" => scenes::play::<hyper_util::HyperUtil>(setup),
        #[cfg(feature = "awc")]
        "awc" => scenes::play::<awc::Awc>(setup),
        #[cfg(feature = "reqwest")]
        "reqwest-openssl" => scenes::play::<reqwest::Reqwest<false>>(setup),
        #[cfg(feature = "reqwest")]
        "reqwest-rustls" => scenes::play::<reqwest::Reqwest<true>>(setup),
        "exeunt-call" | "exeunt-http" if setup.scene == "ends" => exeunt::ends(setup),
        "exeunt-call" => scenes::play::<exeunt::Calls>(setup),
        "exeunt-protocol" => scenes::play::<exeunt::Protocols>(setup),
        "exeunt-http" => scenes::play::<exeunt::Http<false>>(setup),
        "exeunt-get" => scenes::play::<exeunt::Http<true>>(setup),
        "exeunt" => exeunt::alone(setup),
        other => Err(format!("there is no client {other} in this build; there are {}", NAMES.join(" ")).into()),
    }
}
