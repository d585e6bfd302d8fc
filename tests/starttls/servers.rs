//! Servers that speak plainly first, on the loopback, with a configuration of a moment.

use std::{
    net::TcpListener,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::PathBuf,
    process::{Command, Stdio},
};

use super::{files::Files, process::Process};

/// Whoever these tests run as.
fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id");
    id.stdout.trim_ascii() == b"0"
}

/// Lets everybody write there: the servers give up the user that they are started by.
fn open_to_all(path: &PathBuf, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// exim4 as inetd starts it, once for each connection: its standard input and output are the socket. No daemon, no spool but its own, no port but ours.
///
/// It speaks SMTP to a socket only as root, which it gives up at once; where the tests are not root they ask sudo.
pub struct Exim {
    port: u16,
}

impl Exim {
    pub fn new(files: &Files) -> Exim {
        let program =
            ["/usr/sbin/exim4", "/usr/sbin/exim"].into_iter().find(|path| std::path::Path::new(path).exists());
        let program =
            program.expect("the peer `exim4` is not installed: run script/setup, which brings what the tests need");
        let path = files.path();
        open_to_all(&path.to_owned(), 0o777);
        open_to_all(&files.key(), 0o644);
        let configuration = path.join("exim.conf");
        let path = path.display();
        let words = format!(
            "primary_hostname = localhost\nspool_directory = {path}/spool\nlog_file_path = {path}/%slog\nkeep_environment =\nhost_lookup =\nrfc1413_query_timeout = 0s\n\
             tls_advertise_hosts = *\ntls_certificate = {path}/certificate.pem\ntls_privatekey = {path}/key.pem\nqueue_only\n"
        );
        std::fs::write(&configuration, words).unwrap();
        open_to_all(&configuration, 0o644);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let root = is_root();
        // A thread, for one connection. It ends with it.
        std::thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let (input, output): (OwnedFd, OwnedFd) = (socket.try_clone().unwrap().into(), socket.into());
            let mut command = match root {
                true => Command::new(program),
                false => {
                    let mut sudo = Command::new("sudo");
                    sudo.args(["-n", program]);
                    sudo
                }
            };
            let session =
                command.arg("-C").arg(configuration).arg("-bs").stdin(Stdio::from(input)).stdout(Stdio::from(output));
            match session.status() {
                Ok(_) => {}
                Err(error) => eprintln!(
                    "exim4 did not start (the tests must be root, or sudo must not ask for a password): {error}"
                ),
            }
        });
        Exim { port }
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

/// PostgreSQL with a cluster of its own. It refuses to be root; where the tests are, it is nobody.
pub struct Postgres {
    pub port: u16,
    process: Process,
    data: PathBuf,
}

impl Postgres {
    pub async fn start(files: &Files) -> Postgres {
        let binaries = binaries();
        let mut name = files.path().file_name().unwrap().to_owned();
        name.push("-postgres");
        let data = std::env::temp_dir().join(name);
        std::fs::create_dir(&data).unwrap();
        if is_root() {
            std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let cluster = data.join("cluster");
        let initialised = as_nobody(binaries.join("initdb"))
            .args(["--auth", "trust", "--username", "tester", "--no-sync", "--encoding", "UTF8", "--no-locale", "-D"])
            .arg(&cluster)
            .output()
            .unwrap();
        assert!(initialised.status.success(), "initdb: {}", String::from_utf8_lossy(&initialised.stderr));
        for (name, from) in [("server.crt", files.certificate()), ("server.key", files.key())] {
            let to = cluster.join(name);
            std::fs::copy(from, &to).unwrap();
            open_to_all(&to, 0o600);
            if is_root() {
                std::os::unix::fs::chown(&to, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        // Free a moment ago; nobody else on this machine is given it so soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let command = as_nobody(binaries.join("postgres"));
        let program = command.get_program().to_owned();
        let mut arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        arguments.extend(["-D".into(), cluster.into_os_string(), "-p".into(), port.to_string().into()]);
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "ssl=on", "fsync=off"] {
            arguments.extend(["-c".into(), setting.into()]);
        }
        let mut process = Process::start(program.to_str().unwrap(), arguments);
        process.says("ready to accept connections").await;
        Postgres { port, process, data }
    }

    /// As its own shutdown has it: a kill would leave its children and its shared memory.
    pub async fn stop(&mut self) {
        self.process.interrupt();
        self.process.ends().await;
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// The user that owns nothing.
const NOBODY: u32 = 65534;

fn as_nobody(program: PathBuf) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}

/// Debian keeps them out of the path, one directory for each version.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    let elsewhere = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|directory| directory.join("initdb").exists())
    };
    debian
        .or_else(elsewhere)
        .expect("the peer `postgresql` is not installed: run script/setup, which brings what the tests need")
}
