//! Makes `docs/measured/faults.json` and the table of `docs/reliability.md` of what the fault
//! tests wrote, or says that the table is not what the file says.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use etl_tests::torture::{Measured, page_with, read, table};

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
    let text = std::fs::read_to_string(&a.file)
        .with_context(|| format!("reading {}", a.file.display()))?;
    let measured: Measured = serde_json::from_str(&text)?;
    let page = std::fs::read_to_string(&a.page)
        .with_context(|| format!("reading {}", a.page.display()))?;
    let Some(new) = page_with(&page, &table(&measured)) else {
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
