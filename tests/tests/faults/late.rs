//! Commits that come late: transactions that are longer than guard, batch and the interval between
//! runs, while runs fire one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use etl_core::BatchLimits;
use etl_tests::postgres;
use etl_tests::torture::{Recorder, Tally, size};
use etl_tests::wire::{Protocol, Proxy, Rewrite, Rules};
use serde_json::Value;
use tokio::time::sleep;

use super::world::{Lane, Link, World};

/// Inserts, updates, savepoints, rollbacks and prepared transactions of up to five seconds.
async fn write(
    source: postgres::Database,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicI64>,
    tally: Arc<Tally>,
    seed: u64,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut connection = source.connect().await;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        postgres::run(&mut connection, "BEGIN").await;
        let pauses = random.u32(1..4);
        for _ in 0..pauses {
            let id = next.fetch_add(1, Ordering::Relaxed);
            let other = random.i64(1..id);
            let sql = format!(
                "INSERT INTO public.orders (id, note) VALUES ({id}, 'new'); SAVEPOINT s;
                 UPDATE public.orders SET note = 'w{seed} {id}' WHERE id =
                   (SELECT id FROM public.orders WHERE id = {other} FOR UPDATE SKIP LOCKED)"
            );
            postgres::run(&mut connection, &sql).await;
            if random.u8(0..4) == 0 {
                postgres::run(&mut connection, "ROLLBACK TO SAVEPOINT s").await;
            }
            sleep(Duration::from_millis(random.u64(0..5_000) / u64::from(pauses))).await;
        }
        if random.u8(0..20) == 0 {
            // One name for all databases of a server.
            let name = uuid::Uuid::new_v4();
            postgres::run(&mut connection, &format!("PREPARE TRANSACTION '{name}'")).await;
            sleep(Duration::from_millis(random.u64(0..1_500))).await;
            postgres::run(&mut connection, &format!("COMMIT PREPARED '{name}'")).await;
        } else {
            let end = if random.u8(0..5) == 0 { "ROLLBACK" } else { "COMMIT" };
            postgres::run(&mut connection, end).await;
        }
        // Later than the guard, and than a run takes: what a naive reader loses.
        tally.faults(u64::from(began.elapsed() > Duration::from_secs(1)));
    }
}

async fn late(
    kind: &str,
    writers: u64,
    time: Duration,
    rewrite: Option<Rewrite>,
    tally: &Arc<Tally>,
) {
    let world = World::new(300).await;
    let mut lane = Lane::new(&world, kind, "upsert").await;
    lane.options.limits = BatchLimits { rows: 50, bytes: 1 << 20 };
    lane.options.lease_ttl = Duration::from_secs(3);
    lane.sections.1["command_timeout"] = "20s".into();
    let any = rewrite.is_some();
    let rules = Rules { rewrites: rewrite.into_iter().collect(), ..Rules::default() };
    let proxy = Proxy::start(Protocol::Postgres, &lane.server(Link::Source), rules).await;
    let sections: (Value, Value) = lane.by_way_of(Link::Source, &proxy.address());
    let (stop, next) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(1_000)));
    let mut tasks = tokio::task::JoinSet::new();
    for seed in 0..writers {
        let (source, stop) = (world.source.clone(), Arc::clone(&stop));
        tasks.spawn(write(source, stop, Arc::clone(&next), Arc::clone(tally), seed));
    }
    let until = Instant::now() + time;
    while Instant::now() < until {
        Lane::run(lane.pipeline(&sections), tally, "runs fire while writers write").await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    Lane::run(lane.pipeline(&sections), tally, "everybody has ended").await;
    assert!(!any || proxy.rewritten() > 0, "the text is not sent");
    lane.settle_now(tally, "late commits").await;
}

async fn late_commits(kind: &str, name: &str) {
    let record = Recorder::new(&format!("late commits, Postgres to {name}"));
    let (writers, time) = (size(8, 32), Duration::from_secs(size(6, 600)));
    late(kind, writers, time, None, &record.promise()).await;
    if kind == "mssql" {
        let tally = record.control("a look at open transactions (naive watermark)");
        let oldest = "min(least(xact_start, query_start))";
        let naive = Rewrite::instead(oldest, "min(NULL::timestamptz)");
        late(kind, 16, Duration::from_secs(10), Some(naive), &tally).await;
    }
    record.end();
}

/// Both at once: most of the time writers wait in their transactions.
#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_lost_to_a_commit_that_comes_late() {
    tokio::join!(late_commits("mssql", "SQL Server"), late_commits("postgres", "Postgres"));
}

/// A row whose cursor is the horizon of the sweep before, to the microsecond: it was not visible
/// then, so the next sweep begins with it.
async fn at_the_horizon(rewrite: Option<Rewrite>, tally: &Arc<Tally>) {
    let world = World::new(9).await;
    let lane = Lane::new(&world, "mssql", "append").await;
    lane.settle(tally, "the first load").await;
    let place = lane.admin().checkpoint().await.unwrap().unwrap().position.unwrap();
    let place: Value = serde_json::from_str(place.as_str()).unwrap();
    let low = place["low"].as_str().unwrap();
    world
        .source
        .execute(&format!("INSERT INTO public.orders VALUES (100, 'just there', 1, '{low}')"))
        .await;
    let any = rewrite.is_some();
    let rules = Rules { rewrites: rewrite.into_iter().collect(), ..Rules::default() };
    let proxy = Proxy::start(Protocol::Postgres, &lane.server(Link::Source), rules).await;
    let sections = lane.by_way_of(Link::Source, &proxy.address());
    sleep(Duration::from_millis(5)).await;
    Lane::run(lane.pipeline(&sections), tally, "a row at the horizon").await;
    assert!(!any || proxy.rewritten() > 0, "the text is not sent");
    tally.faults(1);
    lane.settle_now(tally, "a row at the horizon").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_exactly_at_the_horizon_is_read_by_the_next_sweep() {
    let record = Recorder::new("a row exactly at the horizon, Postgres to SQL Server");
    at_the_horizon(None, &record.promise()).await;
    let tally = record.control("the = in cursor >= low");
    let greater = Rewrite::instead("\"updated_at\" >= ", "\"updated_at\" > ");
    at_the_horizon(Some(greater), &tally).await;
    record.end();
}
