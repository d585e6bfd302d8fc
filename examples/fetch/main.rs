//! An HTTP client with curl's habits: one request, or many of them with figures, and at the end what became of every connection.
//!
//! ```text
//! cargo run --features http --example fetch -- https://localhost:8443/ --ca ca.pem
//! cargo run --release --features http --example fetch -- -n 100000 -c 64 https://localhost:8443/ --ca ca.pem
//! ```

#[path = "../common/mod.rs"]
mod common;
mod load;
mod options;
mod print;
mod summary;

use std::{error::Error, process::ExitCode, rc::Rc};

use common::command::{self, Early};
use exeunt::{
    Run, Supervisor,
    http::{Limits, Session},
};
use load::Load;
use options::Options;
use print::Printer;
use tokio::io::{AsyncWrite, AsyncWriteExt};

fn main() -> ExitCode {
    command::finish(fetch())
}

fn fetch() -> Result<ExitCode, Early> {
    let options = Options::from_arguments()?;
    let tls = options.tls()?;
    // Every end is printed anyway.
    command::log("off");
    let supervisor = Supervisor::new().stop_plan(options.plan);
    let printer = Rc::new(Printer::new(options.json, options.repeat.is_some()));
    let (last, counted) = (printer.clone(), printer.clone());
    let run = Run::new(supervisor).ledger(move |ledger| last.ledger(ledger));
    let code = run.run(|supervisor| async move {
        let limits = Limits { total: options.at_a_time, ..Limits::default() };
        let session = Session::builder().tls(&tls).limits(limits).linger(options.plan.linger);
        let mut session = options.way(session);
        if let Some(total) = options.timeout {
            session = session.timeout(total);
        }
        if let Some(redirects) = options.redirects {
            session = session.redirects(redirects);
        }
        ask(session.start(&supervisor)?, options, printer).await
    });
    Ok(command::or_failed(code, counted.failed() > 0))
}

async fn ask(session: Session, options: Options, printer: Rc<Printer>) -> Result<(), Box<dyn Error>> {
    match options.repeat {
        Some(requests) => Load::new(session, Rc::new(options), printer.clone()).run(requests).await?,
        None => one_by_one(&session, &options, &printer).await?,
    }
    match printer.failed() {
        0 => Ok(()),
        1 => Err("a request failed".into()),
        n => Err(format!("{n} requests failed").into()),
    }
}

/// Each URL once, its body to the output.
async fn one_by_one(session: &Session, options: &Options, printer: &Printer) -> Result<(), Box<dyn Error>> {
    let mut output: Option<Box<dyn AsyncWrite + Unpin>> = match &options.output {
        Some(file) => {
            let created = tokio::fs::File::create(file).await;
            Some(Box::new(created.map_err(|error| format!("cannot write {file}: {error}"))?))
        }
        // With `--json`, standard output is for the events.
        None if options.json => None,
        None => Some(Box::new(tokio::io::stdout())),
    };
    for url in &options.urls {
        let began = std::time::Instant::now();
        let request = options.request(session, url).await?;
        let outcome = match request.send().await {
            Ok(mut response) => {
                let mut bytes = 0;
                let read = loop {
                    match response.chunk().await {
                        Ok(Some(chunk)) => {
                            bytes += chunk.len() as u64;
                            if let Some(output) = &mut output
                                && !options.is_refused(response.status())
                            {
                                output.write_all(&chunk).await?;
                            }
                        }
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(error),
                    }
                };
                if let Some(output) = &mut output {
                    output.flush().await?;
                }
                let answer = print::Answer {
                    status: response.status(),
                    version: response.version(),
                    reused: response.reused(),
                    bytes,
                };
                match read {
                    Ok(()) => Ok(answer),
                    Err(error) => Err(format!("{url}: {error}")),
                }
            }
            // Refused by a stop, it was never asked, and neither will the others be.
            Err(error) if error.is_stopping() => break,
            Err(error) => Err(error.to_string()),
        };
        printer.told(options.is_good(&outcome), &outcome, began.elapsed())?;
    }
    Ok(())
}
