//! Where the answer of an HTTP/1.1 peer ends: RFC 9112, sections 6.3 and 7.1.

use std::fmt;

/// A head that is longer is not waited for. hyper takes as much by default.
const HEAD_AT_MOST: usize = 400 * 1024;

/// hyper's default limit is 100.
const HEADERS_AT_MOST: usize = 128;

/// HTTP/1.1 without pipelining, as hyper speaks it: RFC 9112, section 6.3.
pub(in crate::http) enum Http1 {
    Idle,
    /// A request has begun. Its method, as far as it was written.
    Asking(Vec<u8>),
    /// Its answer is awaited. The head, as far as it has come.
    Awaiting {
        request: Asked,
        head: Vec<u8>,
    },
    /// So much of the answer's body is to come.
    Body(u64),
    Chunked(Chunked),
    /// Not understood, or not HTTP any more: an upgrade, a tunnel, a body that ends with the connection.
    Lost,
}

/// What of a request decides where its answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Asked {
    Head,
    Connect,
    Other,
}

impl fmt::Debug for Http1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No bytes: there are secrets in heads.
        f.write_str(match self {
            Http1::Idle => "Idle",
            Http1::Asking(_) => "Asking",
            Http1::Awaiting { .. } => "Awaiting",
            Http1::Body(_) => "Body",
            Http1::Chunked(_) => "Chunked",
            Http1::Lost => "Lost",
        })
    }
}

impl Http1 {
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        if matches!(self, Http1::Idle) && !bytes.is_empty() {
            *self = Http1::Asking(Vec::new());
        }
        let Http1::Asking(method) = self else { return };
        for byte in bytes {
            match byte {
                b' ' => {
                    let request = match method.as_slice() {
                        b"HEAD" => Asked::Head,
                        b"CONNECT" => Asked::Connect,
                        _ => Asked::Other,
                    };
                    *self = Http1::Awaiting { request, head: Vec::new() };
                    return;
                }
                byte if byte.is_ascii_graphic() && method.len() < 64 => method.push(*byte),
                _ => {
                    *self = Http1::Lost;
                    return;
                }
            }
        }
    }

    pub(super) fn received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self {
                Http1::Body(left) => {
                    let n = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    *left -= n as u64;
                    if *left == 0 {
                        *self = Http1::Idle;
                    }
                    &bytes[n..]
                }
                Http1::Chunked(chunked) => match chunked.pass(bytes) {
                    Passed::More => return,
                    Passed::End(rest) => {
                        *self = Http1::Idle;
                        rest
                    }
                    Passed::Wrong => {
                        *self = Http1::Lost;
                        return;
                    }
                },
                Http1::Awaiting { request, head } => {
                    let request = *request;
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    match end_of_head(request, head) {
                        None if head.len() < HEAD_AT_MOST => return,
                        None => {
                            *self = Http1::Lost;
                            return;
                        }
                        Some((next, end)) => {
                            *self = next;
                            // More than there was before, or it would have been found then.
                            bytes.get(end.saturating_sub(before)..).unwrap_or_default()
                        }
                    }
                }
                // Nothing was asked for.
                Http1::Idle | Http1::Asking(_) => {
                    *self = Http1::Lost;
                    return;
                }
                Http1::Lost => return,
            };
        }
    }
}

/// What follows the head at the beginning of `bytes`, and where it ends. `None`: it is not whole.
fn end_of_head(request: Asked, bytes: &[u8]) -> Option<(Http1, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_AT_MOST];
    let mut response = httparse::Response::new(&mut headers);
    let end = match response.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some((Http1::Lost, bytes.len())),
    };
    let next = match (response.code.unwrap_or_default(), request) {
        (101, _) | (200..=299, Asked::Connect) => Http1::Lost,
        (100..=199, _) => Http1::Awaiting { request, head: Vec::new() },
        (204 | 304, _) | (_, Asked::Head) => Http1::Idle,
        _ => body_of(response.headers),
    };
    Some((next, end))
}

fn body_of(headers: &[httparse::Header<'_>]) -> Http1 {
    let named = |name: &'static str| {
        headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    };
    if let Some(coding) = named("transfer-encoding").next_back() {
        let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default();
        return match last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            true => Http1::Chunked(Chunked::default()),
            false => Http1::Lost,
        };
    }
    let mut lengths = named("content-length").map(|value| str::from_utf8(value.trim_ascii()).ok()?.parse().ok());
    match (lengths.next(), lengths.next()) {
        (Some(Some(0)), None) => Http1::Idle,
        (Some(Some(length)), None) => Http1::Body(length),
        _ => Http1::Lost,
    }
}

/// A chunked body: RFC 9112, section 7.1.
#[derive(Debug)]
pub(in crate::http) enum Chunked {
    Size {
        size: u64,
        digits: u8,
    },
    /// The rest of the line of a size.
    Extension {
        size: u64,
    },
    Data {
        left: u64,
    },
    /// The end of the line behind the data.
    AfterData,
    /// In a line of the trailer, with so many bytes in it.
    Trailer {
        length: usize,
    },
}

impl Default for Chunked {
    fn default() -> Self {
        Chunked::Size { size: 0, digits: 0 }
    }
}

enum Passed<'a> {
    More,
    End(&'a [u8]),
    Wrong,
}

impl Chunked {
    fn pass<'a>(&mut self, mut bytes: &'a [u8]) -> Passed<'a> {
        while let Some((&byte, rest)) = bytes.split_first() {
            bytes = rest;
            *self = match (&*self, byte) {
                (Chunked::Data { left }, _) => {
                    let n = left.saturating_sub(1).min(rest.len() as u64);
                    bytes = rest.get(n as usize..).unwrap_or_default();
                    match left - 1 - n {
                        0 => Chunked::AfterData,
                        left => Chunked::Data { left },
                    }
                }
                (Chunked::Size { digits: 1.., size }, b'\n') | (Chunked::Extension { size }, b'\n') => match size {
                    0 => Chunked::Trailer { length: 0 },
                    size => Chunked::Data { left: *size },
                },
                (Chunked::Size { digits: 1.., size }, b'\r' | b';' | b' ' | b'\t') => {
                    Chunked::Extension { size: *size }
                }
                (Chunked::Size { size, digits: digits @ 0..16 }, byte) => match (byte as char).to_digit(16) {
                    Some(digit) => Chunked::Size { size: size << 4 | u64::from(digit), digits: digits + 1 },
                    None => return Passed::Wrong,
                },
                (Chunked::Size { .. }, _) => return Passed::Wrong,
                (Chunked::Extension { size }, _) => Chunked::Extension { size: *size },
                (Chunked::AfterData, b'\r') => Chunked::AfterData,
                (Chunked::AfterData, b'\n') => Chunked::default(),
                (Chunked::AfterData, _) => return Passed::Wrong,
                (Chunked::Trailer { length: 0 }, b'\n') => return Passed::End(bytes),
                (Chunked::Trailer { .. }, b'\n') => Chunked::Trailer { length: 0 },
                (Chunked::Trailer { length }, b'\r') => Chunked::Trailer { length: *length },
                (Chunked::Trailer { length }, _) => Chunked::Trailer { length: length.saturating_add(1) },
            };
        }
        Passed::More
    }
}
