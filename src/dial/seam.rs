//! Where a simulation takes the network's place.
//!
//! By thread, since a simulation is one thread, and since the application under test is to dial as it always does.

use std::{cell::RefCell, rc::Rc};

use futures_util::future::BoxFuture;

use super::Target;
use crate::{fate::DialFailure, tls::Socket};

/// A dial in a simulation.
pub(crate) type Reached = BoxFuture<'static, Result<Socket, DialFailure>>;

type Network = Rc<dyn Fn(&Target) -> Reached>;

thread_local! {
    static NETWORK: RefCell<Option<Network>> = const { RefCell::new(None) };
}

/// This thread has no network but that one, until this is dropped.
pub(crate) struct Installed(());

pub(crate) fn install(network: impl Fn(&Target) -> Reached + 'static) -> Installed {
    NETWORK.set(Some(Rc::new(network)));
    Installed(())
}

impl Drop for Installed {
    fn drop(&mut self) {
        NETWORK.take();
    }
}

/// `None`: there is no simulation on this thread.
pub(super) fn reach(target: &Target) -> Option<Reached> {
    // Not called under the borrow: the simulation runs its own code.
    let network = NETWORK.with_borrow(Clone::clone)?;
    Some(network(target))
}
