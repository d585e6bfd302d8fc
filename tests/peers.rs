//! Plays with peers that we did not write: OpenSSL's and GnuTLS's tools, Python's `ssl` and `asyncio`, in both roles, in TLS 1.2 and 1.3.
//!
//! Each is one scene of two: what happens, the one `Lost` that must come of it, and that nothing remains. No test sleeps: each waits for what its peer says, or for what our
//! owner is told. The peers are brought by script/setup.

use std::time::Duration;

/// Bounds a wait, so that a defect is a failure and not a hang. Nothing is expected to come near it.
async fn soon<T>(what: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(30), what).await.ok()
}

/// A test for each peer and version of a scene.
macro_rules! plays {
    ($scene:ident: $($peer:ident[$($version:ident)*])*) => {
        mod $scene {$(
            mod $peer {$(
                #[actix::test]
                async fn $version() {
                    super::super::$scene(crate::cast::$peer(crate::$version)).await;
                }
            )*}
        )*}
    };
}

/// A test for every peer.
macro_rules! every_peer {
    ($scene:ident) => {
        plays!($scene: openssl_server[tls12 tls13] openssl_client[tls12 tls13] python_server[tls12 tls13] python_client[tls12 tls13]
            asyncio_server[tls12 tls13] asyncio_client[tls12 tls13] gnutls_server[tls12 tls13] gnutls_client[tls12 tls13]);
    };
}

#[allow(non_upper_case_globals)]
const tls12: &str = "1.2";
#[allow(non_upper_case_globals)]
const tls13: &str = "1.3";

#[path = "peers/cast.rs"]
mod cast;
#[path = "peers/closing.rs"]
mod closing;
#[path = "peers/files.rs"]
mod files;
#[path = "peers/handshakes.rs"]
mod handshakes;
#[path = "peers/midstream.rs"]
mod midstream;
#[path = "common/process.rs"]
mod process;
#[path = "peers/relay.rs"]
mod relay;
#[path = "peers/stage.rs"]
mod stage;
