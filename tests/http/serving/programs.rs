//! The example `serve` as a program, with clients that we did not write: curl and Python's aiohttp. They are brought by script/setup, the example by `cargo test` without a filter or by `cargo build --examples`.
#![cfg(all(feature = "serde", unix))]

#[cfg(feature = "http2")]
mod http2;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::{Value, json};

/// A directory of its own, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("exeunt-serve-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("root/below")).unwrap();
        Directory(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `serve` on a free port. It is killed if the test ends before it does.
struct Serve {
    child: Child,
    output: BufReader<ChildStdout>,
    port: u16,
}

impl Serve {
    fn start(directory: &Directory, arguments: &[&str]) -> Self {
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples/serve");
        assert!(path.exists(), "{} is not built: run `cargo build --features http --examples`", path.display());
        let mut child = Command::new(path)
            .args(["--port", "0", "--json", "--root", "root"])
            .args(arguments)
            .current_dir(&directory.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut serve = Serve { child, output, port: 0 };
        let listening = serve.line().expect("it says nothing");
        assert_eq!(listening["event"], "listening", "{listening}");
        serve.port = u16::try_from(listening["port"].as_u64().unwrap()).unwrap();
        // By then the file with the certificate is there.
        if !arguments.contains(&"--plain") {
            assert_eq!(serve.line().unwrap()["event"], "ca");
        }
        serve
    }

    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        (!line.is_empty()).then(|| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}")))
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Reads to the end. The exit code, and every line that was not read before, the ledger last.
    fn ends(mut self) -> (Option<i32>, Vec<Value>) {
        let lines = std::iter::from_fn(|| self.line()).collect();
        (self.child.wait().unwrap().code(), lines)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn events<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

/// Exit code 0, a clean ledger at the end, and every request that was accepted was answered to its end. How many that were.
fn assert_clean((code, lines): (Option<i32>, Vec<Value>)) -> u64 {
    let ledger = lines.last().unwrap();
    assert_eq!(
        (code, ledger["event"].as_str(), ledger["verdict"].as_str()),
        (Some(0), Some("ledger"), Some("clean")),
        "{ledger}"
    );
    assert_eq!(ledger["admitted"], ledger["lost"]);
    let served = events(&lines, "served")[0];
    assert_eq!(served["accepted"], served["completed"], "{served}");
    let requests = events(&lines, "request");
    assert!(requests.iter().all(|request| request["complete"] == true), "{requests:?}");
    served["accepted"].as_u64().unwrap()
}

fn curl(directory: &Directory, arguments: &[&str]) -> Output {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--path-as-is"]);
    curl.args(["--cacert", "exeunt-serve-ca.pem"]).args(arguments).current_dir(&directory.0);
    curl.output().unwrap_or_else(|error| panic!("curl: {error}: run script/setup, which brings what the tests need"))
}

/// What curl wrote, when it found nothing wrong.
fn curled(directory: &Directory, arguments: &[&str]) -> Vec<u8> {
    let output = curl(directory, arguments);
    assert!(output.status.success(), "curl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn curl_is_served() {
    let directory = Directory::new("curl");
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let file = directory.file("root/big.bin", &big);
    directory.file("root/below/index.html", b"<p>below</p>\n");
    directory.file("root/a b.txt", b"a space\n");
    directory.file("outside.txt", b"not for you\n");
    std::os::unix::fs::symlink("../outside.txt", directory.0.join("root/leak.txt")).unwrap();
    let serve = Serve::start(&directory, &[]);
    let get = |path: &str| curled(&directory, &[&serve.url(path)]);
    assert!(get("/big.bin") == big, "a file came otherwise than it is");
    assert_eq!(get("/below/"), b"<p>below</p>\n");
    assert_eq!(get("/a%20b.txt"), b"a space\n");
    assert_eq!(get("/bytes/100000").len(), 100_000);
    assert_eq!(get("/stream/3"), b"chunk 0\nchunk 1\nchunk 2\n");
    assert_eq!(curled(&directory, &["--http1.0", &serve.url("/stream/2")]), b"chunk 0\nchunk 1\n");
    let head = String::from_utf8(curled(&directory, &["--head", &serve.url("/below/index.html")])).unwrap();
    assert!(head.contains("content-length: 13\r\n") && head.contains("content-type: text/html"), "{head}");
    // More than a megabyte: curl expects a 100 first.
    let echoed = curled(&directory, &["--upload-file", file.to_str().unwrap(), &serve.url("/echo")]);
    assert!(echoed == big, "what was sent came back otherwise");
    let chunked = ["--header", "transfer-encoding: chunked", "--data-binary", "@root/big.bin", &serve.url("/echo")];
    assert!(curled(&directory, &chunked) == big, "what was sent in chunks came back otherwise");
    let status = |path: &str| {
        let output = curled(&directory, &["--output", "/dev/null", "--write-out", "%{http_code}", &serve.url(path)]);
        String::from_utf8(output).unwrap()
    };
    for outside in [
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/below/../../outside.txt",
        "/leak.txt",
        "/below/%00",
        "//etc/passwd",
    ] {
        assert_eq!(status(outside), "404", "{outside}");
    }
    assert_eq!(status("/status/418"), "418");
    // Three on one connection.
    let url = serve.url("/bytes/5");
    let connects = curled(&directory, &["--write-out", " %{num_connects}", &url, &url, &url]);
    assert_eq!(connects, b"00000 100000 000000 0");
    serve.terminate();
    assert_eq!(assert_clean(serve.ends()), 19);
}

#[test]
fn curl_is_served_without_tls() {
    let directory = Directory::new("plain");
    let serve = Serve::start(&directory, &["--plain"]);
    let url = format!("http://127.0.0.1:{}/bytes/7", serve.port);
    let curl = Command::new("curl").args(["--silent", "--show-error", "--noproxy", "*", &url]).output().unwrap();
    assert_eq!(curl.stdout, b"0000000", "{}", String::from_utf8_lossy(&curl.stderr));
    serve.terminate();
    assert_eq!(assert_clean(serve.ends()), 1);
}

/// Law 6: a request that is under way when the signal comes goes on for as long as its client has something to say.
#[test]
fn a_signal_waits_for_a_request_that_is_under_way() {
    let directory = Directory::new("signal");
    let serve = Serve::start(&directory, &[]);
    let mut curl = Command::new("curl")
        .args(["--no-progress-meter", "--no-buffer", "--noproxy", "*", "--cacert", "exeunt-serve-ca.pem"])
        // What comes on its standard input, while it reads the answer.
        .args(["--upload-file", ".", &serve.url("/echo")])
        .current_dir(&directory.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (curl.stdin.take().unwrap(), curl.stdout.take().unwrap());
    let mut there_and_back = |words: &[u8]| {
        input.write_all(words).unwrap();
        let mut back = vec![0; words.len()];
        output.read_exact(&mut back).unwrap();
        assert_eq!(back, words);
    };
    there_and_back(b"before the signal");
    // Somebody who is not even secured is sent away when the stop begins.
    let mut bystander = TcpStream::connect(("127.0.0.1", serve.port)).unwrap();
    serve.terminate();
    let _ = bystander.read(&mut [0]);
    there_and_back(b"and after it");
    drop(input);
    assert!(curl.wait().unwrap().success());
    assert_eq!(assert_clean(serve.ends()), 1);
}

/// The Python that has aiohttp: the one on the path, or the system's, which need not be the same.
fn python() -> &'static str {
    static PYTHON: OnceLock<&'static str> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let has_it = |python: &&str| {
            let import = Command::new(python).args(["-c", "import aiohttp"]).stderr(Stdio::null()).status();
            import.is_ok_and(|status| status.success())
        };
        let python = ["python3", "/usr/bin/python3"].into_iter().find(has_it);
        python.expect("no Python has aiohttp: run script/setup, which brings what the tests need")
    })
}

/// `tests/http/serving/client.py`, which prints a line for each thing that it has seen.
struct Aiohttp {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Aiohttp {
    fn start(directory: &Directory, serve: &Serve, play: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/http/serving/client.py");
        let mut child = Command::new(python())
            .arg(script)
            .args([play, &serve.url(""), "exeunt-serve-ca.pem"])
            .current_dir(&directory.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Aiohttp { child, output }
    }

    /// Waits until it says this.
    fn says(&mut self, what: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), what);
    }

    /// What it has to say at the end.
    fn ends(mut self) -> Value {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        serde_json::from_str(&rest).unwrap()
    }
}

impl Drop for Aiohttp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn aiohttp_is_served() {
    let directory = Directory::new("aiohttp");
    let serve = Serve::start(&directory, &[]);
    let seen = Aiohttp::start(&directory, &serve, "visit").ends();
    let expected = json!({ "bytes": 100_000, "stream": "chunk 0\nchunk 1\n", "echo": true, "chunked": true, "head": "77", "missing": 404, "together": 50 });
    assert_eq!(seen, expected);
    serve.terminate();
    assert_eq!(assert_clean(serve.ends()), 6 + 50);
}

/// Law 6, under load: while clients hammer it the server is told to stop. What it accepted is answered; what it did not accept, the clients know, for not a byte of an answer came.
#[test]
fn a_signal_under_load_loses_no_request_that_was_accepted() {
    let directory = Directory::new("load");
    let serve = Serve::start(&directory, &[]);
    let mut clients = Aiohttp::start(&directory, &serve, "hammer");
    clients.says("hammering");
    serve.terminate();
    let accepted = assert_clean(serve.ends());
    let seen = clients.ends();
    assert_eq!(seen["broken"], 0, "answers that were begun and not ended: {seen}");
    assert_eq!(seen["answered"].as_u64().unwrap(), accepted, "{seen}");
}
