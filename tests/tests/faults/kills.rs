//! The real program, killed, stopped and paused at every fail point and anywhere else.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use etl_tests::torture::{Recorder, Tally, size};
use etl_tests::wire::{Protocol, Proxy, Rewrite, Rules};

use super::points::{self, Point};
use super::shop::{Shop, share, shops};
use super::world::Link;
use crate::support::binary::Running;

/// What is done to one run.
#[derive(Clone, Copy)]
enum Blow {
    /// The process is gone at the n-th pass of a fail point.
    At(&'static str, u64),
    /// kill -9 after so many milliseconds.
    After(u64),
}

/// How long a run may take; the program's own limits are longer than a test can wait.
const RUN: Duration = Duration::from_secs(60);

async fn kill(mut shop: Shop, blow: Blow, tally: Arc<Tally>) -> Shop {
    let mut random = fastrand::Rng::new();
    shop.change(&mut random).await;
    let (point, story) = match blow {
        Blow::At(name, nth) => {
            (Some(format!("{name}:{nth}:kill")), format!("killed at {name}:{nth}"))
        }
        Blow::After(millis) => (None, format!("kill -9 after {millis} ms")),
    };
    let mut command: tokio::process::Command = shop.job(point.as_deref()).into();
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    if let Blow::After(millis) = blow {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        child.start_kill().ok();
    }
    tally.runs(1);
    match tokio::time::timeout(RUN, child.wait()).await {
        // SIGKILL, or SIGABRT at a fail point.
        Ok(status) => {
            let status = status.unwrap();
            let killed = matches!(status.signal(), Some(6 | 9));
            assert!(killed || status.success(), "{story}: {status:?}");
            tally.faults(u64::from(killed));
        }
        Err(_) => tally.hang(&story),
    }
    shop.settle(&tally, &story).await;
    shop
}

fn blows(target: &str, rounds: u64, anywhere: u64) -> Vec<Blow> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut blows = Vec::new();
    for round in 0..rounds {
        let at = |&(name, passes): &Point| Blow::At(name, 1 + round % passes);
        blows.extend(points::of(target).iter().map(at));
    }
    blows.extend((0..anywhere).map(|_| Blow::After(random.u64(0..250))));
    blows
}

/// At each point `rounds` times, and anywhere.
async fn kills(target: &str, name: &str) {
    for mode in ["upsert", "append"] {
        let record = Recorder::new(&format!("kill -9 at fail points and anywhere, {name}, {mode}"));
        let blows = blows(target, size(1, 13), size(4, 140));
        let shops = shops(8, target, mode).await;
        share(shops, blows, &record.promise(), kill).await;
        if (target, mode) == ("postgres", "append") {
            control_apart(&record).await;
        }
        record.end();
    }
}

