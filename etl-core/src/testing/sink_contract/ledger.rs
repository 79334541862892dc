//! What the ledger says in figures, after runs of every end.

use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, Result};
use crate::ledger::{Ledger, RowCounts, RunCounts};
use crate::sink::{Outcome, Prepared, RunReport};
use crate::testing::case::{Check, Failure, check, check_eq};
use crate::testing::row::Row;

use super::session::{Target, batch};

/// What passes between two runs, so that every clock sees which began first.
const PAUSE: Duration = Duration::from_millis(50);

const HORIZON: i64 = 1_700_000_000_000_000;

impl Target {
    async fn figures(&self) -> Result<Ledger> {
        let figures = self.fixture.admin().await?.ledger().await?;
        figures.ok_or_else(|| Error::internal("the pipeline has no ledger"))
    }

    /// A run that ends as told and carries nothing.
    async fn ended(&self, outcome: Outcome) -> Result<(), Failure> {
        self.fixture.pass(PAUSE).await;
        let mut session = self.session().await?;
        let mut report = self.report(session.fence.run, outcome);
        if outcome != Outcome::Success {
            report.horizon_micros = None;
        }
        session.sink.finish(&report).await?;
        Ok(())
    }

    /// A run that finds the pipeline busy.
    async fn skipped(&self) -> Result<()> {
        self.fixture.pass(PAUSE).await;
        let mut report = RunReport::new(&self.spec.schema.name, Uuid::new_v4());
        report.outcome = Outcome::Skipped;
        self.open().await?.finish(&report).await
    }
}

pub(super) async fn the_ledger_of_a_pipeline_that_never_ran_has_no_times(target: &Target) -> Check {
    let before = target.fixture.admin().await?.ledger().await?;
    check!(before.is_none(), "a ledger before preparing: {before:?}");
    target.prepare().await?;
    let found = target.figures().await?;
    let expected = Ledger {
        now_micros: found.now_micros,
        checkpoint_micros: found.checkpoint_micros,
        ..Ledger::default()
    };
    check_eq!(found, expected, "figures");
    let age = found.now_micros - found.checkpoint_micros;
    check!((0..60_000_000).contains(&age), "a checkpoint just made is {age} us old");
    Ok(())
}

pub(super) async fn the_ledger_shows_a_run_at_work_and_its_success(target: &Target) -> Check {
    let mut session = target.session().await?;
    let claimed = target.figures().await?;
    let mut first = batch(1, &[Row::new(1), Row::new(2), Row::new(3)], &[])?;
    first.progress.reread = 2;
    target.fixture.pass(PAUSE).await;
    session.commit(&first).await?;
    let during = target.figures().await?;
    check!(during.lease_held, "a run is at work and no lease is held");
    check_eq!(during.runs, RunCounts::default(), "runs that ended");
    check_eq!(during.last_run_duration, None, "the duration of a run that goes on");
    check_eq!(during.last_success_micros, None, "the last success before there was one");
    let rows = RowCounts { read: 3, written: 3, reread: 2, ..RowCounts::default() };
    check_eq!(during.rows, rows, "rows while it is at work");
    let started = during.last_run_micros.unwrap_or_default();
    check!(started > 0 && started <= during.now_micros, "it began at {started}");
    check!(
        during.checkpoint_micros > claimed.checkpoint_micros,
        "a commit left the checkpoint's time"
    );
    session.commit(&batch(2, &[Row::new(1), Row::new(2).amount(1)], &[3])?).await?;
    session.sink.finish(&target.report(session.fence.run, Outcome::Success)).await?;
    let after = target.figures().await?;
    check!(!after.lease_held, "the lease is held after the end");
    check_eq!(after.runs, RunCounts { success: 1, ..RunCounts::default() }, "runs");
    let rows =
        RowCounts { read: 6, written: 4, deleted: 1, unchanged: 1, reread: 2, quarantined: 0 };
    check_eq!(after.rows, rows, "rows");
    check_eq!(after.source_horizon_micros, Some(HORIZON), "horizon");
    check_eq!(after.last_run_micros, Some(started), "the run's begin");
    let ended = after.last_success_micros.unwrap_or_default();
    let took = after.last_run_duration.unwrap_or_default();
    check!(took >= PAUSE, "it took {took:?}, more than {PAUSE:?} passed");
    let between = u64::try_from(ended - started).unwrap_or(0);
    check_eq!(took, Duration::from_micros(between), "the duration");
    check!(ended <= after.now_micros, "it ended at {ended}, now is {}", after.now_micros);
    Ok(())
}

