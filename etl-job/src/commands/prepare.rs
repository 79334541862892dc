//! `etl-job prepare`: what the target needs, created with an owner's login.

use std::path::Path;

use etl_core::Result;
use etl_core::connector::Stream;
use etl_core::error::ResultExt;
use serde_json::json;

use crate::commands::{self, is_refused_login};
use crate::config::{PipelineFile, Refused, Secrets};
use crate::exit;
use crate::report::Output;

/// Creates what is missing for every stream of a file, or (with `plan`) prints the statements. A
/// stream that fails does not stop the others; the worst exit code.
///
/// # Errors
/// If the file cannot be read, or a login was refused.
pub async fn prepare(path: &Path, plan: bool, output: Output) -> Result<u8> {
    let file = PipelineFile::load(path, Secrets::Required)?;
    let resolved = file.resolve(file.tables().await, &[]);
    let mut code = exit::DONE;
    for Refused { stream, error } in resolved.refused {
        let error = error.context(format!("{}/{stream}", file.name()));
        code = exit::worse(code, commands::failed(&error));
    }
    for stream in &resolved.streams {
        let done = one(&file, stream, plan, output).await.context(|| stream.full_name());
        match done {
            Ok(()) => {}
            Err(error) if is_refused_login(&error) => return Err(error),
            Err(error) => code = exit::worse(code, commands::failed(&error)),
        }
    }
    Ok(code)
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
