//! `run`: an application from its start to its exit code.

use std::{
    fmt,
    future::poll_fn,
    io::{self, Write},
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    process::ExitCode,
    sync::Arc,
    task::Poll,
};

use actix::{Actor, Addr, System};
use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::notify::Notifier;
use crate::{
    fate::{Ledger, Verdict},
    supervisor::{Stop, Supervisor},
};

/// Runs an application under a supervisor, and ends it so that nothing is left behind. [`Run`] has the choices.
///
/// It starts an actix system and the supervisor, and drives `application`. When that ends, or on SIGTERM, SIGINT or a bare [`System::stop`], it stops the supervisor by its
/// plan, prints the ledger on standard error, and gives the exit code: 0 when the stop was clean, 1 when connections were forced, 4 when some were abandoned, 3 when the application failed before any stop had
/// begun (its error is printed). A panic of the application's is passed on, when all that is done. A second signal kills at once. While it drains, the application's future goes on: its calls get their answers, its new
/// connections are refused.
///
/// ```no_run
/// use exeunt::{Call, Connect, Lines, Supervisor};
///
/// fn main() -> std::process::ExitCode {
///     exeunt::run(Supervisor::default(), |supervisor| async move {
///         let connection = supervisor
///             .send(Connect::to("localhost:4433", Lines::default()).trust_file("ca.pem"))
///             .await??;
///         println!("{}", connection.send(Call::new("ping")).await??);
///         Ok(())
///     })
/// }
/// ```
pub fn run<A, F>(supervisor: Supervisor, application: A) -> ExitCode
where
    A: FnOnce(Addr<Supervisor>) -> F,
    F: Future<Output = Result<(), Box<dyn std::error::Error>>>,
{
    Run::new(supervisor).run(application)
}

/// [`run`] with choices.
#[must_use = "call `run` on it"]
pub struct Run {
    supervisor: Supervisor,
    tell: Tell,
}

type Tell = Box<dyn FnOnce(&Ledger)>;

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("supervisor", &self.supervisor).finish_non_exhaustive()
    }
}

/// What ended the running part.
enum End<T> {
    Application(T),
    Signal(&'static str),
    System,
}

impl Run {
    /// Under this supervisor.
    pub fn new(supervisor: Supervisor) -> Self {
        Run { supervisor, tell: Box::new(|ledger| tell_people(ledger)) }
    }

    /// What is done with the ledger. Default: printed on standard error.
    pub fn ledger(mut self, tell: impl FnOnce(&Ledger) + 'static) -> Self {
        self.tell = Box::new(tell);
        self
    }

    /// Runs, as [`run`] says. An error of the application's is printed on standard error as `error: …`.
    pub fn run<A, F>(self, application: A) -> ExitCode
    where
        A: FnOnce(Addr<Supervisor>) -> F,
        F: Future<Output = Result<(), Box<dyn std::error::Error>>>,
    {
        let Run { supervisor, tell } = self;
        // By hand, because `System::new` panics where the operating system has no descriptor for a reactor.
        let runtime = match actix_rt::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => {
                tell_people(format_args!("error: the runtime could not be started: {error}"));
                return ExitCode::from(3);
            }
        };
        // Split, so that a bare `System::stop` is an event and not the end: `SystemRunner::run` would drop every actor with the system's thread.
        let (runtime, stopped) = System::with_tokio_rt(move || runtime).into_parts();
        runtime.block_on(async move {
            let mut signals = Signals::listen();
            let books = supervisor.books();
            let supervisor = supervisor.start();
            let mut notifier = Notifier::ready();
            let addressed = supervisor.clone();
            // `AssertUnwindSafe`: the panic is passed on when everything has ended.
            let mut application = pin!(AssertUnwindSafe(async move { application(addressed).await }).catch_unwind());
            let mut panicked = None;
            let mut stopped = pin!(stopped);

            let end = poll_fn(|cx| {
                if let Poll::Ready(result) = application.as_mut().poll(cx) {
                    return Poll::Ready(End::Application(result));
                }
                if let Poll::Ready(signal) = signals.poll(cx) {
                    return Poll::Ready(End::Signal(signal));
                }
                stopped.as_mut().poll(cx).map(|_| End::System)
            })
            .await;

            let mut failed = false;
            // The second signal kills, and a drain that something else began has had none yet.
            let mut signalled = matches!(end, End::Signal(_));
            let mut application = match end {
                End::Application(Err(payload)) => {
                    panicked = Some(payload);
                    None
                }
                End::Application(Ok(Err(error))) => {
                    tell_people(format_args!("error: {error}"));
                    failed = true;
                    None
                }
                End::Application(Ok(Ok(()))) => None,
                End::Signal(signal) => {
                    tracing::info!(signal, "stopping");
                    Some(application)
                }
                End::System => {
                    tracing::info!("the system was stopped: draining");
                    Some(application)
                }
            };
            notifier.stopping(&supervisor).await;
            let mut stop = pin!(supervisor.send(Stop::new()));
            let ledger = poll_fn(|cx| {
                // What it fails with now is most likely the stop itself.
                if let Some(Poll::Ready(result)) = application.as_mut().map(|application| application.as_mut().poll(cx))
                {
                    application = None;
                    match result {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::info!(%error, "the application ended with an error in the stop"),
                        Err(payload) => panicked = Some(payload),
                    }
                }
                while let Poll::Ready(signal) = signals.poll(cx) {
                    if std::mem::replace(&mut signalled, true) {
                        tracing::warn!(signal, "a second signal: killing at once");
                        supervisor.do_send(Stop::now());
                    }
                }
                notifier.poll(cx);
                stop.as_mut().poll(cx)
            })
            .await;
            // The supervisor cannot be gone while we hold its address, unless it panicked: a defect of ours. Then the books say what there is to say, and what is left goes with the runtime.
            let abandoned = ledger.is_err();
            let ledger = ledger.unwrap_or_else(|_| Arc::new(books.ledger()));
            tell(&ledger);
            if let Some(payload) = panicked {
                resume_unwind(payload);
            }
            match ledger.verdict() {
                _ if failed => ExitCode::from(3),
                _ if abandoned => ExitCode::from(4),
                Verdict::Clean => ExitCode::SUCCESS,
                Verdict::Forced(_) => ExitCode::from(1),
                Verdict::Abandoned(_) => ExitCode::from(4),
            }
        })
    }
}

/// A line on standard error. `eprintln!` would panic when nobody reads that, and the stop with it.
fn tell_people(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// SIGTERM and SIGINT.
struct Signals {
    received: mpsc::UnboundedReceiver<&'static str>,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        let (sender, received) = mpsc::unbounded_channel();
        for (kind, name) in [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "SIGINT")] {
            match signal(kind) {
                Ok(mut signal) => {
                    let sender = sender.clone();
                    actix_rt::spawn(async move { while signal.recv().await.is_some() && sender.send(name).is_ok() {} });
                }
                Err(error) => tracing::error!(name, %error, "cannot listen for the signal"),
            }
        }
        Signals { received }
    }

    #[cfg(not(unix))]
    fn listen() -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        actix_rt::spawn(async move { while tokio::signal::ctrl_c().await.is_ok() && sender.send("Ctrl-C").is_ok() {} });
        Signals { received }
    }

    fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<&'static str> {
        match self.received.poll_recv(cx) {
            Poll::Ready(Some(name)) => Poll::Ready(name),
            // Without a signal to listen for there is none to come.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}
