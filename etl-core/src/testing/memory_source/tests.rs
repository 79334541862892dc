use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::MemorySource;
use crate::connector::Stream;
use crate::error::Result;
use crate::source::Source;
use crate::testing::memory_table::{MemoryTable, MemoryTransaction};
use crate::testing::source_contract::{Change, OpenTransaction, SourceFixture, source_contract};

struct Fixture(MemoryTable);

#[async_trait]
impl SourceFixture for Fixture {
    async fn source(&self, stream: Stream) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(MemorySource::new(&self.0, &stream)?))
    }

    async fn write(&self, changes: &[Change]) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.0.write(changes)
    }

    async fn begin(&self) -> Result<Option<Box<dyn OpenTransaction>>> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(Some(Box::new(self.0.begin(Duration::ZERO))))
    }

    async fn settle(&self) -> Result<()> {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(())
    }
}

#[async_trait]
impl OpenTransaction for MemoryTransaction {
    async fn write(&mut self, changes: &[Change]) -> Result<()> {
        changes.iter().try_for_each(|change| MemoryTransaction::write(self, change))
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        MemoryTransaction::commit(*self);
        Ok(())
    }

    async fn rollback(self: Box<Self>) -> Result<()> {
        MemoryTransaction::rollback(*self);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_memory_source_keeps_the_contract() {
    source_contract(async |_| Ok(Box::new(Fixture(MemoryTable::new())) as Box<dyn SourceFixture>))
        .await;
}

/// The contract on a source with `defect`.
async fn contract_with(defect: super::SourceDefect) {
    struct Defective(Fixture, super::SourceDefect);

    #[async_trait]
    impl SourceFixture for Defective {
        async fn source(&self, stream: Stream) -> Result<Arc<dyn Source>> {
            Ok(Arc::new(MemorySource::new(&self.0.0, &stream)?.with_defect(self.1)))
        }
        async fn write(&self, changes: &[Change]) -> Result<()> {
            self.0.write(changes).await
        }
        async fn begin(&self) -> Result<Option<Box<dyn OpenTransaction>>> {
            self.0.begin().await
        }
        async fn settle(&self) -> Result<()> {
            self.0.settle().await
        }
    }

    source_contract(async |_| {
        Ok(Box::new(Defective(Fixture(MemoryTable::new()), defect)) as Box<dyn SourceFixture>)
    })
    .await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "rows_of_an_open_transaction_arrive_after_it_commits")]
async fn the_contract_catches_a_naive_watermark() {
    contract_with(super::SourceDefect::NaiveWatermark).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "every_position_can_be_resumed_from")]
async fn the_contract_catches_a_cursor_without_a_key() {
    contract_with(super::SourceDefect::CursorOnly).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "no_row_is_both_found_and_appended")]
async fn the_contract_catches_a_lookup_that_gives_what_is_read_again() {
    contract_with(super::SourceDefect::LookupUnsettled).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_row_that_is_gone_is_a_delete_where_the_stream_deletes")]
async fn the_contract_catches_a_lookup_that_loses_a_missing_key() {
    contract_with(super::SourceDefect::LookupLosesMissing).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_row_outside_of_the_filter_is_no_row")]
async fn the_contract_catches_a_lookup_without_the_filter() {
    contract_with(super::SourceDefect::LookupIgnoresFilter).await;
}
