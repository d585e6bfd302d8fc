//! The way out of HTTP/1.1: `Upgrade`, answered with 101 (RFC 9110, section 7.8), and `CONNECT`, answered with 2xx (section 9.3.6), by which a connection becomes a stream of bytes.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use http::{
    Extensions, HeaderMap, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, UPGRADE},
};
use tokio::sync::oneshot;

use super::incoming::Fate;
use crate::{connection::SupervisedStream, fate::Reason};

/// Awaits the stream that the connection of this message becomes.
///
/// * As a server, call it on a request whose handler is to answer with 101, or with 2xx to a `CONNECT`; the stream is there when that response was written, so await it in a task of its own.
/// * As a client, call it on a response with that status. A [`Session`](super::Session)'s response has it as [`Response::upgrade`](super::Response::upgrade).
///
/// The connection stays what it was: the same number, the same ticket, one [`Lost`](crate::Lost). What the peer has sent behind its head is read first. A drain is told by
/// [`SupervisedStream::draining`], and the end of the drain closes it. Where nobody awaits the stream, or it is dropped, the connection closes gracefully.
///
/// Over HTTP/2 there is no `Upgrade` (RFC 9113, section 8.6), and its extended `CONNECT` (RFC 8441) is not supported: this is [`UpgradeError::NotAsked`] there.
///
/// ```no_run
/// # async fn example(supervisor: actix::Addr<exeunt::Supervisor>, tls: exeunt::ServerTls) -> Result<(), Box<dyn std::error::Error>> {
/// use ::http::{Request, Response, StatusCode};
/// use exeunt::{Listen, http::{self, Body, RequestBody}};
///
/// async fn shout(mut request: Request<RequestBody>) -> Result<Response<Body>, ::http::Error> {
///     let upgrading = http::upgrade(&mut request);
///     actix::spawn(async move {
///         if let Ok(stream) = upgrading.await {
///             let (mut reader, mut writer) = tokio::io::split(stream);
///             let _ = tokio::io::copy(&mut reader, &mut writer).await;
///         }
///     });
///     Response::builder()
///         .status(StatusCode::SWITCHING_PROTOCOLS)
///         .header("connection", "upgrade")
///         .header("upgrade", "shout")
///         .body(Body::empty())
/// }
///
/// supervisor.send(Listen::on(([127, 0, 0, 1], 4433).into(), &tls, http::serve(shout))).await??;
/// # Ok(())
/// # }
/// ```
pub fn upgrade(message: &mut impl Upgradable) -> Upgrading {
    let otherwise = message.otherwise();
    take(message.extensions(), otherwise)
}

/// What waits among these extensions.
pub(super) fn take(extensions: &mut Extensions, otherwise: UpgradeError) -> Upgrading {
    Upgrading(match extensions.remove::<OnUpgrade>() {
        Some(on_upgrade) => on_upgrade.take(),
        None => Err(otherwise),
    })
}

/// A message whose connection may be upgraded: a request or a response.
pub trait Upgradable: sealed::Sealed {}

mod sealed {
    use super::*;

    pub trait Sealed {
        fn extensions(&mut self) -> &mut Extensions;
        /// Why there is nothing to be upgraded, when there is nothing.
        fn otherwise(&self) -> UpgradeError;
    }

    impl<B> Sealed for Request<B> {
        fn extensions(&mut self) -> &mut Extensions {
            self.extensions_mut()
        }

        fn otherwise(&self) -> UpgradeError {
            UpgradeError::NotAsked
        }
    }

    impl<B> Sealed for Response<B> {
        fn extensions(&mut self) -> &mut Extensions {
            self.extensions_mut()
        }

        fn otherwise(&self) -> UpgradeError {
            otherwise(self.status())
        }
    }
}

/// Why a response has no stream.
pub(super) fn otherwise(status: StatusCode) -> UpgradeError {
    match status {
        StatusCode::SWITCHING_PROTOCOLS => UpgradeError::NotAsked,
        status => UpgradeError::Refused(status),
    }
}

impl<B> Upgradable for Request<B> {}
impl<B> Upgradable for Response<B> {}

/// The wait for the stream of an [`upgrade`].
#[must_use = "the stream is what it answers with"]
pub struct Upgrading(Result<Waiting, UpgradeError>);

struct Waiting {
    stream: oneshot::Receiver<Result<SupervisedStream, UpgradeError>>,
    fate: Fate,
}

impl Future for Upgrading {
    type Output = Result<SupervisedStream, UpgradeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut self.0 {
            Ok(waiting) => {
                let stream = ready!(Pin::new(&mut waiting.stream).poll(cx));
                stream.unwrap_or_else(|_| Err(UpgradeError::Lost(waiting.fate.get().cloned())))
            }
            Err(error) => Err(error.clone()),
        })
    }
}

