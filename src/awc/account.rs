//! Which requests of a client are under way, on which connections, and what a drain makes of that.

use std::{
    cell::{Cell, RefCell},
    pin::pin,
    rc::{Rc, Weak},
};

use futures_util::future::{self, Either};
use tokio::sync::Notify;

use super::stream::Seat;
use crate::connection::{Close, Streamed};

/// What the clones of a connector share. A client belongs to a thread, and so does this.
#[derive(Default)]
pub(super) struct Account {
    seats: RefCell<Vec<Weak<Seat>>>,
    under_way: Cell<usize>,
    /// The middleware is there, and so what is not counted is not under way.
    counts: Cell<bool>,
    draining: Cell<bool>,
    /// The task that awaits the drain is there. It lives only as long as there are connections.
    watched: Cell<bool>,
    /// A turn is over, or a connection was let go.
    news: Notify,
}

impl Account {
    /// The middleware is there.
    pub(super) fn counts(&self) {
        self.counts.set(true);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(super) fn told(&self) {
        self.news.notify_one();
    }

    pub(super) fn seat(self: &Rc<Self>, seat: &Rc<Seat>) {
        let mut seats = self.seats.borrow_mut();
        seats.retain(|seat| seat.strong_count() > 0);
        seats.push(Rc::downgrade(seat));
        if !self.watched.replace(true) {
            actix_rt::spawn(see_off(self.clone()));
        }
    }

    /// The connections that have not ended.
    fn alive(&self) -> Vec<Rc<Seat>> {
        let seats = self.seats.borrow();
        seats.iter().filter_map(Weak::upgrade).filter(|seat| seat.stream.borrow().lost().is_none()).collect()
    }

    fn is_idle(&self, seat: &Seat) -> bool {
        self.counts.get()
            && match &*seat.touched.borrow() {
                Touched::By(turn) => turn.strong_count() == 0,
                Touched::ByMany => self.under_way.get() == 0,
            }
    }
}

/// Awaits the drain, then closes each connection when nothing is under way on it.
async fn see_off(account: Rc<Account>) {
    loop {
        let Some(seat) = account.alive().pop() else { return account.watched.set(false) };
        let draining = seat.stream.borrow().draining();
        // It must not keep the connection.
        drop(seat);
        if draining.await.is_some() {
            break;
        }
    }
    account.draining.set(true);
    loop {
        let mut busy = None;
        for seat in account.alive() {
            if account.is_idle(&seat) {
                if let Some(handle) = seat.stream.borrow().handle().downcast_ref::<Streamed>() {
                    handle.do_send(Close::new());
                }
            } else {
                busy = Some(seat.stream.borrow().closed());
            }
        }
        // What was told before is told now: nobody else takes it.
        let Some(closed) = busy else { return account.watched.set(false) };
        if let Either::Left(_) = future::select(pin!(closed), pin!(account.news.notified())).await {}
    }
}

/// Who has used a connection last.
pub(super) enum Touched {
    By(Weak<Turn>),
    /// Requests share it: it is awc's HTTP/2.
    ByMany,
}

/// A request that is under way, its response's body included.
pub(super) struct Turn {
    account: Rc<Account>,
}

thread_local! {
    /// The request that is being polled.
    static CURRENT: RefCell<Option<Rc<Turn>>> = const { RefCell::new(None) };
}

impl Turn {
    pub(super) fn begin(account: &Rc<Account>) -> Rc<Self> {
        account.under_way.set(account.under_way.get() + 1);
        Rc::new(Turn { account: account.clone() })
    }

    /// Does this as a part of the turn: a connection that is used in it is the turn's.
    pub(super) fn enter<R>(self: &Rc<Self>, part: impl FnOnce() -> R) -> R {
        /// Also when it panics.
        struct Back(Option<Rc<Turn>>);
        impl Drop for Back {
            fn drop(&mut self) {
                let ours = CURRENT.replace(self.0.take());
                // The turn's last clone is never this one: `enter` has been asked by another.
                drop(ours);
            }
        }
        let _back = Back(CURRENT.replace(Some(self.clone())));
        part()
    }

    /// Writes down that a connection of this account is being used.
    pub(super) fn touch(touched: &RefCell<Touched>) {
        let mut touched = touched.borrow_mut();
        CURRENT.with_borrow(|current| match (&mut *touched, current) {
            (Touched::ByMany, _) => {}
            // awc polls HTTP/1.1 nowhere but in its request.
            (touched, None) => *touched = Touched::ByMany,
            (Touched::By(turn), Some(current)) if turn.as_ptr() == Rc::as_ptr(current) => {}
            (Touched::By(turn), Some(current)) => *turn = Rc::downgrade(current),
        });
    }

    /// The one that is being polled: whoever connects is one, where the middleware is there.
    pub(super) fn current() -> Touched {
        CURRENT.with_borrow(|current| current.as_ref().map_or(Touched::ByMany, |turn| Touched::By(Rc::downgrade(turn))))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.account.under_way.set(self.account.under_way.get() - 1);
        self.account.told();
    }
}
