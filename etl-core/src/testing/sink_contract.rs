//! What every sink must do, as cases on a fresh target each.

mod admin;
mod append;
mod drop;
mod lease;
mod ledger;
mod once;
mod quarantine;
mod refuse;
mod replace;
mod session;
mod soft_delete;
mod upsert;
mod values;

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::connector::{FilterExit, Mode, Stream};
use crate::error::Result;
use crate::schema::StreamSchema;
use crate::sink::{Sink, SinkAdmin};
use crate::testing::case::{Case, cases, run_all};
use crate::testing::row::{CanonicalRow, Row};

use session::Target;

/// A target that belongs to one case alone, and ways to look at it.
///
/// A case that takes too long is dropped, and with it whatever of these methods it waits for.
#[async_trait]
pub trait SinkFixture: Send + Sync {
    /// A sink on the target, as one more process would build it; not opened.
    ///
    /// # Errors
    /// As the connector's `build`.
    async fn sink(&self) -> Result<Box<dyn Sink>>;

    /// What operators use on the target, with the owner's login.
    ///
    /// # Errors
    /// As the connector's `admin`.
    async fn admin(&self) -> Result<Box<dyn SinkAdmin>>;

    /// Every row that is committed in the target table, in any order, read over a connection
    /// of its own: [`TargetSpec::columns`], texts as [`CanonicalRow`] says.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn rows(&self) -> Result<Vec<CanonicalRow>>;

    /// Every row of the ledger of this pipeline, in any order.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn ledger(&self) -> Result<Vec<LedgerRow>>;

    /// The same database for another stream, with the same state tables.
    ///
    /// # Errors
    /// As for a fresh target.
    async fn beside(&self, spec: TargetSpec) -> Result<Box<dyn SinkFixture>>;

    /// How long a lease lasts that a case lets expire: longer than a few connections to the target
    /// take.
    fn short_lease(&self) -> Duration {
        Duration::from_secs(3)
    }

    /// Lets so much time pass by the target's clock.
    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// What the suite wants a fixture for.
#[derive(Debug, Clone)]
pub struct TargetSpec {
    /// What the connector's `build` and `admin` get. Pipeline and object have names that no
    /// other case has; the fixture may put its own schema in front of the object.
    pub stream: Stream,
    /// What `open` and `prepare` get; its name is the stream's full name.
    pub schema: StreamSchema,
}

/// One run in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRow {
    /// The run.
    pub run: Uuid,
    /// The word of its [`Outcome`](crate::Outcome).
    pub outcome: String,
    /// Rows read.
    pub read: u64,
    /// Rows inserted or updated.
    pub written: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Rows found equal.
    pub unchanged: u64,
    /// The source's horizon, in microseconds since 1970 UTC.
    pub horizon_micros: Option<i64>,
    /// The word of the error's [`Class`](crate::Class).
    pub error_class: Option<String>,
}

/// Runs every case, each on a fresh target. `fresh` gives a target in which nothing of the
/// pipeline exists yet: the suite prepares it through [`SinkFixture::admin`].
/// Dropped half way, it leaves behind what the fixtures do not take away.
///
/// # Panics
/// With the names and reasons of all cases that failed.
pub async fn sink_contract<F>(fresh: impl Fn(TargetSpec) -> F)
where
    F: Future<Output = Result<Box<dyn SinkFixture>>>,
{
    let marks = Some(FilterExit::SoftDelete);
    for (mode, exit, allow_empty, cases) in [
        (Mode::Upsert, None, false, upsert_cases()),
        (Mode::Append, None, false, append_cases()),
        (Mode::Upsert, marks, false, soft_delete_cases()),
        (Mode::Replace, None, false, replace_cases()),
        (Mode::Replace, None, true, empty_cases()),
    ] {
        let target = async || {
            let spec = TargetSpec::unique(mode, exit, allow_empty)?;
            Ok(Target::new(fresh(spec.clone()).await?, spec))
        };
        let exit = exit.map(|exit| format!(", {}", exit.as_str())).unwrap_or_default();
        run_all(&format!("sink_contract ({}{exit})", mode.as_str()), &cases, target).await;
    }
}

