//! Law 8: an idle connection holds no buffer of the TLS library's.

use std::time::Duration;

use actix::{Actor, Context, Handler, Message};
use bytes::BytesMut;

use super::{Connection, Io, Protocol, ProtocolError, stream::Stream};
use crate::{Adopt, ClientTls, ServerTls, Socket, Stop, Supervisor, tls::self_signed};

struct Still;

impl Protocol for Still {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        data.clear();
        Ok(())
    }
}

#[derive(Message)]
#[rtype(result = "bool")]
struct MayHoldBuffers;

impl Handler<MayHoldBuffers> for Connection<Still> {
    type Result = bool;

    fn handle(&mut self, _: MayHoldBuffers, _: &mut Context<Self>) -> bool {
        matches!(&self.link.stream, Some(Stream::Tls(stream)) if stream.may_hold_buffers())
    }
}

/// They are given back after the last look for something to read, which would bring them back. A pipe cannot tell whether there is something, so it is always looked for.
#[actix::test]
async fn an_idle_connection_gives_its_buffers_back_and_does_not_take_them_again() {
    tokio::time::pause();
    let signed = self_signed(&["localhost"]).unwrap();
    let client_tls = ClientTls::builder().trust_pem(&signed.ca_pem).build().unwrap();
    let server_tls = ServerTls::builder().identity_pem(&signed.certificate_pem, &signed.key_pem).build().unwrap();
    let supervisor = Supervisor::new().start();
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let client = Adopt::client(Socket::boxed(ours), "localhost", &client_tls, Still);
    let server = Adopt::server(Socket::boxed(theirs), "a client", &server_tls, Still);
    let (client, server) = tokio::join!(supervisor.send(client), supervisor.send(server));
    let ends = [client.unwrap().unwrap(), server.unwrap().unwrap()];
    for connection in &ends {
        assert!(connection.send(MayHoldBuffers).await.unwrap(), "it has shaken hands, and has looked for more");
    }
    // The supervisor looks once a second, and twice before it calls a connection idle.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    for connection in &ends {
        assert!(!connection.send(MayHoldBuffers).await.unwrap(), "an idle connection holds buffers");
    }
    supervisor.send(Stop::new()).await.unwrap();
}
