//! Bytes that nobody should send: valid inputs, changed from seeds, given to everything that reads
//! what others wrote. No panic of ours, no hang, and memory in proportion to the input.
//!
//! A failure names its seed. `ETL_HOSTILE_SEED=… ETL_HOSTILE_INPUTS=1` repeats just that input;
//! greater numbers of inputs, and other seeds, try what no run has tried. The same targets are in
//! `fuzz/`, for `cargo fuzz`.

// Clippy knows tests by their attribute; their helpers fail as tests do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod copy_rows; // a valid binary COPY of every type
mod harness; // seeds, limits, and what is said of a failure
mod mutate; // changes to valid inputs that know a little of their structure
mod recording; // what a server said, to be said again with changes
mod targets; // what the inputs are given to; shared with fuzz/
mod tds; // SQL Server's answers, through the driver

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use etl_core::Class;
use fastrand::Rng;

use harness::{attack, survives};

fn lines(corpus: &str) -> Vec<Vec<u8>> {
    corpus.lines().map(|line| line.as_bytes().to_vec()).collect()
}

const FILTERS: &str = include_str!("corpus/filters.txt");
const POSITIONS: &str = include_str!("corpus/positions.txt");
const PIPELINES: [&str; 3] = [
    include_str!("corpus/postgres.yaml"),
    include_str!("corpus/mssql.yaml"),
    include_str!("corpus/sqlite.yaml"),
];

#[test]
fn no_bytes_of_a_copy_do_harm() {
    let valid = copy_rows::samples();
    survives("copy", 40_000, move |rng| mutate::bytes(rng, &valid), targets::copy);
}

#[test]
fn no_filter_does_harm() {
    let valid = lines(FILTERS);
    survives("filter", 28_000, move |rng| mutate::text(rng, &valid, mutate::SQL), targets::filter);
}

#[test]
fn no_position_does_harm() {
    let valid = lines(POSITIONS);
    let make = move |rng: &mut Rng| match rng.bool() {
        true => mutate::json(rng, &valid),
        false => mutate::text(rng, &valid, mutate::JSON),
    };
    survives("position", 15_000, make, targets::position);
}

#[test]
fn no_pipeline_file_does_harm() {
    let valid: Vec<_> = PIPELINES.iter().map(|text| text.as_bytes().to_vec()).collect();
    survives("config", 15_000, move |rng| mutate::text(rng, &valid, mutate::YAML), targets::config);
}

#[test]
fn no_answer_of_a_sql_server_does_harm() {
    let ours = harness::watch_for_our_panics();
    let recorded = tds::Recorded::new();
    let (ended, panicked) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (ends, panics) = (Arc::clone(&ended), Arc::clone(&panicked));
    let target = move |seed: &[u8]| {
        let mut rng = Rng::with_seed(u64::from_be_bytes(seed.try_into().unwrap()));
        let Some(error) = recorded.run_changed(&mut rng).error else { return };
        if let Some(place) = ours.lock().unwrap().take() {
            panic!("our code panicked, which the engine caught: {place}");
        }
        ends.fetch_add(1, Ordering::Relaxed);
        // A panic of the driver ends a run as any error does.
        let panicked = error.class() == Class::Internal && error.to_string().contains("panicked");
        panics.fetch_add(u32::from(panicked), Ordering::Relaxed);
    };
    // Each is a run of a pipeline.
    survives("answer", 2_000, |rng| rng.u64(..).to_be_bytes().to_vec(), target);
    let (ended, panicked) = (ended.load(Ordering::Relaxed), panicked.load(Ordering::Relaxed));
    eprintln!("answer: {ended} runs ended with an error, {panicked} because the driver panicked");
    assert!(ended > 0, "no change was noticed");
}

/// What the targets take for valid is valid, or the mutations begin with nothing.
#[test]
fn the_corpus_is_valid() {
    for sample in copy_rows::samples() {
        assert_eq!(targets::copied_rows(&sample), Some(3));
    }
    for line in FILTERS.lines() {
        targets::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    for line in POSITIONS.lines() {
        assert!(targets::takers(line) > 0, "nobody takes {line}");
    }
    for text in PIPELINES {
        targets::load(text.as_bytes()).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    }
}

/// No control's input takes so long.
const SOON: Duration = Duration::from_secs(2);

/// The decoder's frames without the check that a field has arrived.
#[test]
fn control_a_length_that_nobody_checks_is_found() {
    fn unchecked(bytes: &[u8]) {
        let mut at = 19;
        while let Some(count) = bytes.get(at..at + 2).filter(|count| count != &[0xff, 0xff]) {
            at += 2;
            for _ in 0..u16::from_be_bytes([count[0], count[1]]) {
                let Some(length) = bytes.get(at..at + 4) else { return };
                let length = i32::from_be_bytes(length.try_into().unwrap());
                at += 4;
                if let Ok(length) = usize::try_from(length) {
                    std::hint::black_box(&bytes[at..at + length]);
                    at += length;
                }
            }
        }
    }
    let valid = copy_rows::samples();
    let found =
        attack("unchecked", 1..2_000, SOON, move |rng| mutate::bytes(rng, &valid), unchecked);
    let found = found.expect_err("a slice beyond the bytes");
    assert!(found.contains("out of range"), "{found}");
}

/// A reader that makes room for what a length promises.
#[test]
fn control_memory_for_a_length_that_lies_is_found() {
    fn trusting(bytes: &[u8]) {
        let length = bytes.get(21..25).map_or(0, |b| i32::from_be_bytes(b.try_into().unwrap()));
        std::hint::black_box(Vec::<u8>::with_capacity(usize::try_from(length).unwrap_or(0)));
    }
    let valid = copy_rows::samples();
    let found = attack("trusting", 1..5_000, SOON, move |rng| mutate::bytes(rng, &valid), trusting);
    let found = found.expect_err("a great allocation");
    assert!(found.contains("bytes were allocated"), "{found}");
}

/// A reader that waits for what never comes.
#[test]
fn control_a_hang_is_found() {
    let stuck = |bytes: &[u8]| {
        if bytes.first() == Some(&0) {
            std::thread::sleep(SOON * 5);
        }
    };
    let found = attack("stuck", 1..2_000, SOON, |rng: &mut Rng| vec![rng.u8(..)], stuck);
    assert!(found.expect_err("a hang").contains("still at work"));
}
