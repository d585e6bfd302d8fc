//! The sessions that a client may resume: bounded, expiring, and under TLS 1.3 each used once.
//!
//! One cache belongs to one [`ClientTls`](super::ClientTls), that is to one trust policy, one client certificate, one list of ALPN protocols; inside it a session is
//! kept under the name that its certificate was verified for, and the port. So a session never vouches for a peer that its own configuration would not have accepted.
//!
//! A session of TLS 1.3 is handed out once (RFC 8446, appendix C.4: a ticket that is used twice lets an observer link the connections). One of TLS 1.2 stays until it expires or a newer
//! one comes. Tickets arrive with reads: a connection that is never read from is never resumed.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use openssl::{
    error::ErrorStack,
    ex_data::Index,
    ssl::{Ssl, SslContextBuilder, SslRef, SslSession, SslSessionCacheMode, SslVerifyMode},
    x509::X509VerifyResult,
};

/// Two tickets a connection are usual; this lets two connections at a time be resumed. Otherwise chosen arbitrarily.
pub(crate) const PER_PEER: usize = 4;
/// A session takes 2 to 4 KB: a few megabytes at most. Otherwise chosen arbitrarily.
pub(crate) const TOTAL: usize = 1024;
/// No session is kept longer, whatever its server allows: what was revoked yesterday should be noticed.
const MAX_AGE: u64 = 24 * 60 * 60;

/// Where the sessions of a connection are kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) server_name: Arc<str>,
    pub(crate) port: u16,
}

/// The cache of one `SslContext`.
pub(crate) struct Sessions(Mutex<Store<SslSession>>);

impl Sessions {
    /// Makes `context` put its sessions into a new cache. No other context may: that is what makes [`offer`](Sessions::offer) sound.
    pub(crate) fn attach(
        context: &mut SslContextBuilder,
        per_peer: usize,
        total: usize,
    ) -> Result<Arc<Sessions>, ErrorStack> {
        let index = key_index()?;
        let sessions = Arc::new(Sessions(Mutex::new(Store::new(per_peer, total))));
        // The library's own cache knows neither names nor bounds, and a client never looks there.
        context.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
        // The context owns the callback and the callback the cache; a session does not own its context, so there is no cycle.
        let cache = Arc::clone(&sessions);
        context.set_new_session_callback(move |ssl, session| {
            // A handshake whose verification fails ends before this; a session with a verify error all the same must not be resumed.
            let verified = ssl.verify_mode() == SslVerifyMode::NONE || ssl.verify_result() == X509VerifyResult::OK;
            if let Some(key) = ssl.ex_data(index).filter(|_| verified).cloned() {
                let single_use = ssl.version_str() == "TLSv1.3";
                cache.put(key, session, single_use);
            }
        });
        Ok(sessions)
    }

    /// Offers a session to the server, if there is one. `ssl` must be of the context that this cache is [attached](Sessions::attach) to.
    #[allow(unsafe_code)]
    pub(crate) fn offer(&self, ssl: &mut SslRef, key: &Key) -> Result<(), ErrorStack> {
        ssl.set_ex_data(key_index()?, key.clone());
        if let Some(session) = self.store().take(key, now()) {
            // SAFETY: a session must be used with the `SslContext` that it was made by. The only way into this cache is the callback in `attach`, which one context has;
            // `ClientTls` owns that context and this cache side by side, and makes `ssl` from it.
            unsafe { ssl.set_session(&session)? };
        }
        Ok(())
    }

    /// Drops what is known of a peer: a session of a connection that met a fatal alert must not be resumed (RFC 5246, section 7.2.2).
    pub(crate) fn forget(&self, key: &Key) {
        self.store().forget(key);
    }

    fn put(&self, key: Key, session: SslSession, single_use: bool) {
        let (made, lifetime) = (non_negative(session.time()), non_negative(session.timeout()));
        let expires = made.saturating_add(lifetime.min(MAX_AGE));
        self.store().put(key, Entry { session, expires, single_use });
    }

