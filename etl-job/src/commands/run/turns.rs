//! Whose turn it is, when not all streams fit into the time that there is.

use std::collections::BTreeMap;

use etl_core::connector::Stream;

/// Those first whose last run began longest ago, or who never ran. `last_runs` is by the stream's
/// name.
///
/// It is the last run that counts and not the last success: a stream that fails only after a long
/// time would else come first in every run, and the others never.
pub(super) fn longest_waiting_first(
    mut streams: Vec<Stream>,
    last_runs: &BTreeMap<String, Option<i64>>,
) -> Vec<Stream> {
    // Stable: among equals the file's order stays.
    streams.sort_by_key(|stream| last_runs.get(&stream.name).copied().flatten());
    streams
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: usize = 7;

    fn streams() -> Vec<Stream> {
        let config = serde_json::json!({
            "object": "o", "primary_key": ["i"], "cursor": { "column": "i" }, "select": ["i"],
        });
        let config: etl_core::StreamConfig = serde_json::from_value(config).unwrap();
        (0..STREAMS)
            .map(|number| Stream {
                pipeline: "p".into(),
                name: format!("s{number}"),
                config: config.clone(),
            })
            .collect()
    }

    type Order = fn(Vec<Stream>, &BTreeMap<String, Option<i64>>) -> Vec<Stream>;

    /// How often each stream began in `runs` runs whose deadline lets two of them begin.
    fn begun(runs: i64, order: Order) -> Vec<usize> {
        let mut last = BTreeMap::new();
        let mut begun = vec![0; STREAMS];
        for run in 0..runs {
            for stream in order(streams(), &last).into_iter().take(2) {
                last.insert(stream.name.clone(), Some(run));
                begun[stream.name.trim_start_matches('s').parse::<usize>().unwrap()] += 1;
            }
        }
        begun
    }

    #[test]
    fn no_stream_waits_for_ever_under_a_deadline() {
        // Four runs of two turns each are enough for seven streams.
        assert!(begun(4, longest_waiting_first).iter().all(|count| *count > 0));
        assert!(begun(8, longest_waiting_first).iter().all(|count| *count > 1));
    }

    /// The safeguard taken out: with the file's order the last ones never begin.
    #[test]
    fn control_in_the_files_order_the_last_streams_never_begin() {
        assert_eq!(begun(100, |streams, _| streams), [100, 100, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn who_never_ran_comes_first_and_equals_stay_in_the_files_order() {
        let last = BTreeMap::from([
            ("s0".to_owned(), Some(5)),
            ("s1".to_owned(), Some(3)),
            ("s2".to_owned(), None),
            ("s3".to_owned(), Some(3)),
        ]);
        let names: Vec<_> =
            longest_waiting_first(streams(), &last).into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["s2", "s4", "s5", "s6", "s1", "s3", "s0"]);
    }
}
