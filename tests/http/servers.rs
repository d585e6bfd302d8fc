//! The session against servers that we did not write: nginx, Python's aiohttp, Node's https and `openssl s_server -www`.

#[cfg(feature = "http2")]
mod http2;

use std::{
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use bytes::Bytes;
use exeunt::http::{Body, BodyError, ErrorKind};
use futures_util::{future::join_all, stream};

use crate::{peer::IDENTITY, process::Process, session::Scene};

/// A directory of its own, with the certificate in it, gone with this.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("exeunt-http-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let directory = Directory(std::env::temp_dir().join(name));
        std::fs::create_dir(&directory.0).unwrap();
        directory.write("cert.pem", &IDENTITY.certificate_pem);
        directory.write("key.pem", &IDENTITY.key_pem);
        directory
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.0.join(name), contents).unwrap();
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The first Python that has this module: a distribution's package is for the distribution's own.
pub fn python(module: &str) -> &'static str {
    let import = format!("import {module}");
    let has =
        |python: &&str| Command::new(python).args(["-c", &import]).output().is_ok_and(|output| output.status.success());
    let python = ["python3", "/usr/bin/python3"].into_iter().find(has);
    python.unwrap_or_else(|| panic!("no Python has {module}: run script/setup"))
}

pub struct Server {
    _process: Process,
    directory: Directory,
    port: u16,
}

impl Server {
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// A file of its own.
    pub fn path(&self, name: &str) -> String {
        self.directory.path(name)
    }

    async fn script(program: &str, script: &str) -> Self {
        let directory = Directory::new();
        let script = format!("{}/tests/http/servers/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut process = Process::start(program, [script, directory.path("cert.pem"), directory.path("key.pem")]);
        let port = process.says("listening ").await.trim().parse().unwrap();
        Server { _process: process, directory, port }
    }

    async fn node() -> Self {
        Server::script("node", "server.js").await
    }

    async fn aiohttp() -> Self {
        Server::script(python("aiohttp"), "server.py").await
    }

    pub async fn nginx() -> Self {
        Server::nginx_with(|config| config).await
    }

    async fn nginx_with(change: impl FnOnce(String) -> String) -> Self {
        let directory = Directory::new();
        directory.write("large.bin", vec![b'a'; 8 << 20]);
        directory.write("text.txt", "to be or not to be, ".repeat(1000));
        directory.write("secret", "told");
        directory.write("users", "user:{PLAIN}pass\n");
        let port = free_port();
        let config = include_str!("servers/nginx.conf")
            .replace("DIRECTORY", directory.0.to_str().unwrap())
            .replace("PORT", &port.to_string());
        directory.write("nginx.conf", change(config));
        let mut process = Process::start("nginx", ["-c", &directory.path("nginx.conf")]);
        process.says("getrlimit(RLIMIT_NOFILE)").await;
        Server { _process: process, directory, port }
    }

    async fn s_server() -> Self {
        let directory = Directory::new();
        let (cert, key) = (directory.path("cert.pem"), directory.path("key.pem"));
        let arguments = ["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", &cert, "-key", &key];
        let mut process = Process::start("openssl", arguments);
        let port = process.says("ACCEPT 127.0.0.1:").await.trim().parse().unwrap();
        Server { _process: process, directory, port }
    }
}

/// For what does not say which port it was given: one that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[actix::test]
async fn nginx_serves_files_redirects_and_refusals() {
    let server = Server::nginx().await;
    let scene = Scene::new();
    let get = async |path: &str| scene.session.get(&server.url(path)).send().await.unwrap();
    assert_eq!(get("/hello").await.text().await.unwrap(), "hello from nginx");
    assert_eq!(get("/large.bin").await.bytes().await.unwrap().len(), 8 << 20);
    let redirected = get("/redirect").await;
    assert_eq!((redirected.uri().path(), redirected.history().len()), ("/hello", 1));
    redirected.bytes().await.unwrap();
    let missing = get("/nothing").await.error_for_status().unwrap_err();
    assert_eq!(missing.status(), 404);
    missing.into_response().bytes().await.unwrap();
    let head = scene.session.head(&server.url("/large.bin")).decode(false).send().await.unwrap();
    assert_eq!(head.content_length(), Some(8 << 20));
    let range = scene.session.get(&server.url("/large.bin")).header("range", "bytes=5-9").send().await.unwrap();
    assert_eq!((range.status().as_u16(), range.text().await.unwrap().as_str()), (206, "aaaaa"));
    let posted = scene.session.post(&server.url("/post")).form([("a", "b")]).send().await.unwrap();
    assert_eq!(posted.text().await.unwrap(), "POST application/x-www-form-urlencoded");
    assert_eq!(get("/secret").await.status(), 401);
    let authorized = scene.session.get(&server.url("/secret")).basic_auth("user", "pass").send().await.unwrap();
    assert_eq!(authorized.text().await.unwrap(), "told");
    // Too large for it: it answers before it has read the body, and closes.
    let large = scene.session.put(&server.url("/post")).body(vec![b'x'; 4 << 20]).send().await;
    match large {
        Ok(response) => assert_eq!(response.status(), 413),
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Lost(_)), "{error:?}"),
    }
    scene.exeunt().await;
}

