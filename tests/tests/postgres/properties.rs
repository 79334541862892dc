//! Properties, checked with the server's own answer.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use etl_core::connector::OnSpecial;
use etl_sql::postgres::catalog::Table;
use etl_sql::postgres::copy::{Frames, Rows, text_of};
use etl_sql::postgres::quote::{self, TableName};
use etl_sql::postgres::types::{Fit, Mapped, Wire, map};
use etl_tests::postgres::Database;
use futures::TryStreamExt;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Column, Row};

/// Values of a strategy, anew in each run.
fn samples<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::new(Config::default());
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// Texts with many of the characters that end a literal or a name.
fn nasty_text(longest: usize) -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("'".to_owned()),
        Just("\\".to_owned()),
        Just("\"".to_owned()),
        Just("$$".to_owned()),
        Just("--".to_owned()),
        Just("\n".to_owned()),
        Just("\u{2019}".to_owned()),
        any::<char>().prop_filter("no NUL", |c| *c != '\0').prop_map(String::from),
    ];
    prop::collection::vec(part, 0..longest).prop_map(|parts| parts.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_text_comes_back_from_its_literal_whatever_the_server_is_set_to() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    for setting in ["on", "off"] {
        etl_tests::postgres::run(
            &mut connection,
            &format!(
                "SET standard_conforming_strings = {setting}; SET escape_string_warning = off"
            ),
        )
        .await;
        for _ in 0..20 {
            let texts = samples(&nasty_text(12), 250);
            let literals: Vec<_> = texts.iter().map(|text| quote::text(text).unwrap()).collect();
            let sql = format!("SELECT ARRAY[{}]::text[]", literals.join(", "));
            let back: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
            assert_eq!(back, texts, "standard_conforming_strings = {setting}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_name_comes_back_from_its_quotes_or_is_refused() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    let names: Vec<_> = samples(&nasty_text(9), 1_500);
    let (fine, refused): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| quote::name(name).is_ok());
    assert!(fine.len() > 1_000);
    assert!(refused.iter().all(|name| name.is_empty() || name.len() > 63));
    for names in fine.chunks(500) {
        let columns: Vec<_> =
            names.iter().map(|name| format!("1 AS {}", quote::name(name).unwrap())).collect();
        let sql = format!("SELECT {}", columns.join(", "));
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        let back: Vec<_> = row.columns().iter().map(Column::name).collect();
        assert_eq!(back, names);
    }
}

async fn copy(connection: &mut PgConnection, select: &str) -> Vec<u8> {
    let sql = format!("COPY ({select}) TO STDOUT (FORMAT binary)");
    let mut pieces = connection.copy_out_raw(&sql).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.try_next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decimal_is_decoded_as_the_server_writes_it() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    for scale in [0_u8, 1, 2, 3, 4, 5, 9, 18, 37, 38] {
        let whole = usize::from(38 - scale);
        let digits = move |count: usize| prop::collection::vec(0..10_u8, 0..=count);
        let number = (any::<bool>(), digits(whole), digits(scale.into())).prop_map(
            |(negative, whole, fraction)| {
                let text = |digits: &[u8]| digits.iter().map(u8::to_string).collect::<String>();
                let sign = if negative { "-" } else { "" };
                format!("{sign}0{}.{}0", text(&whole), text(&fraction))
            },
        );
        let numbers = samples(&number, 1_000);
        let literals: Vec<_> = numbers.iter().map(|text| format!("('{text}'::numeric)")).collect();
        let values = format!("(VALUES {}) AS v (n)", literals.join(", "));
        let bytes = copy(&mut connection, &format!("SELECT n FROM {values}")).await;
        let sql = format!("SELECT n::numeric(38,{scale})::text FROM {values}");
        let expected: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap();
        let wire = Wire::Numeric(38, i8::try_from(scale).unwrap());
        let mut frames = Frames::new(1);
        frames.feed(&bytes);
        let mut found = Vec::new();
        while let Some(frame) = frames.next().unwrap() {
            found.push(text_of(wire, frame.field(0).unwrap()).expect("a decimal"));
        }
        frames.finish().unwrap();
        assert_eq!(found, expected, "scale {scale}");
    }
}

/// A table with one column of many types, and its bytes as the server sends them.
async fn sample() -> (Vec<Mapped>, Vec<u8>) {
    let database = Database::new().await;
    database
        .execute(
            "CREATE TABLE t (a bigint NOT NULL, b text, c numeric(20,5), d timestamptz, e bytea, \
             f uuid, g boolean, h double precision, i date, j time); \
             INSERT INTO t SELECT n, repeat(chr(300 + n), n), n / 7.0, \
             now() + n * interval '1 day', decode(md5(n::text), 'hex'), md5(n::text)::uuid, \
             n % 2 = 0, sqrt(n), current_date + n, time '00:00' + n * interval '1 minute' \
             FROM generate_series(1, 60) n; INSERT INTO t (a) VALUES (0)",
        )
        .await;
    let mut connection = database.connect().await;
    let name = TableName::parse("public.t").unwrap();
    let table = Table::read(&mut connection, &name).await.unwrap();
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| match map(column, None).unwrap() {
            Fit::Mapped(mapped) => mapped,
            Fit::NumericUndeclared => panic!("{} is undeclared", column.name),
        })
        .collect();
    let bytes = copy(&mut connection, "SELECT * FROM t").await;
    (columns, bytes)
}

fn decode(columns: &[Mapped], pieces: &[&[u8]]) -> etl_core::Result<RecordBatch> {
    let fields: Vec<_> = columns.iter().map(|column| column.field.clone()).collect();
    let wires: Vec<_> = columns.iter().map(|column| column.wire).collect();
    let keys = vec![true; wires.len()];
    let fail = vec![OnSpecial::Fail; wires.len()];
    let mut rows = Rows::new(Arc::new(Schema::new(fields)), &wires, keys, fail);
    let mut frames = Frames::new(wires.len());
    for piece in pieces {
        frames.feed(piece);
        while let Some(frame) = frames.next()? {
            rows.push(&frame, false)?;
        }
    }
    frames.finish()?;
    Ok(rows.take(&[])?.0.records().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_are_the_same_however_their_bytes_are_cut() {
    let (columns, bytes) = sample().await;
    let whole = decode(&columns, &[&bytes]).unwrap();
    assert_eq!(whole.num_rows(), 61);
    let cuts = prop::collection::vec(0..bytes.len(), 0..40);
    for mut cuts in samples(&cuts, 500) {
        cuts.sort_unstable();
        cuts.push(bytes.len());
        let mut from = 0;
        let pieces: Vec<_> = cuts
            .iter()
            .map(|to| {
                let piece = &bytes[from..*to];
                from = *to;
                piece
            })
            .collect();
        assert_eq!(decode(&columns, &pieces).unwrap(), whole, "cut at {cuts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbled_bytes_are_an_error_or_rows_and_never_a_panic() {
    let (columns, bytes) = sample().await;
    let flips = (0..bytes.len(), any::<u8>());
    for (at, byte) in samples(&flips, 5_000) {
        let mut garbled = bytes.clone();
        garbled[at] ^= byte;
        // Whether it is noticed depends on the byte; that it stops is what counts.
        drop(decode(&columns, &[&garbled]));
    }
}
