//! `run`: whatever ends the running part, it drains, and the exit code tells how it went.

use std::{process::ExitCode, sync::mpsc, time::Duration};

use actix::System;
use exeunt::{Connect, Ledger, Lines, Reason, Run, StopPlan, Supervisor};

use crate::stage::*;

fn code(code: u8) -> String {
    format!("{:?}", ExitCode::from(code))
}

/// Runs an application on a thread of its own, as its own system; gives the exit code and the ledger.
fn perform<F>(
    plan: StopPlan,
    application: impl FnOnce(actix::Addr<Supervisor>) -> F + Send + 'static,
) -> (String, Ledger)
where
    F: Future<Output = Result<(), Box<dyn std::error::Error>>>,
{
    let (sender, told) = mpsc::channel();
    let program = std::thread::spawn(move || {
        let run =
            Run::new(Supervisor::new().stop_plan(plan)).ledger(move |ledger| sender.send(ledger.clone()).unwrap());
        format!("{:?}", run.run(application))
    });
    (program.join().unwrap(), told.recv().unwrap())
}

fn quick() -> StopPlan {
    StopPlan::new().drain(Duration::from_millis(50)).linger(Duration::from_millis(50))
}

/// The end of the application's future drains.
#[test]
fn the_end_of_the_application_drains() {
    let (exit, ledger) = perform(quick(), |supervisor| async move {
        let (connection, mut peer) = meet(&supervisor, Sink).await;
        actix::spawn(async move {
            let _held = connection;
            peer.read_to_close_notify().await.unwrap();
            peer.close().await;
        });
        Ok(())
    });
    assert_eq!(exit, code(0));
    assert_eq!(ledger.rows[0].lost.reason, Reason::Closed);
}

/// Law 1: a bare `System::stop()` under `run` drains, too.
#[test]
fn a_bare_system_stop_under_run_drains() {
    let (exit, ledger) = perform(quick(), |supervisor| async move {
        let (_connection, mut peer) = meet(&supervisor, Sink).await;
        actix::spawn(async move {
            peer.read_to_close_notify().await.unwrap();
            peer.close().await;
        });
        System::current().stop();
        std::future::pending().await
    });
    assert_eq!(exit, code(0));
    assert_eq!(ledger.rows[0].lost.reason, Reason::Closed);
}

/// The application's own error is exit code 3, and everything is drained all the same.
#[test]
fn an_error_of_the_applications_is_exit_code_3() {
    let (exit, ledger) = perform(quick(), |supervisor| async move {
        supervisor.send(Connect::to("localhost:0", Lines::default())).await??;
        Ok(())
    });
    assert_eq!((exit, ledger.rows.len()), (code(3), 0));
}

/// What is killed is exit code 1.
#[test]
fn a_forced_stop_is_exit_code_1() {
    let (exit, ledger) = perform(quick(), |supervisor| async move {
        let (connection, peer) = meet_with(&supervisor, Sink, |adopt| adopt.write_marks(8 << 20, 0)).await;
        connection.write(vec![1; 1 << 20]).await?;
        std::mem::forget((connection, peer));
        Ok(())
    });
    assert_eq!(exit, code(1));
    assert_eq!(ledger.rows[0].lost.reason, Reason::Killed);
}

/// A panic of the application's is passed on; but first everything is drained, and the ledger told.
#[test]
fn a_panic_of_the_applications_drains_first() {
    let (sender, told) = mpsc::channel();
    let program = std::thread::spawn(move || {
        let run = Run::new(Supervisor::new().stop_plan(quick()));
        run.ledger(move |ledger| sender.send(ledger.clone()).unwrap()).run(|supervisor| async move {
            let (connection, mut peer) = meet(&supervisor, Sink).await;
            actix::spawn(async move {
                let _held = connection;
                peer.read_to_close_notify().await.unwrap();
                peer.close().await;
            });
            panic!("the application went off")
        })
    });
    let payload = program.join().unwrap_err();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"the application went off"));
    assert_eq!(told.recv().expect("the ledger is told").rows[0].lost.reason, Reason::Closed);
}
