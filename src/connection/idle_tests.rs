//! Law 8: an idle connection holds no buffer of the TLS library's. And what it takes to look at one that is idle.

use std::time::Duration;

use actix::{Actor, Addr, Context, Handler, Message};
use bytes::BytesMut;

use super::{Connection, Handle, Io, Protocol, ProtocolError, link::Link, stream::Stream};
use crate::{Adopt, ClientTls, ServerTls, Socket, Stop, Supervisor, tls::self_signed};

/// Does nothing by itself.
pub(crate) struct Still;

impl Protocol for Still {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        data.clear();
        Ok(())
    }
}

/// Asks something of a connection that no message of its own tells.
#[derive(Message)]
#[rtype(result = "bool")]
pub(crate) struct Look<P>(pub(crate) fn(&P, &Link) -> bool);

impl<P: Protocol> Handler<Look<P>> for Connection<P> {
    type Result = bool;

    fn handle(&mut self, look: Look<P>, _: &mut Context<Self>) -> bool {
        look.0(&self.protocol, &self.link)
    }
}

/// Until the supervisor has called idle what moves nothing: it looks once a second, and twice before that.
pub(crate) async fn until_idle() {
    tokio::time::sleep(Duration::from_millis(3500)).await;
}

/// Both ends of a TLS connection over a pipe, under one supervisor.
pub(crate) async fn secured<P: Protocol>(client: P) -> (Addr<Supervisor>, Handle<P>, Handle<Still>) {
    let signed = self_signed(&["localhost"]).unwrap();
    let client_tls = ClientTls::builder().trust_pem(&signed.ca_pem).build().unwrap();
    let server_tls = ServerTls::builder().identity_pem(&signed.certificate_pem, &signed.key_pem).build().unwrap();
    let supervisor = Supervisor::new().start();
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let client = Adopt::client(Socket::boxed(ours), "localhost", &client_tls, client);
    let server = Adopt::server(Socket::boxed(theirs), "a client", &server_tls, Still);
    let (client, server) = tokio::join!(supervisor.send(client), supervisor.send(server));
    (supervisor, client.unwrap().unwrap(), server.unwrap().unwrap())
}

/// They are given back after the last look for something to read, which would bring them back. A pipe cannot tell whether there is something, so it is always looked for.
#[actix::test]
async fn an_idle_connection_gives_its_buffers_back_and_does_not_take_them_again() {
    tokio::time::pause();
    let (supervisor, client, server) = secured(Still).await;
    let may_hold = |end: &Handle<Still>| {
        end.send(Look(|_, link| matches!(&link.stream, Some(Stream::Tls(stream)) if stream.may_hold_buffers())))
    };
    let ends = [client, server];
    for connection in &ends {
        assert!(may_hold(connection).await.unwrap(), "it has shaken hands, and has looked for more");
    }
    until_idle().await;
    for connection in &ends {
        assert!(!may_hold(connection).await.unwrap(), "an idle connection holds buffers");
    }
    supervisor.send(Stop::new()).await.unwrap();
}
