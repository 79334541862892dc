//! Every type, from NULL to its greatest value: equal, or refused by name.

use etl_core::Class;
use etl_core::testing::canonical;
use etl_tests::mssql::Database;
use serde_json::{Value, json};

use super::support::{self, WIDE, build, stream, sweep, sweep_error};

struct Cell {
    kind: &'static str,
    declared: Option<&'static str>,
    /// A value in T-SQL, and its text once carried.
    values: &'static [(&'static str, &'static str)],
}

const fn cell(kind: &'static str, values: &'static [(&'static str, &'static str)]) -> Cell {
    Cell { kind, declared: None, values }
}

const fn declared(
    kind: &'static str,
    declared: &'static str,
    values: &'static [(&'static str, &'static str)],
) -> Cell {
    Cell { kind, declared: Some(declared), values }
}

const CELLS: &[Cell] = &[
    cell("bit", &[("0", "false"), ("1", "true")]),
    cell("tinyint", &[("0", "0"), ("255", "255")]),
    cell("smallint", &[("-32768", "-32768"), ("32767", "32767")]),
    cell("int", &[("-2147483648", "-2147483648"), ("2147483647", "2147483647")]),
    cell(
        "bigint",
        &[
            ("-9223372036854775808", "-9223372036854775808"),
            ("9223372036854775807", "9223372036854775807"),
        ],
    ),
    cell("real", &[("1.5", "1.5"), ("-3.4028235E38", "-3.4028235e38"), ("0", "0.0")]),
    cell("float", &[("0.1", "0.1"), ("-1.7976931348623157E308", "-1.7976931348623157e308")]),
    cell("decimal(5,2)", &[("-999.99", "-999.99"), ("0.01", "0.01")]),
    cell(
        "decimal(38,0)",
        &[
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
            ("-1", "-1"),
        ],
    ),
    cell(
        "decimal(38,38)",
        &[("0.00000000000000000000000000000000000001", "0.00000000000000000000000000000000000001")],
    ),
    declared("decimal(9,4)", "decimal(18,6)", &[("-12345.6789", "-12345.678900")]),
    declared("decimal(9,4)", "decimal(5,2)", &[("1.5", "1.50")]),
    cell(
        "money",
        &[
            ("-922337203685477.5808", "-922337203685477.5808"),
            ("922337203685477.5807", "922337203685477.5807"),
            ("0.0001", "0.0001"),
        ],
    ),
    cell("smallmoney", &[("-214748.3648", "-214748.3648"), ("214748.3647", "214748.3647")]),
    cell(
        "nvarchar(10)",
        &[
            ("N''", ""),
            ("N'a b '", "a b "),
            ("N'漢🚚''\\'", "漢🚚'\\"),
            ("N'🚚🚚🚚🚚🚚'", "🚚🚚🚚🚚🚚"),
        ],
    ),
    cell("nvarchar(max)", &[("REPLICATE(CONVERT(nvarchar(max), N'ä'), 9000)", "ä*9000")]),
    cell("varchar(10)", &[("''", ""), ("'é€ü '", "é€ü ")]),
    cell("varchar(max)", &[("REPLICATE(CONVERT(varchar(max), 'x'), 9000)", "x*9000")]),
    cell("nchar(5)", &[("N'ä'", "ä"), ("N''", "")]),
    cell("char(5)", &[("'ab'", "ab"), ("'abcde'", "abcde")]),
    cell("binary(4)", &[("0x00FF", "00ff0000")]),
    cell("varbinary(8)", &[("0x", ""), ("0x00FF10", "00ff10")]),
    cell(
        "varbinary(max)",
        &[("CONVERT(varbinary(max), REPLICATE(CONVERT(varchar(max), 'A'), 9000))", "41*9000")],
    ),
    cell(
        "uniqueidentifier",
        &[("'00112233-4455-6677-8899-AABBCCDDEEFF'", "00112233445566778899aabbccddeeff")],
    ),
    cell("date", &[("'0001-01-01'", "0001-01-01"), ("'9999-12-31'", "9999-12-31")]),
    cell("time(0)", &[("'23:59:59'", "23:59:59")]),
    cell("time(3)", &[("'00:00:00.001'", "00:00:00.001")]),
    cell("time(6)", &[("'23:59:59.999999'", "23:59:59.999999")]),
    cell(
        "datetime",
        &[
            ("'1753-01-01T00:00:00.003'", "1753-01-01T00:00:00.003000Z"),
            ("'1999-12-31T23:59:59.997'", "1999-12-31T23:59:59.997000Z"),
            ("'2024-02-29T10:00:00.007'", "2024-02-29T10:00:00.007000Z"),
        ],
    ),
    cell(
        "smalldatetime",
        &[
            ("'1900-01-01T00:01:00'", "1900-01-01T00:01:00.000000Z"),
            ("'2079-06-06T23:59:00'", "2079-06-06T23:59:00.000000Z"),
        ],
    ),
    cell("datetime2(0)", &[("'2024-02-29T23:59:59'", "2024-02-29T23:59:59.000000Z")]),
    cell(
        "datetime2(6)",
        &[
            ("'0001-01-01T00:00:00.000001'", "0001-01-01T00:00:00.000001Z"),
            ("'9999-12-31T23:59:59.999999'", "9999-12-31T23:59:59.999999Z"),
        ],
    ),
    declared(
        "datetimeoffset(6)",
        "datetimeoffset(6)",
        &[
            ("'2024-02-29T10:00:00.123456+05:30'", "2024-02-29T04:30:00.123456Z"),
            ("'0001-01-01T00:00:00.000001+00:00'", "0001-01-01T00:00:00.000001Z"),
        ],
    ),
    declared(
        "datetimeoffset(0)",
        "datetimeoffset(0)",
        &[("'2024-02-29T10:00:00-14:00'", "2024-03-01T00:00:00.000000Z")],
    ),
];

