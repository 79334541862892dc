//! Makes `docs/measured/faults.json` and the table of `docs/reliability.md` of what the fault
//! tests wrote, or says that the table is not what the file says.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use etl_tests::torture::{Measured, NOTHING_YET, page_with, read, table};

#[derive(Debug, Parser)]
#[command(name = "faults-report")]
struct Arguments {
    /// The folder into which the tests wrote (ETL_FAULTS_DIR); without it the file is taken as it
    /// is.
    #[arg(long, requires_all = ["day", "commit", "servers"])]
    from: Option<PathBuf>,
    /// The day of the measurement, UTC.
    #[arg(long)]
    day: Option<String>,
    /// The commit that was tested.
    #[arg(long)]
    commit: Option<String>,
    /// The servers.
    #[arg(long)]
    servers: Option<String>,
    /// Change nothing; fail if the page does not show what the file says.
    #[arg(long)]
    check: bool,
    /// The figures.
    #[arg(long, default_value = "docs/measured/faults.json")]
    file: PathBuf,
    /// The page with the table.
    #[arg(long, default_value = "docs/reliability.md")]
    page: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let a = Arguments::parse();
    if let (Some(from), Some(day), Some(commit), Some(servers)) =
        (&a.from, a.day, a.commit, a.servers)
    {
        ensure!(!a.check, "--check takes the file as it is");
        let tests = read(from).with_context(|| format!("reading {}", from.display()))?;
        let text = serde_json::to_string_pretty(&Measured { day, commit, servers, tests })?;
        std::fs::write(&a.file, text + "\n")
            .with_context(|| format!("writing {}", a.file.display()))?;
    }
    let page = std::fs::read_to_string(&a.page)
        .with_context(|| format!("reading {}", a.page.display()))?;
    let Some(new) = page_with(&page, &shown(&a.file)?) else {
        bail!("{} lacks the marks of the table", a.page.display());
    };
    if a.check {
        ensure!(
            new == page,
            "{} does not show what {} says; run faults-report",
            a.page.display(),
            a.file.display()
        );
        return Ok(());
    }
    std::fs::write(&a.page, new).with_context(|| format!("writing {}", a.page.display()))
}

/// What the page is to show.
fn shown(file: &Path) -> anyhow::Result<String> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(NOTHING_YET.to_owned()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
    };
    let measured: Measured = serde_json::from_str(&text)
        .with_context(|| format!("{} is not what faults-report writes", file.display()))?;
    Ok(table(&measured))
}
