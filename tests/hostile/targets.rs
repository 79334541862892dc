//! What hostile bytes are given to. A target panics if it finds a promise broken; harmless inputs and
//! refused ones return. The property tests and the fuzz targets in `fuzz/` share this file.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use etl_core::connector::{OnSpecial, Stream};
use etl_core::error::{Class, Error, Result};
use etl_core::predicate::{Booleans, Dialect, Predicate};
use etl_core::testing::Row;
use etl_core::{BatchLimits, Position, Source};
use etl_job::config::{PipelineFile, Secrets};
use etl_sources::{mssql, postgres};
use etl_sql::mssql::read::Cursor;
use etl_sql::postgres::copy::{Frames, Rows, cursor_micros, text_of};
use etl_sql::postgres::types::Wire;
use futures::TryStreamExt;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// A column of each.
pub(crate) const WIRES: [Wire; 15] = [
    Wire::Int8,
    Wire::Bool,
    Wire::Int2,
    Wire::Int4,
    Wire::Float4,
    Wire::Float8,
    Wire::Numeric(18, 4),
    Wire::Text,
    Wire::Bytes,
    Wire::Uuid,
    Wire::Date,
    Wire::Time,
    Wire::Timestamp,
    Wire::TimestampTz,
    Wire::Xid8,
];

static COLUMNS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |(index, wire): (usize, &Wire)| {
        Field::new(format!("c{index}"), wire.arrow(), index % 2 == 1)
    };
    Arc::new(Schema::new(WIRES.iter().enumerate().map(field).collect::<Vec<_>>()))
});

/// Rows of a binary COPY. The first byte is the size of the pieces in which the others arrive: it must
/// make no difference.
pub(crate) fn copy(input: &[u8]) {
    let Some((&piece, bytes)) = input.split_first() else { return };
    for on_special in [OnSpecial::Fail, OnSpecial::Null, OnSpecial::Clamp, OnSpecial::Quarantine] {
        let whole = decode(bytes, bytes.len(), on_special);
        let pieces = decode(bytes, usize::from(piece), on_special);
        match (whole, pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "in pieces of {piece}"),
            (Err(whole), Err(pieces)) => {
                assert_eq!(whole.to_string(), pieces.to_string(), "in pieces of {piece}");
                assert!(matches!(whole.class(), Class::Transient | Class::Data), "{whole:?}");
            }
            (whole, pieces) => panic!("at once {whole:?}, in pieces of {piece} {pieces:?}"),
        }
    }
}

/// How many rows an input has.
pub(crate) fn copied_rows(input: &[u8]) -> Option<usize> {
    let (&piece, bytes) = input.split_first()?;
    let rows = decode(bytes, usize::from(piece), OnSpecial::Fail);
    rows.ok().map(|rows| rows.num_rows())
}

fn decode(bytes: &[u8], piece: usize, on_special: OnSpecial) -> Result<RecordBatch> {
    let mut frames = Frames::new(WIRES.len());
    let mut is_key = vec![false; WIRES.len()];
    is_key[0] = true;
    let on_special = vec![on_special; WIRES.len()];
    let mut rows = Rows::new(Arc::clone(&COLUMNS), &WIRES, is_key, on_special);
    for piece in bytes.chunks(piece.max(1)) {
        frames.feed(piece);
        while let Some(frame) = frames.next()? {
            for (index, wire) in WIRES.iter().enumerate() {
                let bytes = frame.field(index).unwrap_or_default();
                std::hint::black_box((text_of(*wire, bytes), cursor_micros(bytes)));
            }
            rows.push(&frame, rows.len() % 3 == 2)?;
        }
    }
    frames.finish()?;
    Ok(rows.take(&["c0".to_owned()])?.0.records().clone())
}

/// A filter that is read must mean the same once it is written out, and a filter that was checked
/// must work on any rows.
pub(crate) fn filter(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let predicate = match parse(&text) {
        Ok(predicate) => predicate,
        Err(error) => return assert_eq!(error.class(), Class::Config, "{error:?}"),
    };
    let rows = [Row::new(1), Row::new(-2).name(None).status("it's").amount(-1)];
    let rows = Row::records(&rows).expect("rows");
    if predicate.check(&rows.schema()).is_ok() {
        let bits = predicate.evaluate(&rows).expect("it was checked");
        assert_eq!(bits.len(), rows.num_rows());
    }
    for booleans in [Booleans::Keywords, Booleans::Bits] {
        let dialect = Dialect {
            name: &|name| Ok(format!("\"{}\"", name.replace('"', "\"\""))),
            text: &|text| format!("'{}'", text.replace('\'', "''")),
            booleans,
        };
        let sql = predicate.to_sql(&dialect).expect("SQL");
        // Written out, each operation stands in parentheses, of which so many are allowed.
        if booleans == Booleans::Keywords && sql.matches('(').count() < 10 {
            assert_eq!(parse(&sql).expect("what we wrote"), predicate, "{sql}");
        }
    }
}

