//! What kind of world a seed makes.

use std::time::Duration;

use serde_json::json;

use crate::batch::BatchLimits;
use crate::connector::{Mode, Stream};
use crate::error::{Class, Error, Result};
use crate::pipeline::PipelineOptions;
use crate::quarantine::MaxRejected;
use crate::retry::RetryPolicy;
use crate::testing::CanonicalRow;
use crate::testing::fault::{Fault, Faults, Method, When};
use crate::testing::memory_target::Constraints;
use crate::testing::network::Conditions;

/// The dice that fall once per world.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) mode: Mode,
    pub(super) filter: Option<&'static str>,
    pub(super) keys: i64,
    /// For how long writers write and runs run.
    pub(super) life: Duration,
    pub(super) latency: Duration,
    pub(super) network: Conditions,
    lease: Duration,
    /// Whether rows that leave are marked.
    pub(super) marks: bool,
    /// What the target refuses; rows may then be put aside.
    pub(super) poison: Option<Poison>,
    /// Scales every chance of a fault: some worlds are quiet.
    trouble: f64,
}

/// What a target refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Poison {
    /// Rows with some amounts.
    Rows,
    /// And rows of one transaction beside one another: their times are the same.
    RowsAndPairs,
}

impl Poison {
    pub(super) fn constraints(self) -> Constraints {
        let pairs = self == Self::RowsAndPairs;
        Constraints { refused: Some(is_poison), unique: pairs.then_some("updated_at") }
    }
}

/// Whether the target refuses a row for what it is.
pub(super) fn is_poison(row: &CanonicalRow) -> bool {
    row["amount"].as_ref().is_some_and(|amount| amount.ends_with('3'))
}

/// The only filter of these worlds.
pub(super) const CONFIRMED: &str = "status = 'confirmed'";

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let trouble = *random.choice(&[0.0, 0.3, 1.0, 1.0, 2.0]).unwrap_or(&1.0);
        let modes = [Mode::Upsert, Mode::Append, Mode::Replace];
        let mode = *random.choice(&modes).unwrap_or(&Mode::Upsert);
        Self {
            seed,
            mode,
            filter: random.bool().then_some(CONFIRMED),
            keys: random.i64(4..=24),
            life: Duration::from_secs(random.u64(40..=160)),
            latency: Duration::from_millis(random.u64(0..=600)),
            network: Conditions {
                delay: Duration::from_millis(random.u64(1..=300)),
                work: Duration::from_millis(random.u64(1..=1_200)),
                patience: Duration::from_secs(random.u64(2..=4)),
                refused: 0.02 * trouble,
                request_lost: 0.02 * trouble,
                answer_lost: 0.04 * trouble,
                late: 0.03 * trouble,
            },
            lease: Duration::from_secs(random.u64(3..=8)),
            trouble,
            // The last dice: the others fall as they did before there were these.
            marks: random.bool() && mode == Mode::Upsert,
            poison: match random.u8(0..4) {
                0 | 1 => None,
                2 => Some(Poison::Rows),
                _ => Some(Poison::RowsAndPairs),
            },
        }
    }

    /// Whether nothing gets lost between client and server, kills aside.
    pub(super) fn is_quiet(&self) -> bool {
        self.trouble == 0.0
    }

    /// Whether writers delete rows: only what replaces notices.
    pub(super) fn deletes(&self) -> bool {
        self.mode == Mode::Replace && self.filter.is_some()
    }

    pub(super) fn faults(&self) -> Faults {
        let chance = |percent: f64| When::Chance(percent / 100.0 * self.trouble);
        Faults::new(self.seed)
            .with(Method::Commit, chance(2.0), Fault::Refuse(Class::Capacity))
            .with(Method::Commit, chance(2.0), Fault::LoseAnswer)
            .with(Method::Probe, chance(1.0), Fault::Refuse(Class::Transient))
            .with(Method::Probe, chance(1.0), Fault::LoseAnswer)
            .with(Method::Quarantined, chance(2.0), Fault::Refuse(Class::Transient))
            .with(Method::Apply, chance(5.0), Fault::Refuse(Class::Transient))
            .with(Method::Apply, chance(10.0), Fault::LoseAnswer)
            .with(Method::Read, chance(3.0), Fault::Refuse(Class::Transient))
            .with(Method::Batch, chance(2.0), Fault::Refuse(Class::Transient))
            .with(Method::Batch, chance(3.0), Fault::Slow(self.lease * 2))
            .with(Method::Committed, chance(5.0), Fault::Refuse(Class::Transient))
    }

    pub(super) fn stream(&self) -> Result<Stream> {
        let config = json!({
            "object": "orders",
            "mode": self.mode,
            "primary_key": ["id"],
            "cursor": { "column": "updated_at", "guard": "1s" },
            "select": ["id", "name", "status", "amount", "active", "updated_at"],
            "where": self.filter,
            "on_filter_exit": self.marks.then_some("soft_delete"),
            // Between two changes no row may pass the filter.
            "allow_empty": self.mode == Mode::Replace,
        });
        let config = serde_json::from_value(config)
            .map_err(|error| Error::internal("the simulation's stream").with_source(error))?;
        Ok(Stream { pipeline: "simulation".to_owned(), name: "orders".to_owned(), config })
    }

    /// What one run is told; each is told something else.
    pub(super) fn options(&self, random: &mut fastrand::Rng) -> PipelineOptions {
        let deadline = random.bool().then(|| Duration::from_secs(random.u64(2..=20)));
        PipelineOptions {
            limits: BatchLimits { rows: random.usize(1..=6), bytes: 1 << 20 },
            deadline,
            lease_ttl: self.lease,
            max_rejected: self.poison.map_or(MaxRejected::default(), |_| MaxRejected::Rows(1_000)),
            retry: RetryPolicy {
                base: Duration::from_millis(200),
                cap: Duration::from_secs(2),
                tries: random.u32(1..=5),
            },
            ..PipelineOptions::default()
        }
    }
}
