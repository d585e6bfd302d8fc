//! A listener on a Unix-domain socket, and the file that it is found by.

use std::{
    fs, io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::{Domain, SockAddr, Socket as RawSocket, Type};
use tokio::net::{UnixListener, UnixStream};

use crate::fate::Peer;

/// A listening socket with its file, if that is ours: it is gone with the socket.
pub(super) struct UnixSocket {
    /// Before the socket: who comes in between finds nobody, and not one who refuses.
    _file: Option<OurFile>,
    socket: UnixListener,
    path: Arc<str>,
}

impl UnixSocket {
    pub(super) fn bind(path: &Path, mode: Option<u32>, backlog: i32) -> io::Result<Self> {
        let (socket, file) = bind(path, mode, backlog)?;
        Ok(UnixSocket { _file: Some(file), socket: UnixListener::from_std(socket)?, path: shown(path) })
    }

    /// One that somebody else has made: its file is theirs.
    pub(super) fn adopt(socket: StdListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let path = socket.local_addr()?.as_pathname().map_or_else(|| "".into(), shown);
        Ok(UnixSocket { _file: None, socket: UnixListener::from_std(socket)?, path })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.socket.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned)).unwrap_or_default()
    }

    /// The next connection. Nobody has an address there; who it is, the system knows.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, Peer)>> {
        let (socket, _) = ready!(self.socket.poll_accept(cx))?;
        let path = &self.path;
        let name = match socket.peer_cred() {
            Ok(of) => match of.pid() {
                Some(pid) => format!("unix:{path} (uid {}, pid {pid})", of.uid()),
                None => format!("unix:{path} (uid {})", of.uid()),
            },
            Err(_) => format!("unix:{path}"),
        };
        Poll::Ready(Ok((socket, Peer::named(name))))
    }
}

fn shown(path: &Path) -> Arc<str> {
    path.display().to_string().into()
}

fn bind(path: &Path, mode: Option<u32>, backlog: i32) -> io::Result<(StdListener, OurFile)> {
    let address = SockAddr::unix(path)?;
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.bind(&address) {
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(error);
        }
        remove_stale(path, error)?;
        socket.bind(&address)?;
    }
    let file = OurFile { id: id(&fs::symlink_metadata(path)?), path: path.to_owned() };
    if let Some(mode) = mode {
        // Nobody can have connected yet: that takes a socket that listens.
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    socket.listen(backlog)?;
    Ok((socket.into(), file))
}

/// Removes the file of a socket that nobody listens on: what a program leaves behind that was killed. Anything else is left alone.
///
/// Two programs that find the same one at the same time could each take the other's for it; that much care is the caller's, as with every program that does this.
fn remove_stale(path: &Path, in_use: io::Error) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(io::Error::new(in_use.kind(), "there is a file of that name, and it is not a socket"));
    }
    let probe = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    // A full backlog is an answer, too, and not to be waited for.
    probe.set_nonblocking(true)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        _ => return Err(in_use),
    }
    // Still the one that was asked.
    if id(&fs::symlink_metadata(path)?) != id(&found) {
        return Err(in_use);
    }
    fs::remove_file(path)
}

/// A file tells itself from another that takes its name.
fn id(of: &fs::Metadata) -> (u64, u64) {
    (of.dev(), of.ino())
}

struct OurFile {
    path: PathBuf,
    id: (u64, u64),
}

impl Drop for OurFile {
    /// Only if it is still ours: the next program may have put its own there.
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| id(&found) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
