//! The way of [`News`] to the supervisor.
//!
//! Not a channel of tokio's: in a stop, where thousands of connections end between two polls of the supervisor, it allocates a block for every 32 of them, and each block between the many pieces of
//! a connection's TLS state that were just freed has glibc's allocator sort them: 6 of 120 µs a connection. Two buffers that change places allocate nothing once they have grown.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use futures_util::task::AtomicWaker;
use tokio::task::coop;

use super::News;

/// What a buffer may keep room for when it is empty, in pieces of news.
const KEPT: usize = 1024;

#[derive(Default)]
struct Shared {
    /// `None`: nobody reads any more.
    news: Mutex<Option<VecDeque<News>>>,
    reader: AtomicWaker,
}

impl Shared {
    fn news(&self) -> MutexGuard<'_, Option<VecDeque<News>>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end that is shared by all who have something to tell.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Shared>);

impl Outbox {
    pub(crate) fn tell(&self, news: News) {
        let was_empty = match &mut *self.0.news() {
            Some(waiting) => {
                waiting.push_back(news);
                waiting.len() == 1
            }
            // The supervisor is gone; what counts is in the register.
            None => false,
        };
        // The reader takes all that is there, and registers before it looks: who finds something waiting has a wake before him.
        if was_empty {
            self.0.reader.wake();
        }
    }
}

/// The supervisor's end.
pub(crate) struct Inbox {
    shared: Arc<Shared>,
    taken: VecDeque<News>,
}

impl Inbox {
    pub(crate) fn new() -> (Outbox, Inbox) {
        let outbox = Outbox::default();
        *outbox.0.news() = Some(VecDeque::new());
        let inbox = Inbox { shared: outbox.0.clone(), taken: VecDeque::new() };
        (outbox, inbox)
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<News> {
        if self.taken.is_empty() {
            self.take_all(cx);
        }
        if !self.taken.is_empty() {
            // However much is told: the supervisor's mailbox has its turns.
            ready!(coop::poll_proceed(cx)).made_progress();
        }
        self.taken.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn take_all(&mut self, cx: &Context<'_>) {
        self.shared.reader.register(cx.waker());
        if self.taken.capacity() > KEPT {
            self.taken.shrink_to(KEPT);
        }
        if let Some(waiting) = &mut *self.shared.news()
            && !waiting.is_empty()
        {
            std::mem::swap(waiting, &mut self.taken);
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // Dropped after the lock is let go: what is dropped with it may have something to tell.
        let left = self.shared.news().take();
        drop(left);
        // The books outlive the runtime, and a waker of its would keep it: its reactor, two descriptors.
        drop(self.shared.reader.take());
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("taken", &self.taken.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, thread};

    use super::*;

    fn number(news: &News) -> u64 {
        match news {
            News::ListenerEnded(number) => *number,
            other => panic!("{other:?}"),
        }
    }

    /// Law 1: what is told arrives, all of it and in each teller's order, whoever tells it and however the reader is polled.
    #[test]
    fn whatever_is_told_from_many_threads_arrives_once() {
        const TELLERS: u64 = 4;
        const EACH: u64 = 5_000;
        let (outbox, mut inbox) = Inbox::new();
        let tellers: Vec<_> = (0..TELLERS)
            .map(|teller| {
                let outbox = outbox.clone();
                thread::spawn(move || (0..EACH).for_each(|n| outbox.tell(News::ListenerEnded(teller * EACH + n))))
            })
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut next: Vec<u64> = (0..TELLERS).map(|teller| teller * EACH).collect();
        runtime.block_on(async {
            for _ in 0..TELLERS * EACH {
                let told = number(&poll_fn(|cx| inbox.poll_next(cx)).await);
                let expected = &mut next[usize::try_from(told / EACH).unwrap()];
                assert_eq!(told, std::mem::replace(expected, told + 1));
            }
        });
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
    }

    /// Law 8: nothing is kept for a supervisor that is gone, and a burst's room is given back.
    #[test]
    fn nothing_is_kept_for_nobody() {
        let (outbox, mut inbox) = Inbox::new();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for burst in [20 * KEPT, 1, 1] {
            (0..burst).for_each(|_| outbox.tell(News::WorkerEnded));
            (0..burst).for_each(|_| assert!(inbox.poll_next(&mut cx).is_ready()));
            assert!(inbox.poll_next(&mut cx).is_pending());
        }
        let kept = inbox.taken.capacity() + inbox.shared.news().as_ref().map_or(0, VecDeque::capacity);
        assert!(kept <= 4 * KEPT, "room for {kept} is kept");
        drop(inbox);
        outbox.tell(News::WorkerEnded);
        assert!(outbox.0.news().is_none());
    }

    /// Law 3: the books outlive the runtime, and keep nothing of it.
    #[test]
    fn no_waker_is_kept_when_nobody_reads() {
        struct Task;
        impl std::task::Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let task = Arc::new(Task);
        let (_outbox, mut inbox) = Inbox::new();
        assert!(inbox.poll_next(&mut Context::from_waker(&task.clone().into())).is_pending());
        assert_eq!(Arc::strong_count(&task), 2);
        drop(inbox);
        assert_eq!(Arc::strong_count(&task), 1);
    }
}
