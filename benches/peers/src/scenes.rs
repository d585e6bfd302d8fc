//! What is measured, the same for every client.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    Result,
    clients::{Client, Lane},
    measure::{Stretch, median, micros, resident, tell, trim},
    setup::Setup,
};

/// Runs the scene on one thread, as actix does: tokio's current-thread runtime with a `LocalSet`. `ends-threads` has tokio's worker threads beside it.
pub fn play<C: Client>(setup: &Setup) -> Result<()> {
    match setup.scene.as_str() {
        "keepalive" => single(keepalive::<C>(setup)),
        "rests" => in_a_task(setup, async |setup| rests::<C>(setup).await),
        "bulk-down" => in_a_task(setup, async |setup| bulk::<C>(setup, false).await),
        "bulk-up" => in_a_task(setup, async |setup| bulk::<C>(setup, true).await),
        "connect" => in_a_task(setup, async |setup| connect::<C>(setup).await),
        "memory" => single(memory::<C>(setup)),
        "close" => single(close::<C>(setup)),
        "ends" => single(ends::<C>(setup, Duration::ZERO)),
        "ends-sleep" => single(ends::<C>(setup, Duration::from_millis(500))),
        "ends-stop" => {
            let system = actix::System::new();
            let ended = Rc::<RefCell<Option<Result<()>>>>::default();
            let (end, client) = (ended.clone(), C::new(setup));
            let connections = setup.connections;
            system.runtime().spawn(async move {
                let result = match client {
                    Ok(client) => hold(client, connections).await,
                    Err(error) => Err(error),
                };
                end.replace(Some(result));
                actix::System::current().stop();
            });
            system.run()?;
            ended.take().unwrap_or(Ok(()))
        }
        "ends-threads" => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            tokio::task::LocalSet::new().block_on(&runtime, ends::<C>(setup, Duration::ZERO))
        }
        other => Err(format!("there is no scene {other} for {}", setup.client).into()),
    }
}

fn single(scene: impl Future<Output = Result<()>>) -> Result<()> {
    actix::System::new().block_on(scene)
}

/// The scene as a task, as an application's work is one, an actor or a handler. tokio asks the reactor once more whenever the future of `block_on` itself is woken: a system call at each answer, for whoever's answers come from another task.
fn in_a_task(setup: &Setup, scene: impl AsyncFnOnce(&Setup) -> Result<()> + 'static) -> Result<()> {
    let setup = setup.clone();
    single(async {
        let task = tokio::task::spawn_local(async move { scene(&setup).await.map_err(|error| error.to_string()) });
        Ok(task.await??)
    })
}

/// Dials at a time, where that is ours to say.
const AT_A_TIME: usize = 64;

/// A pool dials when it is asked for something, so it is asked by and by: thousands of handshakes at a time would be a peak of memory that is not given back. Some time longer than so many handshakes take.
const PACE: Duration = Duration::from_millis(100);

/// So many lanes on so many connections, each of which has borne a request.
pub async fn open<C: Client>(client: &C, connections: usize) -> Result<Vec<C::Lane>> {
    if C::POOLED {
        let mut lanes = Vec::new();
        for _ in 0..connections {
            lanes.push(client.lane().await?);
        }
        return each(lanes, move |mut lane, n| async move {
            tokio::time::sleep(PACE * (n / AT_A_TIME) as u32).await;
            lane.gather(connections).await?;
            Ok(lane)
        })
        .await;
    }
    let mut lanes = Vec::new();
    while lanes.len() < connections {
        let some = vec![client.clone(); AT_A_TIME.min(connections - lanes.len())];
        lanes.extend(
            each(some, |client, _| async move {
                let mut lane = client.lane().await?;
                lane.ask().await?;
                Ok(lane)
            })
            .await?,
        );
    }
    Ok(lanes)
}

/// Does this with all of them at once, each in a task of its own.
async fn each<A: 'static, B: 'static, F>(all: Vec<A>, what: impl Fn(A, usize) -> F) -> Result<Vec<B>>
where
    F: Future<Output = Result<B>> + 'static,
{
    let tasks: Vec<_> = all
        .into_iter()
        .enumerate()
        .map(|(n, one)| {
            let doing = what(one, n);
            tokio::task::spawn_local(async move { doing.await.map_err(|error| error.to_string()) })
        })
        .collect();
    // The first that fails ends it: others may wait for what it will never do.
    let flat = tasks.into_iter().map(|task| async move { task.await.map_err(|error| error.to_string())? });
    Ok(futures_util::future::try_join_all(flat).await?)
}

#[derive(Serialize)]
struct Requests {
    cpu_us: f64,
    wall_us: f64,
    /// One at a time: half of the requests took no longer.
    p50_us: Option<f64>,
    p99_us: Option<f64>,
}

/// Requests on connections that are kept: `busy` at a time, on as many of the connections.
async fn keepalive<C: Client>(setup: &Setup) -> Result<()> {
    let client = C::new(setup)?;
    let mut lanes = open(&client, setup.connections).await?;
    let idle = lanes.split_off(setup.busy.min(lanes.len()));
    let lanes = rounds(lanes, (setup.requests / 10 / setup.busy).max(1), None).await?;
    let latencies = (setup.busy == 1).then(Rc::<RefCell<Vec<f64>>>::default);
    let part = (setup.requests / setup.busy).max(1);
    let stretch = Stretch::begin();
    let lanes = rounds(lanes, part, latencies.clone()).await?;
    let spent = stretch.end();
    let requests = (part * lanes.len()) as f64;
    let mut latencies = latencies.map(|latencies| latencies.take()).unwrap_or_default();
    let p50_us = (!latencies.is_empty()).then(|| median(&mut latencies));
    tell(&Requests {
        cpu_us: spent.cpu_us / requests,
        wall_us: spent.wall_us / requests,
        p50_us,
        // Sorted by the median.
        p99_us: latencies.get(latencies.len() * 99 / 100).copied(),
    })?;
    leave((lanes, idle))
}

