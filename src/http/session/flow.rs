//! The way of a request: checkout, exchange, and again where that is right.

mod follow;
#[cfg(any(feature = "cookies", feature = "digest"))]
mod known;

use std::pin::pin;

use http::{
    HeaderMap, Method, Request, Response as HttpResponse, Uri,
    header::{CONTENT_LENGTH, HOST, RANGE, UPGRADE},
    uri::PathAndQuery,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Session, Timeouts,
    asked::{Asked, Settings},
    attempt::{Failure, exchange},
    hooks::RequestId,
    key::Key,
    redirect,
    retry::{after_not_processed, is_idempotent},
    shared::{Shared, moment},
};
use crate::{
    fate::ConnectionId,
    http::{Body, BodyEnd, Deadline, Error, ErrorKind, Response, ResponseBody, ResponseContext},
    telling,
};

/// Asks, and tells how it went.
pub(super) async fn run(session: &Session, asked: Asked) -> Result<Response, Error> {
    let shared = &session.0.shared;
    let told = telling::Asked::now();
    let mut way = Way::new(session, asked)?;
    let (until, total) = (way.until, way.timeouts.total);
    let result = {
        // Borrowed, so that it lies in one place, with a deadline and without.
        let mut gone = pin!(way.go());
        match until {
            None => gone.await,
            Some(until) => timeout_at(until, gone.as_mut()).await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::TimedOut { what: Deadline::Total, after: total.unwrap_or_default() }))
            }),
        }
    };
    told.answered(&way.method, result.as_ref().ok().map(Response::status));
    result.map_err(|mut error| {
        error.asked = Some(Box::new((way.method.clone(), way.uri.clone())));
        error.attempts = way.attempts;
        tracing::debug!(request = way.id.get(), %error, "no response");
        shared.hooks(|hooks| hooks.failed(way.moment(None), &error));
        error
    })
}

/// A request on its way.
struct Way<'a> {
    session: &'a Session,
    id: RequestId,
    method: Method,
    uri: Uri,
    key: Key,
    /// As its caller has them, or [`complete`](Way::complete).
    headers: HeaderMap,
    is_complete: bool,
    /// The response is decoded, so the encodings that can be are offered.
    decodes: bool,
    /// `None`: it was a stream and is gone.
    body: Option<Body>,
    settings: Settings,
    timeouts: Timeouts,
    until: Option<Instant>,
    attempts: u32,
    /// What was asked before, by redirects.
    history: Vec<(Method, Uri)>,
}

/// A response with the connection that it comes over.
struct Answered {
    response: Box<HttpResponse<ResponseBody>>,
    connection: ConnectionId,
    peer: Option<std::net::SocketAddr>,
    reused: bool,
}

/// What became of one attempt.
enum Attempt {
    Answered(Answered),
    /// Nothing was written, because a connection of the pool had gone: the next one may do.
    Gone,
    Failed {
        error: Error,
        reused: bool,
    },
}

impl<'a> Way<'a> {
    fn new(session: &'a Session, asked: Asked) -> Result<Self, Error> {
        let Asked { method, uri, headers, body, mut settings } = asked;
        if method == Method::CONNECT {
            return Err(Error::request("CONNECT is asked of a proxy, over a connection of one's own: see `Exchange`"));
        }
        let shared = &session.0.shared;
        // A part of what is compressed could not be decoded.
        let decodes = settings.decode.unwrap_or(shared.config.decode) && !headers.contains_key(RANGE);
        if shared.defaults.leave_http || headers.contains_key(UPGRADE) {
            settings.leaves_http = true;
        }
        let timeouts = settings.timeouts(&shared.config.timeouts);
        Ok(Way {
            session,
            id: RequestId(shared.next_request()),
            key: shared.key(&uri, &settings)?,
            method,
            uri,
            headers,
            is_complete: false,
            decodes,
            body: Some(body),
            // What the clock cannot say is never.
            until: timeouts.total.and_then(|total| Instant::now().checked_add(total)),
            timeouts,
            settings,
            attempts: 0,
            history: Vec::new(),
        })
    }

