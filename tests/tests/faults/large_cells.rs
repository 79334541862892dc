//! The largest value that a run takes, and one byte more: in a text and in a bytea, with the real
//! program, into every kind of target.

use std::process::{Command, Stdio};
use std::time::Duration;

use etl_core::connector::Stream;
use etl_tests::torture::{Recorder, Tally};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row as _};
use tempfile::TempDir;
use tiberius::ColumnData;

use crate::support::binary::{self, Said};
use crate::support::side::Side;

/// What `limits.cell` is unless the file says otherwise.
const LIMIT: usize = 64 << 20;

const TABLE: &str = "CREATE TABLE public.cells (id bigint PRIMARY KEY, note text, raw bytea,
   updated_at timestamptz NOT NULL DEFAULT now());
 CREATE INDEX ON public.cells (updated_at, id);
 CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
   $$ BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
 CREATE TRIGGER touch BEFORE UPDATE ON public.cells FOR EACH ROW EXECUTE FUNCTION touch()";

struct Cells {
    source: Side,
    target: Side,
    folder: TempDir,
}

impl Cells {
    async fn new(kind: &str, limits: Value) -> Self {
        let (source, target) = (Side::of("postgres").await, Side::of(kind).await);
        source.execute(TABLE).await;
        let object = match kind {
            "mssql" => "dbo.cells",
            "postgres" => "public.cells",
            _ => "cells",
        };
        let config = json!({
            "object": object, "primary_key": ["id"], "cursor": { "column": "updated_at" },
            "select": ["id", "note", "raw", "updated_at"],
        });
        let file = json!({
            "version": 1, "pipeline": "cells", "source": without_secret(&source, "SOURCE_URL"),
            "target": without_secret(&target, "TARGET_URL"), "limits": limits,
            "streams": { "public.cells": config }, "lease": { "ttl": "3s" },
        });
        let stream = Stream {
            pipeline: "cells".to_owned(),
            name: "public.cells".to_owned(),
            config: serde_json::from_value(config).unwrap(),
        };
        target.admin(&stream).prepare(&source.schema(&stream).await).await.unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("cells.yaml"), file.to_string()).unwrap();
        Self { source, target, folder }
    }

    /// Rows whose texts and binaries have so many bytes. A text ends with a character of two bytes
    /// in UTF-8; in UTF-16 each of the others takes twice as much as in UTF-8.
    async fn insert(&self, rows: &[(u32, usize, usize)]) {
        for (id, note, raw) in rows {
            self.source
                .execute(&format!(
                    "INSERT INTO public.cells VALUES ({id}, repeat('x', {note} - 2) || 'é',
                     decode(repeat('f0', {raw}), 'hex'), timestamptz '2024-01-01' + {id} * interval '1 h')"
                ))
                .await;
        }
    }

    fn command(&self) -> Command {
        let file = self.folder.path().join("cells.yaml");
        let mut command = binary::command(&["run", "--json", file.to_str().unwrap()]);
        for (side, name) in [(&self.source, "SOURCE_URL"), (&self.target, "TARGET_URL")] {
            if let Some(url) = side.section()["url"].as_str() {
                command.env(name, url);
            }
        }
        command
    }

    /// A run to its end, and the most memory that it had, in bytes.
    fn run(&self, tally: &Tally) -> (Said, usize) {
        tally.runs(1);
        let mut command = self.command();
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let watch = std::thread::spawn(move || {
            let mut most = 0;
            // Its own high-water mark: what is seen last is the greatest.
            while let Some(peak) = std::fs::read_to_string(&status).ok().and_then(|t| peak(&t)) {
                most = most.max(peak);
                std::thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let said = Said::of(&child.wait_with_output().unwrap());
        (said, watch.join().unwrap())
    }

    /// The ids that the target has.
    async fn ids(&self) -> Vec<String> {
        let sql = match self.target {
            Side::Mssql(_) => {
                "SELECT CAST([id] AS nvarchar(20)) AS [id] FROM [dbo].[cells] ORDER BY [cells].[id];"
            }
            Side::Postgres(_) => "SELECT id::text FROM public.cells ORDER BY cells.id",
            Side::Sqlite(_) => "SELECT CAST(id AS TEXT) FROM cells ORDER BY cells.id",
        };
        self.target.cells(sql).await.into_iter().flatten().flatten().collect()
    }

    /// Compares both sides, byte by byte.
    async fn compare(&self, ids: &[u32], tally: &Tally, story: &str) {
        for (id, column) in ids.iter().flat_map(|id| [(id, "note"), (id, "raw")]) {
            let wanted = bytes(&self.source, column, *id).await;
            let found = bytes(&self.target, column, *id).await;
            tally.rows(1);
            let wrong = u64::from(wanted.is_none() || wanted != found);
            tally.wrong(wrong, 0, &format!("{story}: {column} of {id}"));
        }
    }
}

/// The section of a pipeline file that gets its URL from the environment.
fn without_secret(side: &Side, name: &str) -> Value {
    let mut section = side.section();
    if section.get("url").is_some() {
        section["url"] = format!("${{env:{name}}}").into();
    }
    section
}

/// The line of `/proc/…/status`; a process that has ended has none.
fn peak(status: &str) -> Option<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<usize>().ok()? << 10)
}

