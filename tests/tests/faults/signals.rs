//! The real program, asked to end and put to sleep at fail points.

use std::sync::Arc;
use std::time::{Duration, Instant};

use etl_tests::torture::{Recorder, Tally, size};
use etl_tests::wire::{Protocol, Rewrite};

use super::points::{self, Point};
use super::shop::{Shop, share};
use super::world::at_once;
use crate::support::binary::{Running, Said};

/// How long a run may take to end after SIGTERM; the CronJob of `deploy/` gives it longer.
const GRACE: Duration = Duration::from_secs(20);

/// What asks a run to end, and a signal that asks for nothing.
const ASKED: &str = "TERM";
const UNHEARD: &str = "WINCH";

/// A run that stands at a fail point.
async fn held(shop: &Shop, (name, nth): Point) -> Running {
    let job = shop.job(Some(format!("{name}:{nth}:hold")));
    on_a_thread(move || {
        let mut running = Running::start_held(job);
        running.wait_for("fail point reached");
        running
    })
    .await
}

/// Reading a program's output blocks.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// A signal while the run stands at the point. Asked to end, it ends at the next batch, in its grace period.
async fn ask(shop: &mut Shop, point: Point, signal: &'static str, tally: &Tally) {
    shop.change().await;
    let before = shop.found().await.len();
    let mut running = held(shop, point).await;
    let (said, took) = on_a_thread(move || {
        running.signal(signal);
        if signal == ASKED {
            running.wait_for("asked to stop");
        }
        running.release();
        let asked = Instant::now();
        (running.end(), asked.elapsed())
    })
    .await;
    let story = format!("SIG{signal} at {point:?}: exit {} after {took:?}", said.code);
    tally.runs(1);
    tally.faults(1);
    assert_eq!(said.code, 0, "{story}: {said:?}");
    let summary = said.last();
    // Whoever was asked when the last batch was behind it has nothing left to stop.
    let outcome = if is_after_the_last_batch(point) { "success" } else { "stopped" };
    if took > GRACE || summary["outcome"] != outcome {
        tally.hang(&format!("{story}: {said:?}"));
    }
    // A batch boundary: what it says that it wrote is what is there.
    let written = u64::try_from(shop.found().await.len() - before).unwrap();
    assert_eq!(summary["written"], written, "{story}: {said:?}");
    shop.settle(tally, &story).await;
}

async fn terminate(mut shop: Shop, point: Point, tally: Arc<Tally>) -> Shop {
    ask(&mut shop, point, ASKED, &tally).await;
    shop
}

fn is_after_the_last_batch((name, _): Point) -> bool {
    ["finish.before", "finish.after", "job.after-run"].contains(&name) || name.contains(".finish.")
}

/// SIGTERM at every fail point, once in the bounded run.
async fn terminated(target: &'static str, name: &'static str) {
    let record = Recorder::new(&format!("SIGTERM at every fail point, {name}"));
    let mut points = Vec::new();
    for _ in 0..size(1, 4) {
        // The first pass, since more batches are to follow.
        points.extend(points::of(target, "append").into_iter().map(|(point, _)| (point, 1)));
    }
    share((size(3, 6), target, "append"), points, record.promise(), terminate).await;
    let tally = record.control_that_hangs("the request to end");
    let mut shop = Shop::open(target, "append").await;
    Box::pin(ask(&mut shop, ("commit.before", 1), UNHEARD, &tally)).await;
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_at_every_fail_point_ends_a_run_at_a_batch_in_its_grace_period() {
    let targets = [("mssql", "SQL Server"), ("postgres", "Postgres"), ("sqlite", "SQLite")];
    at_once(targets.map(|(target, name)| terminated(target, name))).await;
}

/// A run that sleeps at a point while another takes over; then it goes on.
async fn oversleep(shop: &mut Shop, point: Point, tally: &Tally) -> Said {
    shop.change().await;
    let story = format!("asleep at {point:?}");
    tally.runs(1);
    tally.faults(1);
    let mut running = held(shop, point).await;
    running.signal("STOP");
    // Its transaction at the source holds the horizon: what is new now would wait for it.
    shop.settle(tally, &story).await;
    let said = on_a_thread(move || {
        running.release();
        running.signal("CONT");
        running.end()
    });
    let said = said.await;
    shop.change().await;
    shop.settle(tally, &format!("{story}, awake")).await;
    said
}

async fn zombie(mut shop: Shop, point: Point, tally: Arc<Tally>) -> Shop {
    let said = oversleep(&mut shop, point, &tally).await;
    assert_eq!(said.code, 75, "{point:?}: {said:?}");
    assert_eq!(said.last()["outcome"], "fenced", "{point:?}: {said:?}");
    shop
}

async fn zombies(target: &'static str, name: &str, sink: &[&'static str], clause: &str) {
    let engine = ["claim.after", "read.batch", "carry.batch", "commit.before", "commit.after"];
    let record = Recorder::new(&format!("SIGSTOP against a new run, {name}"));
    let mut points = Vec::new();
    for _ in 0..size(1, 7) {
        points.extend(engine.iter().chain(sink).map(|point| (*point, 1)));
    }
    share((size(8, 12), target, "append"), points, record.promise(), zombie).await;
    let tally = record.control(clause.trim());
    let mut shop = Shop::open(target, "append").await;
    let protocol = if target == "mssql" { Protocol::Tds } else { Protocol::Postgres };
    shop.rewrite(protocol, vec![Rewrite::without(clause)]).await;
    oversleep(&mut shop, ("commit.before", 1), &tally).await;
    shop.straighten();
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_sleeps_anywhere_writes_nothing_to_sql_server_once_another_took_over() {
    let sink = ["mssql.load.row", "mssql.load.done", "mssql.commit.sent"];
    let clause = " AND [sequence] = @sequence AND [run_id] = @run_id";
    zombies("mssql", "SQL Server", &sink, clause).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_sleeps_anywhere_writes_nothing_to_postgres_once_another_took_over() {
    // In the last two it holds the checkpoint's row, until the server ends its transaction.
    let sink = ["postgres.commit.staged", "postgres.commit.advanced", "postgres.commit.sent"];
    let clause = " AND sequence = $3 AND run_id = $2::uuid";
    zombies("postgres", "Postgres", &sink, clause).await;
}
