//! Every error number and SQLSTATE that we know, at every place where a server can send it: what
//! may pass is tried again and then works, what will not is tried once, and a commit whose outcome
//! is unknown is never sent blindly.

mod mssql;
mod postgres;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etl_core::connector::{Finding, Stream};
use etl_core::pipeline::Finished;
use etl_core::retry::RetryPolicy;
use etl_core::testing::Row;
use etl_core::{
    Batch, BatchLimits, Changes, Class, Outcome, Pipeline, PipelineOptions, Position, Progress,
    Result, Source, StreamSchema,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A code and the class that it is to have.
#[derive(Debug, Clone)]
struct Expected {
    code: String,
    class: Class,
}

impl Expected {
    fn of(code: &str, class: Class) -> Self {
        Self { code: code.to_owned(), class }
    }

    fn is_retried(&self) -> bool {
        self.class.is_retryable()
    }
}

/// The lines of a table `code,class,…`, without its head.
fn table(csv: &str) -> Vec<Expected> {
    let line = |line: &str| {
        let mut cells = line.split(',');
        let (code, class) = (cells.next().unwrap(), cells.next().unwrap());
        let class = Class::ALL.into_iter().find(|known| known.as_str() == class);
        Expected::of(code, class.unwrap_or_else(|| panic!("no class in: {line}")))
    };
    csv.lines().skip(1).map(line).collect()
}

/// A source of one row, whose position says that it was read.
struct OneRow {
    schema: StreamSchema,
    id: i64,
}

impl OneRow {
    fn position(&self) -> Result<Position> {
        Position::encode(&json!({ "row": self.id }))
    }
}

#[async_trait]
impl Source for OneRow {
    async fn schema(&self) -> Result<StreamSchema> {
        Ok(self.schema.clone())
    }

    async fn read(
        &self,
        after: Option<Position>,
        _: BatchLimits,
    ) -> Result<BoxStream<'static, Result<Batch>>> {
        let position = self.position()?;
        if after.as_ref() == Some(&position) {
            return Ok(stream::empty().boxed());
        }
        let changes = Changes::upserts(Row::records(&[Row::new(self.id)])?);
        let progress = Progress { read: 1, reread: 0, horizon_micros: None };
        let aside = etl_core::Aside::default();
        Ok(stream::iter([Ok(Batch { changes, position, progress, aside })]).boxed())
    }

    async fn committed(&self, _: &Position) -> Result<()> {
        Ok(())
    }

    async fn check(&self) -> Result<Vec<Finding>> {
        Ok(Vec::new())
    }
}

/// A stream that appends to a table without any key: what is applied twice is there twice.
fn appending(object: &str) -> Stream {
    let config = json!({
        "object": object, "mode": "append", "primary_key": ["id"],
        "cursor": { "column": "updated_at" },
        "select": ["id", "name", "status", "amount", "active", "updated_at"],
    });
    let config = serde_json::from_value(config).unwrap();
    Stream { pipeline: "errors".to_owned(), name: "orders".to_owned(), config }
}

async fn prepare(kind: &str, section: &Value, stream: &Stream) {
    let mut admin = (etl_sinks::find(kind).unwrap().admin)(section, stream).unwrap();
    admin.prepare(&Row::stream(&stream.full_name())).await.unwrap();
}

const TRIES: u32 = 4;

/// One run that carries the row `id`, with waits too short to notice.
async fn carry(kind: &str, section: &Value, stream: &Stream, id: i64) -> Finished {
    let sink = (etl_sinks::find(kind).unwrap().build)(section, stream).unwrap();
    let source = OneRow { schema: Row::stream(&stream.full_name()), id };
    let wait = Duration::from_millis(1);
    let retry = RetryPolicy { base: wait, cap: wait, tries: TRIES };
    let options = PipelineOptions { retry, ..PipelineOptions::default() };
    let name = stream.full_name();
    let mut pipeline = Pipeline::new(name, Arc::new(source), Vec::new(), sink, options);
    pipeline.run(&CancellationToken::new()).await
}

/// What happened to one error at one place.
struct Seen {
    finished: Finished,
    /// How often what failed was done.
    tries: usize,
    /// How often it is to be done.
    wanted: usize,
}

/// What is wrong about that, if anything is.
fn wrong(place: &str, expected: &Expected, seen: &Seen) -> Option<String> {
    let Seen { finished, tries, wanted } = seen;
    let right = match &finished.error {
        None => expected.is_retried() && finished.report.outcome == Outcome::Success,
        Some(error) => {
            !expected.is_retried()
                && error.class() == expected.class
                && error.code() == Some(&expected.code)
        }
    };
    if right && tries == wanted {
        return None;
    }
    let Expected { code, class } = expected;
    let outcome = finished.report.outcome.as_str();
    Some(format!(
        "{code} at {place}, {class}: {outcome}, {tries} tries of {wanted}, {:?}",
        finished.error
    ))
}
