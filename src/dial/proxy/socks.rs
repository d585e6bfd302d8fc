//! SOCKS5 (RFC 1928, RFC 1929), which tokio-socks speaks over a socket of ours.

use tokio_socks::{Error, TargetAddr, tcp::Socks5Stream};

use super::{Credentials, Proxy, way::of_socket};
use crate::{dial::Target, fate::ProxyFailure, tls::Socket};

pub(super) async fn connect(proxy: &Proxy, target: &Target, socket: Socket) -> Result<Socket, ProxyFailure> {
    let to = match target.ip() {
        Some(address) => TargetAddr::Ip((address, target.port).into()),
        None => TargetAddr::Domain(target.host.as_str().into(), target.port),
    };
    let tunnel = match &proxy.0.credentials {
        None => Socks5Stream::connect_with_socket(socket, to).await,
        Some(Credentials { user, password }) => {
            Socks5Stream::connect_with_password_and_socket(socket, to, user, password).await
        }
    };
    // It reads no more than the answer, so nothing of the tunnel's is left in it.
    tunnel.map(Socks5Stream::into_inner).map_err(|error| failure(error, target))
}

fn failure(error: Error, target: &Target) -> ProxyFailure {
    let refused = |words: &dyn std::fmt::Display, advice: &str| ProxyFailure::Refused {
        status: None,
        message: format!("it refused a tunnel to {target}: {words}{advice}"),
    };
    match error {
        Error::Io(error) => of_socket(&error),
        Error::NoAcceptableAuthMethods | Error::UnknownAuthMethod | Error::AuthorizationRequired => refused(
            &"none of the ways to authorize is to its liking",
            "; give it a user and a password, as in socks5://user:password@host:port",
        ),
        Error::PasswordAuthFailure(_) => refused(&"the user or the password is wrong", ""),
        Error::ConnectionNotAllowedByRuleset => refused(&"its own rules forbid this host or this port", ""),
        error @ (Error::GeneralSocksServerFailure
        | Error::NetworkUnreachable
        | Error::HostUnreachable
        | Error::ConnectionRefused
        | Error::TtlExpired
        | Error::CommandNotSupported
        | Error::AddressTypeNotSupported) => refused(&error, ""),
        error => ProxyFailure::Protocol(error.to_string()),
    }
}
