//! The key log that Wireshark reads: opt-in twice, by the builder and by the environment.

use std::{
    env,
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::{Mutex, PoisonError},
};

use openssl::ssl::SslContextBuilder;

use super::TlsConfigError;

/// Appends the secrets of every handshake to the file that `SSLKEYLOGFILE` names; does nothing if it names none.
pub(crate) fn log_keys_from_env(context: &mut SslContextBuilder) -> Result<(), TlsConfigError> {
    match env::var_os("SSLKEYLOGFILE") {
        Some(path) if !path.is_empty() => log_keys(context, Path::new(&path)),
        _ => Ok(()),
    }
}

pub(crate) fn log_keys(context: &mut SslContextBuilder, path: &Path) -> Result<(), TlsConfigError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    // The file unlocks every recorded connection: nobody else may read what we create.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|error| {
        TlsConfigError::new("open the key log that SSLKEYLOGFILE names,", error.to_string())
            .with_file(path)
            .with_advice("name a file that can be written, or unset the variable")
    })?;
    let file = Mutex::new(file);
    context.set_keylog_callback(move |_, line| write_line(&file, line));
    Ok(())
}

/// One write a line: several processes may append to the same file. A full disk must not end a connection, so errors are dropped.
fn write_line(file: &Mutex<File>, line: &str) {
    let mut whole = String::with_capacity(line.len() + 1);
    whole.push_str(line);
    whole.push('\n');
    let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(whole.as_bytes());
}
