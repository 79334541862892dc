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
