//! Whole numbers, exact ones, binary ones.

use crate::types::cell::{Case, Shape, Want, case, declared, is, no, same};

/// SQL Server counts such floats among the invalid ones.
const SUBNORMAL: &[(&str, Want)] = &[("mssql", Want::Refused("subnormal"))];
/// SQLite keeps 0.0 instead.
const NEGATIVE_ZERO: &[(&str, Want)] = &[("sqlite", Want::Refused("-0.0"))];

pub(super) const CASES: &[Case] = &[
    case("boolean", Shape::Bool, &[same("true"), same("false")]),
    case("smallint", Shape::Number, &[same("-32768"), same("32767"), same("0"), same("-1")]),
    case(
        "integer",
        Shape::Number,
        &[same("-2147483648"), same("2147483647"), same("0"), same("32768"), same("-32769")],
    ),
    case(
        "bigint",
        Shape::Number,
        &[
            same("-9223372036854775808"),
            same("9223372036854775807"),
            same("0"),
            same("2147483648"),
            same("-2147483649"),
            // The first that a float does not have.
            same("9007199254740993"),
        ],
    ),
    case(
        "real",
        Shape::Real,
        &[
            is("-3.4028235e38", "-3.4028235e38"),
            is("3.4028235e38", "3.4028235e38"),
            is("1.1754944e-38", "1.1754944e-38"),
            is("-1.1754944e-38", "-1.1754944e-38"),
            is("1e-45", "1e-45").but(SUBNORMAL),
            is("-1.1754942e-38", "-1.1754942e-38").but(SUBNORMAL),
            is("0", "0.0"),
            is("'-0'", "-0.0").but(NEGATIVE_ZERO),
            is("0.1", "0.1"),
            is("16777217", "16777216.0"),
            no("'NaN'", "NaN"),
            no("'Infinity'", "infinity"),
            no("'-Infinity'", "infinity"),
        ],
    ),
    case(
        "double precision",
        Shape::Double,
        &[
            same("-1.7976931348623157e308"),
            same("1.7976931348623157e308"),
            same("2.2250738585072014e-308"),
            same("-2.2250738585072014e-308"),
            is("5e-324", "5e-324").but(SUBNORMAL),
            is("-2.225073858507201e-308", "-2.225073858507201e-308").but(SUBNORMAL),
            is("0", "0.0"),
            is("'-0'", "-0.0").but(NEGATIVE_ZERO),
            same("0.1"),
            same("0.30000000000000004"),
            is("9007199254740993", "9007199254740992.0"),
            no("'NaN'", "NaN"),
            no("'Infinity'", "infinity"),
            no("'-Infinity'", "infinity"),
        ],
    ),
    case(
        "numeric(18,2)",
        Shape::Number,
        &[
            same("-9999999999999999.99"),
            same("9999999999999999.99"),
            same("0.01"),
            same("-0.01"),
            is("0", "0.00"),
            is("1.1", "1.10"),
            is("-0.001", "0.00"),
            no("'NaN'", "NaN"),
        ],
    ),
    case("numeric(1)", Shape::Number, &[same("-9"), same("9"), same("0"), no("'NaN'", "NaN")]),
    declared(
        "numeric(18,2)",
        "decimal(20,4)",
        Shape::Number,
        &[is("1.1", "1.1000"), is("-9999999999999999.99", "-9999999999999999.9900")],
    ),
    declared(
        "numeric(18,2)",
        "decimal(18,1)",
        Shape::Number,
        &[no("1.1", "would lose"), no("1", "would lose")],
    ),
    declared("numeric(18,2)", "decimal(17,2)", Shape::Number, &[no("1", "would lose")]),
    declared("numeric(18,2)", "text", Shape::Text, &[is("1.1", "1.10"), is("'NaN'", "NaN")]),
    case(
        "numeric",
        Shape::Number,
        &[no("1.5", "\"decimal("), no("'NaN'", "decimal("), no("1e37+0.01", "v: text")],
    ),
    declared(
        "numeric",
        "decimal(20,4)",
        Shape::Number,
        &[
            is("12345.678", "12345.6780"),
            is("-0.0001", "-0.0001"),
            is("1.50000000", "1.5000"),
            same("9999999999999999.9999"),
            same("-9999999999999999.9999"),
            no("10000000000000000", "before the point"),
            no("1.23456", "after the point"),
            no("1e-20", "after the point"),
            no("'NaN'", "NaN"),
            no("'Infinity'", "infinity"),
            no("'-Infinity'", "infinity"),
        ],
    ),
    declared(
        "numeric",
        "text",
        Shape::Text,
        &[
            is("1e40", "10000000000000000000000000000000000000000"),
            is("-1e-20", "-0.00000000000000000001"),
            is("1.50000000", "1.50000000"),
            is("'NaN'", "NaN"),
            is("'Infinity'", "Infinity"),
            is("0", "0"),
        ],
    ),
    // Greater scale than precision, and a negative one: since Postgres 15.
    case(
        "numeric(3,5)",
        Shape::Number,
        &[same("0.00999"), same("-0.00999"), is("0.00001", "0.00001"), is("0", "0.00000")],
    ),
    case(
        "numeric(5,-2)",
        Shape::Number,
        &[is("12345", "12300"), same("9999900"), same("-9999900"), is("49", "0")],
    ),
    declared("numeric(5,-2)", "decimal(6,0)", Shape::Number, &[no("100", "would lose")]),
    // More digits than any decimal.
    case("numeric(39,2)", Shape::Number, &[no("1.25", "decimal(")]),
    declared(
        "numeric(39,2)",
        "decimal(38,2)",
        Shape::Number,
        &[is("1.25", "1.25"), no("1000000000000000000000000000000000000", "before the point")],
    ),
    declared("numeric(39,2)", "text", Shape::Text, &[is("1.25", "1.25")]),
    case("money", Shape::Text, &[no("12.34", "v: text")]),
    declared(
        "money",
        "text",
        Shape::Text,
        &[
            is("'12.34'", "$12.34"),
            is("'-92233720368547758.08'", "-$92,233,720,368,547,758.08"),
            is("'92233720368547758.07'", "$92,233,720,368,547,758.07"),
        ],
    ),
    declared(
        "money",
        "decimal(19,2)",
        Shape::Number,
        &[
            is("'12.34'", "12.34"),
            is("'-92233720368547758.08'", "-92233720368547758.08"),
            is("'92233720368547758.07'", "92233720368547758.07"),
            is("'-0.01'", "-0.01"),
        ],
    ),
    declared("money", "decimal(10,2)", Shape::Number, &[no("'12.34'", "would lose")]),
    case("oid", Shape::Text, &[no("1", "v: text")]),
    declared("oid", "text", Shape::Text, &[is("0", "0"), is("4294967295", "4294967295")]),
    case(
        "xid8",
        Shape::Number,
        &[is("'0'", "0"), is("'18446744073709551615'", "18446744073709551615")],
    ),
    declared("xid", "text", Shape::Text, &[is("'4294967295'", "4294967295")]),
];
