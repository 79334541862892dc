//! Dates and times of every scale.

use crate::types::cell::{Case, Shape, case, cut, declared, is, no};

pub(super) const CASES: &[Case] = &[
    case(
        "date",
        Shape::Date,
        &[
            is("'0001-01-01'", "0001-01-01"),
            is("'9999-12-31'", "9999-12-31"),
            is("'2000-02-29'", "2000-02-29"),
        ],
    ),
    case(
        "time(0)",
        Shape::Time,
        &[is("'23:59:59'", "23:59:59.000000"), is("'00:00:00'", "00:00:00.000000")],
    ),
    case("time(1)", Shape::Time, &[is("'23:59:59.9'", "23:59:59.900000")]),
    case("time(2)", Shape::Time, &[is("'23:59:59.99'", "23:59:59.990000")]),
    case("time(3)", Shape::Time, &[is("'00:00:00.001'", "00:00:00.001000")]),
    case("time(4)", Shape::Time, &[is("'00:00:00.0001'", "00:00:00.000100")]),
    case("time(5)", Shape::Time, &[is("'00:00:00.00001'", "00:00:00.000010")]),
    case("time(6)", Shape::Time, &[is("'23:59:59.999999'", "23:59:59.999999")]),
    case("time(7)", Shape::Time, &[no("'10:00:00.1234569'", "seventh digit")]),
    declared(
        "time(7)",
        "time(6)",
        Shape::Time,
        &[
            cut("'10:00:00.1234569'", "10:00:00.123456"),
            is("'23:59:59.9999990'", "23:59:59.999999"),
        ],
    ),
    declared(
        "time(7)",
        "text",
        Shape::Text,
        &[is("'10:00:00.1234569'", "10:00:00.1234569"), is("'00:00:00'", "00:00:00.0000000")],
    ),
    declared("time(7)", "time(3)", Shape::Time, &[no("'10:00:00'", "time(6)")]),
    declared("time(3)", "time(0)", Shape::Time, &[no("'10:00:00'", "time(3)")]),
    // Three-hundredths of a second, by the milliseconds that the server shows.
    case(
        "datetime",
        Shape::Timestamp,
        &[
            is("'1753-01-01T00:00:00.003'", "1753-01-01T00:00:00.003000"),
            is("'9999-12-31T23:59:59.997'", "9999-12-31T23:59:59.997000"),
            is("'2024-02-29T10:00:00.007'", "2024-02-29T10:00:00.007000"),
            is("'2024-02-29T10:00:00.010'", "2024-02-29T10:00:00.010000"),
            is("'1899-12-31T23:59:59.997'", "1899-12-31T23:59:59.997000"),
        ],
    ),
    declared("datetime", "datetime2(0)", Shape::Timestamp, &[no("'2024-02-29'", "datetime2(3)")]),
    case(
        "smalldatetime",
        Shape::Timestamp,
        &[
            is("'1900-01-01T00:01:00'", "1900-01-01T00:01:00.000000"),
            is("'2079-06-06T23:59:00'", "2079-06-06T23:59:00.000000"),
        ],
    ),
    case(
        "datetime2(0)",
        Shape::Timestamp,
        &[is("'2024-02-29T23:59:59'", "2024-02-29T23:59:59.000000")],
    ),
    case(
        "datetime2(1)",
        Shape::Timestamp,
        &[is("'2024-02-29T23:59:59.9'", "2024-02-29T23:59:59.900000")],
    ),
    case(
        "datetime2(2)",
        Shape::Timestamp,
        &[is("'2024-02-29T23:59:59.99'", "2024-02-29T23:59:59.990000")],
    ),
    case(
        "datetime2(3)",
        Shape::Timestamp,
        &[is("'2024-02-29T23:59:59.999'", "2024-02-29T23:59:59.999000")],
    ),
    case(
        "datetime2(4)",
        Shape::Timestamp,
        &[is("'2024-02-29T23:59:59.9999'", "2024-02-29T23:59:59.999900")],
    ),
    case(
        "datetime2(5)",
        Shape::Timestamp,
        &[is("'2024-02-29T23:59:59.99999'", "2024-02-29T23:59:59.999990")],
    ),
    case(
        "datetime2(6)",
        Shape::Timestamp,
        &[
            is("'0001-01-01T00:00:00.000001'", "0001-01-01T00:00:00.000001"),
            is("'9999-12-31T23:59:59.999999'", "9999-12-31T23:59:59.999999"),
            is("'1969-12-31T23:59:59.999999'", "1969-12-31T23:59:59.999999"),
        ],
    ),
    case("datetime2(7)", Shape::Timestamp, &[no("'2024-02-29T10:00:00'", "seventh digit")]),
    declared(
        "datetime2(7)",
        "datetime2(6)",
        Shape::Timestamp,
        &[
            cut("'2024-02-29T10:00:00.1234569'", "2024-02-29T10:00:00.123456"),
            cut("'0001-01-01T00:00:00.0000009'", "0001-01-01T00:00:00.000000"),
            cut("'9999-12-31T23:59:59.9999999'", "9999-12-31T23:59:59.999999"),
            is("'1969-12-31T23:59:59.999999'", "1969-12-31T23:59:59.999999"),
        ],
    ),
    declared(
        "datetime2(7)",
        "text",
        Shape::Text,
        &[
            is("'2024-02-29T10:00:00.1234569'", "2024-02-29 10:00:00.1234569"),
            is("'9999-12-31T23:59:59.9999999'", "9999-12-31 23:59:59.9999999"),
        ],
    ),
    declared(
        "datetime2(7)",
        "datetime2(3)",
        Shape::Timestamp,
        &[no("'2024-02-29'", "datetime2(6)")],
    ),
    declared(
        "datetime2(3)",
        "datetimeoffset(3)",
        Shape::Timestamp,
        &[no("'2024-02-29'", "datetime2(f)")],
    ),
    case("datetimeoffset(0)", Shape::Instant, &[no("'2024-02-29T10:00:00+05:30'", "offset")]),
    case(
        "datetimeoffset(7)",
        Shape::Instant,
        &[no("'2024-02-29T10:00:00+05:30'", "datetimeoffset(6)")],
    ),
    // The instant; the offset is what is cut off.
    declared(
        "datetimeoffset(0)",
        "datetimeoffset(0)",
        Shape::Instant,
        &[
            cut("'2024-02-29T10:00:00-14:00'", "2024-03-01T00:00:00.000000Z"),
            is("'2024-02-29T10:00:00+00:00'", "2024-02-29T10:00:00.000000Z"),
        ],
    ),
    declared(
        "datetimeoffset(3)",
        "datetimeoffset(3)",
        Shape::Instant,
        &[cut("'2024-02-29T10:00:00.123+05:30'", "2024-02-29T04:30:00.123000Z")],
    ),
    declared(
        "datetimeoffset(6)",
        "datetimeoffset(6)",
        Shape::Instant,
        &[
            cut("'2024-02-29T10:00:00.123456+05:30'", "2024-02-29T04:30:00.123456Z"),
            is("'0001-01-01T00:00:00.000001+00:00'", "0001-01-01T00:00:00.000001Z"),
            is("'9999-12-31T23:59:59.999999+00:00'", "9999-12-31T23:59:59.999999Z"),
        ],
    ),
    declared(
        "datetimeoffset(7)",
        "datetimeoffset(6)",
        Shape::Instant,
        &[cut("'2024-02-29T10:00:00.1234569+01:00'", "2024-02-29T09:00:00.123456Z")],
    ),
    declared(
        "datetimeoffset(7)",
        "text",
        Shape::Text,
        &[
            is("'2024-02-29T10:00:00.1234569+05:30'", "2024-02-29 10:00:00.1234569 +05:30"),
            is("'2024-02-29T10:00:00+00:00'", "2024-02-29 10:00:00.0000000 +00:00"),
        ],
    ),
    declared(
        "datetimeoffset(3)",
        "datetimeoffset(0)",
        Shape::Instant,
        &[no("'2024-02-29'", "datetimeoffset(3)")],
    ),
];
