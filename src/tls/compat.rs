//! What differs between OpenSSL 1.1.1, OpenSSL 3.x and AWS-LC. No other file asks which of them it runs on.
//!
//! | | OpenSSL 1.1.1 | OpenSSL 3.x | AWS-LC |
//! |---|---|---|---|
//! | buffers of an idle connection | kept, unless given back | the same | none |
//! | a FIN without close_notify | looks clean to a careless reader | a fatal error that forbids writing | an error |
//! | choosing the suites of TLS 1.3 | yes | yes | no |
//! | renegotiation asked for by a TLS 1.2 client | allowed unless forbidden | forbidden | forbidden |
//! | the same by a server | done | done | an error that ends the connection |
//! | an alert in the clear in a handshake of TLS 1.3, as OpenSSL's client sends it | not run | taken | an error without the alert's number |
//! | the tickets of TLS 1.3, by a server | not run | with the handshake, by a call for each | with its first bytes |
//! | roots of the system | the library knows the path | the same, unless it was built from source | found by `openssl-probe` |
//!
//! The second row is why the [gate](super::gate) hides the FIN: then all three behave alike.

use openssl::{
    error::ErrorStack,
    ssl::{SslContextBuilder, SslMode, SslOptions, SslRef},
};

/// The number under which the library's SSL part reports errors.
pub(crate) const ERR_LIB_SSL: i32 = if cfg!(feature = "aws-lc") { 16 } else { 20 };

/// `SSL_R_CERTIFICATE_VERIFY_FAILED`: we did not accept the peer's certificate.
pub(crate) const CERTIFICATE_VERIFY_FAILED: i32 = if cfg!(feature = "aws-lc") { 125 } else { 134 };

/// The name of the library, for errors that depend on it.
pub(crate) const LIBRARY: &str = if cfg!(feature = "aws-lc") { "AWS-LC" } else { "OpenSSL" };

/// The settings that every context of ours has, whatever its role.
///
/// - Partial writes, and a write buffer that may move: the caller's out-buffer grows while a write is pending.
/// - Read-ahead is one receive call in place of three; with `SSL_MODE_RELEASE_BUFFERS` cleared, a busy connection does not allocate and free 17 KB a record.
///   What that would cost in memory is given back when the connection falls idle: see [`give_back_buffers`].
pub(crate) fn prepare(context: &mut SslContextBuilder, read_ahead: bool) {
    context.set_mode(SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::ENABLE_PARTIAL_WRITE);
    #[cfg(not(feature = "aws-lc"))]
    {
        context.set_options(SslOptions::ALL | SslOptions::NO_COMPRESSION | SslOptions::NO_SSLV2 | SslOptions::NO_SSLV3);
        openssl_only::clear_release_buffers(context);
    }
    context.set_read_ahead(read_ahead);
}

/// A client may not renegotiate: it costs it nothing and us a private-key operation.
pub(crate) fn forbid_renegotiation(context: &mut SslContextBuilder) {
    context.set_options(SslOptions::NO_RENEGOTIATION);
}

/// Chooses the cipher suites of TLS 1.3, or says that this library cannot.
pub(crate) fn set_ciphersuites(context: &mut SslContextBuilder, list: &str) -> Result<(), Option<ErrorStack>> {
    #[cfg(not(feature = "aws-lc"))]
    return context.set_ciphersuites(list).map_err(Some);
    #[cfg(feature = "aws-lc")]
    {
        let _ = (context, list);
        Err(None)
    }
}

/// Loads the roots of the system: `Ok(false)` if there are none to be found.
pub(crate) fn load_system_roots(context: &mut SslContextBuilder) -> Result<bool, ErrorStack> {
    #[cfg(not(any(feature = "vendored", feature = "aws-lc")))]
    return context.set_default_verify_paths().map(|()| true);
    // A library that was built from source looks for roots where it would have been installed. `openssl_probe::probe` only looks;
    // its other functions set environment variables, which is not safe in a program with threads.
    #[cfg(any(feature = "vendored", feature = "aws-lc"))]
    {
        let found = openssl_probe::probe();
        let mut any = false;
        if let Some(file) = &found.cert_file {
            context.load_verify_locations(Some(file), None)?;
            any = true;
        }
        for dir in &found.cert_dir {
            context.load_verify_locations(None, Some(dir))?;
            any = true;
        }
        Ok(any)
    }
}

/// Whether the handshake is over and no message that came after it (a ticket, a renegotiation) is half read. `established` is what we know ourselves.
pub(crate) fn is_init_finished(ssl: &SslRef, established: bool) -> bool {
    #[cfg(not(feature = "aws-lc"))]
    return established && ssl.is_init_finished();
    // AWS-LC reads messages after the handshake outside of its handshake state.
    #[cfg(feature = "aws-lc")]
    {
        let _ = ssl;
        established
    }
}

