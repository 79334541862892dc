//! `etl-job lint`: everything about a file that can be known without a connection.

use std::path::Path;

use etl_core::Result;
use serde::Serialize;

use crate::cli::Lint;
use crate::config::{PipelineFile, Secrets};
use crate::report::{self, Output};
use crate::{build, exit};

#[derive(Serialize)]
struct Verdict {
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Checks every file, prints a verdict on each; the worst exit code.
#[must_use]
pub fn lint(args: &Lint) -> u8 {
    let output = Output::new(args.json);
    let mut code = exit::DONE;
    for path in &args.files {
        let file = path.display().to_string();
        match look(path) {
            Ok(pipeline) => {
                let text = format!("ok  {file}: pipeline {pipeline}");
                let pipeline = Some(pipeline);
                output.print(&Verdict { file, ok: true, pipeline, error: None }, &text);
            }
            Err(error) => {
                let message = report::error(&error);
                let text = format!("BAD {message}");
                let error_text = Some(message);
                output
                    .print(&Verdict { file, ok: false, pipeline: None, error: error_text }, &text);
                code = exit::worse(code, error.class().exit_code());
            }
        }
    }
    code
}

fn look(path: &Path) -> Result<String> {
    let file = PipelineFile::load(path, Secrets::Optional)?;
    for stream in file.streams() {
        file.build_source(stream)?;
        file.build_sink(stream)?;
        file.build_admin(stream)?;
        build::definition(&file, stream)?;
    }
    Ok(file.name().to_owned())
}
