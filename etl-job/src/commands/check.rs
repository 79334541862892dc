//! `etl-job check`: everything that a run needs, looked for on both sides.

use etl_core::connector::{Finding, Stream};
use etl_core::{Class, Error, Result};
use serde::Serialize;

use crate::cli::FileAndJson;
use crate::config::{PipelineFile, Refused, Secrets};
use crate::exit;
use crate::report::{self, Output};

#[derive(Serialize)]
struct Found<'a> {
    pipeline: &'a str,
    stream: &'a str,
    side: &'static str,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// One side's findings and the exit code that they stand for.
struct Looked {
    findings: Vec<Finding>,
    code: u8,
}

/// Opens both sides of every stream and prints what was found.
///
/// # Errors
/// If the file cannot be read; what is wrong with the sides are findings.
pub async fn check(args: &FileAndJson) -> Result<u8> {
    let output = Output::new(args.json);
    let file = PipelineFile::load(&args.file, Secrets::Required)?;
    let mut code = exit::DONE;
    let resolved = file.resolve(file.tables().await, &[]);
    for Refused { stream, error } in resolved.refused {
        let looked = look(Err(error), "stream");
        print(output, file.name(), &stream, "source", &looked.findings);
        code = exit::worse(code, looked.code);
    }
    for stream in &resolved.streams {
        let source = look(source_findings(&file, stream).await, "connecting");
        let target = look(target_findings(&file, stream).await, "connecting");
        for (side, looked) in [("source", source), ("target", target)] {
            print(output, file.name(), &stream.name, side, &looked.findings);
            code = exit::worse(code, looked.code);
        }
    }
    Ok(code)
}

fn look(found: Result<Vec<Finding>>, what: &str) -> Looked {
    match found {
        Ok(findings) => {
            let code = findings.iter().map(code_of).fold(exit::DONE, exit::worse);
            Looked { findings, code }
        }
        Err(error) => {
            let mut finding = Finding::from_error(what, &error);
            finding.detail = report::error(&error);
            Looked { findings: vec![finding], code: error.class().exit_code() }
        }
    }
}

fn code_of(finding: &Finding) -> u8 {
    match (finding.ok, finding.permission) {
        (true, _) => exit::DONE,
        (false, true) => Class::Permission.exit_code(),
        (false, false) => exit::USAGE,
    }
}

async fn source_findings(file: &PipelineFile, stream: &Stream) -> Result<Vec<Finding>> {
    file.build_source(stream)?.check().await
}

async fn target_findings(file: &PipelineFile, stream: &Stream) -> Result<Vec<Finding>> {
    let mut admin = file.build_admin(stream)?;
    let schema = file.output_schema(stream).await.map_err(not_looked_at)?;
    admin.check(&schema).await
}

fn not_looked_at(error: Error) -> Error {
    error.context("the target was not looked at, since the source does not tell its columns")
}

fn print(output: Output, pipeline: &str, stream: &str, side: &'static str, findings: &[Finding]) {
    for finding in findings {
        let value = Found { pipeline, stream, side, finding };
        let text = report::within(&format!("{side}: {finding}"));
        output.print(&value, &report::named(&format!("{pipeline}/{stream}"), &text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_gives_the_exit_code() {
        let good = || Finding::good("a", "b");
        assert_eq!(look(Ok(vec![good()]), "source").code, 0);
        assert_eq!(look(Ok(vec![good(), Finding::bad("a", "b")]), "source").code, 64);
        let denied = vec![Finding::denied("a", "b"), Finding::bad("a", "b")];
        assert_eq!(look(Ok(denied), "source").code, 77);
        assert_eq!(look(Err(Error::schema("x")), "source").code, 65);
        assert_eq!(look(Err(Error::transient("x")), "source").code, 75);
    }
}
