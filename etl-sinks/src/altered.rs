//! A target that somebody alters while a run writes to it.
//!
//! A sink looks at its target when it is opened. A commit says itself whether the target is still
//! that one; whatever a server then refuses, another look says which column it is about.

use etl_core::{Class, Error, Result};

/// Whether the target may have been altered: the server, and not a check of ours, refuses what it
/// took before.
pub(crate) fn may_be(error: &Error) -> bool {
    matches!(error.class(), Class::Schema | Class::Data) && error.code().is_some()
}

/// What to say after another look at the target; `changed` if it is not as it was before. What is
/// sent again is checked against the target as it is now, value by value.
pub(crate) fn explained(stream: &str, error: Error, changed: bool, looked: Result<()>) -> Error {
    match looked {
        Err(found) if matches!(found.class(), Class::Schema | Class::Config) => {
            let found = found.context("the target was altered while it was written to");
            found.with_code(error.code().unwrap_or_default())
        }
        Ok(()) if changed => Error::transient(format!(
            "{stream}: the target was altered while it was written to, and the stream still fits: \
             nothing of the batch was written, and it is sent again"
        )),
        // A failed look hides nothing.
        _ => error,
    }
}
