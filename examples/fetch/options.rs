//! What was asked for.

use std::{error::Error, time::Duration};

use exeunt::{
    ClientTls, Proxies, StopPlan,
    http::{Body, RequestBuilder, Session, SessionBuilder, Versions},
};
use futures_util::stream;
use tokio::io::AsyncReadExt;

use crate::{
    common::command::{self, Early},
    print::Outcome,
};

const USAGE: &str = "\
usage: fetch [options] URL...

Asks for each URL and writes the bodies to standard output. With -n, asks so often in all,
throws the bodies away, and prints how long it took.

  -X METHOD        the method (default GET, or POST with -d)
  -H 'K: V'        a header; may be given more than once
  -d BODY|@FILE    the body: this text, or what is in this file
  -o FILE          write the bodies there
  -f               a response with a status of 400 and above is a failure, and its body not written
  -n N             so many requests, over the URLs in turn
  -c C             so many at a time (default 1)
  --redirects N    follow so many redirects (default 10)
  --http1          HTTP/1.1 alone (default: what the server chooses)
  --http2          HTTP/2 alone, without asking where there is no TLS
  --proxy URL      by this proxy: http, https, socks5; user:password@ before its host
  --proxy-env      by the proxies that the environment names (http_proxy and so on)
  --noproxy LIST   no proxy for these, as in no_proxy: example.com, 10.0.0.0/8, *
  --unix PATH      to the Unix-domain socket at this path, whatever the URL's host
  --ca FILE        trust the certificates in this PEM file (default: the system's)
  --insecure       accept any certificate: anyone on the way can read and change everything
  --timeout S      seconds for each request, its body included (default: no limit)
  --drain MS       how long a stop lets requests finish (default 30000)
  --linger MS      how long to wait for the peer's close_notify (default 5000)
  --json           one JSON object a line on standard output: response or failed for each
                   request, summary, and last the ledger

Exit code: 0 all well, 1 connections were killed at the deadline of a stop, 2 bad input,
3 a request failed.
";

pub struct Options {
    pub urls: Vec<String>,
    method: Option<http::Method>,
    headers: Vec<(http::HeaderName, http::HeaderValue)>,
    body: Option<Given>,
    pub output: Option<String>,
    fail: bool,
    /// How many requests.
    pub repeat: Option<u64>,
    pub at_a_time: usize,
    pub redirects: Option<usize>,
    way: Way,
    pub versions: Versions,
    ca: Option<String>,
    insecure: bool,
    pub timeout: Option<Duration>,
    pub plan: StopPlan,
    pub json: bool,
}

/// By which way the requests go.
#[derive(Default)]
struct Way {
    proxies: Option<Proxies>,
    unix: Option<String>,
}

/// What `-d` gave.
enum Given {
    Text(String),
    File(String),
}

/// A file that is larger is streamed, and can then not be sent again by a retry or a redirect.
const IN_MEMORY: u64 = 16 * 1024 * 1024;

impl Options {
    pub fn from_arguments() -> Result<Self, Early> {
        use lexopt::prelude::*;
        const DAY: u64 = 24 * 60 * 60;
        let mut options = Options {
            urls: Vec::new(),
            method: None,
            headers: Vec::new(),
            body: None,
            output: None,
            fail: false,
            repeat: None,
            at_a_time: 1,
            redirects: None,
            way: Way::default(),
            versions: Versions::Auto,
            ca: None,
            insecure: false,
            timeout: None,
            plan: StopPlan::new(),
            json: false,
        };
        let mut no_proxy = None;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(url) => options.urls.push(url.string()?),
                Short('X') => {
                    let method = command::text(&mut parser, "-X")?;
                    let wrong = |_| Early::wrong(format!("-X takes a method, not {method:?}"));
                    options.method = Some(method.parse().map_err(wrong)?);
                }
                Short('H') => options.headers.push(header(&command::text(&mut parser, "-H")?)?),
                Short('d') => {
                    let text = command::text(&mut parser, "-d")?;
                    options.body = Some(match text.strip_prefix('@') {
                        Some(file) => Given::File(file.to_owned()),
                        None => Given::Text(text),
                    });
                }
                Short('o') => options.output = Some(command::text(&mut parser, "-o")?),
                Short('f') => options.fail = true,
                Short('n') => options.repeat = Some(command::number(&mut parser, "-n", 1..=1_000_000_000)?),
                Short('c') => options.at_a_time = command::number(&mut parser, "-c", 1..=20_000)?,
                Long("redirects") => options.redirects = Some(command::number(&mut parser, "--redirects", 0..=1000)?),
                Long(version @ ("http1" | "http2")) => options.versions = versions(version)?,
                Long("proxy") => {
                    options.way.proxies = Some(Proxies::all(command::text(&mut parser, "--proxy")?.parse()?));
                }
                Long("proxy-env") => options.way.proxies = Some(Proxies::from_env()?),
                Long("noproxy") => no_proxy = Some(command::text(&mut parser, "--noproxy")?),
                Long("unix") => options.way.unix = Some(command::text(&mut parser, "--unix")?),
                Long("ca") => options.ca = Some(command::text(&mut parser, "--ca")?),
                Long("insecure") => options.insecure = true,
                Long("timeout") => {
                    options.timeout = Some(Duration::from_secs(command::number(&mut parser, "--timeout", 1..=DAY)?));
                }
                Long("drain") => options.plan = options.plan.drain(millis(&mut parser, "--drain")?),
                Long("linger") => options.plan = options.plan.linger(millis(&mut parser, "--linger")?),
                Long("json") => options.json = true,
                Short('h') | Long("help") => return Err(Early::Help(USAGE)),
                _ => return Err(argument.unexpected().into()),
            }
        }
        if options.urls.is_empty() {
            return Err(Early::wrong("the URL is missing (--help says more)"));
        }
        let of_http = |url: &String| {
            ["https://", "http://"].iter().any(|scheme| {
                url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
                    && url.len() > scheme.len()
            })
        };
        if let Some(url) = options.urls.iter().find(|url| !of_http(url)) {
            return Err(Early::wrong(format!("{url:?} does not begin with https:// or http://, and a host")));
        }
        if let Some(Given::File(file)) = &options.body {
            std::fs::File::open(file).map_err(|error| Early::wrong(format!("cannot read {file}: {error}")))?;
        }
        if options.insecure && options.ca.is_some() {
            return Err(Early::wrong("--ca and --insecure exclude each other"));
        }
        if options.way.proxies.is_some() && options.way.unix.is_some() {
            return Err(Early::wrong("--unix excludes --proxy and --proxy-env"));
        }
        if let Some(list) = no_proxy {
            options.way.proxies = options.way.proxies.map(|proxies| proxies.no_proxy(&list));
        }
        if options.repeat.is_some() && options.output.is_some() {
            return Err(Early::wrong("-n throws the bodies away: it excludes -o"));
        }
        command::check_descriptors(
            &format!("-c {}", options.at_a_time),
            options.at_a_time + command::OTHER_DESCRIPTORS,
        )?;
        Ok(options)
    }

    pub fn tls(&self) -> Result<ClientTls, Early> {
        let builder = ClientTls::builder();
        Ok(match &self.ca {
            Some(file) => builder.trust_file(file).build()?,
            None if self.insecure => builder.dangerously_accept_any_certificate().build()?,
            None => builder.build()?,
        })
    }

    /// The session, with the way that its requests are to go.
    pub fn way(&self, session: SessionBuilder) -> SessionBuilder {
        let session = session.versions(self.versions);
        match (&self.way.proxies, &self.way.unix) {
            (Some(proxies), _) => session.proxies(proxies.clone()),
            #[cfg(unix)]
            (None, Some(path)) => session.unix_socket(path),
            _ => session,
        }
    }

    /// The request, ready to be sent.
    pub async fn request(&self, session: &Session, url: &str) -> Result<RequestBuilder, Box<dyn Error>> {
        let method = match (&self.method, &self.body) {
            (Some(method), _) => method.clone(),
            (None, Some(_)) => http::Method::POST,
            (None, None) => http::Method::GET,
        };
        let mut request = session.request(method, url);
        for (name, value) in &self.headers {
            request = request.header(name.clone(), value.clone());
        }
        Ok(match &self.body {
            None => request,
            Some(Given::Text(text)) => request.body(text.clone()),
            Some(Given::File(file)) => {
                request.body(read(file).await.map_err(|error| format!("cannot read {file}: {error}"))?)
            }
        })
    }

    /// Whether it is what was wanted.
    pub fn is_good(&self, outcome: &Outcome) -> bool {
        match outcome {
            Ok(answer) => !self.is_refused(answer.status),
            Err(_) => false,
        }
    }

    /// Whether a response with this status is a failure.
    pub fn is_refused(&self, status: http::StatusCode) -> bool {
        self.fail && (status.is_client_error() || status.is_server_error())
    }
}

