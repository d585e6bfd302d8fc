//! How many requests there were, and how each of their responses ended.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use exeunt::http::{Body, BoxError};
use http::{Method, Response, header::CONTENT_LENGTH};
use http_body::{Body as _, Frame, SizeHint};
use serde::Serialize;

use crate::common::{command, report};

/// Requests that were accepted, and responses that were given out to their end.
pub struct Counts {
    accepted: AtomicU64,
    completed: AtomicU64,
    json: bool,
}

#[derive(Serialize)]
struct Served {
    accepted: u64,
    completed: u64,
}

impl Counts {
    pub fn new(json: bool) -> Self {
        Counts { accepted: AtomicU64::new(0), completed: AtomicU64::new(0), json }
    }

    /// A request is there. What it answers with is to be dropped when there is no response any more.
    pub fn accept(self: Arc<Self>, method: &Method, path: &str) -> Accepted {
        self.accepted.fetch_add(1, Relaxed);
        Accepted {
            counts: self,
            method: method.to_string(),
            path: path.to_owned(),
            began: Instant::now(),
            status: 0,
            bytes: 0,
            complete: false,
        }
    }

    /// What came of it all.
    pub fn tell(&self) {
        let served = Served { accepted: self.accepted.load(Relaxed), completed: self.completed.load(Relaxed) };
        if self.json {
            report::told(report::event("served", served));
        } else {
            command::note(format_args!("{} requests accepted, {} answered", served.accepted, served.completed));
        }
    }
}

/// A request that was accepted. Its drop tells how it ended.
pub struct Accepted {
    counts: Arc<Counts>,
    method: String,
    path: String,
    began: Instant,
    status: u16,
    bytes: u64,
    complete: bool,
}

impl Accepted {
    /// Counts what is sent of this response.
    pub fn answer(mut self, response: Response<Body>) -> Response<Body> {
        self.status = response.status().as_u16();
        let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        response.map(|body| {
            let length = length.or(body.size_hint().exact());
            // Of what is empty nobody asks for a frame; a response to HEAD is empty and has a length.
            self.complete = body.is_end_stream();
            Body::wrap(Counted { body, length, accepted: self })
        })
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        self.counts.completed.fetch_add(u64::from(self.complete), Relaxed);
        if self.counts.json {
            #[derive(Serialize)]
            struct Fields<'a> {
                method: &'a str,
                path: &'a str,
                /// 0: the connection ended before there was one.
                status: u16,
                bytes: u64,
                ms: u128,
                complete: bool,
            }
            let Accepted { method, path, status, bytes, complete, .. } = self;
            let (status, bytes, complete, ms) = (*status, *bytes, *complete, self.began.elapsed().as_millis());
            report::told(report::event("request", Fields { method, path, status, bytes, ms, complete }));
        }
    }
}

struct Counted {
    body: Body,
    length: Option<u64>,
    accepted: Accepted,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.accepted.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => return Poll::Ready(frame),
            None => self.accepted.complete = true,
        }
        // Where the length is known nobody asks for a frame beyond it.
        self.accepted.complete |= self.body.is_end_stream() || self.length == Some(self.accepted.bytes);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