fn upsert_cases() -> Vec<Case<Target>> {
    Vec::from(cases![
        admin::an_unprepared_pipeline_has_no_checkpoint_and_cannot_be_opened,
        admin::preparing_twice_changes_nothing,
        admin::preparing_four_times_at_once_works,
        admin::the_check_finds_nothing_wrong_after_preparing,
        admin::a_target_with_other_columns_is_refused_by_open,
        admin::a_state_change_bumps_the_sequence_and_fences_the_run,
        admin::a_changed_position_is_where_the_next_run_begins,
        admin::an_adopted_definition_is_stored,
        lease::a_fresh_target_has_no_position,
        lease::a_second_run_is_busy_until_the_lease_expires,
        lease::the_old_run_is_fenced_after_a_takeover,
        lease::the_same_run_may_claim_again_after_a_lost_answer,
        lease::a_lease_given_back_is_not_taken_by_who_waited,
        lease::an_expired_lease_is_taken_by_who_waited,
        lease::renewing_extends_the_lease,
        lease::committing_extends_the_lease,
        lease::renewing_after_a_takeover_is_fenced,
        lease::expiry_alone_fails_no_commit,
        lease::a_renewed_lease_shows_another_token,
        lease::the_time_of_skipping_is_counted_and_ends_with_a_claim,
        lease::finishing_frees_the_lease_and_writes_the_ledger,
        lease::a_skipped_run_is_in_the_ledger_and_frees_nothing,
        lease::a_failed_run_is_in_the_ledger_with_its_class,
        lease::finishing_again_writes_no_second_row,
        ledger::the_ledger_of_a_pipeline_that_never_ran_has_no_times,
        ledger::the_ledger_shows_a_run_at_work_and_its_success,
        ledger::the_ledger_counts_runs_by_their_end_and_failures_since_the_last_success,
        ledger::prepared_streams_are_listed_with_when_they_last_ran,
        ledger::the_ledger_counts_a_killed_run_when_the_next_one_finds_it,
        once::batch_and_position_become_durable_together,
        once::the_same_commit_again_changes_nothing,
        once::a_commit_again_does_not_undo_a_later_one,
        once::a_late_claim_of_the_same_run_is_not_taken_for_a_commit,
        once::a_stale_fence_is_refused,
        once::a_batch_without_rows_moves_the_position,
        once::the_definition_is_stored_and_given_back,
        once::the_sequence_never_decreases,
        drop::a_commit_dropped_anywhere_leaves_all_or_nothing,
        upsert::counts_are_exact,
        upsert::a_change_of_letter_case_only_is_an_update,
        upsert::a_trailing_blank_only_is_an_update,
        upsert::null_and_empty_are_different_values,
        upsert::equal_rows_are_left_alone,
        upsert::deleting_an_absent_row_does_no_harm,
        upsert::a_deleted_row_may_come_back,
        values::values_come_back_as_they_were,
        values::greatest_lengths_are_counted_in_characters,
        refuse::a_too_long_text_is_refused_with_column_and_key,
        refuse::a_null_where_none_may_be_is_refused,
        refuse::after_a_refusal_the_same_sink_goes_on,
        quarantine::a_row_that_is_put_aside_is_entered_with_its_reason,
        quarantine::a_reason_of_any_length_is_kept_as_far_as_there_is_room,
        quarantine::a_row_that_is_put_aside_again_counts_and_keeps_its_first_time,
        quarantine::what_landed_or_left_is_cleared,
        quarantine::the_quarantine_of_another_stream_is_left_alone,
        quarantine::a_commit_that_is_refused_enters_and_clears_nothing,
        quarantine::the_same_commit_puts_aside_once,
        quarantine::a_probe_changes_nothing,
        quarantine::a_probe_finds_what_a_commit_would,
    ])
}

fn append_cases() -> Vec<Case<Target>> {
    Vec::from(cases![
        append::every_version_is_appended_once,
        append::equal_versions_are_all_kept,
        once::the_same_commit_again_changes_nothing,
        once::a_late_claim_of_the_same_run_is_not_taken_for_a_commit,
        once::a_stale_fence_is_refused,
        once::a_batch_without_rows_moves_the_position,
        lease::the_old_run_is_fenced_after_a_takeover,
        drop::a_commit_dropped_anywhere_leaves_all_or_nothing,
        refuse::a_too_long_text_is_refused_with_column_and_key,
        quarantine::a_row_that_is_put_aside_is_entered_with_its_reason,
        quarantine::the_same_commit_puts_aside_once,
        quarantine::a_probe_changes_nothing,
        quarantine::a_probe_finds_what_a_commit_would,
    ])
}

