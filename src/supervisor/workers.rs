//! Threads of the supervisor's own.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::sync::mpsc;

use crate::ticket::{Books, News};

/// What a worker is given: makes a child and spawns it there. Dropped unrun, the child in it ends as `Abandoned`.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Threads with a runtime each, which end when their jobs and their children have.
///
/// Not `actix_rt::Arbiter`: `System::stop` stops every arbiter at once, and an arbiter's thread is not joined, so children there could neither drain nor be waited for.
#[derive(Debug, Default)]
pub(super) struct Workers {
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    jobs: Option<mpsc::UnboundedSender<Job>>,
    load: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread's last value is gone.
    ended: std::sync::mpsc::Receiver<()>,
}

impl Workers {
    /// Starts `n` threads, and returns when each has its runtime. Each tells the books when it ends.
    pub(super) fn start(n: usize, books: &Books) -> io::Result<Self> {
        let system = actix::System::try_current();
        let mut workers = Workers::default();
        for number in 0..n {
            let (jobs, received) = mpsc::unbounded_channel();
            let (guard, ended) = std::sync::mpsc::channel();
            let (report, started) = std::sync::mpsc::channel();
            let (books, system) = (books.clone(), system.clone());
            let thread = std::thread::Builder::new().name(format!("exeunt-{number}")).spawn(move || {
                // Dropped in the reverse order: first the runtime with whatever is left on it, then this says so.
                let _ended = Ended { books, _guard: guard };
                if let Some(system) = system {
                    actix::System::set_current(system);
                }
                match actix_rt::Runtime::new() {
                    Ok(runtime) => {
                        let _ = report.send(Ok(()));
                        runtime.block_on(work(received));
                    }
                    Err(error) => drop(report.send(Err(error))),
                }
            })?;
            started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread has ended")))?;
            workers.workers.push(Worker { jobs: Some(jobs), load: Arc::default(), thread: Some(thread), ended });
        }
        Ok(workers)
    }

    /// The thread with the fewest connections. `None`: there is none, or none that lives.
    pub(super) fn least_loaded(&self) -> Option<(&Arc<AtomicUsize>, &mpsc::UnboundedSender<Job>)> {
        // One whose thread is gone has the fewest for ever, and would draw everybody to their end.
        let alive = |worker: &&Worker| worker.jobs.as_ref().is_some_and(|jobs| !jobs.is_closed());
        let worker = self.workers.iter().filter(alive).min_by_key(|worker| worker.load.load(Relaxed))?;
        worker.jobs.as_ref().map(|jobs| (&worker.load, jobs))
    }

    /// Lets the threads end. What is still alive on them is torn down.
    pub(super) fn dismiss(&mut self) {
        for worker in &mut self.workers {
            worker.jobs = None;
        }
    }

    /// Leaves the threads to themselves: they hang in somebody's code.
    pub(super) fn forget(&mut self) {
        for worker in &mut self.workers {
            worker.thread = None;
        }
        self.workers.clear();
    }

    /// Joins those that have ended. Whether all have.
    pub(super) fn join_ended(&mut self) -> bool {
        self.workers.retain_mut(|worker| {
            let running = worker.ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty);
            if !running && let Some(thread) = worker.thread.take() {
                // It has dropped its last value: the join waits for a return.
                let _ = thread.join();
            }
            running
        });
        self.workers.is_empty()
    }
}

/// Runs jobs until the supervisor has let go of the other end.
async fn work(mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = jobs.recv().await {
        job();
    }
}

/// Says that a worker's thread has dropped all that it had.
struct Ended {
    books: Books,
    _guard: std::sync::mpsc::Sender<()>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let (closed, _) = std::sync::mpsc::channel();
        drop(std::mem::replace(&mut self._guard, closed));
        self.books.tell(News::WorkerEnded);
    }
}

/// How long a supervisor that is torn down waits for its threads to spend their tickets. Chosen arbitrarily; reached only when a thread hangs in somebody's code.
const TEARDOWN: Duration = Duration::from_secs(1);

impl Drop for Workers {
    /// A teardown nobody asked for: the threads' children are abandoned, and when this returns the books say so.
    fn drop(&mut self) {
        self.dismiss();
        for worker in &mut self.workers {
            if worker.thread.is_some()
                && worker.ended.recv_timeout(TEARDOWN) == Err(std::sync::mpsc::RecvTimeoutError::Disconnected)
                && let Some(thread) = worker.thread.take()
            {
                let _ = thread.join();
            }
        }
    }
}
