//! Tests that cannot run where they are. To the test harness such a test has passed; so each says
//! so by name, and `scripts/test` counts them at its end.

#![expect(clippy::panic, reason = "a count that may be too small is worth nothing")]

use std::collections::BTreeSet;
use std::io::Write;

/// The file that collects them over all test binaries; without it they are only printed.
const FILE: &str = "ETL_TEST_NOT_RUN";

/// Notes that the current test cannot run here.
///
/// # Panics
/// If the file cannot be written: a count that may be too small is worth nothing.
pub fn not_run(why: &str) {
    // Tests are run in threads of their names.
    let thread = std::thread::current();
    let line = line(thread.name().unwrap_or("a test"), why);
    eprintln!("{line}");
    if let Some(path) = std::env::var_os(FILE) {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // One write, so that lines of several threads do not mix.
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
            .unwrap_or_else(|error| panic!("{FILE}: {error}"));
    }
}

fn line(test: &str, why: &str) -> String {
    format!("NOT RUN: {test} ({})", why.replace('\n', " "))
}

/// What the tests of this run noted, once each; `None` if nobody collected it.
///
/// # Errors
/// If the file cannot be read.
pub fn noted() -> std::io::Result<Option<BTreeSet<String>>> {
    let Some(path) = std::env::var_os(FILE) else { return Ok(None) };
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.lines().map(str::to_owned).collect())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Some(BTreeSet::new())),
        Err(error) => Err(error),
    }
}