/// Digits that Babelfish does not keep.
const SEVENTH: &[Cell] = &[
    declared(
        "datetime2(7)",
        "datetime2(6)",
        &[("'2024-02-29T10:00:00.1234569'", "2024-02-29T10:00:00.123456Z")],
    ),
    declared("time(7)", "time(6)", &[("'10:00:00.1234569'", "10:00:00.123456")]),
    declared(
        "datetimeoffset(7)",
        "datetimeoffset(6)",
        &[("'2024-02-29T10:00:00.1234569+01:00'", "2024-02-29T09:00:00.123456Z")],
    ),
];

/// A table with one column of the type, one row per value and one for NULL.
async fn table(database: &Database, number: usize, cell: &Cell) -> String {
    let name = format!("dbo.cell{number}");
    let mut sql = format!(
        "CREATE TABLE {name} (id int NOT NULL PRIMARY KEY, v {} NULL, \
         at datetime2(3) NOT NULL DEFAULT '2024-01-01'); \
         INSERT INTO {name} (id, v) VALUES (0, NULL);",
        cell.kind
    );
    for (id, (value, _)) in cell.values.iter().enumerate() {
        sql.push_str(&format!(" INSERT INTO {name} (id, v) VALUES ({}, {value});", id + 1));
    }
    database.run(&sql).await;
    name
}

fn config(declared: Option<&str>) -> impl FnOnce(&mut Value) {
    let declared = declared.map(str::to_owned);
    move |config: &mut Value| {
        config["select"] = json!(["id", "v", "at"]);
        config["columns"] = declared.map_or_else(|| json!({}), |kind| json!({ "v": kind }));
        config["cursor"] = json!({
            "column": "at", "utc_offset": "+00:00", "set_by": "application",
            "safety": { "lookback": "10m" }, "unindexed": true,
        });
    }
}