    /// A panic while the lock is held is not possible short of a failed allocation, and every state of the store is a usable one.
    fn store(&self) -> MutexGuard<'_, Store<SslSession>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bindings' type differs by library, and is signed in some.
fn non_negative(seconds: impl TryInto<u64>) -> u64 {
    seconds.try_into().unwrap_or(0)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// An index is never given back, so there is one a process.
fn key_index() -> Result<Index<Ssl, Key>, ErrorStack> {
    static INDEX: OnceLock<Index<Ssl, Key>> = OnceLock::new();
    if let Some(index) = INDEX.get() {
        return Ok(*index);
    }
    let index = Ssl::new_ex_index()?;
    Ok(*INDEX.get_or_init(|| index))
}

struct Entry<S> {
    session: S,
    expires: u64,
    single_use: bool,
}

/// No clock and no TLS in here.
struct Store<S> {
    per_peer: usize,
    total: usize,
    peers: HashMap<Key, VecDeque<(u64, Entry<S>)>>,
    /// Who came when: the first is the next to go.
    order: BTreeMap<u64, Key>,
    next: u64,
}

impl<S: Clone> Store<S> {
    fn new(per_peer: usize, total: usize) -> Store<S> {
        Store { per_peer, total, peers: HashMap::new(), order: BTreeMap::new(), next: 0 }
    }

    fn put(&mut self, key: Key, entry: Entry<S>) {
        if self.per_peer == 0 || self.total == 0 {
            return;
        }
        if !entry.single_use {
            // It replaces the one that it renews.
            self.forget(&key);
        }
        let number = self.next;
        self.next += 1;
        self.order.insert(number, key.clone());
        let peer = self.peers.entry(key).or_default();
        peer.push_back((number, entry));
        if peer.len() > self.per_peer
            && let Some((oldest, _)) = peer.pop_front()
        {
            self.order.remove(&oldest);
        }
        while self.order.len() > self.total {
            let Some((_, key)) = self.order.pop_first() else { return };
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.pop_front();
                if peer.is_empty() {
                    self.peers.remove(&key);
                }
            }
        }
    }

    /// The newest that has not expired.
    fn take(&mut self, key: &Key, now: u64) -> Option<S> {
        let peer = self.peers.get_mut(key)?;
        let mut found = None;
        while let Some((number, entry)) = peer.pop_back() {
            let alive = entry.expires > now;
            if alive && !entry.single_use {
                found = Some(entry.session.clone());
                peer.push_back((number, entry));
                break;
            }
            self.order.remove(&number);
            if alive {
                found = Some(entry.session);
                break;
            }
        }
        if peer.is_empty() {
            self.peers.remove(key);
        }
        found
    }

    fn forget(&mut self, key: &Key) {
        for (number, _) in self.peers.remove(key).into_iter().flatten() {
            self.order.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { server_name: name.into(), port: 443 }
    }

    fn ticket(session: u32, expires: u64) -> Entry<u32> {
        Entry { session, expires, single_use: true }
    }

    #[test]
    fn a_ticket_of_tls_1_3_is_used_once_and_the_newest_first() {
        let mut store = Store::new(4, 10);
        store.put(key("a"), ticket(1, 100));
        store.put(key("a"), ticket(2, 100));
        assert_eq!(store.take(&key("b"), 0), None);
        assert_eq!(store.take(&key("a"), 0), Some(2));
        assert_eq!(store.take(&key("a"), 0), Some(1));
        assert_eq!(store.take(&key("a"), 0), None);
        assert!(store.peers.is_empty() && store.order.is_empty());
    }

    #[test]
    fn a_session_of_tls_1_2_stays_until_it_is_renewed() {
        let mut store = Store::new(4, 10);
        store.put(key("a"), Entry { session: 1, expires: 100, single_use: false });
        assert_eq!([store.take(&key("a"), 0), store.take(&key("a"), 0)], [Some(1), Some(1)]);
        store.put(key("a"), Entry { session: 2, expires: 100, single_use: false });
        assert_eq!(store.order.len(), 1);
        assert_eq!(store.take(&key("a"), 0), Some(2));
    }

    #[test]
    fn what_has_expired_is_dropped() {
        let mut store = Store::new(4, 10);
        store.put(key("a"), ticket(1, 100));
        store.put(key("a"), ticket(2, 50));
        assert_eq!(store.take(&key("a"), 60), Some(1));
        store.put(key("a"), ticket(3, 100));
        assert_eq!(store.take(&key("a"), 100), None);
        assert!(store.peers.is_empty() && store.order.is_empty());
    }

    /// Law 8: whatever the peers send, the bounds hold, and the oldest goes first.
    #[test]
    fn the_cache_is_bounded() {
        let mut store = Store::new(2, 3);
        for session in 0..5 {
            store.put(key("a"), ticket(session, 100));
        }
        assert_eq!(store.order.len(), 2);
        store.put(key("b"), ticket(10, 100));
        store.put(key("c"), ticket(20, 100));
        assert_eq!(store.order.len(), 3);
        assert_eq!(store.take(&key("a"), 0), Some(4));
        assert_eq!(store.take(&key("a"), 0), None);
        for n in 0..100 {
            store.put(key(&n.to_string()), ticket(n, 100));
        }
        assert_eq!((store.order.len(), store.peers.len()), (3, 3));
    }

    #[test]
    fn a_peer_can_be_forgotten() {
        let mut store = Store::new(4, 10);
        store.put(key("a"), ticket(1, 100));
        store.put(key("b"), ticket(2, 100));
        store.forget(&key("a"));
        assert_eq!((store.take(&key("a"), 0), store.take(&key("b"), 0)), (None, Some(2)));
    }
}