/// Whether an end that a read reported was the peer's close_notify. The gate shows the library no end of file, so it can hardly be anything else;
/// but what tells a clean end from a cut one is worth a second witness.
pub(crate) fn is_close_notify(ssl: &SslRef) -> bool {
    #[cfg(not(feature = "aws-lc"))]
    return openssl_only::received_shutdown(ssl);
    // Not in the bindings, and the names of AWS-LC's symbols carry a version: nothing to declare by hand. It reports an end for a close_notify only.
    #[cfg(feature = "aws-lc")]
    {
        let _ = ssl;
        true
    }
}

/// Empties the thread's error queue.
pub(crate) fn clear_errors() {
    // Mostly it is empty, and to see that costs a tenth of what it costs to take out nothing.
    #[cfg(not(feature = "aws-lc"))]
    if !openssl_only::has_errors() {
        return;
    }
    drop(ErrorStack::get());
}

/// Whether the library holds something that it was given and has not given out: whole records, or a part of one. `true` also where it cannot be asked: the next read will show.
pub(crate) fn has_pending(ssl: &SslRef) -> bool {
    #[cfg(not(feature = "aws-lc"))]
    return openssl_only::has_pending(ssl);
    #[cfg(feature = "aws-lc")]
    {
        let _ = ssl;
        true
    }
}

/// Gives the record buffers of an idle connection back (two times 17 KB); they return with the next record.
pub(crate) fn give_back_buffers(ssl: &SslRef) {
    #[cfg(not(feature = "aws-lc"))]
    openssl_only::free_buffers(ssl);
    // AWS-LC holds none while nothing is pending.
    #[cfg(feature = "aws-lc")]
    let _ = ssl;
}

/// Has the library take the buffers now that it will need for the next record; without them it does so then.
pub(crate) fn take_buffers(ssl: &SslRef) {
    #[cfg(not(feature = "aws-lc"))]
    openssl_only::alloc_buffers(ssl);
    // AWS-LC's is as long as the record that it finds.
    #[cfg(feature = "aws-lc")]
    let _ = ssl;
}

/// From here on the library writes alerts alone, and answers to a KeyUpdate: a write buffer that it does not have yet it takes as small as that, and not of 17 KB.
pub(crate) fn write_little(ssl: &SslRef) {
    #[cfg(not(feature = "aws-lc"))]
    openssl_only::write_little(ssl);
    // AWS-LC's is as long as the record.
    #[cfg(feature = "aws-lc")]
    let _ = ssl;
}

/// What a simulated peer does to its own stream, at a moment that suits nobody. Sent with the next handshake call or write.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awkward {
    /// New keys for what we write (TLS 1.3), and for what the other writes if it is asked for them.
    KeyUpdate { asks: bool },
    /// One more session ticket (a server's, TLS 1.3).
    Ticket,
    /// A new handshake on the old connection (TLS 1.2).
    Renegotiation,
}

/// Whether the library does that now: not in another version of TLS, nor in the middle of a write, and AWS-LC not at all: its bindings lack the calls, and its symbols bear a version.
#[cfg(feature = "sim")]
pub(crate) fn awkward(ssl: &SslRef, what: Awkward) -> bool {
    #[cfg(not(feature = "aws-lc"))]
    return openssl_only::awkward(ssl, what);
    #[cfg(feature = "aws-lc")]
    {
        let _ = (ssl, what);
        false
    }
}

#[cfg(not(feature = "aws-lc"))]
mod openssl_only {
    //! The few calls that the bindings lack. Declared by hand, with the types of `<openssl/ssl.h>`: the symbols come from the library that `openssl-sys` links.

