use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryAdmin, MemorySink};
use crate::error::Result;
use crate::sink::{Sink, SinkAdmin};
use crate::testing::memory_target::MemoryTarget;
use crate::testing::network::{Conditions, Network};
use crate::testing::row::CanonicalRow;
use crate::testing::sink_contract::{LedgerRow, SinkFixture, sink_contract};

struct Fixture(MemoryTarget);

#[async_trait]
impl SinkFixture for Fixture {
    async fn sink(&self) -> Result<Box<dyn Sink>> {
        Ok(Box::new(MemorySink::new(&self.0)))
    }

    async fn admin(&self) -> Result<Box<dyn SinkAdmin>> {
        Ok(Box::new(MemoryAdmin::new(&self.0)))
    }

    async fn rows(&self) -> Result<Vec<CanonicalRow>> {
        Ok(self.0.rows())
    }

    async fn ledger(&self) -> Result<Vec<LedgerRow>> {
        Ok(self.0.ledger())
    }
}

async fn contract_over(network: Network) {
    sink_contract(|spec| {
        let target = MemoryTarget::new(spec.stream.config.mode, network.clone());
        async move { Ok(Box::new(Fixture(target)) as Box<dyn SinkFixture>) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_memory_sink_keeps_the_contract() {
    contract_over(Network::new(Conditions::default(), 1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_memory_sink_keeps_the_contract_over_a_slow_network() {
    let (delay, work) = (Duration::from_millis(40), Duration::from_millis(200));
    contract_over(Network::new(Conditions { delay, work, ..Conditions::default() }, 2)).await;
}

/// The contract on a sink with `defect`.
async fn contract_with(defect: super::SinkDefect) {
    struct Defective(Fixture, super::SinkDefect);

    #[async_trait]
    impl SinkFixture for Defective {
        async fn sink(&self) -> Result<Box<dyn Sink>> {
            Ok(Box::new(MemorySink::new(&self.0.0).with_defect(self.1)))
        }
        async fn admin(&self) -> Result<Box<dyn SinkAdmin>> {
            self.0.admin().await
        }
        async fn rows(&self) -> Result<Vec<CanonicalRow>> {
            self.0.rows().await
        }
        async fn ledger(&self) -> Result<Vec<LedgerRow>> {
            self.0.ledger().await
        }
    }

    let network = Network::new(Conditions::default(), 1);
    sink_contract(|spec| {
        let target = MemoryTarget::new(spec.stream.config.mode, network.clone());
        async move { Ok(Box::new(Defective(Fixture(target), defect)) as Box<dyn SinkFixture>) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the_same_commit_again_changes_nothing")]
async fn the_contract_catches_a_commit_that_does_not_compare_the_sequence() {
    contract_with(super::SinkDefect::NoSequence).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the_old_run_is_fenced_after_a_takeover")]
async fn the_contract_catches_a_commit_that_does_not_compare_the_run() {
    contract_with(super::SinkDefect::NoRun).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_commit_dropped_anywhere_leaves_all_or_nothing")]
async fn the_contract_catches_a_checkpoint_apart_from_its_rows() {
    contract_with(super::SinkDefect::CheckpointApart).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_late_claim_of_the_same_run_is_not_taken_for_a_commit")]
async fn the_contract_catches_a_commit_that_does_not_compare_the_position() {
    contract_with(super::SinkDefect::NoPosition).await;
}
