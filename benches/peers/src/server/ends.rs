//! How each connection ended, as this side can know it.
//!
//! When the client's close_notify has come, ours is the answer. Whether it was read is seen afterwards: a client whose socket was closed by then answers it with a reset, and so does one that closes
//! while it lies unread. So sockets are kept until the account is asked for, when the client has gone and nothing can come any more.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
};

use serde::Serialize;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::Secured;

#[derive(Clone, Default, Serialize)]
pub struct Account {
    accepted: u64,
    handshakes: u64,
    handshakes_failed: u64,
    /// Ended with the client's close_notify.
    close_notify: u64,
    /// Of those: our answer went out, and met no reset.
    answer_read: u64,
    /// Of those with a close_notify: our answer met a reset, or could not be written.
    answer_reset: u64,
    /// Ended with a FIN alone.
    truncated: u64,
    /// Ended with a reset, or with an error of TLS.
    reset: u64,
}

/// A connection belongs to an account; one that ends after its account was closed counts nowhere.
pub type Episode = u64;

#[derive(Default)]
pub struct Ends {
    account: RefCell<Account>,
    episode: Cell<Episode>,
    answered: RefCell<VecDeque<Rc<TcpStream>>>,
}

/// Sockets that are kept for the account. Twice this many descriptors must be allowed; the eldest is judged early.
const KEPT: usize = 17_000;

impl Ends {
    fn change(&self, episode: Episode, change: impl FnOnce(&mut Account)) {
        if episode == self.episode.get() {
            change(&mut self.account.borrow_mut());
        }
    }

    pub fn accepted(&self) -> Episode {
        self.account.borrow_mut().accepted += 1;
        self.episode.get()
    }

    pub fn secured(&self, episode: Episode) {
        self.change(episode, |account| account.handshakes += 1);
    }

    pub fn handshake_failed(&self, episode: Episode) {
        self.change(episode, |account| account.handshakes_failed += 1);
    }

    /// Reading or writing failed: a reset, most often.
    pub fn failed(&self, episode: Episode, stream: &Secured) {
        self.change(episode, |account| match stream.get_ref().saw_fin() {
            true => account.truncated += 1,
            false => account.reset += 1,
        });
    }

    /// The stream came to its end: by a close_notify, or by a FIN alone.
    pub async fn ended(&self, episode: Episode, mut stream: Secured, socket: Rc<TcpStream>) {
        if stream.get_ref().saw_fin() {
            return self.change(episode, |account| account.truncated += 1);
        }
        let answered = stream.shutdown().await.is_ok();
        self.change(episode, |account| {
            account.close_notify += 1;
            account.answer_reset += u64::from(!answered);
        });
        if answered && episode == self.episode.get() {
            self.keep(socket);
        }
    }

    fn keep(&self, socket: Rc<TcpStream>) {
        self.answered.borrow_mut().push_back(socket);
        if self.answered.borrow().len() > KEPT
            && let Some(eldest) = self.answered.borrow_mut().pop_front()
        {
            judge(&eldest, &mut self.account.borrow_mut());
        }
    }

    pub fn forget(&self) {
        self.episode.set(self.episode.get() + 1);
        self.account.replace(Account::default());
        self.answered.borrow_mut().clear();
    }

    pub fn tell(&self) -> Account {
        let mut account = self.account.borrow_mut();
        self.answered.borrow_mut().drain(..).for_each(|socket| judge(&socket, &mut account));
        account.clone()
    }
}

fn judge(socket: &TcpStream, account: &mut Account) {
    match socket.take_error() {
        Ok(None) => account.answer_read += 1,
        _ => account.answer_reset += 1,
    }
}
