//! What clients share that are somebody else's and run on our connections: their command line, and many requests for one URL.

use std::{error::Error, fmt::Display, process::ExitCode};

use actix::Addr;
use exeunt::{Run, Supervisor};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::{
    command::{self, Early},
    report,
};

pub struct Options {
    pub url: String,
    pub ca: Option<String>,
    pub insecure: bool,
    pub requests: u64,
    pub at_a_time: usize,
    pub http2: bool,
    pub json: bool,
}

impl Options {
    pub fn from_arguments(usage: &'static str) -> Result<Self, Early> {
        use lexopt::prelude::*;
        let (mut url, mut ca, mut insecure, mut requests) = (None, None, false, 1);
        let (mut at_a_time, mut http2, mut json) = (1, false, false);
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(text) if url.is_none() => url = Some(text.string()?),
                Long("ca") => ca = Some(command::text(&mut parser, "--ca")?),
                Long("insecure") => insecure = true,
                Long("requests") => requests = command::number(&mut parser, "--requests", 0..=1_000_000_000)?,
                Long("at-a-time") => at_a_time = command::number(&mut parser, "--at-a-time", 1..=28_000)?,
                Long("http2") => http2 = true,
                Long("json") => json = true,
                Short('h') | Long("help") => return Err(Early::Help(usage)),
                _ => return Err(argument.unexpected().into()),
            }
        }
        let url = url.ok_or_else(|| Early::wrong("URL is missing (--help says more)"))?;
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Early::wrong(format!("{url} does not begin with http:// or https://")));
        }
        if insecure && ca.is_some() {
            return Err(Early::wrong("--ca and --insecure exclude each other"));
        }
        command::check_descriptors(&format!("--at-a-time {at_a_time}"), at_a_time + command::OTHER_DESCRIPTORS)?;
        Ok(Options { url, ca, insecure, requests, at_a_time, http2, json })
    }

    /// Makes the requests, as many at a time as was asked for, and tells of each answer; then the stop, and the ledger. `client`: makes what makes one.
    pub fn run<C, O, F, A>(self, client: C) -> ExitCode
    where
        C: FnOnce(&Addr<Supervisor>) -> O + 'static,
        O: Fn() -> F + 'static,
        F: Future<Output = Result<A, Box<dyn Error>>>,
        A: Serialize + Display,
    {
        command::log("warn");
        let Options { requests, at_a_time, json, .. } = self;
        Run::new(Supervisor::new()).ledger(move |ledger| report::ledger(ledger, json)).run(move |supervisor| {
            let one = client(&supervisor);
            async move {
                let told = async || {
                    let answer = one().await?;
                    report::told(match json {
                        true => report::event("answer", &answer),
                        false => report::line(&answer),
                    });
                    Ok(())
                };
                stream::iter(0..requests).map(|_| told()).buffer_unordered(at_a_time).try_collect().await
            }
        })
    }
}
