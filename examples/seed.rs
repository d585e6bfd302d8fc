//! The program of the question that exeunt grew from: one POST over TLS, then the end, and the proof that the connection was made and lost.
//!
//! ```text
//! cargo run --features http --example seed -- https://localhost:8443/echo [CA.pem]
//! ```

use std::process::ExitCode;

use exeunt::{ClientTls, Progress, Subscribe, Supervisor, http::Session};

fn main() -> ExitCode {
    exeunt::run(Supervisor::default(), |supervisor| async move {
        let mut arguments = std::env::args().skip(1);
        let url = arguments.next().ok_or("usage: seed URL [CA.pem]")?;
        let mut session = Session::builder();
        if let Some(ca) = arguments.next() {
            session = session.tls(&ClientTls::builder().trust_file(ca).build()?);
        }
        let session = session.start(&supervisor)?;
        let mut progress = supervisor.send(Subscribe).await?;
        let response = session.post(&url).body("connection_made, connection_lost").send().await?;
        println!("{}", response.status());
        response.bytes().await?;
        session.close().await;
        while let Some(Ok(happened)) = progress.next().await {
            match happened {
                Progress::Connected { id, peer } => println!("Connected: connection {id} to {peer}"),
                Progress::Lost(lost) => {
                    println!("Lost: {lost}");
                    break;
                }
                _ => {}
            }
        }
        Ok(())
    })
}
