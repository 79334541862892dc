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