async fn rounds<L: Lane>(lanes: Vec<L>, part: usize, latencies: Option<Rc<RefCell<Vec<f64>>>>) -> Result<Vec<L>> {
    each(lanes, move |mut lane, _| {
        let latencies = latencies.clone();
        async move {
            match latencies {
                None => {
                    for _ in 0..part {
                        lane.ask().await?;
                    }
                }
                Some(latencies) => {
                    for _ in 0..part {
                        let began = Instant::now();
                        lane.ask().await?;
                        latencies.borrow_mut().push(micros(began.elapsed()));
                    }
                }
            }
            Ok(lane)
        }
    })
    .await
}

/// A request on each connection, one connection after the other, and a rest of all; again and again. The first two times warm up.
async fn rests<C: Client>(setup: &Setup) -> Result<()> {
    let client = C::new(setup)?;
    let mut lanes = open(&client, setup.connections).await?;
    let (mut cpu_us, mut wall_us) = (0.0, 0.0);
    let times = (setup.requests / setup.connections).max(1);
    for time in 0..times + 2 {
        // With the rest, for giving back is done in it.
        let stretch = Stretch::begin();
        tokio::time::sleep(setup.rest).await;
        for lane in &mut lanes {
            lane.ask().await?;
        }
        let spent = stretch.end();
        if time >= 2 {
            (cpu_us, wall_us) = (cpu_us + spent.cpu_us, wall_us + spent.wall_us);
        }
    }
    let n = (times * setup.connections) as f64;
    tell(&Requests { cpu_us: cpu_us / n, wall_us: wall_us / n, p50_us: None, p99_us: None })?;
    leave(lanes)
}

/// The figures are told, and how it ends is not this scene's matter.
fn leave<T>(_: T) -> Result<()> {
    std::process::exit(0)
}

#[derive(Serialize)]
struct Bulk {
    cpu_ms_a_gb: f64,
    wall_ms_a_gb: f64,
}

async fn bulk<C: Client>(setup: &Setup, up: bool) -> Result<()> {
    let client = C::new(setup)?;
    let mut lane = client.lane().await?;
    let mut transfer = async |bytes| if up { lane.upload(bytes).await } else { lane.download(bytes).await };
    transfer(setup.bytes / 16).await?;
    let stretch = Stretch::begin();
    transfer(setup.bytes).await?;
    let spent = stretch.end();
    let gb = setup.bytes as f64 / 1e9;
    tell(&Bulk { cpu_ms_a_gb: spent.cpu_us / 1e3 / gb, wall_ms_a_gb: spent.wall_us / 1e3 / gb })?;
    leave(())
}

/// A new connection a request, one after the other, and each closed.
async fn connect<C: Client>(setup: &Setup) -> Result<()> {
    let client = C::new(setup)?;
    for _ in 0..(setup.requests / 10).max(2) {
        client.once().await?;
    }
    let stretch = Stretch::begin();
    for _ in 0..setup.requests {
        client.once().await?;
    }
    let spent = stretch.end();
    let n = setup.requests as f64;
    tell(&Requests { cpu_us: spent.cpu_us / n, wall_us: spent.wall_us / n, p50_us: None, p99_us: None })?;
    leave(())
}

#[derive(Serialize)]
struct Memory {
    kb: f64,
    /// Without what the allocator keeps for later; as above where it cannot be told to give it back.
    trimmed_kb: f64,
}

/// Until an idle connection is known to be idle: exeunt looks once a second.
const IDLE: Duration = Duration::from_millis(2500);

async fn memory<C: Client>(setup: &Setup) -> Result<()> {
    let client = C::new(setup)?;
    let first = open(&client, 1).await?;
    let before = resident()?;
    let lanes = open(&client, setup.connections).await?;
    tokio::time::sleep(IDLE).await;
    // A pool may have used the first one for one of these.
    let kb = || Result::Ok((resident()? - before) / setup.connections as f64);
    let all = kb()?;
    trim();
    tell(&Memory { kb: all, trimmed_kb: kb()? })?;
    leave((first, lanes))
}

/// A graceful stop of so many idle connections.
async fn close<C: Client>(setup: &Setup) -> Result<()> {
    let client = C::new(setup)?;
    let lanes = open(&client, setup.connections).await?;
    tokio::time::sleep(IDLE).await;
    let stretch = Stretch::begin();
    client.end(lanes).await?;
    tell(&stretch.end())
}

/// So many idle connections, and the end that the manual describes.
async fn ends<C: Client>(setup: &Setup, sleep: Duration) -> Result<()> {
    hold(C::new(setup)?, setup.connections).await?;
    if !sleep.is_zero() {
        tokio::time::sleep(sleep).await;
    }
    Ok(())
}

async fn hold<C: Client>(client: C, connections: usize) -> Result<()> {
    let lanes = open(&client, connections).await?;
    client.end(lanes).await
}
