//! The published table of types, written by the code that maps and by the cells that prove it.

use std::fmt::Write as _;
use std::path::PathBuf;

use arrow::datatypes::{DataType, Field};
use etl_core::Result;
use etl_core::schema::Declared;
use etl_sql::postgres::catalog::Table;
use etl_sql::postgres::quote::TableName;
use etl_sql::postgres::types::Fit;
use etl_sql::{mssql as server, postgres as pg, sqlite as file};

use super::cell::{Case, Want};
use super::{TARGETS, mssql, postgres, sqlite};
use crate::support::side::Side;

const INTRODUCTION: &str = "\
# Types

What each type of a source becomes in each target. This file is written by the code that maps
(`ETL_UPDATE_GOLDEN=1 cargo test -p etl-tests published`), and the values beside it are those that
`every_value_of_postgres_arrives_equal_or_is_refused_by_name` and its like try: each arrives equal, by the target's own
text, or the run stops before anything of its batch is written and names the column.
[measured/types.json](measured/types.json) has the counts.

- **declare** is what `columns:` needs to say: `columns: { amount: \"decimal(18,2)\" }`. A declaration that
  holds less than the type is refused. A type that needs one is refused without, with what to write.
- **loud about** are values that stop the run. Those that have no form in a target, such as NaN, infinity
  or a date before the year 1, become NULL with `on_special: \"null\"`, or the nearest value that there is
  with `on_special: clamp`: the last day for infinity, the last microsecond of a day for 24:00. NaN is near
  to nothing and stops the run. With `on_special: quarantine` their row is put aside. `on_special_columns:
  { valid_until: clamp }` says it for one column.
- A text is never trimmed, but for `char(n)` and `nchar(n)`, whose blanks at the end fill the column up and
  mean nothing. Lengths are characters in Postgres and SQLite, UTF-16 units in SQL Server: an emoji is one and two.
- SQL Server takes keys that differ in blanks at the end for equal: such a key is refused. An index there
  takes keys of 1,700 bytes, two for each unit; a text that is a key needs a length.
- A change from 0.0 to -0.0 alone is not seen by SQL Server as a target, which takes them for equal.
- A SQL Server text with half of a surrogate pair is no Unicode: the run stops and says behind which key it is.
- What is cut off only if it is declared: the seventh digit of a time (`datetime2(6)`), and the offset
  of a `datetimeoffset`. Declared as `text` they keep both.
";

/// Field, or what is told instead.
type Mapped = Result<Field>;

fn row(case: &Case, mapped: &Mapped) -> String {
    let declared = case.declared.map(|text| format!("`{text}`")).unwrap_or_default();
    let kind = case.kind.trim_start_matches("public.");
    let told = match mapped {
        Ok(field) => format!(
            "{} | {} | {} | {}",
            arrow(field.data_type()),
            of(server::types::SqlType::of(field).map(|kind| kind.to_string())),
            of(pg::sqltype::SqlType::of(field).map(|kind| pg::sqltype::declaration(kind, field))),
            of(file::types::declared_for(field)),
        ),
        Err(_) => "refused | | |".to_owned(),
    };
    let loud = match mapped {
        Ok(_) => loud(case),
        Err(error) if error.to_string().contains("columns") => "undeclared".to_owned(),
        Err(_) => "always".to_owned(),
    };
    format!("| `{kind}` | {declared} | {told} | {loud} |\n")
}

fn of(kind: Result<String>) -> String {
    kind.map_or_else(|_| "refused".to_owned(), |kind| format!("`{kind}`"))
}

fn arrow(kind: &DataType) -> String {
    kind.to_string().replace('"', "")
}

/// The words of the cells that are refused, and where if not everywhere.
fn loud(case: &Case) -> String {
    let mut words = Vec::new();
    for cell in case.cells {
        let refused = TARGETS.iter().filter_map(|target| match cell.want(target) {
            Want::Refused(word) => Some((*target, word)),
            Want::Is(_) | Want::Cut(_) => None,
        });
        let refused: Vec<_> = refused.collect();
        let Some((target, word)) = refused.first() else { continue };
        let told = match refused.len() {
            1 => format!("{word} ({target})"),
            _ => (*word).to_owned(),
        };
        if !words.contains(&told) {
            words.push(told);
        }
    }
    words.join(", ")
}

