//! Many requests, so many at a time.

use std::{cell::RefCell, io, rc::Rc, time::Instant};

use actix::Addr;
use exeunt::{Supervisor, http::Session};
use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    options::Options,
    print::{Answer, Outcome, Printer},
    summary::Summary,
};

pub struct Load {
    session: Session,
    options: Rc<Options>,
    printer: Rc<Printer>,
}

struct Shared {
    left: u64,
    summary: Summary,
    bar: ProgressBar,
    broken: Option<io::Error>,
}

impl Load {
    pub fn new(session: Session, options: Rc<Options>, printer: Rc<Printer>) -> Self {
        Load { session, options, printer }
    }

    /// How many failed.
    pub async fn run(self, _: &Addr<Supervisor>, requests: u64) -> io::Result<u64> {
        let began = Instant::now();
        let shared = RefCell::new(Shared { left: requests, summary: Summary::new(), bar: bar(requests), broken: None });
        let workers = (self.options.at_a_time as u64).min(requests);
        join_all((0..workers).map(|_| self.work(&shared, requests))).await;
        let Shared { mut summary, bar, broken, .. } = shared.into_inner();
        bar.finish_and_clear();
        if let Some(error) = broken {
            return Err(error);
        }
        summary.took = began.elapsed();
        self.printer.summary(&summary)?;
        Ok(summary.failed)
    }

    async fn work(&self, shared: &RefCell<Shared>, requests: u64) {
        loop {
            let number = {
                let mut shared = shared.borrow_mut();
                if shared.left == 0 || shared.broken.is_some() {
                    return;
                }
                shared.left -= 1;
                requests - shared.left - 1
            };
            let url = &self.options.urls[(number % self.options.urls.len() as u64) as usize];
            let began = Instant::now();
            let outcome = self.one(url).await;
            let took = began.elapsed();
            let mut shared = shared.borrow_mut();
            if self.options.is_good(&outcome) {
                shared.summary.add(took);
            } else {
                shared.summary.failed += 1;
            }
            if let Ok(answer) = &outcome {
                shared.summary.bytes += answer.bytes;
                shared.summary.reused += u64::from(answer.reused);
            }
            shared.bar.inc(1);
            if let Err(error) = self.printer.told(&outcome, took) {
                shared.broken = Some(error);
            }
        }
    }

    async fn one(&self, url: &str) -> Outcome {
        let request = self.options.request(&self.session, url).await.map_err(|error| error.to_string())?;
        let mut response = request.send().await.map_err(|error| error.to_string())?;
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| format!("{url}: {error}"))? {
            bytes += chunk.len() as u64;
        }
        Ok(Answer { status: response.status(), version: response.version(), reused: response.reused(), bytes })
    }
}

/// It is drawn on standard error, and only if that is a terminal.
fn bar(requests: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} requests, {per_sec}, {eta} left");
    ProgressBar::new(requests).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
