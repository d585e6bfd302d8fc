//! The example `serve` over HTTP/2, with nghttp2's clients.

use super::*;

/// What `h2load` counts at its end.
#[derive(Debug, PartialEq, Eq)]
struct Load {
    succeeded: u64,
    failed: u64,
    /// With a status of 200 to 299.
    good: u64,
}

struct H2load(Child);

impl H2load {
    fn start(serve: &Serve, path: &str, requests: u64) -> Self {
        let requests = requests.to_string();
        let child = Command::new("h2load")
            .args(["-n", &requests, "-c", "8", "-m", "10", &serve.url(path)])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        H2load(
            child.unwrap_or_else(|error| panic!("h2load: {error}: run script/setup, which brings what the tests need")),
        )
    }

    fn ends(mut self) -> Load {
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        self.0.wait().unwrap();
        // "requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout", and "status codes: 9 2xx, ..."
        let count = |line: &str, what: &str| {
            let line = said.lines().find(|said| said.starts_with(line)).unwrap_or_else(|| panic!("no {line}: {said}"));
            let counts = line.split_once(": ").unwrap().1.split(", ");
            let found = counts.filter_map(|count| count.split_once(' ')).find(|(_, name)| *name == what);
            found.unwrap_or_else(|| panic!("no {what}: {said}")).0.parse().unwrap()
        };
        Load {
            succeeded: count("requests", "succeeded"),
            failed: count("requests", "failed"),
            good: count("status codes", "2xx"),
        }
    }
}

impl Drop for H2load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads what it says until it has told of so many requests.
fn served(serve: &mut Serve, requests: u64) {
    let mut told = 0;
    while told < requests {
        told += u64::from(serve.line().expect("it has ended")["event"] == "request");
    }
}

#[test]
fn nghttp_and_curl_are_served() {
    let directory = Directory::new("nghttp");
    directory.file("root/up.bin", &vec![b'u'; 1_000_000]);
    let serve = Serve::start(&directory, &[]);
    let said = Command::new("nghttp")
        .args(["--verbose", "--null-out", "--data=root/up.bin", &serve.url("/echo"), &serve.url("/bytes/100000")])
        .current_dir(&directory.0)
        .output()
        .unwrap_or_else(|error| panic!("nghttp: {error}: run script/setup, which brings what the tests need"));
    let said = String::from_utf8_lossy(&said.stdout);
    assert_eq!(said.matches(":status: 200").count(), 2, "{said}");
    let version = ["--output", "/dev/null", "--write-out", "%{http_version}"];
    let url = serve.url("/bytes/10");
    assert_eq!(curled(&directory, &[&version[..], &["--http2", &url]].concat()), b"2");
    assert_eq!(curled(&directory, &[&version[..], &["--http1.1", &url]].concat()), b"1.1");
    serve.terminate();
    assert_eq!(assert_clean(serve.ends()), 4);
}

/// Told to offer none, it has none; and without TLS a client may know that it is there.
#[test]
fn http2_is_left_out_or_known_to_be_there() {
    let directory = Directory::new("versions");
    let version = ["--output", "/dev/null", "--write-out", "%{http_version}"];
    let serve = Serve::start(&directory, &["--http1"]);
    assert_eq!(curled(&directory, &[&version[..], &["--http2", &serve.url("/bytes/10")]].concat()), b"1.1");
    serve.terminate();
    assert_clean(serve.ends());
    let serve = Serve::start(&directory, &["--plain"]);
    let url = serve.url("/bytes/10").replace("https", "http");
    let known = curled_plainly(&directory, &[&version[..], &["--http2-prior-knowledge", &url]].concat());
    assert_eq!(known, b"2");
    assert_eq!(curled_plainly(&directory, &[&version[..], &[&url]].concat()), b"1.1");
    serve.terminate();
    assert_clean(serve.ends());
}

/// Without a file of certificates, which is not there.
fn curled_plainly(directory: &Directory, arguments: &[&str]) -> Vec<u8> {
    std::fs::write(directory.0.join("exeunt-serve-ca.pem"), "").unwrap();
    curled(directory, arguments)
}

#[test]
fn h2load_is_served() {
    let directory = Directory::new("h2load");
    let mut serve = Serve::start(&directory, &[]);
    let load = H2load::start(&serve, "/bytes/1000", 2000);
    served(&mut serve, 2000);
    assert_eq!(load.ends(), Load { succeeded: 2000, failed: 0, good: 2000 });
    serve.terminate();
    assert_clean(serve.ends());
}

/// Law 6, under load: as many as the server has accepted have come whole, and of no other a byte of an answer.
#[test]
fn a_signal_under_load_loses_no_stream_that_was_accepted() {
    let directory = Directory::new("h2load-signal");
    let mut serve = Serve::start(&directory, &[]);
    let load = H2load::start(&serve, "/bytes/1000", 1_000_000);
    served(&mut serve, 500);
    serve.terminate();
    let accepted = assert_clean(serve.ends());
    let Load { succeeded, good, .. } = load.ends();
    assert_eq!((succeeded, good), (accepted, accepted));
}