impl fmt::Debug for Upgrading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrading").field("error", &self.0.as_ref().err()).finish_non_exhaustive()
    }
}

/// Why there is no stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The request was answered with this status, which goes on in HTTP. The connection is as usable as after any response.
    Refused(StatusCode),
    /// The request asked for no upgrade, or for one that its version of HTTP does not know, or the stream was taken already.
    NotAsked,
    /// The connection ended before it was upgraded.
    Lost(Option<Reason>),
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpgradeError::Refused(status) => {
                write!(f, "the connection was not upgraded: the request was answered with {status}")
            }
            UpgradeError::NotAsked => f.write_str(
                "the connection was not upgraded: its request asks for none by HTTP/1.1, or the stream was taken already",
            ),
            UpgradeError::Lost(Some(reason)) => write!(f, "the connection was not upgraded: {reason}"),
            UpgradeError::Lost(None) => f.write_str("the connection was not upgraded: it was closed"),
        }
    }
}

impl std::error::Error for UpgradeError {}

/// Whoever owes the stream of an upgrade.
pub(super) struct Promise(oneshot::Sender<Result<SupervisedStream, UpgradeError>>);

impl Promise {
    /// Makes one, and puts what waits for it among the extensions of a message.
    pub(super) fn make(extensions: &mut Extensions, fate: &Fate) -> Self {
        let (sender, stream) = oneshot::channel();
        let waiting = Waiting { stream, fate: fate.clone() };
        extensions.insert(OnUpgrade(Arc::new(Mutex::new(Some(waiting)))));
        Promise(sender)
    }

    /// Gives the stream away; where nobody waits for it, it is dropped, which closes it.
    pub(super) fn keep(self, stream: SupervisedStream) {
        let _ = self.0.send(Ok(stream));
    }

    pub(super) fn refuse(self, error: UpgradeError) {
        let _ = self.0.send(Err(error));
    }
}

/// The other end of a promise, which has to be `Clone` to lie among extensions; the first to come has it.
#[derive(Clone)]
struct OnUpgrade(Arc<Mutex<Option<Waiting>>>);

impl OnUpgrade {
    fn take(&self) -> Result<Waiting, UpgradeError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(UpgradeError::NotAsked)
    }
}

/// How a request asks to leave HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    Not,
    Upgrade,
    Connect,
}

impl Asks {
    pub(super) fn of(method: &Method, version: Version, headers: &HeaderMap) -> Self {
        if version > Version::HTTP_11 {
            Asks::Not
        } else if method == Method::CONNECT {
            Asks::Connect
        } else if version == Version::HTTP_11 && headers.contains_key(UPGRADE) && names_upgrade(headers) {
            Asks::Upgrade
        } else {
            Asks::Not
        }
    }

    /// Whether a response with this status is the last word in HTTP.
    pub(super) fn is_granted_by(self, status: StatusCode) -> bool {
        match self {
            Asks::Not => false,
            Asks::Upgrade => status == StatusCode::SWITCHING_PROTOCOLS,
            Asks::Connect => status.is_success(),
        }
    }
}

/// Whether `Connection` lists `upgrade`, without which `Upgrade` is to be ignored (RFC 9110, section 7.8).
fn names_upgrade(headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    options.any(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case("upgrade")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(version: Version, headers: &[(&'static str, &'static str)]) -> Asks {
        let mut request = Request::get("/").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).unwrap();
        Asks::of(request.method(), request.version(), request.headers())
    }

    #[test]
    fn an_upgrade_is_asked_for_by_two_headers_and_http_11() {
        let upgrade = ("upgrade", "other/1");
        assert_eq!(asks(Version::HTTP_11, &[upgrade, ("connection", "keep-alive, Upgrade")]), Asks::Upgrade);
        assert_eq!(
            asks(Version::HTTP_11, &[upgrade, ("connection", "close"), ("connection", "upgrade")]),
            Asks::Upgrade
        );
        assert_eq!(asks(Version::HTTP_11, &[upgrade, ("connection", "keep-alive")]), Asks::Not);
        assert_eq!(asks(Version::HTTP_11, &[("connection", "upgrade")]), Asks::Not);
        assert_eq!(asks(Version::HTTP_10, &[upgrade, ("connection", "upgrade")]), Asks::Not);
        assert_eq!(asks(Version::HTTP_2, &[upgrade, ("connection", "upgrade")]), Asks::Not);
    }

    #[test]
    fn each_is_granted_by_its_own_status() {
        for (asks, status, granted) in [
            (Asks::Upgrade, 101, true),
            (Asks::Upgrade, 200, false),
            (Asks::Connect, 200, true),
            (Asks::Connect, 101, false),
            (Asks::Connect, 407, false),
            (Asks::Not, 101, false),
        ] {
            assert_eq!(asks.is_granted_by(StatusCode::from_u16(status).unwrap()), granted, "{asks:?} {status}");
        }
    }
}