/// A keep-alive connection that nginx closes after a while, or after its last request, is replaced; no request is lost.
#[actix::test]
async fn connections_that_nginx_closes_are_replaced() {
    let server = Server::nginx().await;
    let scene = Scene::new();
    for _ in 0..20 {
        let response = scene.session.get(&server.url("/last")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "the last");
    }
    scene.session.get(&server.url("/brief")).send().await.unwrap().bytes().await.unwrap();
    let mut progress = scene.supervisor.send(exeunt::Subscribe).await.unwrap();
    loop {
        if let Some(Ok(exeunt::Progress::Lost(lost))) = progress.next().await {
            assert!(lost.reason.is_expected() || lost.reason == exeunt::Reason::Truncated, "{lost}");
        }
        if scene.session.pool().idle == 0 {
            break;
        }
    }
    let response = scene.session.post(&server.url("/post")).body("once").send().await.unwrap();
    assert!(!response.reused());
    scene.exeunt().await;
}

#[actix::test]
async fn many_requests_at_a_time_against_nginx() {
    let server = Server::nginx().await;
    let scene = Scene::new();
    let url = server.url("/hello");
    let work = async || {
        for _ in 0..50 {
            let response = scene.session.get(&url).send().await.unwrap();
            assert_eq!(response.bytes().await.unwrap().len(), 16);
        }
    };
    join_all((0..32).map(|_| work())).await;
    let ledger = scene.exeunt().await;
    assert!(ledger.totals.admitted <= 32, "{ledger}");
    assert_eq!(ledger.verdict(), exeunt::Verdict::Clean);
}

fn upload() -> Body {
    Body::stream(stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![b'u'; 64 * 1024])))))
}

/// What both of them can: the same requests to two servers that have nothing in common.
async fn common(server: &Server) {
    let scene = Scene::new();
    let url = |path: &str| server.url(path);
    assert!(scene.session.get(&url("/hello")).send().await.unwrap().text().await.unwrap().starts_with("hello from"));
    let echoed = scene.session.post(&url("/echo")).header("content-type", "x/y").body("echo me").send().await.unwrap();
    assert_eq!(
        (&echoed.headers()["x-method"], &echoed.headers()["x-type"]),
        (&"POST".parse().unwrap(), &"x/y".parse().unwrap())
    );
    assert_eq!(echoed.text().await.unwrap(), "echo me");
    // Streamed in chunks, there and back.
    let echoed = scene.session.put(&url("/echo")).body(upload()).send().await.unwrap();
    assert_eq!(echoed.bytes().await.unwrap().len(), 64 * 64 * 1024);
    let expecting = scene.session.put(&url("/echo")).expect_continue().body("when wanted").send().await.unwrap();
    assert_eq!(expecting.text().await.unwrap(), "when wanted");
    // A 307 sends the body again.
    let redirected = scene.session.post(&url("/redirect")).body("twice").send().await.unwrap();
    assert_eq!(redirected.text().await.unwrap(), "twice");
    let authorized = scene.session.get(&url("/auth")).bearer_auth("token").send().await.unwrap();
    assert_eq!(authorized.text().await.unwrap(), "Bearer token");
    assert_eq!(scene.session.get(&url("/large")).send().await.unwrap().bytes().await.unwrap().len(), 256 * 65536);
    let cut = scene.session.get(&url("/truncated")).send().await.unwrap().bytes().await.unwrap_err();
    assert!(matches!(cut, BodyError::Truncated { expected: Some(1000), .. }), "{cut:?}");
    let brief = std::time::Duration::from_millis(50);
    assert!(scene.session.get(&url("/never")).timeout(brief).send().await.unwrap_err().is_timeout());
    // After all that, it still serves.
    scene.session.get(&url("/hello")).send().await.unwrap().bytes().await.unwrap();
    scene.exeunt().await;
}

#[actix::test]
async fn aiohttp_serves_what_is_asked() {
    let server = Server::aiohttp().await;
    common(&server).await;
    let scene = Scene::new();
    let cut = scene.session.get(&server.url("/aborted")).send().await.unwrap().bytes().await;
    assert!(matches!(cut, Err(BodyError::Truncated { .. })), "{cut:?}");
    #[cfg(feature = "charset")]
    assert_eq!(scene.session.get(&server.url("/latin")).send().await.unwrap().text().await.unwrap(), "grüße");
    #[cfg(feature = "compression")]
    for coding in ["gzip", "deflate"] {
        let response = scene.session.get(&server.url(&format!("/compressed/{coding}"))).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "to be or not to be, ".repeat(1000), "{coding}");
    }
    scene.exeunt().await;
}

