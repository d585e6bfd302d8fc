//! A peer's process: spoken to on its stdin, listened to on its stdout and stderr, and gone when it is dropped.
#![allow(dead_code, reason = "two test programs share it, and neither needs all of it")]

use std::{
    ffi::OsStr,
    fmt::Write as _,
    io::{ErrorKind, Read, Write},
    process::{Child, Command, Stdio},
};

use tokio::sync::mpsc;

use super::soon;

pub struct Process {
    child: Child,
    heard: mpsc::UnboundedReceiver<(usize, Vec<u8>)>,
    /// What it has said on stdout and on stderr, and how much of that was waited for already.
    said: [(Vec<u8>, usize); 2],
}

impl Process {
    pub fn start(program: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Process {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("the peer `{program}` is not installed: run script/setup, which brings what the tests need")
            }
            child => child.unwrap_or_else(|error| panic!("{program}: {error}")),
        };
        let (tell, heard) = mpsc::unbounded_channel();
        listen(child.stdout.take().unwrap(), 0, tell.clone());
        listen(child.stderr.take().unwrap(), 1, tell);
        Process { child, heard, said: Default::default() }
    }

    /// Waits until it has said `words`, on stdout or stderr, after what was waited for before. Answers with the rest of the line.
    pub async fn says(&mut self, words: &str) -> String {
        self.says_one_of(&[words]).await.1
    }

    /// As [`says`](Process::says), with which of them it was.
    pub async fn says_one_of(&mut self, all: &[&str]) -> (usize, String) {
        loop {
            for (said, seen) in &mut self.said {
                for (which, words) in all.iter().enumerate() {
                    let found = said[*seen..].windows(words.len()).position(|window| window == words.as_bytes());
                    let Some(at) = found.map(|at| *seen + at + words.len()) else { continue };
                    if let Some(length) = said[at..].iter().position(|byte| *byte == b'\n') {
                        *seen = at;
                        return (which, String::from_utf8_lossy(&said[at..at + length]).into_owned());
                    }
                }
            }
            match soon(self.heard.recv()).await {
                Some(Some((stream, bytes))) => self.said[stream].0.extend(bytes),
                Some(None) => panic!("the peer ended and did not say {all:?}{}", self.transcript()),
                None => panic!("the peer does not say {all:?}{}", self.transcript()),
            }
        }
    }

    /// Waits until it has ended by itself.
    pub async fn ends(&mut self) {
        while let Some((stream, bytes)) = soon(self.heard.recv()).await.expect("the peer does not end") {
            self.said[stream].0.extend(bytes);
        }
    }

    pub fn tell(&mut self, words: &str) {
        let stdin = self.child.stdin.as_mut().expect("its stdin is closed already");
        stdin.write_all(words.as_bytes()).and_then(|()| stdin.flush()).expect("the peer has gone");
    }

    pub fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// By SIGKILL. When this returns the system has closed its sockets.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// By SIGSTOP: the system still answers for its sockets, it does not.
    pub fn freeze(&mut self) {
        self.signal("-STOP");
    }

    /// By SIGINT.
    pub fn interrupt(&mut self) {
        self.signal("-INT");
    }

    /// By SIGCONT.
    pub fn thaw(&mut self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// How often it has said this character on its stdout.
    pub fn count(&self, character: u8) -> usize {
        self.said[0].0.iter().filter(|byte| **byte == character).count()
    }

    pub fn transcript(&self) -> String {
        let mut text = String::new();
        for (name, (said, _)) in ["stdout", "stderr"].iter().zip(&self.said) {
            let _ = write!(text, "\n--- its {name}:\n{}", String::from_utf8_lossy(said));
        }
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A thread, because a pipe's end may be waited for by reading only. It ends with the process.
fn listen(mut pipe: impl Read + Send + 'static, stream: usize, tell: mpsc::UnboundedSender<(usize, Vec<u8>)>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = pipe.read(&mut buffer) {
            if tell.send((stream, buffer[..n].to_vec())).is_err() {
                return;
            }
        }
    });
}