/// A value's bytes, a text's in UTF-8.
async fn bytes(side: &Side, column: &str, id: u32) -> Option<Vec<u8>> {
    let sql = match side {
        Side::Mssql(database) => {
            let sql = format!("SELECT [{column}] FROM [dbo].[cells] WHERE [id] = {id};");
            let mut connection = database.connect().await;
            let row = connection.batch(&sql, "a test's query").await.unwrap().pop()?;
            return match row.into_iter().next()? {
                ColumnData::String(text) => text.map(|text| text.into_owned().into_bytes()),
                ColumnData::Binary(bytes) => bytes.map(std::borrow::Cow::into_owned),
                other => panic!("{other:?}"),
            };
        }
        Side::Postgres(_) if column == "note" => "convert_to(note, 'UTF8')",
        Side::Sqlite(_) if column == "note" => "CAST(note AS BLOB)",
        _ => "raw",
    };
    let sql = AssertSqlSafe(format!("SELECT {sql} FROM cells WHERE id = {id}"));
    match side {
        Side::Postgres(database) => {
            let row = sqlx::query(sql).fetch_optional(&mut database.connect().await).await;
            row.unwrap()?.get(0)
        }
        _ => sqlx::query(sql).fetch_optional(&mut side.sqlite().await).await.unwrap()?.get(0),
    }
}

/// Refused by name; nothing of its batch and nothing behind it is there.
fn refused(said: &Said, column: &str) {
    assert_eq!(said.code, 65, "{said:?}");
    let told = format!("column {column} of the row with key (id = 5) takes {} bytes", LIMIT + 1);
    for word in ["cells/public.cells", told.as_str(), "limits.cell", "Nothing of its batch"] {
        assert!(said.stderr.contains(word), "no \"{word}\" in {}", said.stderr);
    }
}

async fn at_the_limit(kind: &str, name: &str) {
    let record = Recorder::new(&format!("values of 64 MiB and one byte more, Postgres to {name}"));
    let tally = record.promise();
    let cells = Cells::new(kind, json!({})).await;
    cells.insert(&[(1, 5, 5), (2, LIMIT, 5), (3, 5, LIMIT)]).await;
    let (said, peak) = cells.run(&tally);
    said.expect(0);
    println!(
        "{name}: {} MiB of memory, {:.1} times the value",
        peak >> 20,
        peak as f64 / LIMIT as f64
    );
    assert!(peak < MOST_MEMORY * LIMIT, "{} MiB of memory", peak >> 20);
    cells.compare(&[1, 2, 3], &tally, "at the limit").await;

    cells.insert(&[(4, 5, 5), (5, LIMIT + 1, 5), (6, 5, 5)]).await;
    let (said, _) = cells.run(&tally);
    refused(&said, "note");
    assert_eq!(cells.ids().await, ["1", "2", "3", "4"]);
    cells.source.execute("UPDATE public.cells SET note = 'short', raw = decode(repeat('f0', 67108865), 'hex') WHERE id = 5").await;
    let (said, _) = cells.run(&tally);
    refused(&said, "raw");
    assert_eq!(cells.ids().await, ["1", "2", "3", "4", "6"]);
    tally.faults(2);
    cells.source.execute("UPDATE public.cells SET raw = substr(raw, 2) WHERE id = 5").await;
    let (said, _) = cells.run(&tally);
    said.expect(0);
    cells.compare(&[4, 5, 6], &tally, "the row was corrected").await;
    control(kind, &record.control("the limit")).await;
    record.end();
}

/// What a run takes at most, in values of the greatest size.
const MOST_MEMORY: usize = 9;

/// A byte more than the limit of the file before: it arrives.
async fn control(kind: &str, tally: &Tally) {
    for (limit, arrives) in [("1MiB", false), ("2MiB", true)] {
        let cells = Cells::new(kind, json!({ "cell": limit })).await;
        cells.insert(&[(1, 5, (1 << 20) + 1)]).await;
        let (said, _) = cells.run(tally);
        assert_eq!(said.code, if arrives { 0 } else { 65 }, "{said:?}");
        tally.wrong(0, u64::try_from(cells.ids().await.len()).unwrap(), "a byte more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_value_reaches_sql_server_and_a_larger_one_is_told_by_name() {
    at_the_limit("mssql", "SQL Server").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_value_reaches_postgres_and_a_larger_one_is_told_by_name() {
    at_the_limit("postgres", "Postgres").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_value_reaches_sqlite_and_a_larger_one_is_told_by_name() {
    at_the_limit("sqlite", "SQLite").await;
}
