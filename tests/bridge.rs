//! hyper-util's legacy client on supervised connections, against hyper's own server on real sockets: what a stop does to its pool.

use std::{convert::Infallible, error::Error, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use actix::{Actor, Addr};
use bytes::Bytes;
use exeunt::{
    ClientTls, ConnectionId, Ledger, Phase, Reason, Roll, Stop, StopPlan, StreamError, Supervisor, Verdict,
    http::{Connector, ConnectorError},
    tls::SelfSigned,
};
use futures_util::{StreamExt, future::join_all, stream};
use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, Error as ClientError},
    rt::{TokioExecutor, TokioIo},
};
use openssl::ssl::{AlpnError, Ssl, SslAcceptor, SslMethod, select_next_proto};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_openssl::SslStream;

/// No stop of these tests may need its drain.
const HOUR: Duration = Duration::from_secs(3600);

/// A server, and the gate before which `/head` has sent nothing and `/body` half of its body.
struct Stage {
    supervisor: Addr<Supervisor>,
    tls: ClientTls,
    address: SocketAddr,
    gate: Arc<Semaphore>,
}

type Pool = Client<Connector, Empty<Bytes>>;

impl Stage {
    async fn new() -> Self {
        let signed = exeunt::tls::self_signed(&["localhost", "127.0.0.1"]).unwrap();
        let tls = ClientTls::builder().trust_pem(&signed.ca_pem).build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Arc::new(Semaphore::new(0));
        tokio::spawn(serve(listener, acceptor(&signed), gate.clone()));
        Stage { supervisor: Supervisor::new().start(), tls, address, gate }
    }

    fn connector(&self) -> Connector {
        Connector::new(&self.supervisor).tls(&self.tls)
    }

    fn client(&self, connector: Connector) -> Pool {
        Client::builder(TokioExecutor::new()).build(connector)
    }

    fn uri(&self, path: &str) -> Uri {
        format!("https://localhost:{}{path}", self.address.port()).parse().unwrap()
    }

    /// Law 6: so many are left when the idle ones have gone.
    async fn wait_for_alive(&self, n: usize) {
        while self.supervisor.send(Roll).await.unwrap().len() > n {
            tokio::task::yield_now().await;
        }
    }
}

async fn stop(supervisor: Addr<Supervisor>, drain: Duration) -> Arc<Ledger> {
    let stop = supervisor.send(Stop::by(StopPlan::new().drain(drain).linger(Duration::from_secs(10))));
    // Not a measure but a watchdog: a minute is neither the drain nor anything else here.
    tokio::time::timeout(Duration::from_secs(60), stop).await.expect("the drain is not waited for").unwrap()
}

fn acceptor(signed: &SelfSigned) -> SslAcceptor {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    let certificate = openssl::x509::X509::from_pem(signed.certificate_pem.as_bytes()).unwrap();
    let key = openssl::pkey::PKey::private_key_from_pem(signed.key_pem.as_bytes()).unwrap();
    builder.set_certificate(&certificate).unwrap();
    builder.set_private_key(&key).unwrap();
    builder.set_alpn_select_callback(|_, offered| {
        select_next_proto(b"\x02h2\x08http/1.1", offered).ok_or(AlpnError::NOACK)
    });
    builder.build()
}

