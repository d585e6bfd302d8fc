//! How a TCP socket is set up.

use std::{io, net::IpAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How to dial, and how the socket is set up.
///
/// There is no deadline among them: that of the whole phase belongs to the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialOptions {
    /// The address to connect from; only addresses of its family are then tried. Default: `None`, the system chooses.
    ///
    /// With one, the process has no more connections than there are ephemeral ports (28232 by default on Linux), whatever their targets: the port is chosen
    /// before the target is known (man 7 ip, `IP_BIND_ADDRESS_NO_PORT`).
    pub local_address: Option<IpAddr>,
    /// Send small segments at once (`TCP_NODELAY`). Default: `true`, since TLS writes whole records.
    pub nodelay: bool,
    /// Ask a silent peer whether it is still there. Default: [`Keepalive::default`].
    pub keepalive: Option<Keepalive>,
    /// How long an address is tried alone before the next one is tried too. Default: 250 ms, as RFC 8305, section 8, recommends. Less than 10 ms counts as 10 ms.
    pub attempt_delay: Duration,
    /// How long data may stay unacknowledged before the system gives the connection up (`TCP_USER_TIMEOUT`, RFC 5482), in whole milliseconds, rounded up, at most 24 days.
    /// Default: `None`, and so is zero: the system's own limit, about 15 minutes on Linux.
    ///
    /// Linux, Android and Fuchsia have it; elsewhere it does nothing. On Linux it also takes the place of [`Keepalive::retries`] (man 7 tcp).
    pub user_timeout: Option<Duration>,
}

impl Default for DialOptions {
    fn default() -> Self {
        DialOptions {
            local_address: None,
            nodelay: true,
            keepalive: Some(Keepalive::default()),
            attempt_delay: Duration::from_millis(250),
            user_timeout: None,
        }
    }
}

/// TCP keep-alive (man 7 tcp): with the defaults, a peer that vanished is noticed after 60 + 4 × 15 = 120 seconds.
///
/// Times are rounded up to whole seconds. What is out of the system's range is taken as the nearest value in it: for Linux 1 to 32767 seconds, 1 to 127 probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    /// The silence after which the first probe is sent. Default: 60 seconds, under the 350 after which cloud load balancers forget a flow.
    pub idle: Duration,
    /// The time between two probes. Default: 15 seconds.
    pub interval: Duration,
    /// So many probes may go unanswered. Default: 4.
    pub retries: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Keepalive { idle: Duration::from_secs(60), interval: Duration::from_secs(15), retries: 4 }
    }
}

/// Sets the options of a connected or accepted socket.
///
/// # Errors
/// The operating system refused an option; the error names it. On an accepted socket that the peer has reset already, macOS answers `EINVAL`: to be treated as the reset that it is.
pub(crate) fn tune(stream: &TcpStream, options: &DialOptions) -> io::Result<()> {
    set(SockRef::from(stream), options)
}

pub(super) fn set(socket: SockRef<'_>, options: &DialOptions) -> io::Result<()> {
    socket.set_tcp_nodelay(options.nodelay).map_err(naming("TCP_NODELAY"))?;
    if let Some(keepalive) = &options.keepalive {
        socket.set_tcp_keepalive(&keepalive.to_system()).map_err(naming("keep-alive"))?;
    }
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    if let Some(user_timeout) = options.user_timeout {
        socket.set_tcp_user_timeout(Some(whole_millis(user_timeout))).map_err(naming("TCP_USER_TIMEOUT"))?;
    }
    Ok(())
}

fn naming(option: &'static str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("the socket option {option} could not be set: {error}"))
}

/// The largest that Linux takes (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL` in its `include/net/tcp.h`), and the other systems take more.
const MOST_SECONDS: u64 = 32767;

/// `MAX_TCP_KEEPCNT`, from the same place.
const MOST_PROBES: u32 = 127;

impl Keepalive {
    fn to_system(self) -> TcpKeepalive {
        let keepalive = TcpKeepalive::new().with_time(whole_seconds(self.idle));
        // OpenBSD and Haiku know no values for a single socket.
        #[cfg(not(any(target_os = "openbsd", target_os = "haiku", target_os = "nto", target_os = "solaris")))]
        let keepalive =
            keepalive.with_interval(whole_seconds(self.interval)).with_retries(self.retries.clamp(1, MOST_PROBES));
        keepalive
    }
}

/// Rounded up, because socket2 rounds down and 0 seconds are refused with `EINVAL`.
fn whole_seconds(duration: Duration) -> Duration {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    Duration::from_secs(seconds.clamp(1, MOST_SECONDS))
}

/// Rounded up, because socket2 rounds down and 0 means no limit; and no more than the kernel's `int`, because a negative one is refused with `EINVAL`.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
fn whole_millis(duration: Duration) -> Duration {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX).min(i32::MAX as u64))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (ours, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn the_defaults_reach_the_socket() {
        let (_ours, accepted) = pair().await;
        tune(&accepted, &DialOptions::default()).unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_out_of_range_becomes_the_nearest_in_it() {
        let (stream, _peer) = pair().await;
        let extremes = [
            (Duration::ZERO, 0, 1, 1, None),
            (Duration::from_nanos(1), 1, 1, 1, Some(Duration::from_millis(1))),
            (Duration::from_millis(1500), 4, 2, 4, Some(Duration::from_millis(1500))),
            (Duration::MAX, u32::MAX, 32767, 127, Some(Duration::from_millis(i32::MAX as u64))),
        ];
        for (time, count, seconds, retries, user_timeout) in extremes {
            let keepalive = Keepalive { idle: time, interval: time, retries: count };
            let options =
                DialOptions { keepalive: Some(keepalive), user_timeout: Some(time), ..DialOptions::default() };
            tune(&stream, &options).unwrap_or_else(|error| panic!("{time:?}: {error}"));
            let socket = SockRef::from(&stream);
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(seconds));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(seconds));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), retries);
            assert_eq!(socket.tcp_user_timeout().unwrap(), user_timeout);
        }
    }

    #[tokio::test]
    async fn what_is_not_asked_for_is_left_alone() {
        let (stream, _peer) = pair().await;
        let options = DialOptions { nodelay: false, keepalive: None, ..DialOptions::default() };
        tune(&stream, &options).unwrap();
        let socket = SockRef::from(&stream);
        assert!(!socket.tcp_nodelay().unwrap());
        assert!(!socket.keepalive().unwrap());
    }
}
