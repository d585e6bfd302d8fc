//! A `tower` service as the handler.
#![cfg(feature = "tower")]

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use exeunt::{
    Reason,
    http::{RequestBody, serve_tower},
};
use http::{Request, Response};
use http_body_util::Full;

use crate::{
    over_both,
    stage::{Over, Scene},
};

/// Ready at the second time of asking, and not to be called before.
#[derive(Clone, Default)]
struct Shy {
    asked: usize,
}

impl tower_service::Service<Request<RequestBody>> for Shy {
    type Response = Response<Full<bytes::Bytes>>;
    type Error = String;
    type Future = Ready<Result<Self::Response, String>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        self.asked += 1;
        if self.asked < 2 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        assert_eq!(self.asked, 2, "called before it was ready");
        ready(match request.uri().path() {
            "/fails" => Err("it does not work".into()),
            path => Ok(Response::new(Full::from(path.to_owned()))),
        })
    }
}

over_both!(a_service_answers);

async fn a_service_answers(over: Over) {
    let peer = exeunt::Peer { name: "anybody".into(), address: None };
    let mut scene = Scene::open(over, serve_tower(Shy::default())(&peer)).await;
    scene.client.ask("GET /one").await;
    assert_eq!(scene.client.answer().await.text(), "/one");
    scene.client.ask("GET /fails").await;
    assert_eq!(scene.client.answer().await.status, 500);
    scene.client.ask("GET /two").await;
    assert_eq!(scene.client.answer().await.text(), "/two");
    scene.client.close().await;
    assert_eq!(scene.lost().await.reason, Reason::ClosedByPeer);
    scene.end().await;
}