pub(super) async fn the_ledger_counts_runs_by_their_end_and_failures_since_the_last_success(
    target: &Target,
) -> Check {
    target.ended(Outcome::Failed).await?;
    let failed = target.figures().await?;
    check_eq!(failed.failures_since_success, 1, "failures, and no success yet");
    check_eq!(failed.last_success_micros, None, "the last success");
    target.ended(Outcome::Success).await?;
    let good = target.figures().await?;
    check_eq!(good.failures_since_success, 0, "failures before a success");
    target.ended(Outcome::Stopped).await?;
    target.ended(Outcome::Failed).await?;
    let worked = target.figures().await?;
    check!(worked.last_run_micros > good.last_run_micros, "a later run does not show");
    target.skipped().await?;
    let skipped = target.figures().await?;
    let runs = RunCounts { success: 1, stopped: 1, failed: 2, skipped: 1, ..RunCounts::default() };
    check_eq!(skipped.runs, runs, "runs");
    check_eq!(skipped.failures_since_success, 1, "failures since the success");
    check_eq!(skipped.last_success_micros, good.last_success_micros, "the last success");
    check_eq!(skipped.source_horizon_micros, Some(HORIZON), "its horizon");
    check_eq!(skipped.last_run_micros, worked.last_run_micros, "the last run but skipped");
    check_eq!(skipped.last_run_duration, worked.last_run_duration, "its duration");
    Ok(())
}

pub(super) async fn prepared_streams_are_listed_with_when_they_last_ran(target: &Target) -> Check {
    let name = &target.spec.schema.name;
    let streams = async || target.fixture.admin().await?.streams().await;
    check!(streams().await?.is_empty(), "a stream before preparing");
    target.prepare().await?;
    let never = Prepared { name: name.clone(), last_run_micros: None };
    check_eq!(streams().await?, [never], "streams before the first run");
    for outcome in [Outcome::Failed, Outcome::Success] {
        target.ended(outcome).await?;
        target.skipped().await?;
        let last_run_micros = target.figures().await?.last_run_micros;
        let ran = Prepared { name: name.clone(), last_run_micros };
        check!(last_run_micros.is_some(), "the ledger does not know when it ran");
        check_eq!(streams().await?, [ran], "streams after a run");
    }
    Ok(())
}

pub(super) async fn the_ledger_counts_a_killed_run_when_the_next_one_finds_it(
    target: &Target,
) -> Check {
    target.ended(Outcome::Success).await?;
    let good = target.figures().await?;
    target.fixture.pass(PAUSE).await;
    let mut killed = target.short_session().await?;
    killed.put(1, &[Row::new(1)]).await?;
    target.outlive().await;
    let dead = target.figures().await?;
    check!(!dead.lease_held, "an expired lease is shown as held");
    check_eq!(dead.failures_since_success, 0, "failures before the next run");
    let mut next = target.session().await?;
    let found = target.figures().await?;
    let abandoned = RunCounts { abandoned: 1, success: 1, ..RunCounts::default() };
    check_eq!(found.runs, abandoned, "runs");
    check_eq!(found.failures_since_success, 1, "failures");
    check_eq!(found.rows.written, 1, "rows of the killed run");
    check_eq!(found.last_run_duration, good.last_run_duration, "the last duration that was told");
    // It was not killed after all, and says that it was fenced.
    let mut report = target.report(killed.fence.run, Outcome::Fenced);
    report.horizon_micros = None;
    killed.sink.finish(&report).await?;
    let fenced = target.figures().await?;
    check!(fenced.lease_held, "a fenced run gave another's lease back");
    check_eq!(fenced.runs, RunCounts { fenced: 1, success: 1, ..RunCounts::default() }, "runs");
    check_eq!(fenced.failures_since_success, 1, "failures");
    next.sink.finish(&target.report(next.fence.run, Outcome::Success)).await?;
    check_eq!(target.figures().await?.failures_since_success, 0, "failures before a success");
    Ok(())
}