    use std::{
        ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void},
        ptr,
    };

    use openssl::ssl::{SslContextBuilder, SslRef};

    #[allow(unsafe_code)]
    // SAFETY: the signatures are those of OpenSSL 1.1.1 to 3.6, with opaque structures as `void`.
    unsafe extern "C" {
        fn SSL_CTX_ctrl(context: *mut c_void, command: c_int, number: c_long, pointer: *mut c_void) -> c_long;
        fn SSL_ctrl(ssl: *mut c_void, command: c_int, number: c_long, pointer: *mut c_void) -> c_long;
        fn SSL_alloc_buffers(ssl: *mut c_void) -> c_int;
        fn SSL_free_buffers(ssl: *mut c_void) -> c_int;
        fn SSL_get_shutdown(ssl: *const c_void) -> c_int;
        fn SSL_has_pending(ssl: *const c_void) -> c_int;
        fn ERR_peek_error() -> c_ulong;
        fn SSL_rstate_string(ssl: *const c_void) -> *const c_char;
    }

    const SSL_CTRL_CLEAR_MODE: c_int = 78;
    const SSL_MODE_RELEASE_BUFFERS: c_long = 0x10;
    const SSL_RECEIVED_SHUTDOWN: c_int = 2;
    const SSL_CTRL_SET_MAX_SEND_FRAGMENT: c_int = 52;
    /// The least that the library takes: a record of so many bytes.
    const LEAST_FRAGMENT: c_long = 512;

    /// `SslRef` is `foreign_types::Opaque`: a reference to it *is* the `SSL *` that it was made from, and its content is an `UnsafeCell`, so that a shared
    /// reference may be written through by the library.
    fn as_ptr(ssl: &SslRef) -> *mut c_void {
        ptr::from_ref(ssl).cast_mut().cast()
    }

    #[allow(unsafe_code)]
    pub(super) fn clear_release_buffers(context: &mut SslContextBuilder) {
        // SAFETY: the pointer is the live `SSL_CTX` that the builder owns, and nobody else has it yet; this command takes a number and no pointer.
        unsafe {
            SSL_CTX_ctrl(context.as_ptr().cast(), SSL_CTRL_CLEAR_MODE, SSL_MODE_RELEASE_BUFFERS, ptr::null_mut());
        }
    }

    #[allow(unsafe_code)]
    pub(super) fn received_shutdown(ssl: &SslRef) -> bool {
        // SAFETY: `ssl` is a live `SSL`, and the call only reads it.
        let state = unsafe { SSL_get_shutdown(as_ptr(ssl)) };
        state & SSL_RECEIVED_SHUTDOWN != 0
    }

    #[allow(unsafe_code)]
    pub(super) fn has_errors() -> bool {
        // SAFETY: the call takes nothing and reads the calling thread's own queue.
        unsafe { ERR_peek_error() != 0 }
    }

    #[allow(unsafe_code)]
    pub(super) fn has_pending(ssl: &SslRef) -> bool {
        // SAFETY: `ssl` is a live `SSL`, and the call only reads it.
        unsafe { SSL_has_pending(as_ptr(ssl)) != 0 }
    }

    #[allow(unsafe_code)]
    pub(super) fn free_buffers(ssl: &SslRef) {
        // CVE-2024-4741: before 3.0.14, 3.1.6, 3.2.2 and 3.3.1, the library frees a buffer that it still reads from, if a record's header was read and
        // its body was not, or if a record was read in part. Neither is so when it awaits a header and nothing is pending.
        if ssl.pending() > 0 {
            return;
        }
        // SAFETY: `ssl` is a live `SSL`; the answer is null or a string that lives as long as the program.
        let awaits_header = unsafe {
            let state = SSL_rstate_string(as_ptr(ssl));
            !state.is_null() && CStr::from_ptr(state) == c"RH"
        };
        if awaits_header {
            // SAFETY: `ssl` is a live `SSL` that no other thread uses: whoever calls holds its stream by `&mut`. The library itself refuses while
            // bytes of a record wait in a buffer, and sets its buffers up again when it needs them.
            unsafe { SSL_free_buffers(as_ptr(ssl)) };
        }
    }

    #[allow(unsafe_code)]
    pub(super) fn alloc_buffers(ssl: &SslRef) {
        // SAFETY: `ssl` is a live `SSL` that no other thread uses: whoever calls holds its stream by `&mut`. The call leaves a buffer that is there as it is.
        if unsafe { SSL_alloc_buffers(as_ptr(ssl)) } != 1 {
            // No memory: the read will say so, if there is none then.
            drop(openssl::error::ErrorStack::get());
        }
    }

    #[allow(unsafe_code)]
    pub(super) fn write_little(ssl: &SslRef) {
        // SAFETY: `ssl` is a live `SSL` that no other thread uses: whoever calls holds its stream by `&mut`. This command takes a number and no pointer; a buffer that is there stays as it is, and the next one that the library makes
        // is as long as what it lets a record be from now on.
        unsafe { SSL_ctrl(as_ptr(ssl), SSL_CTRL_SET_MAX_SEND_FRAGMENT, LEAST_FRAGMENT, ptr::null_mut()) };
    }

    #[cfg(feature = "sim")]
    #[allow(unsafe_code)]
    // SAFETY: the signatures are those of OpenSSL 1.1.1 to 3.6, of the second of 3.0 to 3.6.
    unsafe extern "C" {
        fn SSL_key_update(ssl: *mut c_void, kind: c_int) -> c_int;
        fn SSL_new_session_ticket(ssl: *mut c_void) -> c_int;
        fn SSL_renegotiate(ssl: *mut c_void) -> c_int;
    }

    #[cfg(feature = "sim")]
    #[allow(unsafe_code)]
    pub(super) fn awkward(ssl: &SslRef, what: super::Awkward) -> bool {
        use super::Awkward::{KeyUpdate, Renegotiation, Ticket};
        // SAFETY: `ssl` is a live `SSL` that no other thread uses: whoever calls holds its stream by `&mut`. Each call sets a flag, or refuses.
        let done = unsafe {
            match what {
                // SSL_KEY_UPDATE_REQUESTED and SSL_KEY_UPDATE_NOT_REQUESTED.
                KeyUpdate { asks } => SSL_key_update(as_ptr(ssl), c_int::from(asks)),
                Ticket => SSL_new_session_ticket(as_ptr(ssl)),
                Renegotiation => SSL_renegotiate(as_ptr(ssl)),
            }
        };
        if done != 1 {
            // What it left in the thread's queue would be taken for the error of another connection's next call.
            drop(openssl::error::ErrorStack::get());
        }
        done == 1
    }
}
