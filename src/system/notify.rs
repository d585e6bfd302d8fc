//! What a service manager is told, by systemd's protocol (`man 3 sd_notify`).

use std::task::Context;

use actix::Addr;

use crate::supervisor::Supervisor;

#[cfg(feature = "systemd")]
mod systemd {
    use std::{io, net::TcpListener, pin::Pin, time::Duration};

    use sd_notify::NotifyState;

    use super::{Addr, Context, Supervisor};
    use crate::supervisor::{Progress, Subscribe};

    /// How much longer a stop may take each time that there was progress. systemd counts from when it is told.
    const EXTENSION: Duration = Duration::from_secs(10);

    /// How often at most it is told.
    const EVERY: Duration = Duration::from_millis(500);

    /// Tells the service manager, when there is one: `NOTIFY_SOCKET` is set.
    pub(crate) struct Notifier {
        telling: Option<Pin<Box<dyn Future<Output = ()>>>>,
        wanted: bool,
    }

    impl Notifier {
        /// `READY=1`.
        pub(crate) fn ready() -> Self {
            let wanted = std::env::var_os("NOTIFY_SOCKET").is_some();
            if wanted {
                tell(&[NotifyState::Ready]);
            }
            Notifier { telling: None, wanted }
        }

        /// `STOPPING=1`; from here on [`poll`](Notifier::poll) tells of progress, and asks for more time only while there is some.
        pub(crate) async fn stopping(&mut self, supervisor: &Addr<Supervisor>) {
            if !self.wanted {
                return;
            }
            tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
            let Ok(mut subscription) = supervisor.send(Subscribe).await else { return };
            self.telling = Some(Box::pin(async move {
                let mut last = None::<tokio::time::Instant>;
                let mut remaining = 0;
                while let Some(progress) = subscription.next().await {
                    match progress {
                        Ok(Progress::Stopping(now)) => {
                            remaining = now.total();
                            tell(&[NotifyState::Status(&now.to_string())]);
                        }
                        // This is progress, and nothing else is: a stop that hangs is not to be given more time.
                        Ok(Progress::Lost(_)) => {
                            remaining = remaining.saturating_sub(1);
                            if last.is_none_or(|last| last.elapsed() >= EVERY) {
                                last = Some(tokio::time::Instant::now());
                                let status = format!("{remaining} connections remain");
                                let micros = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
                                tell(&[NotifyState::Status(&status), NotifyState::ExtendTimeoutUsec(micros)]);
                            }
                        }
                        Ok(Progress::Stopped(ledger)) => {
                            tell(&[NotifyState::Status(&format!("stopped: {}", ledger.verdict()))]);
                        }
                        Err(missed) => {
                            remaining = remaining.saturating_sub(usize::try_from(missed).unwrap_or(usize::MAX))
                        }
                        Ok(_) => {}
                    }
                }
            }));
        }

        pub(crate) fn poll(&mut self, cx: &mut Context<'_>) {
            if let Some(telling) = &mut self.telling
                && telling.as_mut().poll(cx).is_ready()
            {
                self.telling = None;
            }
        }
    }

    fn tell(states: &[NotifyState]) {
        if let Err(error) = sd_notify::notify(states) {
            tracing::warn!(%error, "the service manager could not be told");
        }
    }

    /// The listening TCP sockets that systemd has passed to this process (`LISTEN_FDS`, `LISTEN_PID`; `man 3 sd_listen_fds`), for [`Listen::adopt`](crate::Listen::adopt). Empty when there are none.
    /// They can be taken once: the variables are then unset for children of this process.
    ///
    /// # Errors
    /// One of the descriptors is not a listening TCP socket, or the variables name more than a process can have.
    pub fn sockets_from_systemd() -> io::Result<Vec<TcpListener>> {
        let number = |name| std::env::var(name).ok()?.parse().ok();
        check_count(number("LISTEN_FDS"), number("LISTEN_FDS_FIRST_FD"))?;
        let mut passed = listenfd::ListenFd::from_env();
        let mut sockets = Vec::new();
        for n in 0..passed.len() {
            if let Some(socket) = passed.take_tcp_listener(n)? {
                check_listens(&socket)?;
                sockets.push(socket);
            }
        }
        Ok(sockets)
    }

    /// No process has more descriptors than this: 16 times what Linux allows by default (`fs.nr_open`, man 5 proc).
    const MOST: i32 = 1 << 24;

    /// listenfd makes room for as many as it is told, and adds the numbers without a look: a mistake in the environment would be an abort.
    fn check_count(count: Option<i32>, first: Option<i32>) -> io::Result<()> {
        match (count, first) {
            (Some(count), _) if count > MOST => Err(invalid(format!("LISTEN_FDS is {count}"))),
            (Some(_), Some(first)) if first > MOST => Err(invalid(format!("LISTEN_FDS_FIRST_FD is {first}"))),
            _ => Ok(()),
        }
    }

    /// listenfd takes any TCP socket; one that is connected would fail at the first accept only.
    fn check_listens(socket: &TcpListener) -> io::Result<()> {
        // Only where there is systemd can the question be asked.
        #[cfg(target_os = "linux")]
        if !socket2::SockRef::from(socket).is_listener()? {
            return Err(invalid("a socket that was passed does not listen".to_owned()));
        }
        let _ = socket;
        Ok(())
    }

    fn invalid(words: String) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, words)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn more_sockets_than_a_process_can_have_are_an_error() {
            assert!(check_count(Some(3), None).is_ok());
            assert!(check_count(None, Some(i32::MAX)).is_ok());
            assert!(check_count(Some(i32::MAX), None).is_err());
            assert!(check_count(Some(2), Some(i32::MAX)).is_err());
        }

        #[cfg(target_os = "linux")]
        #[test]
        fn a_socket_that_does_not_listen_is_an_error() {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            assert!(check_listens(&listener).is_ok());
            let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let connected = TcpListener::from(std::os::fd::OwnedFd::from(connected));
            assert!(check_listens(&connected).is_err());
        }
    }
}

#[cfg(feature = "systemd")]
pub(crate) use systemd::Notifier;
#[cfg(feature = "systemd")]
pub use systemd::sockets_from_systemd;

/// Without the feature `systemd` nobody is told.
#[cfg(not(feature = "systemd"))]
pub(crate) struct Notifier;

#[cfg(not(feature = "systemd"))]
impl Notifier {
    pub(crate) fn ready() -> Self {
        Notifier
    }
    pub(crate) async fn stopping(&mut self, _: &Addr<Supervisor>) {}
    pub(crate) fn poll(&mut self, _: &mut Context<'_>) {}
}
