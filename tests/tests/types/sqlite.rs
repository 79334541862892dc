//! The types of SQLite: what its columns are declared as, and what they may hold instead.

use super::cell::{Case, Shape, Want, case, declared, is, no, same};

const SUBNORMAL: &[(&str, Want)] = &[("mssql", Want::Refused("subnormal"))];
const INFINITE: &[(&str, Want)] = &[("mssql", Want::Refused("infinite"))];
/// Nothing is lost where there is no narrower type.
const DIGITS: &[(&str, Want)] = &[("sqlite", Want::Is("2024-02-29T12:00:00.123456Z"))];
const NUL: &[(&str, Want)] = &[("mssql", Want::Is("a\0b"))];

pub(super) const CASES: &[Case] = &[
    case(
        "INT2",
        Shape::Number,
        &[same("-32768"), same("32767"), no("32768", "16-bit"), no("'a'", "a text")],
    ),
    case(
        "INT4",
        Shape::Number,
        &[same("-2147483648"), same("2147483647"), no("2147483648", "32-bit"), no("0.5", "float")],
    ),
    case(
        "INTEGER",
        Shape::Number,
        &[
            same("-9223372036854775808"),
            same("9223372036854775807"),
            same("0"),
            no("1e300", "float"),
        ],
    ),
    case("BIGINT", Shape::Number, &[same("9223372036854775807"), no("x'00'", "blob")]),
    case("TINYINT", Shape::Number, &[same("-1"), same("300")]),
    case(
        "FLOAT4",
        Shape::Real,
        &[
            is("0.5", "0.5"),
            is("0.10000000149011612", "0.1"),
            no("0.1", "4-byte"),
            no("1e300", "4-byte"),
            is("16777216", "16777216.0"),
        ],
    ),
    case(
        "REAL",
        Shape::Double,
        &[
            same("-1.7976931348623157e308"),
            same("1.7976931348623157e308"),
            is("5e-324", "5e-324").but(SUBNORMAL),
            is("0", "0.0"),
            same("0.1"),
            is("9e999", "inf").but(INFINITE),
            no("'a'", "a text"),
        ],
    ),
    case("DOUBLE PRECISION", Shape::Double, &[same("0.30000000000000004")]),
    case(
        "BOOLEAN",
        Shape::Bool,
        &[is("1", "true"), is("0", "false"), no("2", "0 or 1"), no("'t'", "a text")],
    ),
    case(
        "DECIMAL_TEXT(18,2)",
        Shape::Number,
        &[
            is("'1.1'", "1.10"),
            is("'-9999999999999999.99'", "-9999999999999999.99"),
            is("12", "12.00"),
            no("'1.111'", "without loss"),
            no("'10000000000000000'", "without loss"),
            no("'NaN'", "without loss"),
            no("'1e2'", "without loss"),
        ],
    ),
    case(
        "DECIMAL_TEXT(38,38)",
        Shape::Number,
        &[
            is(
                "'-0.99999999999999999999999999999999999999'",
                "-0.99999999999999999999999999999999999999",
            ),
            is(
                "'0.00000000000000000000000000000000000001'",
                "0.00000000000000000000000000000000000001",
            ),
        ],
    ),
    // Kept as binary floats, whose fifteen digits are exact.
    case(
        "NUMERIC(18,2)",
        Shape::Number,
        &[
            is("1.1", "1.10"),
            is("123456789012.25", "123456789012.25"),
            no("12345678901234567.5", "without loss"),
        ],
    ),
    case("NUMERIC", Shape::Number, &[no("1", "decimal(18,2)")]),
    declared(
        "NUMERIC",
        "decimal(9,3)",
        Shape::Number,
        &[is("1.125", "1.125"), no("1.0625", "without loss")],
    ),
    case(
        "TEXT",
        Shape::Text,
        &[
            is("''", ""),
            is("'a '", "a "),
            is("'it''s \\ 😀'", "it's \\ 😀"),
            is("char(65535) || char(65533)", "\u{ffff}\u{fffd}"),
            is("char(1114111)", "\u{10ffff}"),
            is("replace(hex(zeroblob(524288)), '0', 'x')", "x*1048576"),
            no("'a' || char(0) || 'b'", "NUL").but(NUL),
            no("CAST(x'ff' AS TEXT)", "UTF-8"),
            no("x'00'", "blob"),
        ],
    ),
    case("VARCHAR(3)", Shape::Text, &[is("'😀😀😀'", "😀😀😀"), no("'abcd'", "characters")]),
    case("NVARCHAR(3)", Shape::Text, &[is("'😀a'", "😀a"), no("'😀😀'", "UTF-16")]),
    case("CLOB", Shape::Text, &[is("'x'", "x")]),
    case("JSON_TEXT", Shape::Text, &[is("'{\"a\" : 1.0}'", "{\"a\" : 1.0}")]),
    case("ARRAY_TEXT", Shape::Text, &[is("'{1,NULL}'", "{1,NULL}")]),
    case(
        "BLOB",
        Shape::Bytes,
        &[
            is("x''", ""),
            is("x'00ff00'", "00ff00"),
            is("zeroblob(1048576)", "00*1048576"),
            no("'a'", "a text"),
        ],
    ),
    case(
        "UUID_TEXT",
        Shape::Uuid,
        &[
            is("'00112233-4455-6677-8899-AABBCCDDEEFF'", "00112233-4455-6677-8899-aabbccddeeff"),
            is("x'00112233445566778899aabbccddeeff'", "00112233-4455-6677-8899-aabbccddeeff"),
            no("'0011'", "uuid"),
        ],
    ),
    case(
        "DATE_TEXT",
        Shape::Date,
        &[
            is("'0001-01-01'", "0001-01-01"),
            is("'9999-12-31'", "9999-12-31"),
            no("'10000-01-01'", "the form"),
            no("'2023-02-29'", "the form"),
            no("20240101", "the form"),
        ],
    ),
    case(
        "TIMESTAMP_TEXT",
        Shape::Timestamp,
        &[
            is("'0001-01-01T00:00:00.000001'", "0001-01-01T00:00:00.000001"),
            is("'9999-12-31 23:59:59.999999'", "9999-12-31T23:59:59.999999"),
            is("'2024-02-29 12:00:00'", "2024-02-29T12:00:00.000000"),
            no("'2024-02-29'", "the form"),
            no("'2024-02-29 12:00:00.1234567'", "the form"),
            no("'2016-12-31 23:59:60'", "the form"),
        ],
    ),
    case(
        "TIMESTAMPTZ_TEXT",
        Shape::Instant,
        &[
            is("'2024-02-29T12:00:00.123456Z'", "2024-02-29T12:00:00.123456Z"),
            is("'1969-12-31 23:59:59'", "1969-12-31T23:59:59.000000Z"),
            no("'2024-02-29T12:00:00+02:00'", "the form"),
        ],
    ),
    case(
        "TIME_TEXT",
        Shape::Time,
        &[
            is("'23:59:59.999999'", "23:59:59.999999"),
            is("'00:00:00'", "00:00:00.000000"),
            no("'24:00:00'", "the form"),
        ],
    ),
    case(
        "TIMESTAMPTZ_TEXT(3)",
        Shape::Instant,
        &[
            is("'2024-02-29T12:00:00.123Z'", "2024-02-29T12:00:00.123000Z"),
            no("'2024-02-29T12:00:00.123456Z'", "fractional").but(DIGITS),
        ],
    ),
    case("POINT", Shape::Text, &[no("'x'", "v: text")]),
    declared("POINT", "text", Shape::Text, &[is("'x'", "x")]),
];
