//! The last line of a round of many streams.

use std::time::Duration;

use serde::Serialize;

use super::{NOT_STARTED, Summary, seconds};
use crate::exit;

/// All streams of one round, in the words of the published format.
#[derive(Debug, Clone, Serialize)]
pub struct Total {
    /// The pipeline's name.
    pub pipeline: String,
    /// How many streams.
    pub streams: u64,
    /// Of these: read to the end, and all of it durable.
    pub success: u64,
    /// What had been put aside was tried again.
    pub replayed: u64,
    /// Asked to stop, or at the deadline.
    pub stopped: u64,
    /// Another run was at work.
    pub skipped: u64,
    /// Another run or a person took over.
    pub fenced: u64,
    /// An error ended it, or kept it from beginning.
    pub failed: u64,
    /// Its turn did not come.
    pub not_started: u64,
    /// Rows read from the source.
    pub read: u64,
    /// Rows inserted or updated.
    pub written: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Rows found equal.
    pub unchanged: u64,
    /// Rows read that an earlier sweep had read.
    pub reread: u64,
    /// Rows put aside.
    pub quarantined: u64,
    /// How long the round took.
    pub duration_seconds: f64,
    /// The worst of the streams' exit codes.
    pub exit_code: u8,
}

impl Total {
    /// Of no stream yet.
    #[must_use]
    pub fn new(pipeline: &str) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            streams: 0,
            success: 0,
            replayed: 0,
            stopped: 0,
            skipped: 0,
            fenced: 0,
            failed: 0,
            not_started: 0,
            read: 0,
            written: 0,
            deleted: 0,
            unchanged: 0,
            reread: 0,
            quarantined: 0,
            duration_seconds: 0.0,
            exit_code: exit::DONE,
        }
    }

    /// Adds a stream that ended with `code`.
    pub fn add(&mut self, summary: &Summary, code: u8) {
        self.streams += 1;
        *match summary.outcome {
            "success" => &mut self.success,
            "replayed" => &mut self.replayed,
            "stopped" => &mut self.stopped,
            "skipped" => &mut self.skipped,
            "fenced" => &mut self.fenced,
            NOT_STARTED => &mut self.not_started,
            _ => &mut self.failed,
        } += 1;
        self.read += summary.read;
        self.written += summary.written;
        self.deleted += summary.deleted;
        self.unchanged += summary.unchanged;
        self.reread += summary.reread;
        self.quarantined += summary.quarantined;
        self.exit_code = exit::worse(self.exit_code, code);
    }

    /// Adds a stream that could not even say how it ended: a defect.
    pub fn add_lost(&mut self) {
        self.streams += 1;
        self.failed += 1;
        self.exit_code = exit::worse(self.exit_code, exit::DEFECT);
    }

    /// The round has ended.
    pub fn took(&mut self, duration: Duration) {
        self.duration_seconds = seconds(duration);
    }

    /// The same for people, in one line.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}: {} streams in {:.3} s: success {}, replayed {}, stopped {}, skipped {}, fenced {}, \
             failed {}, not_started {}; read {}, written {}, deleted {}, unchanged {}, reread {}, \
             quarantined {}; exit_code {}",
            self.pipeline,
            self.streams,
            self.duration_seconds,
            self.success,
            self.replayed,
            self.stopped,
            self.skipped,
            self.fenced,
            self.failed,
            self.not_started,
            self.read,
            self.written,
            self.deleted,
            self.unchanged,
            self.reread,
            self.quarantined,
            self.exit_code,
        )
    }
}

#[cfg(test)]
mod tests {
    use etl_core::pipeline::Finished;
    use etl_core::{Error, Outcome, RunReport};

    use super::*;

    fn summary(outcome: Outcome) -> Summary {
        let mut report = RunReport::new("shop/orders", uuid::Uuid::nil());
        report.outcome = outcome;
        (report.read, report.written) = (7, 5);
        let finished = Finished { report, error: None, skipped_for: None, skipped_too_long: false };
        Summary::new("shop", "orders", &finished)
    }

    #[test]
    fn a_total_counts_each_end_once_and_has_the_worst_code() {
        let mut total = Total::new("shop");
        for (outcome, code) in [
            (Outcome::Success, 0),
            (Outcome::Failed, 65),
            (Outcome::Failed, 64),
            (Outcome::Stopped, 75),
            (Outcome::Skipped, 0),
            (Outcome::Fenced, 75),
            (Outcome::Replayed, 0),
        ] {
            total.add(&summary(outcome), code);
        }
        let late = Error::transient("late");
        total.add(&Summary::not_started("shop", "refunds", Some(&late)), 75);
        assert_eq!((total.streams, total.success, total.failed), (8, 1, 2));
        assert_eq!((total.stopped, total.skipped, total.fenced), (1, 1, 1));
        assert_eq!((total.not_started, total.read, total.written), (1, 49, 35));
        assert_eq!(total.replayed, 1);
        assert_eq!(total.exit_code, 64);
        total.add_lost();
        assert_eq!((total.streams, total.failed, total.exit_code), (9, 3, 70));
    }

    #[test]
    fn text_and_json_of_a_total_tell_the_same() {
        let mut total = Total::new("shop");
        total.add(&summary(Outcome::Success), 0);
        total.took(Duration::from_micros(1_234_567));
        let text = total.text();
        for (key, value) in serde_json::to_value(&total).unwrap().as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            assert!(text.contains(&value), "{key}: {value} is not in {text}");
            let unnamed = ["pipeline", "duration_seconds"].contains(&key.as_str());
            assert!(unnamed || text.contains(key.as_str()), "{key} is not in {text}");
        }
        assert_eq!(text.lines().count(), 1);
    }
}
