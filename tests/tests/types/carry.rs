//! One type of one source into one target.

use std::collections::BTreeMap;

use etl_core::connector::Stream;
use etl_core::transform::Transform;
use etl_core::{Class, Error, Pipeline, PipelineOptions};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::cell::{Case, Want, expand};
use super::show::shown;
use crate::support::side::Side;

/// What became of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Equal,
    /// As the config allows.
    Cut,
    Refused,
    /// It is another value than it was, or was refused without a word; what a person is told.
    Wrong(String),
}

/// A column `v` of a type, and the two tables.
pub(super) struct Trial<'a> {
    pub(super) case: &'a Case,
    pub(super) from: &'a Side,
    pub(super) to: &'a Side,
    pub(super) stream: Stream,
}

/// The rows' time, and how it is declared where it has to be.
fn cursor(kind: &str) -> (&'static str, serde_json::Value) {
    let read_all = json!({ "column": "at", "set_by": "application", "unindexed": true,
        "safety": { "lookback": "10m" } });
    match kind {
        "mssql" => {
            let mut cursor = read_all;
            cursor["utc_offset"] = json!("+00:00");
            ("at datetime2(3) NOT NULL DEFAULT '2024-01-01'", cursor)
        }
        "postgres" => ("at timestamptz NOT NULL DEFAULT '2024-01-01Z'", read_all),
        _ => ("at TIMESTAMPTZ_TEXT NOT NULL DEFAULT '2024-01-01T00:00:00.000000Z'", read_all),
    }
}

/// A table's name in a database of this kind.
pub(super) fn place(kind: &str, schema: Option<&str>, table: &str) -> String {
    match (kind, schema) {
        ("mssql", _) => format!("dbo.{table}"),
        ("postgres", schema) => format!("{}.{table}", schema.unwrap_or("public")),
        _ => table.to_owned(),
    }
}

/// A stream of `id`, `v` and `at`.
pub(super) fn stream(
    name: &str,
    object: &str,
    columns: &serde_json::Value,
    cursor: &serde_json::Value,
) -> Stream {
    let config = json!({
        "object": object, "primary_key": ["id"], "select": ["id", "v", "at"],
        "cursor": cursor, "columns": columns,
    });
    let config = serde_json::from_value(config).unwrap();
    Stream { pipeline: "types".to_owned(), name: name.to_owned(), config }
}

/// Makes what is needed at the target, and runs once.
pub(super) async fn run(
    stream: &Stream,
    from: &Side,
    to: &Side,
    transforms: Vec<Box<dyn Transform>>,
) -> Result<(), Error> {
    let (source, sink) = (from.section(), to.section());
    let source = (etl_sources::find(from.kind())?.build)(&source, stream)?;
    let connector = etl_sinks::find(to.kind())?;
    let schema = source.schema().await?;
    (connector.admin)(&sink, stream)?.prepare(&schema).await?;
    let sink = (connector.build)(&sink, stream)?;
    let options = PipelineOptions::default();
    let mut pipeline = Pipeline::new(stream.full_name(), source, transforms, sink, options);
    pipeline.run(&CancellationToken::new()).await.error.map_or(Ok(()), Err)
}

impl<'a> Trial<'a> {
    /// Makes the source's table unless an earlier target had it made.
    pub(super) async fn new(case: &'a Case, table: &str, from: &'a Side, to: &'a Side) -> Self {
        let (at, cursor) = cursor(from.kind());
        let name = place(from.kind(), None, table);
        let drop = match from {
            Side::Mssql(_) => format!("IF OBJECT_ID(N'{name}') IS NOT NULL DROP TABLE {name};"),
            _ => format!("DROP TABLE IF EXISTS {name};"),
        };
        let kind = case.kind;
        let null = if from.kind() == "mssql" { " NULL" } else { "" };
        let key = "id int NOT NULL PRIMARY KEY";
        from.execute(&format!("{drop} CREATE TABLE {name} ({key}, v {kind}{null}, {at});")).await;
        let columns = case.declared.map_or_else(|| json!({}), |text| json!({ "v": text }));
        let stream = stream(&name, &place(to.kind(), None, table), &columns, &cursor);
        Self { case, from, to, stream }
    }

    /// Puts rows at the source, by number.
    pub(super) async fn insert(&self, rows: &[(usize, &str)]) {
        let name = &self.stream.name;
        let row =
            |(id, sql): &(usize, &str)| format!("INSERT INTO {name} (id, v) VALUES ({id}, {sql});");
        let sql: Vec<_> = rows.iter().map(row).collect();
        self.from.execute(&sql.join("\n")).await;
    }