fn soft_delete_cases() -> Vec<Case<Target>> {
    Vec::from(cases![
        admin::preparing_twice_changes_nothing,
        admin::the_check_finds_nothing_wrong_after_preparing,
        soft_delete::a_row_that_leaves_stays_and_shows_the_targets_time,
        soft_delete::a_delete_delivered_again_keeps_the_first_time,
        soft_delete::a_row_that_comes_back_is_unmarked_and_counts_as_updated,
        soft_delete::the_same_commit_marks_once,
        drop::a_commit_dropped_anywhere_leaves_all_or_nothing,
        upsert::a_change_of_letter_case_only_is_an_update,
        upsert::null_and_empty_are_different_values,
        upsert::equal_rows_are_left_alone,
        upsert::deleting_an_absent_row_does_no_harm,
        values::values_come_back_as_they_were,
        refuse::after_a_refusal_the_same_sink_goes_on,
    ])
}

fn replace_cases() -> Vec<Case<Target>> {
    Vec::from(cases![
        replace::a_load_shows_nothing_until_it_is_applied,
        replace::an_apply_makes_the_difference_and_counts_it,
        replace::an_interrupted_load_goes_on,
        replace::rows_of_a_load_that_was_given_up_never_arrive,
        replace::an_empty_load_is_refused_and_changes_nothing,
        replace::the_same_load_and_apply_again_change_nothing,
        replace::a_late_claim_is_taken_neither_for_a_load_nor_for_an_apply,
        replace::who_was_taken_over_neither_loads_nor_applies,
        replace::an_apply_at_a_stale_fence_is_refused,
        replace::a_changed_position_gives_the_load_up,
        replace::a_reader_sees_the_rows_before_or_the_rows_after,
        quarantine::an_apply_clears_what_its_load_did_not_put_aside,
        drop::an_apply_dropped_anywhere_leaves_all_or_nothing,
        admin::preparing_four_times_at_once_works,
        admin::the_check_finds_nothing_wrong_after_preparing,
        refuse::a_too_long_text_is_refused_with_column_and_key,
        quarantine::a_row_that_is_put_aside_is_entered_with_its_reason,
        quarantine::what_landed_or_left_is_cleared,
        quarantine::the_same_commit_puts_aside_once,
        quarantine::a_probe_changes_nothing,
        quarantine::a_probe_finds_what_a_commit_would,
    ])
}

fn empty_cases() -> Vec<Case<Target>> {
    Vec::from(cases![replace::an_empty_load_empties_the_target_where_that_is_allowed])
}

impl TargetSpec {
    /// The columns of the target: the stream's, and the one in which rows are marked, if any.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let columns = self.schema.schema.fields().iter().map(|field| field.name().as_str());
        columns.chain(self.stream.config.mark()).collect()
    }

    /// A stream whose names nobody else uses.
    fn unique(mode: Mode, exit: Option<FilterExit>, allow_empty: bool) -> Result<Self> {
        let unique = Uuid::new_v4().simple().to_string();
        let name: String = unique.chars().take(12).collect();
        let config = serde_json::json!({
            "object": format!("orders_{name}"),
            "mode": mode,
            "on_filter_exit": exit,
            "soft_delete": exit.map(|_| serde_json::json!({ "column": "Deleted at" })),
            "allow_empty": allow_empty,
            "primary_key": ["id"],
            "cursor": { "column": "updated_at" },
            "select": ["id", "name", "status", "amount", "active", "updated_at"],
        });
        let stream = Stream {
            pipeline: format!("contract_{name}"),
            name: "orders".to_owned(),
            config: serde_json::from_value(config)
                .map_err(|error| crate::Error::internal("the suite's stream").with_source(error))?,
        };
        let schema = Row::stream(&stream.full_name());
        Ok(Self { stream, schema })
    }
}