#[actix::test]
async fn node_serves_what_is_asked() {
    let server = Server::node().await;
    common(&server).await;
    let scene = Scene::new();
    let hints = scene.session.get(&server.url("/hints")).send().await.unwrap();
    assert_eq!(hints.text().await.unwrap(), "after the hints");
    let mut trailers = scene.session.get(&server.url("/trailers")).send().await.unwrap();
    while trailers.chunk().await.unwrap().is_some() {}
    assert_eq!(trailers.trailers().unwrap()["x-sum"], "42");
    assert_eq!(scene.session.get(&server.url("/close")).send().await.unwrap().text().await.unwrap(), "the last");
    let refused = scene.session.put(&server.url("/refused")).expect_continue().body("x").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.text().await.unwrap().as_str()), (417, "not wanted"));
    #[cfg(feature = "compression")]
    for coding in ["gzip", "br", "deflate", "raw-deflate"] {
        let response = scene.session.get(&server.url(&format!("/{coding}"))).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "to be or not to be, ".repeat(1000), "{coding}");
    }
    scene.exeunt().await;
}

/// A form with a file and a stream, as aiohttp reads it.
#[cfg(feature = "multipart")]
#[actix::test]
async fn aiohttp_reads_a_form() {
    use exeunt::http::{Form, Part};
    let server = Server::aiohttp().await;
    let scene = Scene::new();
    let pieces = stream::iter((0..1000).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 1000]))));
    let form = Form::new()
        .text("grüße", "aus der Ferne")
        .part("file", Part::bytes("png").file_name("a \"ü\".png").content_type("image/png".parse().unwrap()))
        .part("stream", Part::stream(pieces).file_name("s"));
    let response = scene.session.post(&server.url("/form")).multipart(form).send().await.unwrap();
    let expected = [
        "grüße None None 13",
        // It does not undo what browsers do.
        "file a %22ü%22.png image/png 3",
        "stream s application/octet-stream 1000000",
    ];
    assert_eq!(response.text().await.unwrap(), expected.join("\n"));
    scene.exeunt().await;
}

/// A login as it is everywhere: a cookie, a redirect, and the cookie is there.
#[cfg(feature = "cookies")]
#[actix::test]
async fn aiohttp_gets_its_cookies_back() {
    let server = Server::aiohttp().await;
    let jar = exeunt::http::CookieJar::new();
    let scene = Scene::with(|session| session.cookies(&jar));
    let response = scene.session.get(&server.url("/login")).send().await.unwrap();
    assert_eq!(response.uri().path(), "/cookies");
    assert_eq!(response.text().await.unwrap(), "session=a b");
    assert_eq!(jar.list().len(), 2);
    scene.exeunt().await;
}

/// lighttpd's digest authorization: by MD5 and by SHA-256, right and wrong, and its nonce used again.
#[cfg(feature = "digest")]
#[actix::test]
async fn lighttpd_is_answered_by_digest() {
    let directory = Directory::new();
    directory.write("users", "user:pass\n");
    for name in ["md5", "sha"] {
        std::fs::create_dir(directory.0.join(name)).unwrap();
        directory.write(&format!("{name}/secret"), "told");
    }
    // As nginx, it does not say which port it was given.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = include_str!("servers/lighttpd.conf").replace("DIRECTORY", directory.0.to_str().unwrap());
    directory.write("lighttpd.conf", config.replace("PORT", &port.to_string()));
    let mut process = Process::start("lighttpd", ["-D", "-f", &directory.path("lighttpd.conf")]);
    process.says("server started").await;
    let scene = Scene::new();
    for path in ["md5", "sha"] {
        let url = format!("http://127.0.0.1:{port}/{path}/secret?a=b");
        for _ in 0..3 {
            let response = scene.session.get(&url).digest_auth("user", "pass").send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, "told"), "{path}");
        }
        let refused = scene.session.get(&url).digest_auth("user", "wrong").send().await.unwrap();
        assert_eq!(refused.status(), 401, "{path}");
        refused.bytes().await.unwrap();
        let again = scene.session.get(&url).digest_auth("user", "pass").send().await.unwrap();
        assert_eq!(again.text().await.unwrap(), "told", "{path}");
    }
    scene.exeunt().await;
}

/// A body that only the close ends, from a server that says close_notify.
#[actix::test]
async fn s_server_ends_its_page_by_close() {
    let server = Server::s_server().await;
    let scene = Scene::new();
    for _ in 0..3 {
        let response = scene.session.get(&server.url("/")).send().await.unwrap();
        assert_eq!(response.content_length(), None);
        let text = response.text().await.unwrap();
        assert!(text.contains("s_server") && text.trim_end().ends_with("</HTML>"), "{text}");
    }
    let ledger = scene.exeunt().await;
    assert_eq!(ledger.totals.lost, 3);
}
