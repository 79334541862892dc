//! Eight runs at once.

use std::sync::Arc;
use std::time::Duration;

use etl_core::Outcome;
use etl_tests::torture::{Recorder, Tally, size};
use etl_tests::wire::{Protocol, Proxy, Rewrite, Rules};
use serde_json::Value;

use super::world::{Lane, Link, World, at_once};

const RUNS: u64 = 8;

/// All begin at the same moment on an empty target; how they ended.
async fn together(lane: &Arc<Lane>, sections: &(Value, Value), tally: &Arc<Tally>) {
    lane.clear().await;
    let runs = (0..RUNS).map(|_| {
        let (lane, sections, tally) = (Arc::clone(lane), sections.clone(), Arc::clone(tally));
        async move { Lane::run(lane.pipeline(&sections), &tally, "eight at once").await }
    });
    let mut story = String::new();
    for finished in at_once(runs).await {
        let Some(finished) = finished else { return };
        let outcome = finished.report.outcome;
        // Another run was met, and gave way or was given way to.
        tally.faults(u64::from(matches!(outcome, Outcome::Skipped | Outcome::Fenced)));
        story.push_str(&format!("{outcome:?} "));
    }
    lane.settle(tally, &format!("eight at once: {story}")).await;
}

async fn lane(kind: &str) -> Arc<Lane> {
    let world = World::new(12).await;
    let mut lane = Lane::new(&world, kind, "append").await;
    // So long that nobody asks whether it is still his: only what a commit compares counts.
    lane.options.lease_ttl = Duration::from_secs(3);
    Arc::new(lane)
}

async fn overlap(kind: &'static str, name: &str, protocol: Protocol, without: &[&str]) {
    let record = Recorder::new(&format!("eight runs at once, {name}"));
    // Who finds another at work looks again a second later; so five times eight at once.
    let lanes = (0..size(1, 5)).map(|_| {
        let tally = record.promise();
        async move {
            let lane = lane(kind).await;
            for _ in 0..size(4, 100) {
                together(&lane, &lane.sections, &tally).await;
            }
        }
    });
    at_once(lanes).await;
    let lane = lane(kind).await;
    let tally = record.control("lease and fence");
    let rewrites = without.iter().map(|clause| Rewrite::without(clause)).collect();
    let rules = Rules { rewrites, ..Rules::default() };
    let proxy = Proxy::start(protocol, &lane.server(Link::Target), rules).await;
    // Whether two write at the same moment is chance; not for long.
    for _ in 0..20 {
        if !tally.is_wrong() {
            together(&lane, &lane.by_way_of(Link::Target, &proxy.address()), &tally).await;
        }
    }
    assert!(proxy.rewritten() > 0, "the clauses are not sent");
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_runs_into_sql_server_at_once_one_at_a_time_writes() {
    let lease = " AND ([run_id] = @run_id OR [lease_until] < SYSUTCDATETIME() OR \
                 ([lease_until] IS NULL AND @waited = 0))";
    let fence = " AND [sequence] = @sequence AND [run_id] = @run_id";
    overlap("mssql", "SQL Server", Protocol::Tds, &[lease, fence]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_runs_into_postgres_at_once_one_at_a_time_writes() {
    let lease = " AND (run_id = $2::uuid OR lease_until < clock_timestamp() OR \
                 (lease_until IS NULL AND NOT $4))";
    let fence = " AND sequence = $3 AND run_id = $2::uuid";
    overlap("postgres", "Postgres", Protocol::Postgres, &[lease, fence]).await;
}
