//! The feature `metrics`: what is counted is what the ledger says. Run by `cargo test --features metrics --test metrics`.
#![cfg(feature = "metrics")]

use std::collections::BTreeMap;

use actix::Actor;
use bytes::BytesMut;
use exeunt::{Adopt, ClientTls, Io, Protocol, ProtocolError, ServerTls, Socket, Stop, Supervisor};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

struct Sink;

impl Protocol for Sink {
    fn data(&mut self, _: &mut Io<'_, Self>, data: &mut BytesMut) -> Result<(), ProtocolError> {
        data.clear();
        Ok(())
    }
}

/// Law 9, told to a dashboard: the gauge comes back to nothing, and each end is counted under its reason.
#[actix::test]
async fn the_metrics_say_what_the_ledger_says() {
    let recorder = DebuggingRecorder::new();
    let snapshots = recorder.snapshotter();
    let _installed = metrics::set_default_local_recorder(&recorder);
    let signed = exeunt::tls::self_signed(&["localhost"]).unwrap();
    let server_tls = ServerTls::builder().identity_pem(&signed.certificate_pem, &signed.key_pem).build().unwrap();
    let client_tls = ClientTls::builder().trust_pem(&signed.ca_pem).build().unwrap();
    let supervisor = Supervisor::new().start();
    let (ours, theirs) = tokio::io::duplex(4096);
    let server = supervisor.send(Adopt::server(Socket::boxed(theirs), "a client", &server_tls, Sink));
    let client = supervisor.send(Adopt::client(Socket::boxed(ours), "localhost", &client_tls, Sink));
    let (server, client) = tokio::join!(server, client);
    let (_server, client) = (server.unwrap().unwrap(), client.unwrap().unwrap());
    client.write("twelve bytes").await.unwrap();
    client.close().await;
    let ledger = supervisor.send(Stop::new()).await.unwrap();

    let mut seen = BTreeMap::new();
    for (key, _, _, value) in snapshots.snapshot().into_vec() {
        let labels: Vec<_> = key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(n) => n as f64,
            DebugValue::Gauge(n) => n.0,
            DebugValue::Histogram(samples) => samples.len() as f64,
        };
        seen.insert(format!("{}{{{}}}", key.key().name(), labels.join(",")), value);
    }
    assert_eq!(ledger.totals.by_reason, BTreeMap::from([("closed", 1), ("closed_by_peer", 1)]));
    for (metric, expected) in [
        ("exeunt_connections{role=client,phase=handshaking}", 0.0),
        ("exeunt_connections{role=client,phase=open}", 0.0),
        ("exeunt_connections{role=client,phase=lingering}", 0.0),
        ("exeunt_connections{role=server,phase=open}", 0.0),
        ("exeunt_connections_admitted_total{role=server}", 1.0),
        ("exeunt_connections_connected_total{role=server}", 1.0),
        ("exeunt_connections_lost_total{role=client,phase=lingering,reason=closed}", 1.0),
        ("exeunt_connection_age_seconds{role=client,reason=closed}", 1.0),
        ("exeunt_bytes_total{direction=in}", 12.0),
        ("exeunt_bytes_total{direction=out}", 12.0),
        ("exeunt_bytes_total{direction=unsent}", 0.0),
    ] {
        assert_eq!(seen.get(metric), Some(&expected), "{metric} in {seen:#?}");
    }
}