fn table(source: &str, rows: &str) -> String {
    format!(
        "\n## From {source}\n\n\
         | type | declare | Arrow | SQL Server | Postgres | SQLite | loud about |\n\
         |---|---|---|---|---|---|---|\n{rows}"
    )
}

/// Types that are refused whatever is declared have a row only if nothing else is said of them.
fn rows(cases: &[Case], mapped: Vec<Mapped>) -> String {
    let mut out = String::new();
    for (case, mapped) in cases.iter().zip(mapped) {
        let is_wrong = mapped.is_err() && case.declared.is_some();
        // Every scale is tried; two of them are enough to read.
        let is_one_of_many = case.kind.contains("(38,")
            && !["(38,0)", "(38,38)"].iter().any(|s| case.kind.ends_with(s));
        if !is_wrong && !is_one_of_many {
            out.push_str(&row(case, &mapped));
        }
    }
    out
}

fn declared(case: &Case) -> Option<Declared> {
    case.declared.map(|text| Declared::parse(text).unwrap())
}

async fn from_postgres(cases: &[Case]) -> Vec<Mapped> {
    let side = Side::of("postgres").await;
    side.execute(postgres::SETUP).await;
    let columns = cases.iter().enumerate().map(|(number, case)| format!("c{number} {}", case.kind));
    let columns: Vec<_> = columns.collect();
    side.execute(&format!("CREATE TABLE public.t ({})", columns.join(", "))).await;
    let Side::Postgres(database) = &side else { panic!("not Postgres") };
    let mut connection = database.connect().await;
    let name = TableName::parse("public.t").unwrap();
    let table = Table::read(&mut connection, &name).await.unwrap();
    let map = |(case, column)| match pg::types::map(column, declared(case))? {
        Fit::Mapped(mapped) => Ok(mapped.field),
        Fit::NumericUndeclared => Err(etl_core::Error::schema("to be declared under columns")),
    };
    cases.iter().zip(&table.columns).map(map).collect()
}

/// A column as the catalog of SQL Server describes it; the double lacks some of the types.
fn column(kind: &str) -> server::read::catalog::Column {
    let (name, arguments) = kind.split_once('(').unwrap_or((kind, ""));
    let mut arguments = arguments.trim_end_matches(')').split(',');
    let first = arguments.next().unwrap_or_default();
    let second = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let number: i16 = first.parse().unwrap_or(-1);
    let unit = if name.starts_with('n') { 2 } else { 1 };
    let small = u8::try_from(number).unwrap_or(0);
    let (precision, scale) = match name {
        "decimal" | "numeric" => (small, second),
        "float" => (if first.is_empty() { 53 } else { small }, 0),
        _ => (0, small),
    };
    server::read::catalog::Column {
        name: "v".to_owned(),
        type_name: name.to_owned(),
        max_length: if number < 0 { -1 } else { number * unit },
        precision,
        scale,
        nullable: true,
        collation: None,
        masked: false,
        encrypted: false,
        is_row_start: false,
        has_default: false,
        default: None,
        readable: true,
    }
}

fn from_mssql(cases: &[Case]) -> Vec<Mapped> {
    let map = |case: &Case| {
        server::read::types::map(&column(case.kind), declared(case)).map(|mapped| mapped.field)
    };
    cases.iter().map(map).collect()
}

fn from_sqlite(cases: &[Case]) -> Vec<Mapped> {
    let map = |case: &Case| file::types::field_for("v", case.kind, true, declared(case));
    cases.iter().map(map).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_published_table_of_types_is_what_the_code_maps() {
    let mut text = INTRODUCTION.to_owned();
    let cases = postgres::cases();
    let mapped = from_postgres(&cases).await;
    text.push_str(&table("Postgres", &rows(&cases, mapped)));
    let cases = mssql::all();
    text.push_str(&table("SQL Server", &rows(&cases, from_mssql(&cases))));
    text.push_str(&table("SQLite", &rows(sqlite::CASES, from_sqlite(sqlite::CASES))));
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/types.md");
    if std::env::var_os("ETL_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let published = std::fs::read_to_string(&path).unwrap();
    let differs = published.lines().zip(text.lines()).find(|(was, is)| was != is);
    let mut told = String::new();
    if let Some((was, is)) = differs {
        write!(told, "published: {was}\nmapped:    {is}").unwrap();
    }
    assert!(published == text, "docs/types.md is old: ETL_UPDATE_GOLDEN=1\n{told}");
}