/// Serves HTTP on each connection; without TLS when the first byte is not a handshake's.
async fn serve(listener: TcpListener, acceptor: SslAcceptor, gate: Arc<Semaphore>) {
    while let Ok((socket, _)) = listener.accept().await {
        let (ssl, gate) = (Ssl::new(acceptor.context()).unwrap(), gate.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, gate.clone()));
            let mut first = [0];
            socket.peek(&mut first).await.unwrap();
            if first != [0x16] {
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
                return;
            }
            let mut stream = SslStream::new(ssl, socket).unwrap();
            Pin::new(&mut stream).accept().await.unwrap();
            let http2 = stream.ssl().selected_alpn_protocol() == Some(b"h2");
            let io = TokioIo::new(stream);
            let _ = match http2 {
                true => {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
                }
                false => hyper::server::conn::http1::Builder::new().serve_connection(io, service).await,
            };
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    gate: Arc<Semaphore>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = (request.uri().path() == "/head", request.uri().path() == "/body");
    let wait = move |waits: bool, bytes: &'static str| {
        let gate = gate.clone();
        async move {
            if waits {
                gate.acquire().await.unwrap().forget();
            }
            Ok(Frame::data(Bytes::from_static(bytes.as_bytes())))
        }
    };
    let _ = wait(head, "").await;
    // A streamed body, and so a chunked one.
    let parts = vec![(false, "first, "), (body, "second")];
    let parts = stream::iter(parts).then(move |(waits, bytes): (bool, &'static str)| wait(waits, bytes));
    Ok(Response::new(StreamBody::new(parts).boxed_unsync()))
}

async fn get(client: &Pool, uri: Uri) -> Result<Response<Incoming>, ClientError> {
    client.request(Request::get(uri).body(Empty::new()).unwrap()).await
}

async fn whole(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

fn id(response: &Response<Incoming>) -> ConnectionId {
    *response.extensions().get().expect("the number of its connection")
}

/// The error of this type among the causes of `error`.
fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> &'a E {
    match (error.downcast_ref(), error.source()) {
        (Some(found), _) => found,
        (None, Some(source)) => cause(source),
        (None, None) => panic!("it is {error:?}"),
    }
}

fn assert_clean(ledger: &Ledger, rows: usize) {
    assert_eq!((ledger.verdict(), ledger.rows.len()), (Verdict::Clean, rows), "{ledger}");
    for row in &ledger.rows {
        assert_eq!((row.phase_at_stop, &row.lost.reason), (Phase::Open, &Reason::Closed), "{ledger}");
        assert_eq!(row.lost.bytes_unsent, 0);
    }
}

/// Laws 1, 6 and 9: requests one after the other share a connection, which a stop closes at once, and which has its row.
#[actix::test]
async fn an_idle_pool_goes_at_once() {
    let stage = Stage::new().await;
    let client = stage.client(stage.connector());
    let first = get(&client, stage.uri("/")).await.unwrap();
    let number = id(&first);
    assert_eq!((first.version(), whole(first).await.as_ref()), (Version::HTTP_11, &b"first, second"[..]));
    for _ in 0..5 {
        let response = get(&client, stage.uri("/")).await.unwrap();
        assert_eq!(id(&response), number);
        whole(response).await;
    }
    // Three at a time, so that there are three connections.
    let responses = join_all((0..3).map(|_| get(&client, stage.uri("/body")))).await;
    stage.gate.add_permits(3);
    join_all(responses.into_iter().map(|response| whole(response.unwrap()))).await;
    assert_clean(&*stop(stage.supervisor.clone(), HOUR).await, 3);
    let error = get(&client, stage.uri("/")).await.unwrap_err();
    assert!(error.is_connect() && cause::<ConnectorError>(&error).is_stopping(), "{error:?}");
}

/// Laws 4 and 6: a stop closes the idle connection at once, waits for the two that are busy, and then closes those.
#[actix::test]
async fn busy_connections_finish_first() {
    let stage = Stage::new().await;
    let client = stage.client(stage.connector());
    let head = actix::spawn({
        let (client, uri) = (client.clone(), stage.uri("/head"));
        async move { whole(get(&client, uri).await.unwrap()).await }
    });
    let body = get(&client, stage.uri("/body")).await.unwrap();
    whole(get(&client, stage.uri("/")).await.unwrap()).await;
    let stopping = actix::spawn(stop(stage.supervisor.clone(), HOUR));
    stage.wait_for_alive(2).await;
    // Nothing of what is asked for now waits for the drain.
    let refused = get(&client, stage.uri("/")).await.unwrap_err();
    assert!(cause::<ConnectorError>(&refused).is_stopping());
    stage.gate.add_permits(2);
    assert_eq!(whole(body).await, "first, second");
    assert_eq!(head.await.unwrap(), "first, second");
    assert_clean(&stopping.await.unwrap(), 3);
}

/// Law 5: at the end of the drain a request under way fails, and its error says what became of the connection.
#[actix::test]
async fn at_the_end_of_the_drain_a_request_fails_and_says_why() {
    let stage = Stage::new().await;
    let client = stage.client(stage.connector());
    let body = get(&client, stage.uri("/body")).await.unwrap();
    let stopping = actix::spawn(stop(stage.supervisor.clone(), Duration::ZERO));
    let error = body.into_body().collect().await.unwrap_err();
    let error = StreamError::of(cause(&error)).expect("one of ours");
    assert!(matches!(error, StreamError::Closing { cause: None }), "{error}");
    stage.gate.add_permits(1);
    let ledger = stopping.await.unwrap();
    assert_eq!((ledger.rows.len(), ledger.verdict()), (1, Verdict::Clean), "{ledger}");
}

/// The same over HTTP/2, by ALPN: one connection, gone when its last stream is.
#[actix::test]
async fn http2_is_drained_too() {
    let stage = Stage::new().await;
    let client = stage.client(stage.connector().http2(true));
    whole(get(&client, stage.uri("/")).await.unwrap()).await;
    let bodies = join_all((0..3).map(|_| get(&client, stage.uri("/body")))).await;
    let bodies: Vec<_> = bodies.into_iter().map(Result::unwrap).collect();
    assert!(bodies.iter().all(|body| body.version() == Version::HTTP_2 && id(body) == id(&bodies[0])));
    let stopping = actix::spawn(stop(stage.supervisor.clone(), HOUR));
    // The pool does not hand the busy connection out any more.
    let refused = loop {
        assert!(!stopping.is_finished(), "three requests are under way");
        match get(&client, stage.uri("/")).await {
            Ok(response) => drop(whole(response).await),
            Err(error) => break error,
        }
    };
    assert!(cause::<ConnectorError>(&refused).is_stopping(), "{refused:?}");
    stage.gate.add_permits(3);
    for bytes in join_all(bodies.into_iter().map(whole)).await {
        assert_eq!(bytes, "first, second");
    }
    assert_clean(&stopping.await.unwrap(), 1);

    let stage = Stage::new().await;
    let client = stage.client(stage.connector().http2(true));
    whole(get(&client, stage.uri("/")).await.unwrap()).await;
    assert_clean(&*stop(stage.supervisor.clone(), HOUR).await, 1);
}

/// Without TLS, and with worker threads.
#[actix::test]
async fn plain_connections_on_workers_are_drained_too() {
    let mut stage = Stage::new().await;
    stage.supervisor = Supervisor::new().workers(2).start();
    let client = stage.client(stage.connector());
    let uri: Uri = format!("http://{}/", stage.address).parse().unwrap();
    let bodies = join_all((0..4).map(|_| async { whole(get(&client, uri.clone()).await.unwrap()).await })).await;
    assert!(bodies.iter().all(|body| body == "first, second"));
    let ledger = stop(stage.supervisor.clone(), HOUR).await;
    assert_eq!(ledger.verdict(), Verdict::Clean);
    assert!(!ledger.rows.is_empty() && ledger.rows.iter().all(|row| !row.lost.secure));
}

/// Dropping the client closes its pool gracefully, and a failed connect is in the ledger, and said.
#[actix::test]
async fn every_end_is_told() {
    let stage = Stage::new().await;
    let client = stage.client(stage.connector());
    whole(get(&client, stage.uri("/")).await.unwrap()).await;
    drop(client);
    stage.wait_for_alive(0).await;
    let untrusting = stage.client(Connector::new(&stage.supervisor));
    let error = get(&untrusting, stage.uri("/")).await.unwrap_err();
    let ConnectorError::Connect(connect) = cause(&error) else { panic!("{error:?}") };
    assert!(matches!(connect.lost().unwrap().reason, Reason::HandshakeFailed(_)), "{connect}");
    let error = get(&untrusting, "ftp://localhost/".parse().unwrap()).await.unwrap_err();
    assert!(matches!(cause(&error), ConnectorError::Uri(_)), "{error:?}");
    let ledger = stop(stage.supervisor.clone(), HOUR).await;
    assert_eq!(ledger.rows.len(), 0);
    assert_eq!((ledger.totals.by_reason["closed"], ledger.totals.by_reason["handshake_failed"]), (1, 1));
}
