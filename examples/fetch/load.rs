//! Many requests, so many at a time.

use std::{cell::RefCell, io, rc::Rc, time::Instant};

use exeunt::http::Session;
use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    options::Options,
    print::{Answer, Outcome, Printer},
};

pub struct Load {
    session: Session,
    options: Rc<Options>,
    printer: Rc<Printer>,
}

struct Shared {
    left: u64,
    bar: ProgressBar,
    broken: Option<io::Error>,
}

impl Load {
    pub fn new(session: Session, options: Rc<Options>, printer: Rc<Printer>) -> Self {
        Load { session, options, printer }
    }

    pub async fn run(self, requests: u64) -> io::Result<()> {
        let shared = RefCell::new(Shared { left: requests, bar: bar(requests), broken: None });
        let workers = (self.options.at_a_time as u64).min(requests);
        join_all((0..workers).map(|_| self.work(&shared, requests))).await;
        let Shared { bar, broken, .. } = shared.into_inner();
        bar.finish_and_clear();
        if let Some(error) = broken {
            return Err(error);
        }
        self.printer.summary()
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
            // Refused by a stop, it was never asked, and neither will the others be.
            let Some(outcome) = self.one(url).await else { return };
            let took = began.elapsed();
            let mut shared = shared.borrow_mut();
            shared.bar.inc(1);
            if let Err(error) = self.printer.told(self.options.is_good(&outcome), &outcome, took) {
                shared.broken = Some(error);
            }
        }
    }

    /// `None`: a stop is under way.
    async fn one(&self, url: &str) -> Option<Outcome> {
        let request = match self.options.request(&self.session, url).await {
            Ok(request) => request,
            Err(error) => return Some(Err(error.to_string())),
        };
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_stopping() => return None,
            Err(error) => return Some(Err(error.to_string())),
        };
        let mut bytes = 0;
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes += chunk.len() as u64,
                Ok(None) => break,
                Err(error) => return Some(Err(format!("{url}: {error}"))),
            }
        }
        let (status, version, reused) = (response.status(), response.version(), response.reused());
        Some(Ok(Answer { status, version, reused, bytes }))
    }
}

/// It is drawn on standard error, and only if that is a terminal.
fn bar(requests: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} requests, {per_sec}, {eta} left");
    ProgressBar::new(requests).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
