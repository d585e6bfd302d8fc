//! The futures that hyper wants to have spawned: they live beside its connection, are polled in its poll, and go with it. So there is still one task for a connection, and nothing that could outlive it.

use std::{
    pin::Pin,
    sync::mpsc::{Receiver, Sender, channel},
    task::{Context, Poll},
};

use futures_util::{StreamExt, stream::FuturesUnordered};

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What hyper spawns by. It holds one in each of its futures; once the [`Tasks`] are gone, what is spawned is dropped.
#[derive(Clone)]
pub(in crate::http) struct Spawner(Sender<Task>);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        let _ = self.0.send(Box::pin(future));
    }
}

/// What was spawned and has not ended.
pub(in crate::http) struct Tasks {
    alive: FuturesUnordered<Task>,
    spawned: Receiver<Task>,
}

impl Tasks {
    pub(in crate::http) fn new() -> (Spawner, Tasks) {
        let (spawner, spawned) = channel();
        (Spawner(spawner), Tasks { alive: FuturesUnordered::new(), spawned })
    }

    /// Takes out the one that was spawned first, if it was not polled yet.
    pub(in crate::http) fn take_first(&mut self) -> Option<Task> {
        self.spawned.try_recv().ok()
    }

    /// Polls those that are new or were woken, and what they spawn.
    pub(in crate::http) fn poll(&mut self, cx: &mut Context<'_>) {
        loop {
            self.alive.extend(self.spawned.try_iter());
            while let Poll::Ready(Some(())) = self.alive.poll_next_unpin(cx) {}
            match self.spawned.try_recv() {
                Ok(task) => self.alive.push(task),
                Err(_) => return,
            }
        }
    }
}
