//! The engine against a model of source and target, in virtual time, from seeds.

use etl_core::testing::memory_sink::SinkDefect;
use etl_core::testing::memory_source::SourceDefect;
use etl_core::testing::simulation::{Defect, simulate, simulate_with};
use etl_tests::torture::{Recorder, size};

/// Each planted defect, in words, and in how many worlds it shows at the latest.
const DEFECTS: [(&str, Defect, u64); 10] = [
    ("a horizon (naive watermark)", Defect::Source(SourceDefect::NaiveWatermark), 20),
    (
        "one horizon for all pages of a sweep",
        Defect::Source(SourceDefect::FreshHorizonPerPage),
        300,
    ),
    ("the key in the position (a cursor with >)", Defect::Source(SourceDefect::CursorOnly), 100),
    ("a look at prepared transactions", Defect::Source(SourceDefect::ForgottenPrepared), 300),
    ("the guard below the horizon", Defect::Source(SourceDefect::NoGuard), 300),
    ("one transaction for checkpoint and rows", Defect::Sink(SinkDefect::CheckpointApart), 100),
    ("the fence of a resent batch (blind resend)", Defect::Sink(SinkDefect::BlindResend), 1_000),
    ("the sequence in the fence", Defect::Sink(SinkDefect::NoSequence), 100),
    ("the position in a replay's look-ups", Defect::Source(SourceDefect::LookupUnsettled), 300),
    ("the run in the fence", Defect::Sink(SinkDefect::NoRun), 300),
];

/// Bounded here, since the engine's own tests run a thousand worlds.
#[test]
fn whatever_happens_in_any_simulated_world_every_row_arrives_once() {
    let record = Recorder::new("simulated worlds, in memory");
    let worlds = size(100, 100_000);
    let threads: Vec<_> = (0..2)
        .map(|half| {
            let tally = record.promise();
            std::thread::spawn(move || {
                for seed in (1..=worlds).filter(|seed| seed % 2 == half) {
                    match simulate(seed) {
                        Ok(stats) => {
                            tally.runs(stats.runs);
                            tally.faults(stats.killed + stats.paused + stats.changes);
                            tally.rows(stats.applied);
                        }
                        Err(violation) => tally.wrong(1, 0, &violation.to_string()),
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    for (without, defect, seeds) in DEFECTS {
        let tally = record.control(without);
        let found = (1..=seeds).find_map(|seed| simulate_with(seed, Some(defect)).err());
        tally.faults(1);
        tally.wrong(u64::from(found.is_some()), 0, without);
    }
    record.end();
}
