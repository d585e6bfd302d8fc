//! What people, or programs, are told.

use std::{
    cell::{Cell, RefCell},
    io,
    time::{Duration, Instant},
};

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
    began: Instant,
    summary: RefCell<Summary>,
    summed_up: Cell<bool>,
}

impl Printer {
    pub fn new(json: bool, many: bool) -> Self {
        let summary = RefCell::new(Summary::new());
        Printer { json, many, began: Instant::now(), summary, summed_up: Cell::new(false) }
    }

    /// How many requests failed.
    pub fn failed(&self) -> u64 {
        self.summary.borrow().failed
    }

    /// Counts a request that has ended, and tells of it.
    pub fn told(&self, good: bool, outcome: &Outcome, took: Duration) -> io::Result<()> {
        self.count(good, outcome, took);
        self.tell(outcome, took)
    }

    fn tell(&self, outcome: &Outcome, took: Duration) -> io::Result<()> {
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

    fn count(&self, good: bool, outcome: &Outcome, took: Duration) {
        let mut summary = self.summary.borrow_mut();
        match good {
            true => summary.add(took),
            false => summary.failed += 1,
        }
        if let Ok(answer) = outcome {
            summary.bytes += answer.bytes;
            summary.reused += u64::from(answer.reused);
        }
    }

    /// Tells how the many went, once.
    pub fn summary(&self) -> io::Result<()> {
        if !self.many || self.summed_up.replace(true) {
            return Ok(());
        }
        let mut summary = self.summary.borrow_mut();
        summary.took = self.began.elapsed();
        self.sum_up(&summary)
    }

    fn sum_up(&self, summary: &Summary) -> io::Result<()> {
        #[derive(Serialize)]
        struct Fields {
            ok: u64,
            failed: u64,
            p50_ms: Option<f64>,
            p99_ms: Option<f64>,
            max_ms: Option<f64>,
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
                p50_ms: summary.percentile(0.5).map(millis),
                p99_ms: summary.percentile(0.99).map(millis),
                max_ms: summary.percentile(1.0).map(millis),
                seconds: summary.took.as_secs_f64(),
            },
        )
    }

    pub fn ledger(&self, ledger: &Ledger) {
        // A stop may be over before whoever asked is told: what was done until then is told all the same.
        report::told(self.summary());
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
