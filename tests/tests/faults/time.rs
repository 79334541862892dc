//! Leases, clocks and pauses.

use std::time::Duration;

use etl_core::testing::fault::{Fault, Faults, Gate, Method, When};
use etl_core::{Outcome, Pipeline};
use etl_tests::tds;
use etl_tests::tds::{Action, Handle, Point};
use etl_tests::torture::{Recorder, Tally, size};
use etl_tests::wire::{Protocol, Proxy, Rewrite, Rules};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::world::{Lane, Link, World, at_the_gate, double};

type Running = JoinHandle<etl_core::pipeline::Finished>;

fn start(mut pipeline: Pipeline) -> Running {
    tokio::spawn(async move { pipeline.run(&CancellationToken::new()).await })
}

/// A lane whose server is this test's alone, and which waits as long as a commit takes.
async fn lane() -> (Lane, Handle) {
    let world = World::new(12).await;
    let (target, double) = double();
    let mut lane = Lane::into(&world, target, "append").await;
    lane.sections.1["command_timeout"] = "20s".into();
    (lane, double)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_expires_in_the_middle_of_a_commit_costs_nothing() {
    let record = Recorder::new("the lease expires in the middle of a commit, SQL Server");
    let tally = record.promise();
    let (lane, double) = lane().await;
    for nth in 1..=size(3, 4) {
        lane.clear().await;
        let insert = Point::Statement("INSERT INTO [dbo].[orders]".to_owned());
        let held = format!("held {nth}");
        double.fault(tds::Fault::new(insert, Action::Hold(held.clone())).nth(nth));
        let first = start(lane.pipeline(&lane.sections));
        let double = &double;
        assert!(tokio::task::block_in_place(|| double.wait_held(&held, Duration::from_secs(20))));
        // Three lives of the lease, which nobody renews while the commit runs.
        sleep(lane.options.lease_ttl * 3).await;
        let second = start(lane.pipeline(&lane.sections));
        sleep(lane.options.lease_ttl).await;
        double.release(&held);
        let outcomes = [first.await.unwrap().report.outcome, second.await.unwrap().report.outcome];
        tally.runs(2);
        tally.faults(1);
        lane.settle(&tally, &format!("commit {nth} outlived its lease: {outcomes:?}")).await;
    }
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_of_the_server_that_jumps_makes_two_runs_but_never_two_writers() {
    let record = Recorder::new("the server's clock jumps, SQL Server");
    let tally = record.promise();
    let (lane, double) = lane().await;
    for jump in [60_000, -60_000, 3_600_000, -3_600_000] {
        lane.clear().await;
        let gate = Gate::new();
        let faults = Faults::new(0).with(Method::Commit, When::Call(2), Fault::Hold(gate.clone()));
        let mut sleeper = start(lane.faulty(&lane.sections, &faults));
        at_the_gate(&gate, &mut sleeper).await;
        double.set_clock_ahead(jump);
        // A lease of before the jump: over at once, or in an hour.
        let mut second = lane.pipeline(&lane.sections);
        let stop = CancellationToken::new();
        let waited = tokio::time::timeout(Duration::from_secs(2), second.run(&stop)).await;
        gate.open();
        let woken = sleeper.await.unwrap().report.outcome;
        let story = format!("the clock jumped by {jump} ms; the sleeper: {woken:?}");
        if jump > 0 {
            let outcome = waited.map(|finished| finished.report.outcome).ok();
            assert_eq!((outcome, woken), (Some(Outcome::Success), Outcome::Fenced), "{story}");
        }
        tally.runs(2);
        tally.faults(1);
        lane.settle(&tally, &story).await;
        double.set_clock_ahead(0);
    }
    record.end();
}

/// What happens while a run sleeps before its second commit.
#[derive(Clone, Copy)]
enum Meanwhile {
    /// `state reset`, and the rows taken away, as one does in append mode.
    Reset,
    /// Another run takes over and ends.
    Run,
}

/// A run sleeps for longer than its lease, and wakes. What it says then.
async fn overslept(
    lane: &Lane,
    what: Meanwhile,
    sections: &(Value, Value),
    tally: &Tally,
) -> Outcome {
    lane.clear().await;
    let gate = Gate::new();
    let faults = Faults::new(0).with(Method::Commit, When::Call(2), Fault::Hold(gate.clone()));
    let mut sleeper = start(lane.faulty(sections, &faults));
    at_the_gate(&gate, &mut sleeper).await;
    match what {
        Meanwhile::Reset => lane.clear().await,
        Meanwhile::Run => {
            sleep(lane.options.lease_ttl * 2).await;
            lane.settle(tally, "while a run sleeps").await;
        }
    }
    gate.open();
    let woken = sleeper.await.unwrap().report.outcome;
    tally.runs(1);
    tally.faults(1);
    lane.settle(tally, "a run slept and woke").await;
    woken
}

async fn sleepers(kind: &str, name: &str, clause: &str, protocol: Protocol) {
    let record = Recorder::new(&format!("state reset or another run while a run sleeps, {name}"));
    let world = World::new(12).await;
    let lane = Lane::new(&world, kind, "append").await;
    for _ in 0..size(2, 20) {
        for what in [Meanwhile::Reset, Meanwhile::Run] {
            let woken = overslept(&lane, what, &lane.sections, &record.promise()).await;
            assert_eq!(woken, Outcome::Fenced);
        }
    }
    let tally = record.control(clause.trim());
    let rules = Rules { rewrites: vec![Rewrite::without(clause)], ..Rules::default() };
    let proxy = Proxy::start(protocol, &lane.server(Link::Target), rules).await;
    let sections = lane.by_way_of(Link::Target, &proxy.address());
    overslept(&lane, Meanwhile::Run, &sections, &tally).await;
    assert!(proxy.rewritten() > 0, "the clause is not sent");
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_into_sql_server_that_slept_longer_than_its_lease_is_fenced() {
    let clause = " AND [sequence] = @sequence AND [run_id] = @run_id";
    sleepers("mssql", "SQL Server", clause, Protocol::Tds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_into_postgres_that_slept_longer_than_its_lease_is_fenced() {
    let clause = " AND sequence = $3 AND run_id = $2::uuid";
    sleepers("postgres", "Postgres", clause, Protocol::Postgres).await;
}
