//! A form as a body, piece by piece.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::http::{Body, BoxError};

pub(super) enum Piece {
    Bytes(Bytes),
    /// A part, the length that was promised of it, and how much of that is still to come.
    Stream {
        name: String,
        body: Body,
        length: Option<u64>,
        left: Option<u64>,
    },
}

impl Piece {
    pub(super) fn bytes(&self) -> Option<Bytes> {
        match self {
            Piece::Bytes(bytes) => Some(bytes.clone()),
            Piece::Stream { .. } => None,
        }
    }

    fn size(&self) -> Option<u64> {
        match self {
            Piece::Bytes(bytes) => Some(bytes.len() as u64),
            Piece::Stream { left, .. } => *left,
        }
    }
}

/// A form with a part that is a stream.
pub(super) struct FormBody {
    pieces: VecDeque<Piece>,
}

impl FormBody {
    pub(super) fn new(pieces: VecDeque<Piece>) -> Self {
        FormBody { pieces }
    }
}

impl http_body::Body for FormBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while let Some(piece) = self.pieces.front_mut() {
            match piece {
                Piece::Bytes(bytes) => {
                    let bytes = std::mem::take(bytes);
                    self.pieces.pop_front();
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                Piece::Stream { name, body, length, left } => {
                    match ready!(Pin::new(body).poll_frame(cx)).transpose()? {
                        Some(frame) => {
                            // Trailers have no place in a form.
                            let Ok(data) = frame.into_data() else { continue };
                            if let Some(left) = left {
                                // More would be taken for the next part, or for the next request.
                                *left =
                                    left.checked_sub(data.len() as u64).ok_or_else(|| wrong(name, *length, "more"))?;
                            }
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        None if left.is_some_and(|left| left > 0) => {
                            return Poll::Ready(Some(Err(wrong(name, *length, "fewer").into())));
                        }
                        None => drop(self.pieces.pop_front()),
                    }
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let sizes = self.pieces.iter().map(|piece| piece.size().ok_or(())).try_fold(0_u64, |all, size| {
            // What no number holds has no length.
            all.checked_add(size?).ok_or(())
        });
        sizes.map_or_else(|()| SizeHint::new(), SizeHint::with_exact)
    }
}

fn wrong(name: &str, length: Option<u64>, than: &str) -> String {
    let length = length.unwrap_or_default();
    format!("the part {name:?} of the form was to be {length} bytes, and its stream has {than}")
}
