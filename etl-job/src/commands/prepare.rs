//! `etl-job prepare`: what the target needs, created with an owner's login.

use std::path::Path;

use etl_core::Result;
use etl_core::connector::Stream;
use etl_core::error::ResultExt;
use serde_json::json;

use crate::config::{PipelineFile, Secrets};
use crate::exit;
use crate::report::Output;

/// Creates what is missing for every stream of a file, or (with `plan`) prints the statements.
///
/// # Errors
/// What the source says about its columns, or the statement that failed.
pub async fn prepare(path: &Path, plan: bool, output: Output) -> Result<u8> {
    let file = PipelineFile::load(path, Secrets::Required)?;
    for stream in file.streams() {
        one(&file, stream, plan, output).await.context(|| stream.full_name())?;
    }
    Ok(exit::DONE)
}

async fn one(file: &PipelineFile, stream: &Stream, plan: bool, output: Output) -> Result<()> {
    let schema = file.output_schema(stream).await?;
    let mut admin = file.build_admin(stream)?;
    if plan {
        for statement in admin.plan(&schema)? {
            output.print(&statement, &format!("-- {}\n{}\n", statement.title(), statement.text));
        }
        return Ok(());
    }
    admin.prepare(&schema).await?;
    let value = json!({
        "pipeline": stream.pipeline, "stream": stream.name, "object": stream.config.object,
        "prepared": true,
    });
    let text = format!("{}: {} is prepared", stream.full_name(), stream.config.object);
    output.print(&value, &text);
    Ok(())
}