/// BEGIN is taken out of what is sent, so that the checkpoint is durable before its rows.
async fn control_apart(record: &Recorder) {
    let tally = record.control("one transaction for checkpoint and rows");
    let mut shop = Shop::open("postgres", "append").await;
    let rewrites = vec![
        Rewrite::without("BEGIN ISOLATION LEVEL READ COMMITTED;"),
        Rewrite::without("ON COMMIT DROP"),
    ];
    let rules = Rules { rewrites, ..Rules::default() };
    let proxy = Proxy::start(Protocol::Postgres, &shop.lane.server(Link::Target), rules).await;
    let url = shop.lane.by_way_of(Link::Target, &proxy.address()).1["url"].clone();
    let straight = shop.lane.sections.1["url"].clone();
    shop.write(url.as_str().unwrap());
    shop.change(&mut fastrand::Rng::new()).await;
    let killed = shop.job(Some("postgres.commit.advanced:1:kill")).output().unwrap();
    assert_eq!(killed.status.signal(), Some(6), "{killed:?}");
    tally.faults(1);
    assert!(proxy.rewritten() > 0);
    shop.write(straight.as_str().unwrap());
    shop.settle(&tally, "the checkpoint apart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_into_sql_server_may_be_killed_at_every_fail_point_and_anywhere() {
    kills("mssql", "SQL Server").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_into_postgres_may_be_killed_at_every_fail_point_and_anywhere() {
    kills("postgres", "Postgres").await;
}

/// SIGTERM while the run stands at the point: it ends at the next batch, in its grace period.
async fn terminate(mut shop: Shop, (name, nth): Point, tally: Arc<Tally>) -> Shop {
    const GRACE: Duration = Duration::from_secs(20);
    shop.change(&mut fastrand::Rng::new()).await;
    let job = shop.job(Some(&format!("{name}:{nth}:pause-300")));
    tally.runs(1);
    let ended = tokio::task::spawn_blocking(move || {
        let mut running = Running::start(job);
        running.wait_for("fail point reached");
        running.signal("TERM");
        let asked = Instant::now();
        (running.end(), asked.elapsed())
    });
    let (said, took) = ended.await.unwrap();
    let story = format!("SIGTERM at {name}: exit {} after {took:?}", said.code);
    tally.faults(1);
    if took > GRACE {
        tally.hang(&story);
    }
    assert!([0, 75].contains(&said.code), "{story}: {said:?}");
    let outcome = said.last()["outcome"].clone();
    assert!(
        ["success", "stopped", "skipped"].contains(&outcome.as_str().unwrap()),
        "{story}: {said:?}"
    );
    shop.settle(&tally, &story).await;
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_at_every_fail_point_ends_a_run_at_a_batch_in_its_grace_period() {
    for (target, name) in [("mssql", "SQL Server"), ("postgres", "Postgres")] {
        let record = Recorder::new(&format!("SIGTERM at every fail point, {name}"));
        let mut points = Vec::new();
        for _ in 0..size(1, 4) {
            // The first pass: a run of two batches has no third.
            points.extend(points::of(target).into_iter().map(|(point, _)| (point, 1)));
        }
        let shops = shops(6, target, "append").await;
        share(shops, points, &record.promise(), terminate).await;
        record.end();
    }
}

/// A run that is stopped at a point, while another takes over; then it goes on.
async fn zombie(mut shop: Shop, (name, nth): Point, tally: Arc<Tally>) -> Shop {
    shop.change(&mut fastrand::Rng::new()).await;
    let job = shop.job(Some(&format!("{name}:{nth}:pause-1500")));
    let story = format!("stopped at {name}:{nth}");
    tally.runs(1);
    let stopped = tokio::task::spawn_blocking(move || {
        let mut running = Running::start(job);
        running.wait_for("fail point reached");
        running.signal("STOP");
        running
    });
    let running = stopped.await.unwrap();
    tally.faults(1);
    shop.settle(&tally, &format!("{story}, while it sleeps")).await;
    shop.change(&mut fastrand::Rng::new()).await;
    shop.settle(&tally, &format!("{story}, still asleep")).await;
    running.signal("CONT");
    let said = tokio::task::spawn_blocking(move || running.end()).await.unwrap();
    // What it had committed before it slept stands; anything later is refused.
    assert!([0, 75].contains(&said.code), "{story}: {said:?}");
    shop.settle(&tally, &format!("{story}, awake")).await;
    shop
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_stopped_anywhere_writes_nothing_once_another_has_taken_over() {
    let engine = ["claim.after", "read.batch", "carry.batch", "commit.before", "commit.after"];
    let mssql = ["mssql.load.row", "mssql.load.done", "mssql.commit.sent"];
    let postgres = ["postgres.commit.staged", "postgres.commit.advanced", "postgres.commit.sent"];
    for (target, name, sink) in [("mssql", "SQL Server", mssql), ("postgres", "Postgres", postgres)]
    {
        let record = Recorder::new(&format!("SIGSTOP against a new run, {name}"));
        let mut points = Vec::new();
        for _ in 0..size(1, 7) {
            points.extend(engine.into_iter().chain(sink).map(|point| (point, 1)));
        }
        let shops = shops(8, target, "append").await;
        share(shops, points, &record.promise(), zombie).await;
        if target == "mssql" {
            control_unfenced(&record).await;
        }
        record.end();
    }
}

/// A run that sleeps before it commits, to a server that does not compare where the checkpoint is.
async fn control_unfenced(record: &Recorder) {
    let tally = record.control("AND [sequence] = @sequence AND [run_id] = @run_id");
    let shop = Shop::open("mssql", "append").await;
    let rewrites = vec![Rewrite::without(" AND [sequence] = @sequence AND [run_id] = @run_id")];
    let rules = Rules { rewrites, ..Rules::default() };
    let proxy = Proxy::start(Protocol::Tds, &shop.lane.server(Link::Target), rules).await;
    let url = shop.lane.by_way_of(Link::Target, &proxy.address()).1["url"].clone();
    shop.write(url.as_str().unwrap());
    zombie(shop, ("commit.before", 1), tally).await;
}
