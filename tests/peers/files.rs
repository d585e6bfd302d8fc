//! Certificates in a directory that is removed again.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use exeunt::tls::self_signed;

pub struct Files(PathBuf);

impl Files {
    /// An authority, a certificate of localhost that it vouches for, and another authority that nobody knows.
    pub fn new() -> Files {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("exeunt-peers-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let names = ["localhost", "127.0.0.1"];
        let (known, stranger) = (self_signed(&names).unwrap(), self_signed(&names).unwrap());
        let files = Files(path);
        for (name, pem) in [
            ("ca.pem", known.ca_pem),
            ("certificate.pem", known.certificate_pem),
            ("key.pem", known.key_pem),
            ("stranger.pem", stranger.ca_pem),
        ] {
            std::fs::write(files.0.join(name), pem).unwrap();
        }
        files
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn ca(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    pub fn certificate(&self) -> PathBuf {
        self.0.join("certificate.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
