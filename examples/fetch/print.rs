//! What people, or programs, are told.

use std::{io, time::Duration};

use exeunt::Ledger;
use serde::Serialize;

use crate::{
    common::{command, report},
    summary::Summary,
};

/// What became of a request.
pub type Outcome = Result<Answer, String>;

/// What is told of a response.
pub struct Answer {
    pub status: http::StatusCode,
    pub version: http::Version,
    pub reused: bool,
    pub bytes: u64,
}

pub struct Printer {
    json: bool,
    /// People are told of failures only.
    many: bool,
}

impl Printer {
    pub fn new(json: bool, many: bool) -> Self {
        Printer { json, many }
    }

    pub fn told(&self, outcome: &Outcome, took: Duration) -> io::Result<()> {
        #[derive(Serialize)]
        struct Response {
            status: u16,
            bytes: u64,
            ms: f64,
            reused: bool,
            version: String,
        }
        #[derive(Serialize)]
        struct Failed<'a> {
            error: &'a str,
            ms: f64,
        }
        let ms = millis(took);
        match outcome {
            Ok(answer) if self.json => report::event(
                "response",
                Response {
                    status: answer.status.as_u16(),
                    bytes: answer.bytes,
                    ms,
                    reused: answer.reused,
                    version: format!("{:?}", answer.version),
                },
            ),
            Ok(answer) if !self.many => {
                command::note(format_args!(
                    "{:?} {}, {} bytes in {ms} ms",
                    answer.version, answer.status, answer.bytes
                ));
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) if self.json => report::event("failed", Failed { error, ms }),
            Err(error) => {
                command::note(format_args!("failed: {error}"));
                Ok(())
            }
        }
    }

    pub fn summary(&self, summary: &Summary) -> io::Result<()> {
        #[derive(Serialize)]
        struct Fields {
            ok: u64,
            failed: u64,
            p50_ms: f64,
            p99_ms: f64,
            max_ms: f64,
            seconds: f64,
        }
        if !self.json {
            return report::line(summary);
        }
        report::event(
            "summary",
            Fields {
                ok: summary.ok,
                failed: summary.failed,
                p50_ms: millis(summary.percentile(0.5)),
                p99_ms: millis(summary.percentile(0.99)),
                max_ms: millis(summary.percentile(1.0)),
                seconds: summary.took.as_secs_f64(),
            },
        )
    }

    pub fn ledger(&self, ledger: &Ledger) {
        match self.json {
            true => report::ledger(ledger, true),
            false => command::note(ledger),
        }
    }
}

/// Milliseconds with as many digits as mean something.
pub fn millis(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e6).round() / 1e3
}