/// `ä*9000` stands for that many of them.
fn expand(text: &str) -> String {
    match text.rsplit_once('*').and_then(|(part, times)| Some((part, times.parse().ok()?))) {
        Some((part, times)) => part.repeat(times),
        None => text.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_every_type_is_carried_as_it_is() {
    let Some(database) = support::database(|_| true).await else { return };
    let seventh = support::Abilities::of(&database).await.versions;
    let cells = CELLS.iter().chain(SEVENTH.iter().filter(|_| seventh));
    for (number, cell) in cells.enumerate() {
        let name = table(&database, number, cell).await;
        let source = build(&database.section(), &stream(&name, config(cell.declared))).unwrap();
        let batches = sweep(&source, None, WIDE).await;
        let batches = batches.unwrap_or_else(|error| panic!("{}: {error:?}", cell.kind));
        let mut found = Vec::new();
        for batch in &batches {
            found.extend(canonical(batch.changes.records()).unwrap());
        }
        assert_eq!(found.len(), cell.values.len() + 1, "{}", cell.kind);
        for row in found {
            let id: usize = row["id"].as_deref().unwrap().parse().unwrap();
            let expected = id.checked_sub(1).map(|place| expand(cell.values[place].1));
            assert_eq!(row["v"], expected, "{} {:?}", cell.kind, cell.declared);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_loses_something_has_to_be_declared() {
    let Some(database) = support::database(|_| true).await else { return };
    let none = &[][..];
    let seventh = support::Abilities::of(&database).await.versions;
    for (number, (kind, wrong, words)) in [
        ("datetime2(7)", None, &["seventh digit", "datetime2(6)"][..]),
        ("time(7)", None, &["seventh digit", "time(6)"]),
        ("datetimeoffset(3)", None, &["offset", "datetimeoffset(3)"]),
        ("datetimeoffset(7)", None, &["offset", "datetimeoffset(6)"]),
        ("int", Some("text"), &["one exact form"]),
        ("decimal(9,2)", Some("time(3)"), &["decimal(p,s)"]),
        ("nvarchar(9)", Some("decimal(9,2)"), &["varchar(n)"]),
        ("datetime2(3)", Some("datetimeoffset(3)"), &["datetime2(f)"]),
    ]
    .into_iter()
    .enumerate()
    {
        if kind.contains("(7)") && !seventh {
            continue;
        }
        let cell = Cell { kind, declared: None, values: none };
        let name = table(&database, number, &cell).await;
        let source = build(&database.section(), &stream(&name, config(wrong))).unwrap();
        let error = source.schema().await.unwrap_err();
        assert!(matches!(error.class(), Class::Schema | Class::Config), "{kind}: {error}");
        for word in words {
            assert!(error.to_string().contains(word), "{kind}: no {word} in {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decimal_that_the_declared_one_cannot_hold_is_told_by_column_and_key() {
    let Some(database) = support::database(|_| true).await else { return };
    let wide =
        Cell { kind: "decimal(9,4)", declared: None, values: &[("1.2345", ""), ("99999", "")] };
    for (number, (kind, word)) in
        [("decimal(9,2)", "after the point"), ("decimal(8,4)", "before the point")]
            .into_iter()
            .enumerate()
    {
        let name = table(&database, number, &wide).await;
        let source = build(&database.section(), &stream(&name, config(Some(kind)))).unwrap();
        let error = sweep_error(&source, None).await;
        assert_eq!(error.class(), Class::Data);
        let text = error.to_string();
        assert!(text.contains("column v of the row with key (id = "), "{text}");
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rowversion_is_carried_as_eight_bytes() {
    let Some(trial) = support::Trial::orders().await else { return };
    trial.insert(1..=1, "a").await;
    let batches = sweep(&trial.source(|_| ()), None, WIDE).await.unwrap();
    let rows = canonical(batches[0].changes.records()).unwrap();
    let sql = "SELECT CONVERT(nvarchar(16), CONVERT(varbinary(8), rv), 2) FROM dbo.orders;";
    let expected = trial.database.rows(sql).await[0][0].clone().unwrap().to_lowercase();
    assert_eq!(rows[0]["rv"].as_deref(), Some(expected.as_str()));
}
