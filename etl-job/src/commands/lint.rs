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
    /// What is looked up only when it runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patterns: Vec<String>,
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
            Ok((pipeline, patterns)) => {
                let text = format!("ok  {file}: pipeline {pipeline}{}", looked_up(&patterns));
                let pipeline = Some(pipeline);
                output.print(&Verdict { file, ok: true, pipeline, patterns, error: None }, &text);
            }
            Err(error) => {
                let message = report::error(&error);
                let text = report::within(&format!("BAD {message}"));
                let (patterns, error_text) = (Vec::new(), Some(message));
                let verdict =
                    Verdict { file, ok: false, pipeline: None, patterns, error: error_text };
                output.print(&verdict, &text);
                code = exit::worse(code, error.class().exit_code());
            }
        }
    }
    code
}

/// What was not looked at: which tables a pattern matches only the source knows.
fn looked_up(patterns: &[String]) -> String {
    match patterns {
        [] => String::new(),
        [pattern] => format!("; pattern {pattern}, resolved at run"),
        patterns => format!("; patterns {}, resolved at run", patterns.join(", ")),
    }
}

fn look(path: &Path) -> Result<(String, Vec<String>)> {
    let file = PipelineFile::load(path, Secrets::Optional)?;
    for stream in file.samples()? {
        file.build_source(&stream)?;
        file.build_sink(&stream)?;
        file.build_admin(&stream)?;
        build::definition(&file, &stream)?;
    }
    Ok((file.name().to_owned(), file.patterns().map(str::to_owned).collect()))
}
