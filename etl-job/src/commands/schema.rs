//! `etl-job schema`.

use std::io::Write;

use etl_core::{Error, Result};

use crate::{config, exit};

/// Prints the JSON Schema of pipeline files.
///
/// # Errors
/// `Internal` if it has no text form.
pub fn schema() -> Result<u8> {
    let text = serde_json::to_string_pretty(&config::schema::whole())
        .map_err(|error| Error::internal("writing the schema").with_source(error))?;
    // A reader that has gone away has seen enough.
    writeln!(std::io::stdout().lock(), "{text}").ok();
    Ok(exit::DONE)
}
