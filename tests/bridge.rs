//! hyper-util's legacy client on supervised connections, against hyper's own server on real sockets: what a stop does to its pool.

#[path = "common/gated.rs"]
mod gated;

use std::{error::Error, ops::Deref, sync::Arc, time::Duration};

use actix::{Actor, Addr};
use bytes::Bytes;
use exeunt::{
    ClientTls, ConnectionId, Ledger, Phase, Reason, Roll, Stop, StopPlan, StreamError, Supervisor, Verdict,
    http::{Connector, ConnectorError},
};
use futures_util::future::join_all;
use gated::Gated;
use http::{Request, Response, Uri, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error as ClientError},
    rt::TokioExecutor,
};

/// No stop of these tests may need its drain.
const HOUR: Duration = Duration::from_secs(3600);

struct Stage {
    supervisor: Addr<Supervisor>,
    tls: ClientTls,
    server: Gated,
}

impl Deref for Stage {
    type Target = Gated;

    fn deref(&self) -> &Gated {
        &self.server
    }
}

type Pool = Client<Connector, Empty<Bytes>>;

impl Stage {
    async fn new() -> Self {
        let server = Gated::start().await;
        let tls = ClientTls::builder().trust_pem(&server.signed.ca_pem).build().unwrap();
        Stage { supervisor: Supervisor::new().start(), tls, server }
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
