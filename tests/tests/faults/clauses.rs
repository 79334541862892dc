//! Every clause of the T-SQL that keeps rows and position together, taken out of what is sent, in
//! the story in which it matters.

use std::time::Duration;

use etl_core::testing::fault::{Fault, Faults, Gate, Method, When};
use etl_core::{BatchLimits, Outcome};
use etl_tests::tds;
use etl_tests::torture::{Recorder, Tally};
use etl_tests::wire::{Cuts, Moment, Protocol, Proxy, Rewrite, Rules, Which};

use super::world::{Lane, Link, World, at_the_gate, double};
use crate::support::side::Side;

/// A lane whose T-SQL is rewritten on its way, and the proxy that does it.
async fn rewritten(
    lane: &Lane,
    rewrites: Vec<Rewrite>,
) -> (Proxy, (serde_json::Value, serde_json::Value)) {
    let rules = Rules { rewrites, ..Rules::default() };
    let proxy = Proxy::start(Protocol::Tds, &lane.server(Link::Target), rules).await;
    let sections = lane.by_way_of(Link::Target, &proxy.address());
    (proxy, sections)
}

/// A row of the batch is locked by somebody else until the statement's lock time-out: the server
/// ends the statement, and what was done before it must go with it.
async fn locked_row(rewrites: Vec<Rewrite>, tally: &Tally) {
    let world = World::new(9).await;
    let (target, _double) = double();
    let mut lane = Lane::into(&world, target, "upsert").await;
    lane.sections.1["lock_timeout"] = "150ms".into();
    lane.sections.1["command_timeout"] = "5s".into();
    lane.settle(tally, "the first load").await;
    // Two batches, and old enough that no later sweep reads the first of them again.
    world.source.execute("UPDATE public.orders SET note = 'changed' WHERE id <= 3").await;
    world.source.execute("UPDATE public.orders SET note = 'changed' WHERE id = 9").await;
    tokio::time::sleep(Duration::from_millis(1200)).await;

    let Side::Mssql(database) = &lane.target else { unreachable!() };
    let mut other = database.connect().await;
    other
        .batch("BEGIN TRANSACTION; UPDATE dbo.orders SET note = N'held' WHERE id = 2;", "")
        .await
        .unwrap();
    let any = !rewrites.is_empty();
    let (proxy, sections) = rewritten(&lane, rewrites).await;
    let finished = Lane::run(lane.pipeline(&sections), tally, "a row is locked").await;
    let outcome = finished.map(|finished| finished.report.outcome);
    assert!(any || outcome == Some(Outcome::Failed), "nothing was locked: {outcome:?}");
    assert!(!any || proxy.rewritten() > 0, "the clause is not sent");
    tally.faults(1);
    drop(other);
    lane.settle_now(tally, "a row was locked during a commit").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_fails_in_a_commit_takes_the_whole_commit_with_it() {
    let record = Recorder::new("a lock time-out inside a commit, SQL Server");
    locked_row(Vec::new(), &record.promise()).await;
    let without = vec![Rewrite::without("SET XACT_ABORT ON;")];
    locked_row(without, &record.control("SET XACT_ABORT ON")).await;
    let moved = "IF @@ROWCOUNT <> 1 THROW 51001, N'the checkpoint moved', 1;";
    let apart = "IF @@ROWCOUNT<>1 THROW 51001,N'm',1;COMMIT;BEGIN TRAN;";
    let apart = vec![Rewrite::instead(moved, apart)];
    locked_row(apart, &record.control("one transaction for checkpoint and rows")).await;
    record.end();
}

/// A run sleeps before its third commit. Meanwhile the target is put back to how it was before
/// the first run, as a restore does, and another run, with smaller batches, gets as far as the
/// same sequence. Then the first wakes.
async fn restored(rewrites: Vec<Rewrite>, tally: &Tally) {
    let world = World::new(12).await;
    let (target, _double) = double();
    let mut lane = Lane::into(&world, target, "append").await;
    let any = !rewrites.is_empty();
    let (proxy, sections) = rewritten(&lane, rewrites).await;
    let (first, second) = (Gate::new(), Gate::new());
    let held =
        |gate: &Gate| Faults::new(0).with(Method::Commit, When::Call(3), Fault::Hold(gate.clone()));
    let mut sleeper = lane.faulty(&sections, &held(&first));
    let stop = tokio_util::sync::CancellationToken::new();
    let token = stop.clone();
    let mut sleeper = tokio::spawn(async move { sleeper.run(&token).await });
    at_the_gate(&first, &mut sleeper).await;

    let schema = lane.source(&lane.sections.0).schema().await.unwrap();
    lane.target
        .execute(
            "DELETE FROM [dbo].[orders]; DELETE FROM [etl].[run]; DELETE FROM [etl].[checkpoint];",
        )
        .await;
    lane.admin().prepare(&schema).await.unwrap();
    lane.options.limits = BatchLimits { rows: 1, bytes: 1 << 20 };
    let mut other = lane.faulty(&lane.sections, &held(&second));
    let mut other = tokio::spawn(async move { other.run(&stop).await });
    at_the_gate(&second, &mut other).await;
    first.open();
    let woken = sleeper.await.unwrap();
    assert!(any || woken.report.outcome == Outcome::Fenced, "{woken:?}");
    second.open();
    other.await.unwrap();
    tally.runs(2);
    tally.faults(1);
    assert!(!any || proxy.rewritten() > 0, "the clause is not sent");
    lane.settle(tally, "restored while a run slept").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_slept_through_a_restore_of_the_target_is_fenced() {
    let record = Recorder::new("the target is restored while a run sleeps, SQL Server");
    restored(Vec::new(), &record.promise()).await;
    let clause = " AND [run_id] = @run_id";
    let tally = record.control(clause.trim());
    // Only of the commit: there it follows the sequence.
    let sequence = " AND [sequence] = @sequence";
    let both = format!("{sequence}{clause}");
    restored(vec![Rewrite::instead(&both, sequence)], &tally).await;
    record.end();
}

/// The application lock is not what keeps rows from coming twice: the checkpoint's row, which
/// every commit updates first, is locked as long. Without the application lock the same cuts
/// lose and double nothing, also while the first try still runs.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_application_lock_the_row_of_the_checkpoint_keeps_tries_apart() {
    let record = Recorder::new("commits without the application lock, SQL Server");
    let tally = record.promise();
    let world = World::new(24).await;
    let (target, double) = double();
    let mut lane = Lane::into(&world, target, "append").await;
    lane.options.limits = BatchLimits { rows: 2, bytes: 1 << 20 };
    lane.sections.1["command_timeout"] = "5s".into();
    let lock = "EXEC @lock = sys.sp_getapplock @Resource = @resource, @LockMode = N'Exclusive', \
                @LockOwner = N'Transaction', @LockTimeout = 30000;";
    // Each third commit is still at work when its connection breaks and the next try arrives.
    let insert = tds::Point::Statement("INSERT INTO [dbo].[orders]".to_owned());
    double.fault(tds::Fault::new(insert, tds::Action::Delay(60)).always());
    let rules = Rules {
        cuts: Some(Cuts {
            mark: "SELECT @deleted AS [deleted]".to_owned(),
            which: Which::Every(2),
            moments: vec![Moment::During, Moment::After],
        }),
        rewrites: vec![Rewrite::instead(lock, "SET @lock = 0;")],
        ..Rules::default()
    };
    let proxy = Proxy::start(Protocol::Tds, &lane.server(Link::Target), rules).await;
    let sections = lane.by_way_of(Link::Target, &proxy.address());
    Lane::run(lane.pipeline(&sections), &tally, "no application lock").await;
    tally.faults(proxy.cuts().iter().sum());
    assert!(proxy.rewritten() > 0, "the lock is not asked for");
    tokio::time::sleep(Duration::from_millis(300)).await;
    lane.settle(&tally, "no application lock").await;
    record.end();
}
