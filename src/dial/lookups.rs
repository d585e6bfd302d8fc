//! Threads for what blocks and cannot be cancelled: a system's lookup.
//!
//! Not tokio's blocking pool, which a runtime waits for when it is dropped, and not a thread for each lookup, which costs more than the lookup of a name that the system knows. A thread that has done
//! one takes the next that waits, and ends when none has come for a while. Nothing waits for any of them.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// So that a thousand connects to one name are not a thousand threads. Chosen arbitrarily.
const MOST_THREADS: usize = 16;

/// How long a thread waits for the next lookup: as long as tokio's blocking threads do.
const IDLE: Duration = Duration::from_secs(10);

pub(super) type Lookup = Box<dyn FnOnce() + Send>;

pub(super) struct Lookups {
    state: Mutex<State>,
    news: Condvar,
}

struct State {
    waiting: VecDeque<Lookup>,
    threads: usize,
    /// Threads that wait for a lookup.
    idle: usize,
}

impl Lookups {
    pub(super) const fn new() -> Self {
        let state = State { waiting: VecDeque::new(), threads: 0, idle: 0 };
        Lookups { state: Mutex::new(state), news: Condvar::new() }
    }

    /// Runs it on a thread, in its turn.
    ///
    /// # Errors
    /// There is no thread, and none can be started. `lookup` is dropped.
    pub(super) fn run(&'static self, lookup: Lookup) -> io::Result<()> {
        let mut state = self.lock();
        state.waiting.push_back(lookup);
        if state.idle >= state.waiting.len() {
            self.news.notify_one();
            return Ok(());
        }
        if state.threads == MOST_THREADS {
            return Ok(());
        }
        state.threads += 1;
        // Under the lock: where it fails, what was pushed is still the last.
        match thread::Builder::new().name("exeunt-resolve".into()).spawn(|| self.work()) {
            Ok(_) => Ok(()),
            Err(error) => {
                state.threads -= 1;
                if state.threads > 0 {
                    return Ok(());
                }
                state.waiting.pop_back();
                Err(error)
            }
        }
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            while let Some(lookup) = state.waiting.pop_front() {
                drop(state);
                // Its asker sees that it was dropped. Those who wait behind it lose no thread.
                let _ = catch_unwind(AssertUnwindSafe(lookup));
                state = self.lock();
            }
            state.idle += 1;
            let (again, waited) = self.news.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = again;
            state.idle -= 1;
            if waited.timed_out() && state.waiting.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section is a few plain stores: a panic leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn threads(lookups: &Lookups) -> usize {
        lookups.lock().threads
    }

    /// Waits until all threads wait for a lookup.
    fn settled(lookups: &Lookups) {
        while {
            let state = lookups.lock();
            state.idle < state.threads
        } {
            thread::yield_now();
        }
    }

    #[test]
    fn one_after_the_other_they_need_one_thread() {
        static LOOKUPS: Lookups = Lookups::new();
        for n in 0..100 {
            let (tell, told) = mpsc::channel();
            LOOKUPS.run(Box::new(move || tell.send(n).unwrap())).unwrap();
            assert_eq!(told.recv().unwrap(), n);
            settled(&LOOKUPS);
        }
        assert_eq!(threads(&LOOKUPS), 1);
    }

    #[test]
    fn all_are_done_in_their_order_by_no_more_threads_than_may_be() {
        static LOOKUPS: Lookups = Lookups::new();
        let (tell, told) = mpsc::channel();
        let gates: Vec<_> = (0..100)
            .map(|n| {
                let (open, gate) = mpsc::channel::<()>();
                let tell = tell.clone();
                let lookup = move || {
                    let _ = gate.recv();
                    tell.send(n).unwrap();
                };
                LOOKUPS.run(Box::new(lookup)).unwrap();
                open
            })
            .collect();
        assert_eq!(threads(&LOOKUPS), MOST_THREADS);
        for (n, gate) in gates.into_iter().enumerate() {
            drop(gate);
            assert_eq!(told.recv().unwrap(), n);
        }
    }

    #[test]
    fn a_panic_takes_no_thread() {
        static LOOKUPS: Lookups = Lookups::new();
        let (tell, told) = mpsc::channel::<()>();
        for _ in 0..2 * MOST_THREADS {
            let tell = tell.clone();
            LOOKUPS
                .run(Box::new(move || {
                    let _tell = tell;
                    panic!("a lookup that panics, as it is meant to")
                }))
                .unwrap();
        }
        drop(tell);
        assert!(told.recv().is_err(), "all have panicked");
        let (tell, told) = mpsc::channel();
        LOOKUPS.run(Box::new(move || tell.send(()).unwrap())).unwrap();
        told.recv().unwrap();
    }
}
