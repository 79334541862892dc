//! What each statement must say; the golden files have them word by word.

use super::*;

type Statement = fn(&str) -> Result<String>;

/// Each statement, what it is about, and the clauses without which it would not do that safely.
const STATEMENTS: &[(Statement, &str, &[&str])] = &[
    (
        claim,
        "checkpoint",
        &[
            "UPDATE",
            "run_id = $2::uuid OR lease_until < clock_timestamp() OR (lease_until IS NULL AND NOT $4)",
            "pipeline = $1 AND",
            "sequence = sequence + 1",
            "RETURNING sequence",
        ],
    ),
    (
        abandon,
        "run",
        &["'abandoned'", "pipeline = $1", "outcome = 'running' AND run_id <> $2::uuid"],
    ),
    (open_ledger, "run", &["INSERT", "'running'", "ON CONFLICT (run_id) DO NOTHING"]),
    (look, "checkpoint", &["SELECT", "remaining_ms", "c.pipeline = $1"]),
    (totals, "run", &["SELECT rows_written", "run_id = $1::uuid"]),
    (renew, "checkpoint", &["UPDATE", "pipeline = $1 AND run_id = $2::uuid AND sequence = $3"]),
    (version, "schema_version", &["max(version)"]),
    (
        advance,
        "checkpoint",
        &[
            "UPDATE",
            "position = COALESCE($4, position)",
            "sequence = sequence + 1",
            "pipeline = $1 AND sequence = $3 AND run_id = $2::uuid",
        ],
    ),
    (total, "checkpoint", &["rows_total = rows_total + $2", "pipeline = $1"]),
    (count, "run", &["rows_written = rows_written + $4 + $5", "run_id = $1::uuid"]),
    (release, "checkpoint", &["lease_until = NULL", "pipeline = $1 AND run_id = $2::uuid"]),
    (close_ledger, "run", &["INSERT", "ON CONFLICT (run_id) DO UPDATE SET finished_at"]),
    (
        change,
        "checkpoint",
        &["position = $2", "sequence = sequence + 1, run_id = NULL, lease_until = NULL"],
    ),
    (look_and_lock, "checkpoint", &["pipeline = $1 FOR UPDATE"]),
    (clear_aside, "quarantine", &["DELETE", "pipeline = $1 AND key_hash = ANY ($2::bytea[])"]),
    (clear_other_loads, "quarantine", &["DELETE", "pipeline = $1 AND generation <> $2"]),
    (
        renew_aside,
        "quarantine",
        &[
            "UPDATE",
            "attempts = q.attempts + 1",
            "generation = $8",
            "q.pipeline = $1 AND q.key_hash = a.key_hash",
        ],
    ),
    (
        enter_aside,
        "quarantine",
        &["INSERT", "NOT EXISTS", "q.pipeline = $1 AND q.key_hash = a.key_hash"],
    ),
    (entries, "quarantine", &["SELECT key_json", "q.pipeline = $1", "ORDER BY q.first_seen"]),
];

#[test]
fn a_statement_is_about_its_table_and_says_what_makes_it_safe() {
    for (statement, table, clauses) in STATEMENTS {
        let text = statement("e\"tl").unwrap();
        let table = format!("\"e\"\"tl\".{table}");
        for clause in [table.as_str()].iter().chain(*clauses) {
            assert!(text.contains(clause), "{clause} is not in {text}");
        }
        assert!(statement("").is_err(), "{text}");
    }
}
