//! `on_special`: values that a target has no form for become NULL, the nearest value, or stop the
//! run, as the config says for the stream and for single columns.

use etl_core::Class;
use etl_core::connector::OnSpecial;

use super::carry::Trial;
use super::cell::{Case, Shape, case, declared};
use super::{TARGETS, postgres};
use crate::support::side::Side;

/// A type, a value of it that has no form, and the nearest that has one.
type Special = (Case, &'static str, Option<&'static str>);

const fn float(kind: &'static str, shape: Shape) -> Case {
    case(kind, shape, &[])
}

const SPECIAL: &[Special] = &[
    (case("date", Shape::Date, &[]), "'infinity'", Some("9999-12-31")),
    (case("date", Shape::Date, &[]), "'-infinity'", Some("0001-01-01")),
    (case("date", Shape::Date, &[]), "'0044-03-15 BC'", Some("0001-01-01")),
    (case("date", Shape::Date, &[]), "'10000-01-01'", Some("9999-12-31")),
    (case("timestamp", Shape::Timestamp, &[]), "'infinity'", Some("9999-12-31T23:59:59.999999")),
    (case("timestamp(0)", Shape::Timestamp, &[]), "'infinity'", Some("9999-12-31T23:59:59.000000")),
    (case("timestamp", Shape::Timestamp, &[]), "'-infinity'", Some("0001-01-01T00:00:00.000000")),
    (
        case("timestamptz(3)", Shape::Instant, &[]),
        "'infinity'",
        Some("9999-12-31T23:59:59.999000Z"),
    ),
    (
        case("timestamptz", Shape::Instant, &[]),
        "'4713-01-01 BC'",
        Some("0001-01-01T00:00:00.000000Z"),
    ),
    (case("time", Shape::Time, &[]), "'24:00'", Some("23:59:59.999999")),
    (case("time(2)", Shape::Time, &[]), "'24:00'", Some("23:59:59.990000")),
    (float("real", Shape::Real), "'Infinity'", Some("3.4028235e38")),
    (float("real", Shape::Real), "'-Infinity'", Some("-3.4028235e38")),
    (float("double precision", Shape::Double), "'-Infinity'", Some("-1.7976931348623157e308")),
    (float("double precision", Shape::Double), "'NaN'", None),
    (float("real", Shape::Real), "'NaN'", None),
    (case("numeric(4,2)", Shape::Number, &[]), "'NaN'", None),
    (declared("numeric", "decimal(4,2)", Shape::Number, &[]), "'Infinity'", Some("99.99")),
    (declared("numeric", "decimal(4,2)", Shape::Number, &[]), "'-Infinity'", Some("-99.99")),
];

/// Those that one target alone has no form for.
const OF_ONE_TARGET: &[(&str, Special)] = &[
    ("mssql", (float("double precision", Shape::Double), "5e-324", Some("0.0"))),
    (
        "mssql",
        (float("double precision", Shape::Double), "-2e-308", Some("-2.2250738585072014e-308")),
    ),
    ("mssql", (float("real", Shape::Real), "1.1e-38", Some("1.1754944e-38"))),
    ("mssql", (float("real", Shape::Real), "-1e-45", Some("-0.0"))),
    ("sqlite", (float("double precision", Shape::Double), "'-0'", Some("0.0"))),
    ("sqlite", (float("real", Shape::Real), "'-0'", Some("0.0"))),
];

async fn tried(from: &Side, to: &Side, number: usize, (case, sql, nearest): &Special) {
    let told = format!("{} {sql} to {}", case.name(), to.kind());
    let mut trial = Trial::new(case, &format!("s{number}"), from, to).await;
    trial.insert(&[(1, sql)]).await;
    let error = trial.run(Vec::new()).await.expect_err(&told);
    assert_eq!(error.class(), Class::Data, "{told}: {error}");
    assert!(error.to_string().contains("on_special"), "{told}: {error}");

    // For the column alone; the rest of the stream still stops.
    trial.stream.config.on_special_columns.insert("v".to_owned(), OnSpecial::Null);
    trial.run(Vec::new()).await.unwrap_or_else(|error| panic!("{told}, null: {error}"));
    assert_eq!(trial.shown().await[&1], None, "{told}, null");

    trial.stream.config.on_special_columns.insert("v".to_owned(), OnSpecial::Clamp);
    match nearest {
        Some(nearest) => {
            trial.run(Vec::new()).await.unwrap_or_else(|error| panic!("{told}, clamp: {error}"));
            assert_eq!(trial.shown().await[&1].as_deref(), Some(*nearest), "{told}, clamp");
        }
        None => {
            let error = trial.run(Vec::new()).await.expect_err(&told);
            assert_eq!(error.class(), Class::Data, "{told}: {error}");
            assert!(error.to_string().contains("near"), "{told}: {error}");
            assert_eq!(trial.shown().await[&1], None, "{told}, clamp");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_special_value_stops_becomes_null_or_the_nearest_one_as_the_column_says() {
    let from = Side::of("postgres").await;
    from.execute(postgres::SETUP).await;
    for kind in TARGETS {
        let to = Side::of(kind).await;
        let own = OF_ONE_TARGET.iter().filter(|(target, _)| *target == kind);
        let all = SPECIAL.iter().chain(own.map(|(_, special)| special));
        for (number, special) in all.enumerate() {
            tried(&from, &to, number, special).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_value_fits_a_column_that_may_not_be_null() {
    let from = Side::of("postgres").await;
    let to = Side::of("mssql").await;
    let case = case("date NOT NULL", Shape::Date, &[]);
    let mut trial = Trial::new(&case, "s", &from, &to).await;
    trial.insert(&[(1, "'infinity'")]).await;
    trial.stream.config.on_special = OnSpecial::Null;
    let error = trial.run(Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("NOT NULL"), "{error}");
    trial.stream.config.on_special = OnSpecial::Clamp;
    trial.run(Vec::new()).await.unwrap();
    assert_eq!(trial.shown().await[&1].as_deref(), Some("9999-12-31"));
}

/// What a database, a role or a URL sets changes no text.
#[tokio::test(flavor = "multi_thread")]
async fn settings_of_a_database_change_no_value() {
    let from = Side::of("postgres").await;
    from.execute(postgres::SETUP).await;
    let Side::Postgres(database) = &from else { panic!("not Postgres") };
    for setting in [
        "extra_float_digits = -3",
        "datestyle = 'SQL, DMY'",
        "intervalstyle = 'iso_8601'",
        "timezone = 'Asia/Tokyo'",
        "bytea_output = 'escape'",
    ] {
        from.execute(&format!("ALTER DATABASE {} SET {setting}", database.name)).await;
    }
    let to = Side::of("sqlite").await;
    let kinds = [
        "float8[]",
        "timestamptz[]",
        "date[]",
        "bytea[]",
        "interval",
        "tstzrange",
        "point",
        "timestamptz",
        "timestamp",
        "double precision",
        "bytea",
    ];
    let cases = postgres::cases();
    let cases = cases.iter().filter(|case| kinds.contains(&case.kind));
    for (number, case) in cases.enumerate() {
        let trial = Trial::new(case, &format!("t{number}"), &from, &to).await;
        for (cell, found) in trial.arrive(Vec::new()).await {
            let told = format!("{} {cell}: {found:?}", case.name());
            assert!(!matches!(found, super::carry::Found::Wrong(_)), "{told}");
        }
    }
}
