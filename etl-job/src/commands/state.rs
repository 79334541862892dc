//! `etl-job state`: where the next run goes on, shown and changed.

use etl_core::connector::Stream;
use etl_core::sink::{SinkAdmin, StateChange};
use etl_core::{Checkpoint, Error, Position, Result};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{StateAction, StateTarget};
use crate::config::{PipelineFile, Secrets};
use crate::exit;
use crate::report::{self, Output};

#[derive(Serialize)]
struct Shown<'a> {
    pipeline: &'a str,
    stream: &'a str,
    prepared: bool,
    /// Rows that lie in the quarantine.
    quarantined: usize,
    #[serde(flatten)]
    checkpoint: Option<&'a Checkpoint>,
}

#[derive(Serialize)]
struct Changed<'a> {
    pipeline: &'a str,
    stream: &'a str,
    changed: bool,
    old: Value,
    new: Value,
}

/// Shows or changes checkpoints.
///
/// # Errors
/// What the target says; `Config` if the pipeline was never prepared.
pub async fn state(action: StateAction) -> Result<u8> {
    match action {
        StateAction::Show(target) => show(&target).await?,
        StateAction::Set { target, position, yes } => {
            let position =
                Position::from_text(position).map_err(|error| error.context("--position"))?;
            change(&target, Wanted::Position(Some(position)), yes).await?;
        }
        StateAction::Reset { target, yes } => change(&target, Wanted::Position(None), yes).await?,
        StateAction::Adopt { target, yes } => change(&target, Wanted::Definition, yes).await?,
    }
    Ok(exit::DONE)
}

enum Wanted {
    Position(Option<Position>),
    /// The one that the file and the source give now.
    Definition,
}

async fn show(target: &StateTarget) -> Result<()> {
    let output = Output::new(target.json);
    let file = PipelineFile::load(&target.file, Secrets::Required)?;
    for stream in &shown(&file, target.stream.as_deref()).await? {
        let mut admin = file.build_admin(stream)?;
        let checkpoint = admin.checkpoint().await?;
        let quarantined = match &checkpoint {
            Some(_) => admin.quarantined().await?.len(),
            None => 0,
        };
        let value = Shown {
            pipeline: &stream.pipeline,
            stream: &stream.name,
            prepared: checkpoint.is_some(),
            quarantined,
            checkpoint: checkpoint.as_ref(),
        };
        output.print(&value, &shown_text(stream, checkpoint.as_ref(), quarantined));
    }
    Ok(())
}

fn shown_text(stream: &Stream, checkpoint: Option<&Checkpoint>, quarantined: usize) -> String {
    let name = stream.full_name();
    let Some(checkpoint) = checkpoint else {
        return format!("{name}: never prepared; run `etl-job prepare` (SQL Server: mssql-init)");
    };
    let position = position_text(checkpoint.position.as_ref());
    let mut text = format!(
        "{name}: sequence {}, {} rows so far\n  position {position}",
        checkpoint.sequence, checkpoint.rows_total
    );
    if quarantined > 0 {
        text.push_str(&format!(
            "\n  {quarantined} rows in the quarantine; see `etl-job replay --list`"
        ));
    }
    if let Some(Ok(definition)) = checkpoint.definition.as_ref().map(etl_core::Definition::to_text)
    {
        text.push_str("\n  definition ");
        text.push_str(&definition);
    }
    text
}

fn position_text(position: Option<&Position>) -> String {
    position.map_or_else(|| "the beginning".to_owned(), ToString::to_string)
}

/// The stream called `name`, or else all that the file names and those that its patterns have made
/// in the target. The source is not asked: a checkpoint may outlive its table.
pub(super) async fn shown(file: &PipelineFile, name: Option<&str>) -> Result<Vec<Stream>> {
    if let Some(name) = name {
        return Ok(vec![file.unseen(name)?]);
    }
    let mut streams = file.streams().to_vec();
    if file.patterns().next().is_some() {
        let names = file.prepared().await?.into_iter().map(|stream| stream.name);
        let mut names: Vec<_> = names.collect();
        names.sort();
        names.retain(|name| streams.iter().all(|stream| stream.name != *name));
        // Others of the pipeline's streams are not this file's any more.
        streams.extend(names.iter().filter_map(|name| file.unseen(name).ok()));
    }
    Ok(streams)
}

/// The one stream that is to be changed.
fn one(file: &PipelineFile, name: Option<&str>) -> Result<Stream> {
    match (name, file.streams(), file.patterns().next()) {
        (Some(name), _, _) => file.unseen(name),
        (None, [stream], None) => Ok(stream.clone()),
        _ => Err(Error::config("the file has several streams; say which one with --stream")),
    }
}

async fn change(target: &StateTarget, wanted: Wanted, yes: bool) -> Result<()> {
    let output = Output::new(target.json);
    let file = PipelineFile::load(&target.file, Secrets::Required)?;
    let stream = &one(&file, target.stream.as_deref())?;
    let mut admin = file.build_admin(stream)?;
    match wanted {
        Wanted::Position(position) => {
            let new = report::position(position.as_ref());
            let old = apply(&mut *admin, StateChange::Position(position), yes).await?;
            let old = report::position(old.position.as_ref());
            print(output, stream, "position", yes, old, new);
        }
        Wanted::Definition => {
            // A pattern's stream has its columns from the source.
            let resolved = file.resolve(file.tables().await, &[]).select(Some(&stream.name))?;
            if let Some(refused) = resolved.refused.into_iter().next() {
                return Err(refused.error.context(stream.full_name()));
            }
            let stream = resolved.streams.first().unwrap_or(stream);
            let definition = file.output_schema(stream).await?.definition;
            let new = json(&definition)?;
            let old = apply(&mut *admin, StateChange::Definition(definition), yes).await?;
            print(output, stream, "definition", yes, json(&old.definition)?, new);
        }
    }
    Ok(())
}

/// The checkpoint before the change, which is made only with `yes`.
async fn apply(admin: &mut dyn SinkAdmin, change: StateChange, yes: bool) -> Result<Checkpoint> {
    if yes {
        return admin.change(change).await;
    }
    admin.checkpoint().await?.ok_or_else(|| {
        Error::config("the pipeline was never prepared; there is no state to change")
    })
}

fn json(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Error::internal("writing a definition as JSON").with_source(error))
}

fn print(output: Output, stream: &Stream, what: &str, changed: bool, old: Value, new: Value) {
    let name = stream.full_name();
    let done = if changed { "changed" } else { "would change; add --yes to do it" };
    let text = format!("{name}: {what} {done}\n  old {old}\n  new {new}");
    let value = Changed { pipeline: &stream.pipeline, stream: &stream.name, changed, old, new };
    output.print(&value, &text);
}
