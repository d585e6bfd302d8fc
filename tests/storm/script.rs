//! The script: everything that was seen, with its moment, and what went wrong.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use exeunt::{
    ConnectionId, Lost,
    sim::{DOMAIN, Gone, Told, pattern},
};
use tokio::time::Instant;

/// Who tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Play,
    Owner(usize),
    Protocol,
    Progress,
    Ledger,
    Answer,
    Handle,
    Bare,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Did(String),
    Answered(String),
    Refused,
    Connected,
    Data(usize),
    Eof { clean: bool },
    Draining,
    Lost(Box<Lost>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Milliseconds since the curtain rose.
    pub at: u64,
    pub who: usize,
    pub by: By,
    pub what: What,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9} s{:<2} {:?}: ", self.at, self.who, self.by)?;
        match &self.what {
            What::Lost(lost) => write!(f, "{lost} {:?} in {} out {}", lost.proof, lost.bytes_in, lost.bytes_out),
            what => write!(f, "{what:?}"),
        }
    }
}

/// What became of bytes that were to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody said.
    Unknown,
    Accepted,
    /// Never taken.
    Refused,
    /// Taken perhaps, and not sent.
    Lost,
}

/// One of those who take part.
#[derive(Debug, Default)]
pub struct Part {
    pub id: Option<ConnectionId>,
    pub owner: Option<usize>,
    pub sent: Vec<(Bytes, Fate)>,
    pub received: Vec<u8>,
    /// How much of it a `Flush` has vouched for.
    pub flushed: usize,
    /// Calls with their replies.
    pub calls: Vec<(String, String)>,
    /// Its end of the pipe, if it has one.
    pub socket: Option<Gone>,
}

impl Part {
    pub fn sum(&self, fates: &[Fate]) -> usize {
        self.sent.iter().filter(|(_, fate)| fates.contains(fate)).map(|(bytes, _)| bytes.len()).sum()
    }

    pub fn accepted(&self) -> usize {
        self.sum(&[Fate::Accepted])
    }
}

#[derive(Clone)]
pub struct Script(Arc<Mutex<Inner>>);

pub struct Inner {
    start: Instant,
    latest: u64,
    /// The curtain has fallen: who goes now is taken away, and has not gone.
    pub over: bool,
    pub lines: Vec<Line>,
    pub parts: Vec<Part>,
    pub owners_gone: Vec<Option<u64>>,
    pub wrong: Vec<String>,
}

impl Script {
    pub fn new(parts: usize, owners: usize) -> Self {
        Script(Arc::new(Mutex::new(Inner {
            start: Instant::now(),
            latest: 0,
            over: false,
            lines: Vec::new(),
            parts: (0..parts).map(|_| Part::default()).collect(),
            owners_gone: vec![None; owners],
            wrong: Vec::new(),
        })))
    }

    pub fn look(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn tell(&self, who: usize, by: By, what: What) {
        let inner = &mut *self.look();
        if let What::Lost(lost) = &what
            && inner.parts[who].socket.as_ref().is_some_and(|socket| !socket.is_gone())
        {
            inner.wrong.push(format!("law 3: s{who} was told lost by {by:?} with its socket open: {lost}"));
        }
        let at = inner.now();
        inner.lines.push(Line { at, who, by, what });
    }

    pub fn wrong(&self, words: impl Into<String>) {
        self.look().wrong.push(words.into());
    }

    pub fn now(&self) -> u64 {
        self.look().now()
    }

    pub fn received(&self, who: usize, by: By, bytes: &[u8]) {
        self.tell(who, by, What::Data(bytes.len()));
        self.look().parts[who].received.extend_from_slice(bytes);
    }

    /// Bytes that nobody else sends.
    pub fn bytes_for(&self, who: usize, len: usize) -> (usize, Bytes) {
        let inner = &mut *self.look();
        let n = inner.parts[who].sent.len();
        let bytes = pattern(who, n, len);
        inner.parts[who].sent.push((bytes.clone(), Fate::Unknown));
        (n, bytes)
    }

    /// What a bare peer tells of itself.
    pub fn told(&self, who: usize, told: Told) {
        match told {
            Told::Connected => self.tell(who, By::Bare, What::Connected),
            Told::NoHandshake => self.tell(who, By::Bare, What::Answered("no handshake".into())),
            Told::Received(bytes) => self.received(who, By::Bare, &bytes),
            Told::End { clean } => self.tell(who, By::Bare, What::Eof { clean }),
            Told::Closes => self.tell(who, By::Bare, What::Did("close_notify".into())),
            Told::Writes(bytes) => self.look().parts[who].sent.push((bytes, Fate::Unknown)),
            Told::Wrote(taken) => {
                let fate = taken.map_or(Fate::Unknown, |taken| if taken { Fate::Accepted } else { Fate::Refused });
                let parts = &mut self.look().parts;
                parts[who].sent.last_mut().unwrap().1 = fate;
            }
            Told::Did(words) => self.tell(who, By::Bare, What::Did(words)),
            other => self.wrong(format!("{other:?}")),
        }
    }

    pub fn sent(&self, who: usize, n: usize, fate: Fate) {
        self.look().parts[who].sent[n].1 = fate;
    }

    pub fn who_is(&self, id: ConnectionId) -> usize {
        let inner = self.look();
        inner.parts.iter().position(|part| part.id == Some(id)).unwrap_or_else(|| panic!("nobody knows {id}"))
    }

    pub fn meet(&self, who: usize, id: ConnectionId) {
        self.look().parts[who].id = Some(id);
    }
}

impl Inner {
    /// In a teardown the virtual clock is out of reach: it stands still.
    fn now(&mut self) -> u64 {
        if tokio::runtime::Handle::try_current().is_ok() {
            self.latest = self.start.elapsed().as_millis() as u64;
        }
        self.latest
    }
}

/// The name that one of those who take part has in peers, rows and messages.
pub fn name(who: usize) -> String {
    format!("s{who}.{DOMAIN}")
}

pub fn who(name: &str) -> usize {
    name[1..name.find('.').unwrap()].parse().unwrap()
}