fn versions(option: &str) -> Result<Versions, Early> {
    match option {
        "http1" => Ok(Versions::Http1),
        #[cfg(feature = "http2")]
        _ => Ok(Versions::Http2),
        #[cfg(not(feature = "http2"))]
        _ => Err(Early::wrong("--http2 needs the feature http2")),
    }
}

fn header(text: &str) -> Result<(http::HeaderName, http::HeaderValue), Early> {
    let wrong = || Early::wrong(format!("-H takes 'name: value', not {text:?}"));
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    Ok((name.trim().parse().map_err(|_| wrong())?, value.trim().parse().map_err(|_| wrong())?))
}

fn millis(parser: &mut lexopt::Parser, option: &str) -> Result<Duration, Early> {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    Ok(Duration::from_millis(command::number(parser, option, 0..=DAY)?))
}

async fn read(path: &str) -> std::io::Result<Body> {
    let file = tokio::fs::File::open(path).await?;
    if file.metadata().await?.len() <= IN_MEMORY {
        return Ok(Body::from(tokio::fs::read(path).await?));
    }
    Ok(Body::stream(stream::try_unfold(file, |mut file| async move {
        let mut piece = bytes::BytesMut::with_capacity(64 * 1024);
        let n = file.read_buf(&mut piece).await?;
        Ok::<_, std::io::Error>((n > 0).then(|| (piece.freeze(), file)))
    })))
}