    pub(super) async fn run(&self, transforms: Vec<Box<dyn Transform>>) -> Result<(), Error> {
        run(&self.stream, self.from, self.to, transforms).await
    }

    /// What the target shows, by number.
    pub(super) async fn shown(&self) -> BTreeMap<usize, Option<String>> {
        shown(self.to, &self.stream.config.object, self.case.shape).await
    }

    /// The cells that arrive, with their numbers; NULL is number 0.
    fn arriving(&self) -> Vec<(usize, &'static str)> {
        let numbered = self.case.cells.iter().enumerate();
        let arriving = numbered.filter(|(_, cell)| !self.is_refused(cell.want(self.to.kind())));
        let arriving = arriving.map(|(place, cell)| (place + 1, cell.sql));
        [(0, "NULL")].into_iter().chain(arriving).collect()
    }

    fn is_refused(&self, want: Want) -> bool {
        matches!(want, Want::Refused(_))
    }

    /// All that arrive at once, compared one by one.
    pub(super) async fn arrive(&self, transforms: Vec<Box<dyn Transform>>) -> Vec<(String, Found)> {
        let rows = self.arriving();
        self.insert(&rows).await;
        let ran = self.run(transforms).await;
        if let (Err(error), [_]) = (&ran, rows.as_slice()) {
            return vec![("NULL".to_owned(), self.all_refused(error))];
        }
        let found = self.shown().await;
        let judge = |(number, sql): &(usize, &str)| {
            let found = match &ran {
                Err(error) => Found::Wrong(format!("it was refused: {error}")),
                Ok(()) => self.judge(*number, found.get(number)),
            };
            ((*sql).to_owned(), found)
        };
        rows.iter().map(judge).collect()
    }

    /// A type that is refused whatever it holds refuses NULL too.
    fn all_refused(&self, error: &Error) -> Found {
        match self.case.cells.first().map(|cell| cell.want(self.to.kind())) {
            Some(Want::Refused(word)) => refusal(error, word),
            _ => Found::Wrong(format!("NULL was refused: {error}")),
        }
    }

    fn judge(&self, number: usize, found: Option<&Option<String>>) -> Found {
        let want = number.checked_sub(1).map(|place| self.case.cells[place].want(self.to.kind()));
        let (text, good) = match want {
            None => (None, Found::Equal),
            Some(Want::Is(text)) => (Some(expand(text)), Found::Equal),
            Some(Want::Cut(text)) => (Some(expand(text)), Found::Cut),
            Some(Want::Refused(_)) => (None, Found::Refused),
        };
        match found {
            Some(found) if *found == text => good,
            Some(found) => Found::Wrong(format!("wanted {}, found {}", short(&text), short(found))),
            None => Found::Wrong("the row is missing".to_owned()),
        }
    }

    /// Each that is to be refused, alone: nothing may be written.
    pub(super) async fn refuse(&self) -> Vec<(String, Found)> {
        let mut found = Vec::new();
        for (place, cell) in self.case.cells.iter().enumerate() {
            let Want::Refused(word) = cell.want(self.to.kind()) else { continue };
            self.from.execute(&format!("DELETE FROM {};", self.stream.name)).await;
            self.insert(&[(place + 1, cell.sql)]).await;
            let before = self.shown().await;
            let outcome = match self.run(Vec::new()).await {
                Ok(()) => {
                    let after = self.shown().await;
                    Found::Wrong(format!("it was carried: {:?}", after.get(&(place + 1))))
                }
                Err(error) if self.shown().await == before => refusal(&error, word),
                Err(error) => Found::Wrong(format!("refused, but rows were written: {error}")),
            };
            found.push((cell.sql.to_owned(), outcome));
        }
        found
    }
}

/// Whether an error says which column and why, and is none that passes by itself.
fn refusal(error: &Error, word: &str) -> Found {
    let text = error.to_string();
    let class = matches!(error.class(), Class::Data | Class::Schema | Class::Config);
    let named = text.contains("column v") || text.contains("columns.v");
    if class && named && text.contains(word) {
        return Found::Refused;
    }
    Found::Wrong(format!("refused without the column or \"{word}\": {:?}: {text}", error.class()))
}

fn short(text: &Option<String>) -> String {
    match text {
        None => "NULL".to_owned(),
        Some(text) if text.chars().count() > 120 => {
            let begin: String = text.chars().take(100).collect();
            format!("{begin:?}… of {} bytes", text.len())
        }
        Some(text) => format!("{text:?}"),
    }
}
