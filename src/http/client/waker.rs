//! The waker of what is polled in the actor's own poll.
//!
//! hyper's channels wake whoever polls their other end. Here that is the same task: a request that is put in, or an answer that comes out, would have the actor polled once more for nothing. So while the actor polls, a wake is only
//! remembered, and looked at before it returns.

use std::{
    cell::Cell,
    ptr,
    sync::{
        Arc,
        atomic::{
            AtomicU8,
            Ordering::{AcqRel, Acquire},
        },
    },
    task::{Context, Wake, Waker},
};

use futures_util::task::AtomicWaker;

const OUTSIDE: u8 = 0;
const INSIDE: u8 = 1;
const WOKEN: u8 = 2;

thread_local! {
    /// The one that this thread is not to wake now. Only compared.
    static MUTED: Cell<*const Nested> = const { Cell::new(ptr::null()) };
}

#[derive(Default)]
struct Nested {
    state: AtomicU8,
    actor: AtomicWaker,
}

/// One for each connection, so that what is registered once stays right.
pub(super) struct NestedWaker {
    nested: Arc<Nested>,
    waker: Waker,
}

impl Default for NestedWaker {
    fn default() -> Self {
        let nested = Arc::<Nested>::default();
        NestedWaker { waker: nested.clone().into(), nested }
    }
}

impl NestedWaker {
    /// The actor polls from here on.
    pub(super) fn enter(&self, cx: &Context<'_>) -> Waker {
        self.nested.actor.register(cx.waker());
        self.forget();
        self.waker.clone()
    }

    /// Everything is polled now that was woken until now.
    pub(super) fn forget(&self) {
        self.nested.state.swap(INSIDE, AcqRel);
    }

    /// What `call` itself wakes it for is not remembered: the caller knows whether there is anything to poll. Wakes by other threads are.
    pub(super) fn mute<R>(&self, call: impl FnOnce() -> R) -> R {
        struct Unmute;
        impl Drop for Unmute {
            fn drop(&mut self) {
                MUTED.set(ptr::null());
            }
        }
        MUTED.set(Arc::as_ptr(&self.nested));
        let _unmute = Unmute;
        call()
    }

    /// From here on wakes are the actor's. Whether there was one that was not forgotten: then it is to be polled again.
    pub(super) fn leave(&self) -> bool {
        self.nested.state.swap(OUTSIDE, AcqRel) == WOKEN
    }
}

impl Wake for Nested {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if ptr::eq(MUTED.get(), Arc::as_ptr(self)) {
            return;
        }
        // One read and write, so that a wake by another thread is either seen by `leave` or is the actor's.
        let inside = self.state.fetch_update(AcqRel, Acquire, |state| (state != OUTSIDE).then_some(WOKEN));
        if inside.is_err() {
            self.actor.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::woken::Woken;

    #[test]
    fn a_wake_is_remembered_inside_and_the_actors_outside() {
        let (count, actor) = Woken::new();
        let cx = Context::from_waker(&actor);
        let nested = NestedWaker::default();
        let waker = nested.enter(&cx);
        assert!(!nested.leave(), "nobody has woken it");
        nested.enter(&cx);
        waker.wake_by_ref();
        nested.forget();
        assert!(!nested.leave(), "that was before the last poll");
        nested.enter(&cx);
        waker.wake_by_ref();
        assert!(nested.leave());
        assert_eq!(count.times(), 0);
        waker.wake_by_ref();
        assert_eq!(count.times(), 1);
        assert!(nested.enter(&cx).will_wake(&waker));
        nested.mute(|| waker.wake_by_ref());
        assert!(!nested.leave(), "it was muted");
        nested.enter(&cx);
        let other = waker.clone();
        nested.mute(|| std::thread::spawn(move || other.wake()).join()).unwrap();
        assert!(nested.leave(), "another thread has woken it");
    }
}
