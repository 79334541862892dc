use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use etl_core::{Batch, Changes, Class, Outcome, Progress};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::*;

const NAME: &str = "shop/orders";
const TTL: Duration = Duration::from_secs(3_600);

/// State tables with a prepared stream.
async fn prepared() -> SqliteConnection {
    let mut c = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    etl_sql::sqlite::migrations::apply(&mut c).await.unwrap();
    run_sql(
        &mut c,
        "INSERT INTO etl_checkpoint (name, sequence, rows_total, updated_at) VALUES \
         ('shop/orders', 0, 0, ''), ('shop/others', 0, 0, '')",
    )
    .await;
    c
}

async fn run_sql(c: &mut SqliteConnection, sql: &str) {
    c.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
}

/// One value of the first row.
async fn one<T>(c: &mut SqliteConnection, sql: &str) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
{
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(c).await.unwrap()
}

fn run(id: u128) -> Run {
    Run { id: Uuid::from_u128(id), ttl: TTL, waited: false }
}

/// A claim that is to succeed.
async fn claimed(c: &mut SqliteConnection, run: &Run) -> Fence {
    match claim(c, NAME, run).await.unwrap() {
        Some(Claim::Claimed(checkpoint)) => Fence {
            run: run.id,
            sequence: checkpoint.sequence,
            definition: "{}".to_owned(),
            ttl: TTL,
            generation: checkpoint.generation,
        },
        other => panic!("{other:?}"),
    }
}

