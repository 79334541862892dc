use super::{Defect, Stats, Violation, simulate, simulate_with};
use crate::testing::memory_sink::SinkDefect;
use crate::testing::memory_source::SourceDefect;
use crate::testing::memory_target::MarkDefect;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// `ETL_SIM_SEEDS` worlds from `ETL_SIM_SEED` on.
#[test]
fn whatever_happens_every_row_arrives_once() {
    let (first, count) = (number("ETL_SIM_SEED", 1), number("ETL_SIM_SEEDS", 1_000));
    let halves = [0, 1].map(|half| {
        std::thread::spawn(move || {
            let seeds = (first..first + count).filter(move |seed| seed % 2 == half);
            seeds.map(simulate).collect::<Vec<Result<Stats, Violation>>>()
        })
    });
    let stories = halves.into_iter().flat_map(|half| half.join().unwrap());
    let (all, wrong): (Vec<_>, Vec<_>) = stories.partition(Result::is_ok);
    let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
    for violation in wrong.iter().take(10) {
        println!("{violation}\n  replay: ETL_SIM_SEED={} ETL_SIM_SEEDS=1", violation.seed);
    }
    assert!(wrong.is_empty(), "{} of {count} worlds went wrong", wrong.len());
    let all: Vec<Stats> = all.into_iter().filter_map(Result::ok).collect();
    let sum = |of: fn(&Stats) -> u64| all.iter().map(of).sum::<u64>();
    let sums = [
        sum(|s| s.successes),
        sum(|s| s.stopped),
        sum(|s| s.replayed),
        sum(|s| s.skipped),
        sum(|s| s.fenced),
        sum(|s| s.failed),
        sum(|s| s.killed),
        sum(|s| s.paused),
        sum(|s| s.changes),
        sum(|s| s.transactions),
        sum(|s| s.applied),
        sum(|s| s.put_aside),
    ];
    println!("{sums:?}");
    assert!(
        count < 100 || sums.iter().all(|sum| *sum > 100),
        "something hardly happened: {sums:?}"
    );
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 1..5 {
        assert_eq!(simulate(seed), simulate(seed), "seed {seed}");
    }
}

/// A planted defect must be found within `seeds` worlds.
fn found(defect: Defect, seeds: u64) {
    let violation = (1..=seeds).find_map(|seed| simulate_with(seed, Some(defect)).err());
    let violation =
        violation.unwrap_or_else(|| panic!("{defect:?} was not found in {seeds} worlds"));
    assert!(simulate(violation.seed).is_ok(), "without {defect:?} too: {violation}");
    println!("{defect:?}: {violation}");
}

#[test]
fn a_naive_watermark_is_found() {
    found(Defect::Source(SourceDefect::NaiveWatermark), 20);
}

#[test]
fn a_fresh_horizon_per_page_is_found() {
    found(Defect::Source(SourceDefect::FreshHorizonPerPage), 300);
}

#[test]
fn a_cursor_without_a_key_is_found() {
    found(Defect::Source(SourceDefect::CursorOnly), 100);
}

#[test]
fn a_forgotten_prepared_transaction_is_found() {
    found(Defect::Source(SourceDefect::ForgottenPrepared), 300);
}

#[test]
fn a_horizon_without_a_guard_is_found() {
    found(Defect::Source(SourceDefect::NoGuard), 300);
}

#[test]
fn a_checkpoint_apart_from_its_rows_is_found() {
    found(Defect::Sink(SinkDefect::CheckpointApart), 100);
}

#[test]
fn a_blind_resend_is_found() {
    found(Defect::Sink(SinkDefect::BlindResend), 1_000);
}

#[test]
fn a_commit_that_does_not_compare_the_sequence_is_found() {
    found(Defect::Sink(SinkDefect::NoSequence), 100);
}

#[test]
fn a_commit_that_does_not_compare_the_run_is_found() {
    found(Defect::Sink(SinkDefect::NoRun), 300);
}

#[test]
fn a_late_claim_taken_for_a_commit_is_found() {
    found(Defect::Sink(SinkDefect::NoPosition), 2_000);
}

#[test]
fn a_row_that_comes_back_and_stays_marked_is_found() {
    found(Defect::Mark(MarkDefect::Stays), 100);
}

#[test]
fn a_mark_on_a_row_that_never_was_is_found() {
    found(Defect::Mark(MarkDefect::Invents), 100);
}

#[test]
fn a_stage_that_keeps_the_rows_of_a_load_that_was_given_up_is_found() {
    found(Defect::Sink(SinkDefect::StageKept), 300);
}

#[test]
fn a_target_that_is_replaced_in_two_transactions_is_found() {
    found(Defect::Sink(SinkDefect::ApplyApart), 300);
}

#[test]
fn an_interrupted_load_without_a_second_sweep_is_found() {
    found(Defect::Source(SourceDefect::NoSecondSweep), 300);
}

#[test]
fn an_entry_that_stays_in_the_quarantine_is_found() {
    found(Defect::Sink(SinkDefect::EntryStays), 100);
}

#[test]
fn a_probe_that_is_not_rolled_back_is_found() {
    found(Defect::Sink(SinkDefect::ProbeCommits), 300);
}

#[test]
fn a_replay_that_brings_what_the_next_run_brings_too_is_found() {
    found(Defect::Source(SourceDefect::LookupUnsettled), 300);
}

#[test]
fn a_replay_that_brings_what_the_filter_drops_is_found() {
    found(Defect::Source(SourceDefect::LookupIgnoresFilter), 300);
}
