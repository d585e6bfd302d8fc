//! The examples as programs: signals, exit codes, a service manager. They are built by `cargo test` without a filter, or by `cargo build --examples`.
#![cfg(all(feature = "serde", feature = "systemd", unix))]

#[path = "common/acceptor.rs"]
mod acceptor;

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Against hanging; nothing is asserted of it.
const LONG: Duration = Duration::from_secs(30);

fn example(name: &str) -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    assert!(path.exists(), "{} is not built: run `cargo build --examples` first", path.display());
    let mut command = Command::new(path);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    command
}

/// A directory of its own, removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("exeunt-programs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A program that is killed if the test ends before it does.
struct Program {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Program { child, output }
    }

    fn line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}: {}", self.errors()))
    }

    fn errors(&mut self) -> String {
        let mut errors = String::new();
        let _ = self.child.kill();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        errors
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([format!("-{signal}"), self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// The exit code, and the ledger: the last line of its standard output.
    fn end(mut self) -> (Option<i32>, serde_json::Value) {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        let code = self.child.wait().unwrap().code();
        let ledger = rest.lines().last().map(|line| serde_json::from_str(line).unwrap()).unwrap_or_default();
        (code, ledger)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(directory: &Directory, change: impl FnOnce(&mut Command)) -> (Program, u64) {
    let mut command = example("echo_server");
    command.args(["--port", "0", "--json"]).current_dir(&directory.0);
    change(&mut command);
    let mut server = Program::start(command);
    let listening = server.line();
    assert_eq!(listening["event"], "listening", "{listening}");
    let port = listening["port"].as_u64().unwrap();
    (server, port)
}

/// Opens `connections` with `--hold`, and waits until they are open.
fn talk(directory: &Directory, port: u64, connections: usize, arguments: &[&str]) -> Program {
    let mut command = example("talk");
    command
        .args([&format!("localhost:{port}"), "--ca", "exeunt-echo-ca.pem", "--json", "--hold"])
        .args(["--connections", &connections.to_string()])
        .args(arguments)
        .current_dir(&directory.0);
    let mut talk = Program::start(command);
    let mut connected = 0;
    while connected < connections {
        connected += usize::from(talk.line()["event"] == "connected");
    }
    talk
}

/// The promise itself: Ctrl-C in the middle of two hundred connections is two hundred rows and exit code 0, on both sides.
#[test]
fn an_interrupt_in_the_middle_is_a_clean_end_on_both_sides() {
    let directory = Directory::new("interrupt");
    let (server, port) = serve(&directory, |_| {});
    let talk = talk(&directory, port, 200, &["--lines", "2"]);
    talk.signal("INT");
    let (code, ledger) = talk.end();
    assert_eq!((code, ledger["verdict"].as_str()), (Some(0), Some("clean")), "{ledger}");
    assert_eq!(ledger["rows"].as_array().unwrap().len(), 200);
    assert_eq!(ledger["by_reason"], serde_json::json!({ "closed": 200 }));
    server.signal("TERM");
    let (code, ledger) = server.end();
    assert_eq!((code, &ledger["by_reason"]), (Some(0), &serde_json::json!({ "closed_by_peer": 200 })));
}

/// SIGTERM to the server under load: the clients see a clean end.
#[test]
fn a_terminated_server_closes_its_clients_cleanly() {
    let directory = Directory::new("terminate");
    let (server, port) = serve(&directory, |_| {});
    let talk = talk(&directory, port, 50, &[]);
    server.signal("TERM");
    let (code, ledger) = server.end();
    assert_eq!((code, ledger["verdict"].as_str()), (Some(0), Some("clean")), "{ledger}");
    assert_eq!(ledger["rows"].as_array().unwrap().len(), 50);
    talk.signal("INT");
    let (_, ledger) = talk.end();
    assert_eq!(ledger["by_reason"], serde_json::json!({ "closed_by_peer": 50 }), "{ledger}");
}

/// A second signal kills at once: the server is frozen, so nobody answers.
#[test]
fn a_second_signal_kills_at_once() {
    let directory = Directory::new("twice");
    let (server, port) = serve(&directory, |_| {});
    let talk = talk(&directory, port, 10, &["--linger", "600000", "--drain", "600000"]);
    server.signal("STOP");
    talk.signal("INT");
    // Signals of one kind are merged while the first is not taken, so the second is of another kind, and repeated until it is taken.
    let id = talk.child.id();
    let insist = std::thread::spawn(move || {
        while Command::new("kill").args(["-TERM", &id.to_string()]).stderr(Stdio::null()).status().unwrap().success() {
            std::thread::yield_now();
            if std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z ")) {
                break;
            }
        }
    });
    let (code, ledger) = talk.end();
    insist.join().unwrap();
    assert_eq!((code, ledger["verdict"].as_str()), (Some(1), Some("forced")), "{ledger}");
    assert_eq!(ledger["by_reason"], serde_json::json!({ "killed": 10 }));
    server.signal("CONT");
}

/// An interrupt ends a program that had failed already, and hides nothing of it: exit code 3, as a run to its end has.
#[cfg(feature = "http")]
#[test]
fn an_interrupt_does_not_make_up_for_what_failed() {
    let directory = Directory::new("failed");
    let mut command = example("fetch");
    let nobody = directory.0.join("nobody.sock");
    command.args(["-n", "1000000000", "-c", "4", "--json", "http://localhost/", "--unix"]).arg(nobody);
    let mut fetch = Program::start(command);
    assert_eq!(fetch.line()["event"], "failed");
    fetch.signal("INT");
    let (code, ledger) = fetch.end();
    assert_eq!((code, ledger["verdict"].as_str()), (Some(3), Some("clean")), "{ledger}");
}

/// The same of `talk`: its peer breaks one of two connections off, and closes the other as it should.
#[test]
fn an_interrupt_does_not_make_up_for_a_connection_that_broke() {
    let directory = Directory::new("broke");
    let made = exeunt::tls::self_signed(&["localhost"]).unwrap();
    std::fs::write(directory.0.join("exeunt-echo-ca.pem"), &made.ca_pem).unwrap();
    let acceptor = acceptor::acceptor(&made).build();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let accept = || acceptor.accept(listener.accept().unwrap().0).unwrap();
        let (breaks, mut closes) = (accept(), accept());
        drop(breaks);
        assert_eq!(closes.read(&mut [0; 16]).unwrap(), 0, "the end of an interrupt");
        closes.shutdown().unwrap();
    });
    let mut talk = talk(&directory, port.into(), 2, &[]);
    while talk.line()["event"] != "lost" {}
    talk.signal("INT");
    let (code, ledger) = talk.end();
    assert_eq!((code, ledger["verdict"].as_str()), (Some(3), Some("clean")), "{ledger}");
    assert_eq!(ledger["rows"].as_array().unwrap().len(), 1);
    server.join().unwrap();
}

/// systemd's protocol: ready when it is, stopping when it is, with a status, and more time asked for only with progress.
#[test]
fn a_service_manager_is_told() {
    let directory = Directory::new("notify");
    let path = directory.0.join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let (server, port) = serve(&directory, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let mut buffer = [0; 4096];
    let mut next = || {
        let n = socket.recv(&mut buffer).expect("the service manager is told nothing");
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    assert_eq!(next().trim(), "READY=1");
    let talk = talk(&directory, port, 3, &[]);
    server.signal("TERM");
    let stopping = next();
    assert!(stopping.contains("STOPPING=1") && stopping.contains("STATUS="), "{stopping}");
    let (code, _) = server.end();
    assert_eq!(code, Some(0));
    let mut told = Vec::new();
    socket.set_nonblocking(true).unwrap();
    while let Ok(n) = socket.recv(&mut buffer) {
        told.push(String::from_utf8_lossy(&buffer[..n]).into_owned());
    }
    assert!(told.iter().any(|told| told.contains("STATUS=") && told.contains("EXTEND_TIMEOUT_USEC=")), "{told:?}");
    drop(talk);
}

/// Socket activation: the first socket that the service manager passes is the one that is listened on.
#[test]
fn a_socket_that_is_passed_is_listened_on() {
    let directory = Directory::new("activation");
    let server = example("echo_server");
    // What systemd does, in Python: descriptor 3 is a listening socket, and LISTEN_PID is the program that it becomes.
    let activate = "import os, socket, sys\n\
        s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n\
        print(s.getsockname()[1], flush=True)\n\
        if s.fileno() != 3: os.dup2(s.fileno(), 3)\n\
        os.set_inheritable(3, True)\n\
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
        os.execv(sys.argv[1], sys.argv[1:])\n";
    let mut command = Command::new("python3");
    command.args(["-c", activate]).arg(server.get_program()).args(["--port", "0", "--json"]);
    command.current_dir(&directory.0).stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    let mut server = Program::start(command);
    let passed = server.line().as_u64().unwrap();
    assert_eq!(server.line()["port"], passed);
    let talk = talk(&directory, passed, 1, &[]);
    talk.signal("INT");
    assert_eq!(talk.end().0, Some(0));
    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
}
