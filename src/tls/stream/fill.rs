//! Reading into the spare room of a buffer.

use bytes::BytesMut;
use tokio::io::ReadBuf;

use super::RECORD;

/// Lets `fill` append to `buf`, whose spare capacity is made to be not none: into no room at all nothing is read, which would look like an end.
pub(in crate::tls) fn read_into<R>(buf: &mut BytesMut, fill: impl FnOnce(&mut ReadBuf<'_>) -> R) -> R {
    if buf.len() == buf.capacity() {
        buf.reserve(RECORD);
    }
    let mut spare = ReadBuf::uninit(buf.spare_capacity_mut());
    let filled = fill(&mut spare);
    let n = spare.filled().len();
    advance(buf, n);
    filled
}

#[allow(unsafe_code)]
fn advance(buf: &mut BytesMut, n: usize) {
    let filled = buf.len() + n;
    debug_assert!(filled <= buf.capacity());
    // SAFETY: `n` is how much a `ReadBuf` over the spare capacity of this very buffer says is filled; it counts initialized bytes only,
    // and no more than it was made of. Nothing was done to the buffer since.
    unsafe { buf.set_len(filled) };
}

#[cfg(feature = "http2")]
impl super::TlsStream {
    /// What ALPN has chosen, without the rest of [`info`](TlsStream::info).
    pub(crate) fn alpn(&self) -> Option<Vec<u8>> {
        self.tls.ssl().selected_alpn_protocol().map(<[u8]>::to_vec)
    }
}
