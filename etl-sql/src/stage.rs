//! The name of the table in which a load is collected before it replaces a target.

use sha2::{Digest, Sha256};

/// As many bytes of the target's name as leave room for the rest in every database: Postgres takes
/// names of 63 bytes.
const MOST_BYTES: usize = 46;

/// The target's name, as far as there is room, and a hash of everything that tells stages of one
/// database apart: `checkpoint` is the state tables' place and the checkpoint's name, since that is
/// where the stage's generation is kept; `target` the whole name of the target.
#[must_use]
pub fn name(checkpoint: [&str; 2], target: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in checkpoint.iter().chain(target) {
        hash.update(part.len().to_le_bytes());
        hash.update(part.as_bytes());
    }
    let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let table = target.last().copied().unwrap_or_default();
    let (start, _) = table.split_at(table.floor_char_boundary(MOST_BYTES));
    format!("{start}_{hash}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::name;

    #[test]
    fn stages_of_different_targets_and_pipelines_have_different_names() {
        let long = "ü".repeat(60);
        let longer = format!("{long}x");
        let names = [
            name(["etl", "a/orders"], &["dbo", "orders"]),
            name(["etl", "b/orders"], &["dbo", "orders"]),
            name(["etl2", "a/orders"], &["dbo", "orders"]),
            name(["etl", "a/orders"], &["dbo2", "orders"]),
            name(["etl", "a/orders"], &["dbo", "Orders"]),
            name(["etl", "a/orders"], &["dboo", "rders"]),
            name(["etl", "a/orders"], &["dbo", &long]),
            name(["etl", "a/orders"], &["dbo", &longer]),
        ];
        let folded: BTreeSet<_> = names.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(folded.len(), names.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
        assert!(names[0].starts_with("orders_"), "{names:?}");
        assert_eq!(names[0], name(["etl", "a/orders"], &["dbo", "orders"]));
    }
}
