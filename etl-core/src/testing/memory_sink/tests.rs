use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryAdmin, MemorySink};
use crate::connector::Finding;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::quarantine::Entry;
use crate::schema::StreamSchema;
use crate::sink::{Checkpoint, Prepared, Sink, SinkAdmin, StateChange, Statement};
use crate::testing::memory_target::{MarkDefect, MemoryTarget};
use crate::testing::network::{Conditions, Network};
use crate::testing::row::CanonicalRow;
use crate::testing::sink_contract::{LedgerRow, SinkFixture, TargetSpec, sink_contract};

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

    async fn beside(&self, _: TargetSpec) -> Result<Box<dyn SinkFixture>> {
        Ok(Box::new(Self(self.0.beside())))
    }
}

/// The target that a case wants, which marks rows with `defect`.
fn target(spec: &TargetSpec, network: &Network, defect: Option<MarkDefect>) -> MemoryTarget {
    let target = MemoryTarget::of(&spec.stream.config, network.clone());
    match spec.stream.config.mark() {
        Some(mark) => target.marking(mark, defect),
        None => target,
    }
}

async fn contract_over(network: Network, defect: Option<MarkDefect>) {
    sink_contract(|spec| {
        let target = target(&spec, &network, defect);
        async move { Ok(Box::new(Fixture(target)) as Box<dyn SinkFixture>) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_memory_sink_keeps_the_contract() {
    contract_over(Network::new(Conditions::default(), 1), None).await;
}

#[tokio::test(start_paused = true)]
async fn the_memory_sink_keeps_the_contract_over_a_slow_network() {
    let (delay, work) = (Duration::from_millis(40), Duration::from_millis(200));
    let conditions = Conditions { delay, work, ..Conditions::default() };
    contract_over(Network::new(conditions, 2), None).await;
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
        async fn beside(&self, spec: TargetSpec) -> Result<Box<dyn SinkFixture>> {
            self.0.beside(spec).await
        }
    }

    let network = Network::new(Conditions::default(), 1);
    sink_contract(|spec| {
        let target = target(&spec, &network, None);
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

/// The contract on a target that marks rows wrongly.
async fn contract_marking(defect: MarkDefect) {
    contract_over(Network::new(Conditions::default(), 1), Some(defect)).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_delete_delivered_again_keeps_the_first_time")]
async fn the_contract_catches_a_mark_whose_time_changes() {
    contract_marking(MarkDefect::TimeAnew).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_row_that_comes_back_is_unmarked_and_counts_as_updated")]
async fn the_contract_catches_a_mark_that_stays() {
    contract_marking(MarkDefect::Stays).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_row_that_leaves_stays_and_shows_the_targets_time")]
async fn the_contract_catches_a_row_that_is_removed() {
    contract_marking(MarkDefect::Removes).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "deleting_an_absent_row_does_no_harm")]
async fn the_contract_catches_a_row_that_is_made_to_be_marked() {
    contract_marking(MarkDefect::Invents).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "rows_of_a_load_that_was_given_up_never_arrive")]
async fn the_contract_catches_a_stage_that_keeps_its_rows() {
    contract_with(super::SinkDefect::StageKept).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_reader_sees_the_rows_before_or_the_rows_after")]
async fn the_contract_catches_a_target_that_is_emptied_before_it_is_filled() {
    contract_with(super::SinkDefect::ApplyApart).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_late_claim_is_taken_neither_for_a_load_nor_for_an_apply")]
async fn the_contract_catches_an_apply_that_does_not_compare_the_phase() {
    contract_with(super::SinkDefect::NoPhase).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_commit_that_is_refused_enters_and_clears_nothing")]
async fn the_contract_catches_a_quarantine_in_a_transaction_of_its_own() {
    contract_with(super::SinkDefect::QuarantineApart).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_probe_changes_nothing")]
async fn the_contract_catches_a_probe_that_commits() {
    contract_with(super::SinkDefect::ProbeCommits).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "what_landed_or_left_is_cleared")]
async fn the_contract_catches_an_entry_that_is_not_cleared() {
    contract_with(super::SinkDefect::EntryStays).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the_quarantine_of_another_stream_is_left_alone")]
async fn the_contract_catches_the_clearing_of_another_streams_entry() {
    contract_with(super::SinkDefect::ClearsOthers).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a_row_that_is_put_aside_again_counts_and_keeps_its_first_time")]
async fn the_contract_catches_attempts_that_are_not_counted() {
    contract_with(super::SinkDefect::AttemptsForgotten).await;
}

/// The contract on a ledger whose figures `falsify` changes.
async fn contract_with_figures(falsify: fn(&mut Ledger)) {
    struct False(Fixture, fn(&mut Ledger));
    struct FalseAdmin(MemoryAdmin, fn(&mut Ledger));

    #[async_trait]
    impl SinkFixture for False {
        async fn sink(&self) -> Result<Box<dyn Sink>> {
            self.0.sink().await
        }
        async fn admin(&self) -> Result<Box<dyn SinkAdmin>> {
            Ok(Box::new(FalseAdmin(MemoryAdmin::new(&self.0.0), self.1)))
        }
        async fn rows(&self) -> Result<Vec<CanonicalRow>> {
            self.0.rows().await
        }
        async fn ledger(&self) -> Result<Vec<LedgerRow>> {
            self.0.ledger().await
        }
        async fn beside(&self, spec: TargetSpec) -> Result<Box<dyn SinkFixture>> {
            self.0.beside(spec).await
        }
    }

    #[async_trait]
    impl SinkAdmin for FalseAdmin {
        fn plan(&self, schema: &StreamSchema) -> Result<Vec<Statement>> {
            self.0.plan(schema)
        }
        async fn prepare(&mut self, schema: &StreamSchema) -> Result<()> {
            self.0.prepare(schema).await
        }
        async fn check(&mut self, schema: &StreamSchema) -> Result<Vec<Finding>> {
            self.0.check(schema).await
        }
        async fn checkpoint(&mut self) -> Result<Option<Checkpoint>> {
            self.0.checkpoint().await
        }
        async fn ledger(&mut self) -> Result<Option<Ledger>> {
            let mut ledger = self.0.ledger().await?;
            ledger.iter_mut().for_each(self.1);
            Ok(ledger)
        }
        async fn streams(&mut self) -> Result<Vec<Prepared>> {
            let told = self.ledger().await?.and_then(|ledger| ledger.last_run_micros);
            let mut streams = self.0.streams().await?;
            streams.iter_mut().for_each(|stream| stream.last_run_micros = told);
            Ok(streams)
        }
        async fn quarantined(&mut self) -> Result<Vec<Entry>> {
            self.0.quarantined().await
        }
        async fn change(&mut self, change: StateChange) -> Result<Checkpoint> {
            self.0.change(change).await
        }
    }

    let network = Network::new(Conditions::default(), 1);
    sink_contract(|spec| {
        let target = target(&spec, &network, None);
        async move { Ok(Box::new(False(Fixture(target), falsify)) as Box<dyn SinkFixture>) }
    })
    .await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the_ledger_of_a_pipeline_that_never_ran_has_no_times")]
async fn the_contract_catches_a_lease_that_is_always_held() {
    contract_with_figures(|ledger| ledger.lease_held = true).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the_ledger_shows_a_run_at_work_and_its_success")]
async fn the_contract_catches_rows_that_are_not_counted() {
    contract_with_figures(|ledger| ledger.rows.reread = 0).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(
    expected = "the_ledger_counts_runs_by_their_end_and_failures_since_the_last_success"
)]
async fn the_contract_catches_failures_of_all_times() {
    contract_with_figures(|ledger| ledger.failures_since_success = ledger.runs.failed).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the_ledger_counts_a_killed_run_when_the_next_one_finds_it")]
async fn the_contract_catches_killed_runs_that_are_forgotten() {
    contract_with_figures(|ledger| ledger.runs.abandoned = 0).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "prepared_streams_are_listed_with_when_they_last_ran")]
async fn the_contract_catches_a_last_run_that_is_not_told() {
    contract_with_figures(|ledger| ledger.last_run_micros = None).await;
}
