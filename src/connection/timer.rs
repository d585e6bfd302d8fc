//! One timer a connection, and none for an idle one.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Fires when a deadline that may move has passed.
///
/// Deadlines mostly move later (each byte moves the idle timeout). So the timer stays where it was set and looks again when it fires; only a nearer deadline resets it. A
/// timer whose deadline has gone away is left alone: it wakes the task once more for nothing.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whom the sleep wakes, as it is set now.
    wakes: Option<Waker>,
}

impl Timer {
    /// Whether `deadline` has passed. Otherwise the task is woken when it does.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> bool {
        if deadline.is_none() && self.sleep.as_ref().is_none_or(|sleep| !sleep.is_elapsed()) {
            return false;
        }
        loop {
            let Some(sleep) = &mut self.sleep else {
                let Some(deadline) = deadline else { return false };
                self.sleep = Some(Box::pin(sleep_until(deadline)));
                continue;
            };
            if let Some(nearer) = deadline.filter(|deadline| *deadline < sleep.deadline()) {
                sleep.as_mut().reset(nearer);
                self.wakes = None;
            }
            // To poll it again would only say the same to the same, which costs more than to look.
            if !sleep.is_elapsed() && self.wakes.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return false;
            }
            match sleep.as_mut().poll(cx) {
                Poll::Pending => {
                    self.wakes = Some(cx.waker().clone());
                    return false;
                }
                Poll::Ready(()) => {
                    (self.sleep, self.wakes) = (None, None);
                    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                        return true;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::woken::Woken;

    #[tokio::test(start_paused = true)]
    async fn whoever_asked_last_is_woken() {
        let ((early, first), (late, last)) = (Woken::new(), Woken::new());
        let mut timer = Timer::default();
        let deadline = Some(Instant::now() + Duration::from_secs(1));
        for waker in [&first, &first, &last, &last] {
            assert!(!timer.poll(&mut Context::from_waker(waker), deadline));
        }
        advance(Duration::from_secs(2)).await;
        assert_eq!((early.times(), late.times()), (0, 1));
        assert!(timer.poll(&mut Context::from_waker(&last), deadline));
    }

    #[tokio::test(start_paused = true)]
    async fn a_nearer_deadline_wakes_sooner_and_a_later_one_is_waited_for() {
        let (woken, waker) = Woken::new();
        let cx = &mut Context::from_waker(&waker);
        let mut timer = Timer::default();
        let after = |seconds| Some(Instant::now() + Duration::from_secs(seconds));
        let (near, far, farther) = (after(1), after(10), after(20));
        assert!(!timer.poll(cx, far) && !timer.poll(cx, near));
        advance(Duration::from_secs(2)).await;
        assert_eq!(woken.times(), 1);
        assert!(!timer.poll(cx, farther), "it has moved in the meantime");
        advance(Duration::from_secs(10)).await;
        assert!(!timer.poll(cx, farther), "and is set to where it is now");
        advance(Duration::from_secs(10)).await;
        assert_eq!(woken.times(), 2);
        assert!(timer.poll(cx, farther));
    }
}
