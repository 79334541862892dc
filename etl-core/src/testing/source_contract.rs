//! What every source must do, as cases on a fresh table each.

mod filter;
mod lookup;
mod position;
mod read;
mod resume;
mod transaction;
mod world;

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use crate::connector::Stream;
use crate::error::Result;
use crate::source::Source;
use crate::testing::case::{Case, cases, run_all};
use crate::testing::row::Row;

use world::World;

/// A table that belongs to one case alone, and ways to write to it.
///
/// Its columns are those of [`Row`], its key is `id`, and `updated_at` is set by the database on
/// every insert and update, as the connector's `check` wants it.
///
/// A case that takes too long is dropped, and with it whatever of these methods it waits for.
#[async_trait]
pub trait SourceFixture: Send + Sync {
    /// A source of the table, as one more process would build it. `stream` is what the suite
    /// wants; the fixture may change its name, its cursor and its declared columns to what the
    /// database needs, but not mode, filter, selection and `on_filter_exit`.
    ///
    /// # Errors
    /// As the connector's `build`.
    async fn source(&self, stream: Stream) -> Result<Arc<dyn Source>>;

    /// Writes in one transaction that is committed on return.
    ///
    /// # Errors
    /// If the database refuses.
    async fn write(&self, changes: &[Change]) -> Result<()>;

    /// Begins a transaction that others do not have to wait for; `None` where the database
    /// has no two writers at once.
    ///
    /// # Errors
    /// If the database refuses.
    async fn begin(&self) -> Result<Option<Box<dyn OpenTransaction>>>;

    /// Waits until everything committed so far is below the horizon, if no transaction is open:
    /// a sweep that begins now is to be the last that reads it again.
    ///
    /// # Errors
    /// If the database refuses.
    async fn settle(&self) -> Result<()>;
}

/// What the suite wants a fixture for.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// A table name that nobody else uses.
    pub table: String,
}

/// One write to the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Insert this row; its `updated_at` is the database's affair.
    Insert(Row),
    /// Update every column of the row with this `id`.
    Update(Row),
    /// Delete the row with this `id`.
    Delete(i64),
}

/// A writer's transaction, as long as somebody wants. Dropped, it is rolled back.
#[async_trait]
pub trait OpenTransaction: Send {
    /// Writes in it.
    ///
    /// # Errors
    /// If the database refuses.
    async fn write(&mut self, changes: &[Change]) -> Result<()>;

    /// Commits it.
    ///
    /// # Errors
    /// If the database refuses.
    async fn commit(self: Box<Self>) -> Result<()>;

    /// Rolls it back.
    ///
    /// # Errors
    /// If the database refuses.
    async fn rollback(self: Box<Self>) -> Result<()>;
}

/// Runs every case, each on a fresh, empty table that `fresh` makes.
/// Dropped half way, it leaves behind what the fixtures do not take away.
///
/// # Panics
/// With the names and reasons of all cases that failed.
pub async fn source_contract<F>(fresh: impl Fn(SourceSpec) -> F)
where
    F: Future<Output = Result<Box<dyn SourceFixture>>>,
{
    let world = async || {
        let unique = Uuid::new_v4().simple().to_string();
        let table = format!("orders_{}", unique.chars().take(12).collect::<String>());
        Ok(World::new(fresh(SourceSpec { table: table.clone() }).await?, table))
    };
    run_all("source_contract", &all_cases(), world).await;
}

fn all_cases() -> Vec<Case<World>> {
    Vec::from(cases![
        read::the_check_finds_nothing_wrong,
        read::the_schema_is_stable_and_is_what_is_read,
        read::a_full_sweep_yields_every_row_once,
        read::an_empty_table_gives_a_position,
        read::batches_keep_to_their_limits,
        read::the_last_batch_carries_the_horizon,
        read::a_stream_dropped_half_way_leaves_nothing_behind,
        resume::every_position_can_be_resumed_from,
        resume::whatever_is_written_between_batches_arrives,
        resume::a_sweep_after_a_change_yields_the_change,
        resume::rows_read_again_are_counted,
        resume::a_row_deleted_half_way_breaks_nothing,
        filter::a_row_that_leaves_the_filter_is_deleted_and_may_come_back,
        filter::a_row_to_be_marked_is_a_delete_as_well,
        filter::a_row_that_leaves_the_filter_stays_where_the_config_says_so,
        filter::a_row_for_which_the_filter_is_null_is_not_carried,
        transaction::rows_of_an_open_transaction_arrive_after_it_commits,
        transaction::rows_rolled_back_never_arrive,
        transaction::append_yields_every_settled_version_once,
        position::a_position_of_something_else_is_refused,
        position::durable_positions_may_be_told_twice,
        lookup::rows_are_found_as_a_sweep_yields_them,
        lookup::a_row_that_a_later_sweep_reads_is_not_in_the_answer,
        lookup::no_row_is_both_found_and_appended,
        lookup::a_row_that_is_gone_is_a_delete_where_the_stream_deletes,
        lookup::a_row_outside_of_the_filter_is_no_row,
        lookup::a_key_or_a_position_of_something_else_is_refused,
    ])
}