/// A filter.
pub(crate) fn parse(text: &str) -> Result<Predicate> {
    Predicate::parse(text)
}

/// A stored position: refused as such, or understood and written again without a change.
pub(crate) fn position(input: &[u8]) {
    takers(&String::from_utf8_lossy(input));
}

/// How many sources take a position for theirs.
pub(crate) fn takers(text: &str) -> usize {
    let Ok(position) = Position::from_text(text) else { return 0 };
    let refused = |error: Error| assert_eq!(error.class(), Class::Config, "{error:?}");
    let mut takers = 0;
    match postgres::Place::decode(Some(&position)) {
        Ok(place) => {
            let again = Position::encode(&place).expect("a place has a text");
            assert_eq!(postgres::Place::decode(Some(&again)).expect("its own"), place);
            for kind in [postgres::Kind::Time { to_utc: i64::MAX }, postgres::Kind::Xid] {
                if let Err(error) = place.fits(kind, 1) {
                    refused(error);
                }
            }
            takers += 1;
        }
        Err(error) => refused(error),
    }
    match mssql::Place::decode(Some(&position)) {
        Ok(place) => {
            let again = Position::encode(&place).expect("a place has a text");
            assert_eq!(mssql::Place::decode(Some(&again)).expect("its own"), place);
            std::hint::black_box(place.settled_micros());
            for cursor in [Cursor::Version, Cursor::DateTime2(3, 0), Cursor::DateTime(-60)] {
                if let Err(error) = place.fits(cursor, 1) {
                    refused(error);
                }
            }
            takers += 1;
        }
        Err(error) => refused(error),
    }
    match FILE.sweep(position) {
        Ok(()) => takers += 1,
        Err(error) => refused(error),
    }
    takers
}

/// A SQLite file: its source keeps its positions to itself.
struct File {
    runtime: Runtime,
    source: Arc<dyn Source>,
    _folder: TempDir,
}

static FILE: LazyLock<File> = LazyLock::new(File::new);

impl File {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("source.db");
        let config = json!({
            "object": "t", "primary_key": ["id"], "cursor": { "column": "at" }, "select": ["id", "at"],
        });
        let config = serde_json::from_value(config).expect("a stream");
        let stream = Stream { pipeline: "hostile".to_owned(), name: "t".to_owned(), config };
        runtime.block_on(async {
            use sqlx::ConnectOptions;
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
            let mut connection = options.create_if_missing(true).connect().await.expect("a file");
            let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, at TIMESTAMPTZ_TEXT NOT NULL \
                 DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))); \
                 CREATE INDEX t_at ON t (at, id); INSERT INTO t (id) VALUES (1);";
            sqlx::raw_sql(table).execute(&mut connection).await.expect("a table");
        });
        let build = etl_sources::find("sqlite").expect("sqlite").build;
        let source = build(&json!({ "type": "sqlite", "path": path }), &stream).expect("a source");
        Self { runtime, source, _folder: folder }
    }

    fn sweep(&self, position: Position) -> Result<()> {
        self.runtime.block_on(async {
            let batches = self.source.read(Some(position), BatchLimits::default()).await?;
            let batches: Vec<_> = batches.try_collect().await?;
            assert!(!batches.is_empty(), "a sweep without a position");
            Ok(())
        })
    }
}

/// A pipeline file, as far as `lint` looks at it.
pub(crate) fn config(input: &[u8]) {
    if let Err(error) = load(input) {
        assert!(matches!(error.class(), Class::Config | Class::Schema), "{error:?}");
        assert!(!error.to_string().is_empty());
    }
}

/// Reads a pipeline file and builds what it names.
pub(crate) fn load(text: &[u8]) -> Result<()> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text).expect("its text");
    let file = PipelineFile::load(Path::new(file.path()), Secrets::Optional)?;
    std::hint::black_box(format!("{file:?}"));
    for stream in file.streams() {
        file.build_source(stream)?;
        file.build_sink(stream)?;
        file.build_admin(stream)?;
        etl_job::build::definition(&file, stream)?;
    }
    Ok(())
}
