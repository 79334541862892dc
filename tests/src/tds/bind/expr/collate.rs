//! Collation precedence.

use super::*;

pub(crate) fn collation_conflict(a: Coll, b: Coll, operation: &str) -> SqlError {
    SqlError::new(
        468,
        16,
        format!(
            "Cannot resolve the collation conflict between \"{}\" and \"{}\" in the {operation} operation.",
            a.name(),
            b.name()
        ),
    )
    .state(9)
    .reach(Reach::Batch)
}

/// The collation of a comparison.
pub(crate) fn compare_collation(a: Label, b: Label, operation: &str) -> Result<Option<Coll>> {
    match merge(a, b, operation)? {
        Label::Conflict(x, y) => Err(collation_conflict(y, x, operation)),
        label => Ok(label.coll()),
    }
}

/// The label of a concatenation.
pub(crate) fn merge(a: Label, b: Label, operation: &str) -> Result<Label> {
    Ok(match (a, b) {
        (Label::None, x) | (x, Label::None) => x,
        (Label::Explicit(x), Label::Explicit(y)) if x != y => {
            return Err(collation_conflict(x, y, operation));
        }
        (Label::Explicit(x), _) | (_, Label::Explicit(x)) => Label::Explicit(x),
        (Label::Conflict(x, y), _) | (_, Label::Conflict(x, y)) => Label::Conflict(x, y),
        (Label::Implicit(x), Label::Implicit(y)) if x != y => Label::Conflict(x, y),
        (Label::Implicit(x), _) | (_, Label::Implicit(x)) => Label::Implicit(x),
        (Label::Default(x), Label::Default(_)) => Label::Default(x),
    })
}
