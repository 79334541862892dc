//! Reviews rendered manifests: `deploy-policy RENDER.yaml …`. Prints what it finds, and ends with 1
//! if that is anything.

use std::process::ExitCode;

use anyhow::{Context, Result};
use etl_tests::policy::{Objects, review, rules};

fn main() -> Result<ExitCode> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    anyhow::ensure!(!files.is_empty(), "usage: deploy-policy RENDER.yaml …");
    let mut found = 0;
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?;
        let objects = Objects::parse(&text).with_context(|| format!("reading {file}"))?;
        anyhow::ensure!(!objects.0.is_empty(), "{file} has no objects");
        let findings = review(&objects);
        found += findings.len();
        for finding in &findings {
            println!("{file}: {finding}");
        }
        println!(
            "{file}: {} objects, {} rules, {} findings",
            objects.0.len(),
            rules().len(),
            findings.len()
        );
    }
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
