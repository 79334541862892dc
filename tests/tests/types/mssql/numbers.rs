//! Whole numbers, exact ones, binary ones.

use crate::types::cell::{Case, Shape, case, declared, is, no, same};

pub(super) const CASES: &[Case] = &[
    case("bit", Shape::Bool, &[is("0", "false"), is("1", "true")]),
    case("tinyint", Shape::Number, &[same("0"), same("255")]),
    case("smallint", Shape::Number, &[same("-32768"), same("32767"), same("0")]),
    case(
        "int",
        Shape::Number,
        &[same("-2147483648"), same("2147483647"), same("0"), same("32768")],
    ),
    case(
        "bigint",
        Shape::Number,
        &[
            same("-9223372036854775808"),
            same("9223372036854775807"),
            same("0"),
            same("9007199254740993"),
        ],
    ),
    declared("int", "text", Shape::Number, &[no("1", "take the declaration out")]),
    case(
        "real",
        Shape::Real,
        &[
            is("-3.4028235E38", "-3.4028235e38"),
            is("3.4028235E38", "3.4028235e38"),
            is("1.1754944E-38", "1.1754944e-38"),
            is("0E0", "0.0"),
            is("1E-1", "0.1"),
        ],
    ),
    case("float(24)", Shape::Real, &[is("1E-1", "0.1")]),
    case(
        "float",
        Shape::Double,
        &[
            is("-1.7976931348623157E308", "-1.7976931348623157e308"),
            is("1.7976931348623157E308", "1.7976931348623157e308"),
            is("2.2250738585072014E-308", "2.2250738585072014e-308"),
            is("0E0", "0.0"),
            is("1E-1", "0.1"),
            is("3.0000000000000004E-1", "0.30000000000000004"),
        ],
    ),
    case(
        "decimal(5,2)",
        Shape::Number,
        &[same("-999.99"), same("999.99"), same("0.01"), is("1.5", "1.50"), is("0", "0.00")],
    ),
    case("numeric(18,0)", Shape::Number, &[same("999999999999999999"), same("-1")]),
    declared("decimal(9,4)", "decimal(18,6)", Shape::Number, &[is("-12345.6789", "-12345.678900")]),
    declared("decimal(9,4)", "decimal(9,2)", Shape::Number, &[no("1.5", "would lose")]),
    declared("decimal(9,4)", "decimal(8,4)", Shape::Number, &[no("1.5", "would lose")]),
    declared("decimal(9,4)", "time(3)", Shape::Number, &[no("1.5", "decimal(p,s)")]),
    case(
        "money",
        Shape::Number,
        &[
            same("-922337203685477.5808"),
            same("922337203685477.5807"),
            same("0.0001"),
            is("1.5", "1.5000"),
        ],
    ),
    declared("money", "decimal(19,2)", Shape::Number, &[no("1.5", "would lose")]),
    case("smallmoney", Shape::Number, &[same("-214748.3648"), same("214748.3647"), same("0.0001")]),
];
