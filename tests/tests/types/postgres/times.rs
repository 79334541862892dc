//! Dates, times, intervals.

use crate::types::cell::{Case, Shape, Want, case, declared, is, no};

pub(super) const CASES: &[Case] = &[
    case(
        "date",
        Shape::Date,
        &[
            is("'0001-01-01'", "0001-01-01"),
            is("'9999-12-31'", "9999-12-31"),
            is("'2000-02-29'", "2000-02-29"),
            // The calendars' change of 1582 has no place in SQL's.
            is("'1582-10-10'", "1582-10-10"),
            is("'1969-12-31'", "1969-12-31"),
            no("'infinity'", "infinity"),
            no("'-infinity'", "infinity"),
            no("'0001-12-31 BC'", "before 0001-01-01"),
            no("'4713-01-01 BC'", "before 0001-01-01"),
            no("'10000-01-01'", "after 9999-12-31"),
            no("'5874897-12-31'", "after 9999-12-31"),
        ],
    ),
    case(
        "timestamp",
        Shape::Timestamp,
        &[
            is("'0001-01-01 00:00:00'", "0001-01-01T00:00:00.000000"),
            is("'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"),
            is("'1969-12-31 23:59:59.999999'", "1969-12-31T23:59:59.999999"),
            is("'epoch'", "1970-01-01T00:00:00.000000"),
            is("'2024-02-29 24:00:00'", "2024-03-01T00:00:00.000000"),
            // Postgres keeps no leap second.
            is("'2016-12-31 23:59:60'", "2017-01-01T00:00:00.000000"),
            is("'2024-01-01 00:00:00.000001'", "2024-01-01T00:00:00.000001"),
            no("'infinity'", "infinity"),
            no("'-infinity'", "infinity"),
            no("'0001-12-31 23:59:59.999999 BC'", "before 0001-01-01"),
            no("'4713-01-01 BC'", "before 0001-01-01"),
            no("'10000-01-01 00:00:00'", "after 9999-12-31"),
            no("'294276-12-31 23:59:59.999999'", "after 9999-12-31"),
        ],
    ),
    case(
        "timestamp(0)",
        Shape::Timestamp,
        &[
            is("'2024-02-29 12:34:56.6'", "2024-02-29T12:34:57.000000"),
            no("'infinity'", "infinity"),
        ],
    ),
    case(
        "timestamp(3)",
        Shape::Timestamp,
        &[
            is("'2024-02-29 12:34:56.789'", "2024-02-29T12:34:56.789000"),
            is("'1969-12-31 23:59:59.999'", "1969-12-31T23:59:59.999000"),
        ],
    ),
    declared(
        "timestamp(3)",
        "datetime2(3)",
        Shape::Timestamp,
        &[is("'2024-02-29 12:34:56.789'", "2024-02-29T12:34:56.789000")],
    ),
    declared(
        "timestamp(3)",
        "datetime2(0)",
        Shape::Timestamp,
        &[no("'2024-02-29'", "datetime2(3)")],
    ),
    declared(
        "timestamp",
        "datetime2(3)",
        Shape::Timestamp,
        &[
            is("'2024-02-29 10:00:00.123'", "2024-02-29T10:00:00.123000"),
            no("'2024-02-29 10:00:00.1234'", "3 fractional digits")
                .but(&[("sqlite", Want::Is("2024-02-29T10:00:00.123400"))]),
        ],
    ),
    case(
        "timestamptz",
        Shape::Instant,
        &[
            is("'0001-01-01 00:00:00Z'", "0001-01-01T00:00:00.000000Z"),
            is("'9999-12-31 23:59:59.999999Z'", "9999-12-31T23:59:59.999999Z"),
            is("'0001-01-01 00:00:00-15:59'", "0001-01-01T15:59:00.000000Z"),
            is("'2024-03-31 02:30:00 Europe/Berlin'", "2024-03-31T01:30:00.000000Z"),
            is("'2023-11-14 22:13:20.123456+02'", "2023-11-14T20:13:20.123456Z"),
            is("'1969-12-31 23:59:59.999999Z'", "1969-12-31T23:59:59.999999Z"),
            no("'infinity'", "infinity"),
            no("'-infinity'", "infinity"),
            no("'0001-01-01 00:00:00+00:01'", "before 0001-01-01"),
            no("'9999-12-31 23:59:59.999999-00:01'", "after 9999-12-31"),
            no("'294276-12-31 23:59:59.999999Z'", "after 9999-12-31"),
        ],
    ),
    case(
        "timestamptz(0)",
        Shape::Instant,
        &[is("'2024-02-29 12:34:56+00'", "2024-02-29T12:34:56.000000Z")],
    ),
    declared(
        "timestamptz(3)",
        "datetimeoffset(3)",
        Shape::Instant,
        &[
            is("'2024-01-01 00:00:00.1234Z'", "2024-01-01T00:00:00.123000Z"),
            is("'1969-12-31 23:59:59.999Z'", "1969-12-31T23:59:59.999000Z"),
        ],
    ),
    declared(
        "timestamptz",
        "datetimeoffset(0)",
        Shape::Instant,
        &[
            is("'epoch'", "1970-01-01T00:00:00.000000Z"),
            no("'1970-01-01 00:00:00.1Z'", "0 fractional digits")
                .but(&[("sqlite", Want::Is("1970-01-01T00:00:00.100000Z"))]),
        ],
    ),
    declared("timestamptz", "datetime2(6)", Shape::Instant, &[no("'epoch'", "datetimeoffset")]),
    case(
        "time",
        Shape::Time,
        &[
            is("'00:00'", "00:00:00.000000"),
            is("'23:59:59.999999'", "23:59:59.999999"),
            is("'00:00:00.000001'", "00:00:00.000001"),
            no("'24:00'", "24:00"),
        ],
    ),
    case(
        "time(0)",
        Shape::Time,
        &[is("'23:59:59'", "23:59:59.000000"), no("'23:59:59.9'", "24:00")],
    ),
    case(
        "time(2)",
        Shape::Time,
        &[is("'00:00:00.01'", "00:00:00.010000"), is("'23:59:59.99'", "23:59:59.990000")],
    ),
    declared(
        "time",
        "time(3)",
        Shape::Time,
        &[
            is("'10:00:00.123'", "10:00:00.123000"),
            no("'10:00:00.1234'", "3 fractional digits")
                .but(&[("sqlite", Want::Is("10:00:00.123400"))]),
        ],
    ),
    case("timetz", Shape::Text, &[no("'10:00+02'", "v: text")]),
    declared(
        "timetz",
        "text",
        Shape::Text,
        &[is("'10:00+02'", "10:00:00+02"), is("'24:00:00-15:59'", "24:00:00-15:59")],
    ),
    case("interval", Shape::Text, &[no("'1 day'", "v: text")]),
    declared(
        "interval",
        "text",
        Shape::Text,
        &[
            is("'1 year 2 mons 3 days 04:05:06.000007'", "1 year 2 mons 3 days 04:05:06.000007"),
            is("'-1 mon'", "-1 mons"),
            is("'178000000 years'", "178000000 years"),
            is("'-178000000 years'", "-178000000 years"),
            is("'0'", "00:00:00"),
            is("'1 mon -1 day +00:00:01'", "1 mon -1 days +00:00:01"),
        ],
    ),
    declared(
        "interval",
        "nvarchar(8)",
        Shape::Text,
        &[is("'00:00:01'", "00:00:01"), no("'1 day 00:00:01'", "the column takes 8")],
    ),
    declared("interval", "decimal(18,2)", Shape::Text, &[no("'1 day'", "text")]),
];
