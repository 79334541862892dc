//! `etl-job demo`: a whole life of a pipeline on two SQLite files, proved by content.

mod compare;
mod data;
mod place;

use etl_core::{Error, Result};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::build::Wish;
use crate::cli::Demo;
use crate::commands::prepare;
use crate::commands::run::Round;
use crate::config::{PipelineFile, Secrets};
use crate::exit;
use crate::report::{Output, Summary};
use crate::telemetry::Telemetry;

use compare::Content;
use place::Place;

/// What the demo found, its last line.
#[derive(Serialize)]
struct Verdict {
    event: &'static str,
    verified: bool,
    /// Rows at the source that the filter lets through.
    source_rows: u64,
    target_rows: u64,
    /// SHA-256 over those rows in the key's order.
    source_checksum: String,
    target_checksum: String,
    /// Rows at the source, whatever their state.
    orders: u64,
    dir: String,
    file: String,
}

/// Makes a source, loads it, changes it, loads the changes, compares both sides.
///
/// # Errors
/// `Config` if the folder holds something else; what the pipeline says.
pub async fn demo(args: &Demo, telemetry: &Telemetry, stop: &CancellationToken) -> Result<u8> {
    let output = Output::new(args.json);
    let place = Place::make(&args.dir)?;
    say(output, &format!("Making {} orders in {}", args.rows, place.source().display()));
    data::create(&place.source(), args.rows).await?;
    place.write_pipeline()?;
    prepare::prepare(&place.pipeline(), false, output).await?;
    say(output, "First run: a full load of the confirmed orders");
    if let Some(code) = carry(&place, telemetry, stop, output).await? {
        return Ok(code);
    }
    let changed = data::change(&place.source(), args.rows).await?;
    say(output, &format!("Changing the source: {changed}"));
    say(output, "Second run: what changed");
    if let Some(code) = carry(&place, telemetry, stop, output).await? {
        return Ok(code);
    }
    let verdict = verdict(&place).await?;
    output.print(&verdict, &verdict_text(&verdict, &place));
    Ok(if verdict.verified { exit::DONE } else { exit::DIFFERENT })
}

/// A word to a person; programs get the summaries only.
fn say(output: Output, text: &str) {
    if output == Output::Text {
        output.print(&(), text);
    }
}

/// One run through the ordinary code; an exit code if it did not succeed.
async fn carry(
    place: &Place,
    telemetry: &Telemetry,
    stop: &CancellationToken,
    output: Output,
) -> Result<Option<u8>> {
    let file = PipelineFile::load(&place.pipeline(), Secrets::Required)?;
    let stream = file.streams().first().cloned();
    let stream = stream.ok_or_else(|| Error::internal("a file without streams"))?;
    let round = Round::new(file, Wish::default(), telemetry, stop, output);
    let (finished, summary) = round.carry(&stream).await;
    Ok(match finished.exit_code() {
        exit::DONE if succeeded(&summary) => None,
        // Asked to stop: not done, and no error either.
        exit::DONE => Some(exit::TEMPORARY),
        code => Some(code),
    })
}

fn succeeded(summary: &Summary) -> bool {
    summary.outcome == etl_core::Outcome::Success.as_str()
}

async fn verdict(place: &Place) -> Result<Verdict> {
    let source = Content::read(&place.source(), Some(data::FILTER)).await?;
    let target = Content::read(&place.target(), None).await?;
    Ok(Verdict {
        event: "demo",
        verified: source == target && source.rows > 0,
        source_rows: source.rows,
        target_rows: target.rows,
        source_checksum: source.checksum,
        target_checksum: target.checksum,
        orders: data::count(&place.source()).await?,
        dir: place.dir().display().to_string(),
        file: place.pipeline().display().to_string(),
    })
}

fn verdict_text(verdict: &Verdict, place: &Place) -> String {
    let word = if verdict.verified { "verified: both sides are equal" } else { "DIFFERENT" };
    let (source, target, file) = (place.source(), place.target(), place.pipeline());
    format!(
        "Demo {word}\n  source {} confirmed of {} orders, sha256 {}\n  target {} rows, sha256 {}\n\
         \n\
         Look at both sides:\n  sqlite3 {} \"SELECT status, count(*) FROM orders GROUP BY status\"\n  \
         sqlite3 {} \"SELECT * FROM orders LIMIT 5\"\n\
         Change something, and run it again:\n  \
         sqlite3 {} \"UPDATE orders SET status = 'cancelled' WHERE id IN (SELECT id FROM orders \
         WHERE status = 'confirmed' LIMIT 3)\"\n  etl-job run {}\n\
         See where it stands:\n  etl-job state show {}",
        verdict.source_rows,
        verdict.orders,
        verdict.source_checksum,
        verdict.target_rows,
        verdict.target_checksum,
        source.display(),
        target.display(),
        source.display(),
        file.display(),
        file.display(),
    )
}
