//! Files under a directory, and none beside it.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use exeunt::http::Body;
use futures_util::stream;
use http::{
    Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};
use percent_encoding::percent_decode_str;
use tokio::{
    fs::File,
    io::{AsyncReadExt, Take},
};

use crate::common::command::Early;

/// What is read at a time.
const CHUNK: usize = 64 * 1024;

/// The directory by its real name, so that what is found under it can be compared with it.
pub fn root(name: &str) -> Result<PathBuf, Early> {
    let wrong = |words: String| Early::wrong(format!("--root {name:?}: {words}"));
    let root = std::fs::canonicalize(name).map_err(|error| wrong(error.to_string()))?;
    if root.is_dir() { Ok(root) } else { Err(wrong("it is not a directory".into())) }
}

/// The file of this path, or `index.html` in the directory of it. `None`: there is none that we would show.
pub async fn answer(root: &Path, path: &str) -> Option<Response<Body>> {
    let mut name = real(root, path).await?;
    if tokio::fs::metadata(&name).await.ok()?.is_dir() {
        name = inside(root, &name.join("index.html")).await?;
    }
    let file = File::open(&name).await.ok()?;
    let about = file.metadata().await.ok()?;
    if !about.is_file() {
        return None;
    }
    let length = about.len();
    let mut response = Response::new(if length == 0 { Body::empty() } else { stream_of(file.take(length)) });
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response.headers_mut().insert(CONTENT_TYPE, content_type(&name));
    Some(response)
}

/// The real name of what a request's path names.
async fn real(root: &Path, path: &str) -> Option<PathBuf> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    let relative = Path::new(path.trim_start_matches('/'));
    // What climbs out is refused before the file system is asked: it must not even tell what exists.
    if path.contains('\0') || !relative.components().all(|component| matches!(component, Component::Normal(_))) {
        return None;
    }
    inside(root, &root.join(relative)).await
}

/// A symbolic link may lead out, too.
async fn inside(root: &Path, name: &Path) -> Option<PathBuf> {
    let real = tokio::fs::canonicalize(name).await.ok()?;
    real.starts_with(root).then_some(real)
}

/// A file that became shorter meanwhile ends the connection: its length was promised.
fn stream_of(file: Take<File>) -> Body {
    Body::stream(stream::unfold(Some(file), |file| async {
        let mut file = file?;
        let mut buffer = BytesMut::with_capacity(CHUNK);
        match file.read_buf(&mut buffer).await {
            Ok(0) => None,
            Ok(_) => Some((Ok::<Bytes, io::Error>(buffer.freeze()), Some(file))),
            Err(error) => Some((Err(error), None)),
        }
    }))
}

fn content_type(name: &Path) -> HeaderValue {
    HeaderValue::from_static(match name.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "css" => "text/css; charset=utf-8",
        "gif" => "image/gif",
        "htm" | "html" => "text/html; charset=utf-8",
        "jpeg" | "jpg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "md" | "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "xml" => "application/xml",
        _ => "application/octet-stream",
    })
}