    fn shared(&self) -> &'a std::sync::Arc<Shared> {
        &self.session.0.shared
    }

    fn moment(&self, connection: Option<ConnectionId>) -> super::Moment<'_> {
        moment(self.id, &self.method, &self.uri, self.attempts, connection)
    }

    async fn go(&mut self) -> Result<Response, Error> {
        let most = self.settings.redirects.unwrap_or(self.shared().config.redirects);
        loop {
            let answered = self.answer().await?;
            let status = answered.response.status();
            let leads_on = most > 0
                && redirect::is_redirect(status)
                && answered.response.headers().contains_key(http::header::LOCATION);
            if !leads_on {
                return Ok(self.finish(answered));
            }
            self.follow(most, &answered.response)?;
            // What is left of the body is hyper's to read or to give up.
        }
    }

    /// A response, after as many attempts as it is worth.
    async fn answer(&mut self) -> Result<Answered, Error> {
        let session = self.session;
        let policy = self.settings.retry.as_ref().unwrap_or(&session.0.shared.config.retry).clone();
        let (mut done, mut not_processed, mut once_more) = (0, 0, true);
        loop {
            let (error, pause) = match self.attempt().await {
                Attempt::Gone => continue,
                #[cfg(feature = "digest")]
                Attempt::Answered(answered) if self.is_challenged(&answered.response)? => continue,
                Attempt::Answered(answered) => {
                    let (status, headers) = (answered.response.status(), answered.response.headers());
                    match policy.after_status(&self.method, status, headers, done).filter(|_| self.body.is_some()) {
                        None => return Ok(answered),
                        Some(pause) => (Error::request(format!("the peer answered {status}")), pause),
                    }
                }
                Attempt::Failed { error, .. } if self.body.is_none() => return Err(error),
                Attempt::Failed { error, reused } => {
                    if matches!(error.kind, ErrorKind::NotProcessed(_))
                        && let Some(pause) = after_not_processed(not_processed)
                    {
                        self.retrying(&error);
                        not_processed += 1;
                        if !pause.is_zero() {
                            sleep(pause).await;
                        }
                        continue;
                    }
                    let stale = reused && matches!(error.kind, ErrorKind::Lost(_)) && is_idempotent(&self.method);
                    if stale && std::mem::replace(&mut once_more, false) {
                        self.retrying(&error);
                        continue;
                    }
                    match policy.after_error(&self.method, &error, done) {
                        None => return Err(error),
                        Some(pause) => (error, pause),
                    }
                }
            };
            self.retrying(&error);
            done += 1;
            sleep(pause).await;
        }
    }

    fn retrying(&self, error: &Error) {
        tracing::debug!(request = self.id.get(), %error, "asked again");
        telling::retried(&self.method);
        self.shared().hooks(|hooks| hooks.retry(self.moment(None), error));
    }

    async fn attempt(&mut self) -> Attempt {
        let shared = self.shared();
        shared.hooks(|hooks| hooks.queued(self.moment(None)));
        let mut lease = match shared.checkout(&self.key, &self.timeouts).await {
            Ok(lease) => lease,
            Err(error) => return Attempt::Failed { error, reused: false },
        };
        let (connection, reused) = (lease.client.handle.id(), lease.reused);
        if reused {
            shared.hooks(|hooks| hooks.reused(self.moment(Some(connection))));
        }
        let request = match self.request() {
            Ok(request) => request,
            Err(error) => return Attempt::Failed { error, reused },
        };
        self.attempts += 1;
        shared.hooks(|hooks| hooks.sent(self.moment(Some(connection))));
        let kind = match exchange(&mut lease, request, self.timeouts.first_byte).await {
            Ok(response) => {
                #[cfg(any(feature = "cookies", feature = "digest"))]
                self.learn(&response);
                shared.hooks(|hooks| hooks.first_byte(self.moment(Some(connection)), response.status()));
                let peer = lease.client.handle.peer().address;
                return Attempt::Answered(Answered { response, connection, peer, reused });
            }
            Err(kind) => kind,
        };
        match kind {
            Failure::NotSent(request, reason) => {
                self.attempts -= 1;
                if let Some(request) = request {
                    self.body = Some(request.into_body());
                }
                // A new connection that takes nothing is the peer's refusal, and the next would fare no better. Where we have closed it ourselves, the next is refused, and that says why.
                if (reused || reason.is_none()) && self.body.is_some() {
                    return Attempt::Gone;
                }
                Attempt::Failed { error: Error::new(ErrorKind::Lost(reason)), reused: false }
            }
            Failure::NotProcessed(request, why) => {
                if let Some(request) = request {
                    // Not even written.
                    self.attempts -= 1;
                    self.body = Some(request.into_body());
                }
                Attempt::Failed { error: Error::new(ErrorKind::NotProcessed(why)), reused }
            }
            Failure::Other(error) => Attempt::Failed { error, reused },
        }
    }

    /// Takes the session's headers for the request's own. Mostly there are none of its own, and each attempt has a clone of the session's.
    fn complete(&mut self) {
        if !std::mem::replace(&mut self.is_complete, true) {
            self.shared().defaults.add_to(&mut self.headers, self.decodes);
        }
    }

    /// The headers of an attempt, but for what is known of cookies and credentials.
    fn headers_now(&self) -> HeaderMap {
        let defaults = &self.shared().defaults;
        if self.headers.is_empty() && !self.is_complete {
            return defaults.alone(self.decodes, self.key.host_header());
        }
        let mut headers = self.headers.clone();
        if !self.is_complete {
            defaults.add_to(&mut headers, self.decodes);
        }
        if let Some(proxy) = self.key.forwarding_proxy() {
            for (name, value) in &proxy.headers() {
                if !self.headers.contains_key(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        if !headers.contains_key(HOST)
            && let Some(host) = self.key.host_header()
        {
            headers.insert(HOST, host.clone());
        }
        // What hyper says of the length is the body's own, and wrong lengths are how requests are smuggled. So this is last.
        headers.remove(CONTENT_LENGTH);
        headers
    }

    /// The request as it goes over the wire.
    fn request(&mut self) -> Result<Box<Request<Body>>, Error> {
        if self.key.forwarding_proxy().is_some() {
            self.complete();
        }
        let again = self.body.as_ref().and_then(Body::try_clone);
        let body = match again {
            Some(body) => Some(body),
            None => self.body.take(),
        };
        let body = body.ok_or_else(|| Error::request("its body is a stream, and was sent already"))?;
        let mut request = Box::new(Request::new(body));
        *request.method_mut() = self.method.clone();
        let path = self.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        *request.headers_mut() = self.headers_now();
        *request.uri_mut() = match self.key.forwarding_proxy() {
            None => path.into(),
            Some(_) => self.key.absolute(path)?,
        };
        #[cfg(any(feature = "cookies", feature = "digest"))]
        self.add_known(&mut request);
        Ok(request)
    }

    fn finish(&mut self, answered: Answered) -> Response {
        let Answered { response, connection, peer, reused } = answered;
        let (parts, body) = (*response).into_parts();
        let shared = self.shared();
        let config = &shared.config;
        let on_end = config.hooks.clone().map(|hooks| {
            let (id, method, uri, attempts) = (self.id, self.method.clone(), self.uri.clone(), self.attempts);
            Box::new(move |end: &BodyEnd| {
                hooks.body_end(moment(id, &method, &uri, attempts, Some(connection)), end);
            }) as Box<dyn FnOnce(&BodyEnd) + Send>
        });
        let context = ResponseContext {
            uri: self.uri.clone(),
            history: self.history.drain(..).map(|(_, uri)| uri).collect(),
            peer,
            connection,
            reused,
            between_reads: self.timeouts.between_reads,
            until: self.until,
            most_decoded: config.most_decoded,
            auto_decode: self.settings.decode.unwrap_or(config.decode),
            head: self.method == Method::HEAD,
            on_end,
        };
        Response::new(parts, body, context)
    }
}
