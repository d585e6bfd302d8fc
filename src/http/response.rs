//! TEMPORARY
use super::{BodyError, ResponseBody};
use http::{HeaderMap, StatusCode, Uri, response::Parts};
use std::{net::SocketAddr, time::Duration};
use tokio::time::Instant;
pub(crate) struct ResponseContext {
    pub(crate) uri: Uri,
    pub(crate) history: Vec<Uri>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) connection: crate::ConnectionId,
    pub(crate) reused: bool,
    pub(crate) between_reads: Option<Duration>,
    pub(crate) until: Option<Instant>,
    pub(crate) most_decoded: Option<u64>,
    pub(crate) auto_decode: bool,
    pub(crate) head: bool,
    pub(crate) on_end: Option<Box<dyn FnOnce(&BodyEnd) + Send>>,
}
#[derive(Debug)]
pub enum BodyEnd {
    Read(u64),
    Failed(BodyError),
    Dropped(u64),
}
pub struct Response {
    parts: Parts,
    body: ResponseBody,
    context: ResponseContext,
}
impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Response")
    }
}
impl Response {
    pub(crate) fn new(parts: Parts, body: ResponseBody, context: ResponseContext) -> Self {
        Response { parts, body, context }
    }
    pub fn status(&self) -> StatusCode {
        self.parts.status
    }
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }
    pub fn reused(&self) -> bool {
        self.context.reused
    }
    pub async fn bytes(self) -> Result<bytes::Bytes, BodyError> {
        use http_body_util::BodyExt;
        Ok(self.body.collect().await?.to_bytes())
    }
    pub async fn text(self) -> Result<String, BodyError> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }
}
pub fn accept_encoding() -> Option<http::HeaderValue> {
    None
}
