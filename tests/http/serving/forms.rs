//! Forms of parts: ours read by our server, curl's too; what is cut short or too large.

use std::{process::Stdio, sync::Arc};

use actix::Actor;
use exeunt::{
    Listen, Reason, Stop, Supervisor,
    http::{Body, BodyError, Multipart, MultipartError, MultipartLimits, RequestBody, serve},
};
use http::{Request, Response, StatusCode};

use super::server;
use crate::{
    over_both,
    stage::{Over, Scene},
};

over_both!(
    a_form_that_is_cut_short_is_no_form
    a_form_that_is_too_large_is_refused
);

/// Answers with name, file name, type and size of each field.
async fn told(request: Request<RequestBody>) -> Result<Response<Body>, MultipartError> {
    let limits = MultipartLimits { field: 3 << 20, ..MultipartLimits::default() };
    let mut form = match Multipart::within(request, limits) {
        Ok(form) => form,
        Err(error) => return answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, error.to_string()),
    };
    let mut said = String::new();
    loop {
        let mut field = match form.next().await {
            Ok(Some(field)) => field,
            Ok(None) => return answer(StatusCode::OK, said),
            Err(error @ MultipartError::TooLarge { .. }) => {
                return answer(StatusCode::PAYLOAD_TOO_LARGE, error.to_string());
            }
            Err(error) => return Err(error),
        };
        let what = format!("{:?} {:?} {:?}", field.name(), field.file_name(), field.content_type());
        let mut size = 0;
        while let Some(chunk) = match field.chunk().await {
            Ok(chunk) => chunk,
            Err(error @ MultipartError::TooLarge { .. }) => {
                return answer(StatusCode::PAYLOAD_TOO_LARGE, error.to_string());
            }
            Err(error) => return Err(error),
        } {
            size += chunk.len();
        }
        said += &format!("{what} {size}\n");
    }
}

fn answer(status: StatusCode, words: String) -> Result<Response<Body>, MultipartError> {
    let mut response = Response::new(Body::from(words));
    *response.status_mut() = status;
    Ok(response)
}

const HEAD: &str =
    "POST / HTTP/1.1\r\nhost: h\r\ncontent-type: multipart/form-data; boundary=B\r\ncontent-length: 1000\r\n\r\n";

/// Law 5: the connection ends in the middle of a part, and the handler is told how.
async fn a_form_that_is_cut_short_is_no_form(over: Over) {
    let (tell, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |request| {
        let tell = tell.clone();
        async move {
            let result = told(request).await;
            if let Err(MultipartError::Body(error)) = &result {
                tell.send(error.downcast_ref::<BodyError>().cloned()).unwrap();
            }
            result
        }
    };
    let mut scene = Scene::open(over, server(handler)).await;
    scene.client.say(HEAD).await;
    scene.client.say("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhalf of").await;
    crate::stage::settled().await;
    scene.client.fin().await;
    let error = hears.recv().await.unwrap();
    assert!(matches!(error, Some(BodyError::Truncated { expected: Some(1000), .. })), "{error:?}");
    let lost = scene.lost().await;
    assert!(matches!(lost.reason, Reason::Truncated | Reason::ClosedByPeer), "{lost}");
    scene.end().await;
}

/// Law 8: it is refused when the limit is passed, and not when all of it has come.
async fn a_form_that_is_too_large_is_refused(over: Over) {
    let mut scene = Scene::open(over, server(told)).await;
    scene.client.say(HEAD.replace("1000", "100000000")).await;
    scene.client.say("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n").await;
    for _ in 0..(3 << 20) / 1024 + 1 {
        scene.client.say([b'x'; 1024]).await;
    }
    let answer = scene.client.answer().await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(answer.text().contains("\"a\""), "{answer:?}");
    drop(scene.client.until_end().await);
    scene.end().await;
}

/// curl's `-F`: a text, a file, and a file whose name has to be escaped.
#[actix::test]
async fn curl_sends_a_form() {
    let directory = std::env::temp_dir().join(format!("exeunt-forms-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("data.bin"), vec![b'x'; 2 << 20]).unwrap();
    let supervisor = Supervisor::new().start();
    let listen = Listen::plain_on(([127, 0, 0, 1], 0).into(), serve(told));
    let address = supervisor.send(listen).await.unwrap().unwrap().address();
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--form-escape"]);
    let file = r#"file=@data.bin;type=image/x-own;filename="a \"file\".bin""#;
    curl.args(["-F", "text=a value", "-F", file, &format!("http://{address}/")]);
    curl.current_dir(&directory).stdin(Stdio::null());
    let output = curl.output().await.unwrap_or_else(|error| panic!("curl: {error}: run script/setup"));
    std::fs::remove_dir_all(&directory).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        said,
        "Some(\"text\") None None 7\nSome(\"file\") Some(\"a \\\"file\\\".bin\") Some(\"image/x-own\") 2097152\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let ledger: Arc<_> = supervisor.send(Stop::new()).await.unwrap();
    assert_eq!((ledger.totals.admitted, ledger.totals.lost), (1, 1));
}
