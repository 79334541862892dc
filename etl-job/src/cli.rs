//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Moves rows from one database to another, exactly once.
#[derive(Debug, Parser)]
#[command(name = "etl-job", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done or skipped, 2 differences found, 64 usage or \
    setting, 65 data, schema or definition, 70 defect, 75 temporary or fenced, 77 permission.\n\
    Environment: RUST_LOG (our crates; others stop at info), OTEL_EXPORTER_OTLP_ENDPOINT and \
    ETL_PUSHGATEWAY_URL (metrics are pushed there after each run), ETL_METRICS_ADDR.";

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show all of it on SQLite: load, change, load what changed, compare both sides.
    Demo(Demo),
    /// Create what a target needs: tables and state; with an owner's login. Safe to repeat.
    Prepare(Prepare),
    /// Carry what is new: once, or every so often.
    Run(Run),
    /// Try again what was put aside: read those rows anew, and clear what has landed or is gone.
    Replay(Replay),
    /// Stay and serve what each stream's ledger in the target says, as metrics.
    Serve(Serve),
    /// Look for everything that a run needs, on both sides.
    Check(FileAndJson),
    /// Check pipeline files without connecting; secrets may be missing.
    Lint(Lint),
    /// Show or change where the next run goes on.
    State(State),
    /// Print the JSON Schema of pipeline files.
    Schema,
}

/// A pipeline file and the form of the answer.
#[derive(Debug, Args)]
pub struct FileAndJson {
    /// The pipeline file.
    pub file: PathBuf,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Where to put everything; made if it is not there, refused if it holds anything else.
    #[arg(long, default_value = "etl-demo")]
    pub dir: PathBuf,
    /// How many orders.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(10..=50_000_000))]
    pub rows: u64,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// `prepare`.
#[derive(Debug, Args)]
pub struct Prepare {
    /// The pipeline file, with an owner's login for the target.
    pub file: PathBuf,
    /// Only print the statements.
    #[arg(long)]
    pub plan: bool,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The pipeline file.
    pub file: PathBuf,
    /// Read everything again, whatever the checkpoint says; once, and not in append mode.
    #[arg(long, conflicts_with = "every")]
    pub full_refresh: bool,
    /// Stay and run every so often, such as 5m, until SIGTERM.
    #[arg(long, value_parser = period)]
    pub every: Option<Duration>,
    /// Only this stream.
    #[arg(long)]
    pub stream: Option<String>,
    /// After this long no further batch is begun, instead of limits.deadline.
    #[arg(long, value_parser = period)]
    pub deadline: Option<Duration>,
    /// Serve /metrics and /healthz there while running, such as 0.0.0.0:9464.
    #[arg(long, env = "ETL_METRICS_ADDR")]
    pub metrics_addr: Option<String>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The pipeline file.
    pub file: PathBuf,
    /// Only show what was put aside; the source is not asked, and nothing changes.
    #[arg(long)]
    pub list: bool,
    /// In the list, leave out the rows' keys.
    #[arg(long, requires = "list")]
    pub without_keys: bool,
    /// Only this stream.
    #[arg(long)]
    pub stream: Option<String>,
    /// After this long no further batch is begun, instead of limits.deadline.
    #[arg(long, value_parser = period, conflicts_with = "list")]
    pub deadline: Option<Duration>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// The pipeline file; its source's secrets may be missing.
    pub file: PathBuf,
    /// Serve metrics; there is nothing else to serve. Runs nothing and only reads the target.
    #[arg(long)]
    pub metrics_only: bool,
    /// Where to serve /metrics, /healthz and /readyz.
    #[arg(long, env = "ETL_METRICS_ADDR", default_value = "0.0.0.0:9464")]
    pub addr: String,
    /// How often the ledger is read, at least 1s.
    #[arg(long, default_value = "15s", value_parser = slow_period)]
    pub every: Duration,
}

/// `lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// The pipeline files.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// `state`.
#[derive(Debug, Args)]
pub struct State {
    /// What to do with it.
    #[command(subcommand)]
    pub action: StateAction,
}

/// What can be done with a checkpoint.
#[derive(Debug, Subcommand)]
pub enum StateAction {
    /// Show where the next run goes on.
    Show(StateTarget),
    /// Go on from another position.
    Set {
        /// Which checkpoint.
        #[command(flatten)]
        target: StateTarget,
        /// The position, as `state show` prints it.
        #[arg(long)]
        position: String,
        /// Do it; without this the change is only shown.
        #[arg(long)]
        yes: bool,
    },
    /// Begin anew with the next run.
    Reset {
        /// Which checkpoint.
        #[command(flatten)]
        target: StateTarget,
        /// Do it; without this the change is only shown.
        #[arg(long)]
        yes: bool,
    },
    /// Take the file's definition as if the checkpoint had always belonged to it.
    Adopt {
        /// Which checkpoint.
        #[command(flatten)]
        target: StateTarget,
        /// Do it; without this the change is only shown.
        #[arg(long)]
        yes: bool,
    },
}

/// Which checkpoint.
#[derive(Debug, Args)]
pub struct StateTarget {
    /// The pipeline file.
    pub file: PathBuf,
    /// Only this stream; needed to change one of several.
    #[arg(long)]
    pub stream: Option<String>,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

fn period(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("\"{text}\" is not a duration such as 30s or 5m"))
}

/// A period that does a server no harm.
fn slow_period(text: &str) -> Result<Duration, String> {
    let duration = period(text)?;
    if duration < Duration::from_secs(1) {
        return Err(format!("\"{text}\" is shorter than 1s"));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_or_refused() {
        let parse = |every: &str| Cli::try_parse_from(["etl-job", "run", "f", "--every", every]);
        assert!(parse("5m").is_ok());
        assert!(parse("0s").is_err());
        assert!(parse("5").is_err());
        let parse = |every: &str| Cli::try_parse_from(["etl-job", "serve", "f", "--every", every]);
        assert!(parse("1s").is_ok());
        assert!(parse("999ms").is_err());
    }
}