/// A claim that is not to succeed.
async fn busy_with(c: &mut SqliteConnection, run: &Run) -> Lease {
    match claim(c, NAME, run).await.unwrap() {
        Some(Claim::Busy(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

/// Sets the lease's end so many seconds from now.
async fn lease_ends_in(c: &mut SqliteConnection, seconds: i64) {
    let at = stamp(now_micros(c).await.unwrap() + seconds * 1_000_000).unwrap();
    run_sql(c, &format!("UPDATE etl_checkpoint SET lease_until = '{at}' WHERE name = '{NAME}'"))
        .await;
}

fn batch(position: &str) -> Batch {
    Batch {
        changes: Changes::upserts(RecordBatch::new_empty(Arc::new(Schema::empty()))),
        position: Position::from_text(position).unwrap(),
        progress: Progress { read: 9, reread: 2, horizon_micros: None },
        aside: etl_core::Aside::default(),
    }
}

const COUNTS: Counts = Counts { inserted: 4, updated: 3, deleted: 2, unchanged: 1 };

#[tokio::test]
async fn a_pipeline_that_was_never_prepared_cannot_be_claimed() {
    let mut c = prepared().await;
    assert!(claim(&mut c, "shop/nothing", &run(1)).await.unwrap().is_none());
    assert!(read(&mut c, "shop/nothing").await.unwrap().is_none());
}

#[tokio::test]
async fn a_free_pipeline_is_claimed_and_a_lease_that_lasts_keeps_others_out() {
    let mut c = prepared().await;
    let first = claimed(&mut c, &run(1)).await;
    assert_eq!(first.sequence, 1);
    let lease = busy_with(&mut c, &run(2)).await;
    assert_eq!(lease.holder, Some(Uuid::from_u128(1)));
    assert!(lease.remaining <= TTL && lease.remaining > TTL - Duration::from_secs(60), "{lease:?}");
    assert_eq!(lease.skipped_for, Duration::ZERO);
    // Since then the pipeline is known to be busy.
    let earlier = stamp(now_micros(&mut c).await.unwrap() - 100_000_000).unwrap();
    run_sql(&mut c, &format!("UPDATE etl_checkpoint SET busy_since = '{earlier}'")).await;
    let again = busy_with(&mut c, &run(2)).await;
    assert_eq!(again.token, lease.token);
    assert!(again.skipped_for >= Duration::from_secs(100), "{again:?}");
    // Ours: taken again at once, and whatever was under way with the old sequence is fenced.
    assert_eq!(claimed(&mut c, &run(1)).await.sequence, 2);
    assert_eq!(read(&mut c, NAME).await.unwrap().unwrap().busy_since, None);
}

#[tokio::test]
async fn a_lease_is_taken_once_it_is_over_and_not_if_its_run_did_the_work() {
    let mut c = prepared().await;
    claimed(&mut c, &run(1)).await;
    lease_ends_in(&mut c, 60).await;
    busy_with(&mut c, &run(2)).await;
    lease_ends_in(&mut c, -60).await;
    assert_eq!(claimed(&mut c, &run(2)).await.sequence, 2);
    let abandoned = "SELECT outcome FROM etl_run WHERE run_id LIKE '%1'";
    assert_eq!(one::<String>(&mut c, abandoned).await, "abandoned");
    let ended: Option<String> =
        one(&mut c, "SELECT finished_at FROM etl_run WHERE run_id LIKE '%1'").await;
    assert!(ended.is_some());
    // Given back: free for who comes anew, not for who has waited for it.
    run_sql(&mut c, "UPDATE etl_checkpoint SET lease_until = NULL").await;
    let lease = busy_with(&mut c, &Run { waited: true, ..run(3) }).await;
    assert_eq!((lease.token.as_str(), lease.remaining), ("", Duration::ZERO));
    assert_eq!(claimed(&mut c, &run(3)).await.sequence, 3);
}

#[tokio::test]
async fn a_step_goes_on_where_its_fence_says_and_nowhere_else() {
    let mut c = prepared().await;
    let fence = claimed(&mut c, &run(1)).await;
    let batch = batch("7");
    let step = Step::Write(&batch);
    let here = standing(&mut c, NAME, step, &fence).await.unwrap();
    assert!(matches!(here, Standing::Here { begins: false }));
    let loading = standing(&mut c, NAME, Step::Load(&batch), &fence).await.unwrap();
    assert!(matches!(loading, Standing::Here { begins: true }));

    advance(&mut c, NAME, step, &fence, &COUNTS).await.unwrap();
    assert!(matches!(standing(&mut c, NAME, step, &fence).await.unwrap(), Standing::Done));
    let next = Fence { sequence: fence.sequence + 1, ..fence.clone() };
    let here = standing(&mut c, NAME, step, &next).await.unwrap();
    assert!(matches!(here, Standing::Here { .. }));

    let other_position = self::batch("8");
    let far = Fence { sequence: fence.sequence + 7, ..fence.clone() };
    let stranger = Fence { run: Uuid::from_u128(2), ..next.clone() };
    for (step, fence) in [
        (Step::Write(&other_position), &fence),
        (step, &far),
        (step, &stranger),
        (step, &Fence { run: Uuid::from_u128(2), ..fence.clone() }),
    ] {
        let refused = standing(&mut c, NAME, step, fence).await.err().unwrap();
        assert_eq!(refused.class(), Class::Fenced);
        assert!(refused.to_string().starts_with("shop/orders: "), "{refused}");
        let refused = advance(&mut c, NAME, step, fence, &COUNTS).await;
        assert!(refused.is_err_and(|error| error.class() == Class::Fenced));
    }
    let gone = standing(&mut c, "shop/nothing", step, &fence).await.err().unwrap();
    assert_eq!(gone.class(), Class::Fenced);
    let found = read(&mut c, NAME).await.unwrap().unwrap().checkpoint;
    assert_eq!((found.sequence, found.position), (2, Some(batch.position.clone())));
}

#[tokio::test]
async fn a_step_moves_the_checkpoint_and_is_counted() {
    let mut c = prepared().await;
    let fence = Fence { generation: 3, ..claimed(&mut c, &run(1)).await };
    lease_ends_in(&mut c, 1).await;
    let batch = batch("7");
    advance(&mut c, NAME, Step::Load(&batch), &fence, &COUNTS).await.unwrap();
    let row = read(&mut c, NAME).await.unwrap().unwrap();
    let until = text::parse_timestamp(&row.lease_until.unwrap()).unwrap();
    assert!(until > now_micros(&mut c).await.unwrap() + micros(TTL) - 60_000_000);
    let found = row.checkpoint;
    assert_eq!(found.position, Some(batch.position.clone()));
    assert_eq!((found.sequence, found.rows_total), (2, 9));
    assert_eq!((found.generation, found.phase), (3, Phase::Loading));
    assert_eq!(tally(&mut c, NAME, fence.run).await.unwrap(), COUNTS);
    let next = Fence { sequence: 2, ..fence.clone() };
    advance(&mut c, NAME, Step::Apply, &next, &COUNTS).await.unwrap();
    let found = read(&mut c, NAME).await.unwrap().unwrap().checkpoint;
    assert_eq!((found.position, found.phase), (Some(batch.position), Phase::Idle));
    let twice = Counts { inserted: 8, updated: 6, deleted: 4, unchanged: 2 };
    assert_eq!(tally(&mut c, NAME, fence.run).await.unwrap(), twice);
    assert_eq!(tally(&mut c, NAME, Uuid::from_u128(2)).await.unwrap(), Counts::default());
    let read = "SELECT rows_read * 100 + rows_reread * 10 + batches FROM etl_run";
    assert_eq!(one::<i64>(&mut c, read).await, 9 * 100 + 2 * 10 + 2);
    let other = "SELECT sequence FROM etl_checkpoint WHERE name = 'shop/others'";
    assert_eq!(one::<i64>(&mut c, other).await, 0);
}

#[tokio::test]
async fn a_lease_is_renewed_by_its_run_alone() {
    let mut c = prepared().await;
    let fence = claimed(&mut c, &run(1)).await;
    lease_ends_in(&mut c, 1).await;
    renew(&mut c, NAME, &fence).await.unwrap();
    let lease = busy_with(&mut c, &run(2)).await;
    assert!(lease.remaining > TTL - Duration::from_secs(60), "{lease:?}");
    let stranger = Fence { run: Uuid::from_u128(2), ..fence };
    assert_eq!(renew(&mut c, NAME, &stranger).await.unwrap_err().class(), Class::Fenced);
}

fn report(id: u128) -> RunReport {
    let mut report = RunReport::new(NAME, Uuid::from_u128(id));
    report.outcome = Outcome::Success;
    report.duration = Duration::from_secs(50);
    report.horizon_micros = Some(1_767_322_800_123_456);
    report
}

#[tokio::test]
async fn a_run_that_ends_gives_its_lease_back_and_keeps_its_counts() {
    let mut c = prepared().await;
    let fence = claimed(&mut c, &run(1)).await;
    advance(&mut c, NAME, Step::Write(&batch("7")), &fence, &COUNTS).await.unwrap();
    // Another run's end takes nothing from it.
    finish(&mut c, &skipped(2)).await.unwrap();
    busy_with(&mut c, &run(3)).await;
    finish(&mut c, &report(1)).await.unwrap();
    assert_eq!(tally(&mut c, NAME, fence.run).await.unwrap(), COUNTS);
    let ended = "SELECT outcome || ' ' || source_horizon FROM etl_run WHERE run_id LIKE '%1'";
    assert_eq!(one::<String>(&mut c, ended).await, "success 2026-01-02T03:00:00.123456Z");
    assert_eq!(claimed(&mut c, &run(3)).await.sequence, 3);
    let outcomes = "SELECT group_concat(outcome, ' ') FROM etl_run";
    assert_eq!(one::<String>(&mut c, outcomes).await, "success skipped running");
}

/// A run that never claimed, with a start in the ledger of its own.
fn skipped(id: u128) -> RunReport {
    let mut report = report(id);
    report.outcome = Outcome::Skipped;
    report.horizon_micros = None;
    report.read = 5;
    report
}

#[tokio::test]
async fn a_run_that_never_claimed_is_in_the_ledger_too() {
    let mut c = prepared().await;
    finish(&mut c, &skipped(2)).await.unwrap();
    let took = "SELECT CAST(round((julianday(finished_at) - julianday(started_at)) * 86400) AS \
                INTEGER) FROM etl_run";
    assert_eq!(one::<i64>(&mut c, took).await, 50);
    assert_eq!(one::<i64>(&mut c, "SELECT rows_read FROM etl_run").await, 5);
}

#[tokio::test]
async fn a_person_who_moves_the_checkpoint_fences_whoever_is_at_work() {
    let mut c = prepared().await;
    let fence = claimed(&mut c, &run(1)).await;
    let position = Position::from_text("99").unwrap();
    change(&mut c, NAME, Some(&position), None, Phase::Idle).await.unwrap();
    let row = read(&mut c, NAME).await.unwrap().unwrap();
    assert_eq!((row.run_id, row.lease_until), (None, None));
    assert_eq!((row.checkpoint.sequence, row.checkpoint.position), (2, Some(position)));
    let refused = standing(&mut c, NAME, Step::Write(&batch("7")), &fence).await;
    assert!(refused.is_err_and(|error| error.class() == Class::Fenced));
}

#[test]
fn times_and_counts_fit_the_file_or_stop_at_its_limits() {
    assert_eq!((micros(Duration::from_millis(7)), micros(Duration::MAX)), (7_000, i64::MAX));
    assert_eq!((count(7), count(u64::MAX)), (7, i64::MAX));
    assert_eq!(between(3, 10), Duration::from_micros(7));
    assert_eq!(between(10, 3), Duration::ZERO);
    assert_eq!(stamp(0).unwrap(), "1970-01-01T00:00:00.000000Z");
    assert_eq!(stamp(i64::MAX).unwrap_err().class(), Class::Config);
}
