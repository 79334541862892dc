//! Texts, what is carried as text, and bytes.

use crate::types::cell::{Case, Shape, Want, case, declared, is, no};

/// Neither has a form for the character NUL.
const NUL: &[(&str, Want)] = &[("mssql", Want::Is("a\0b"))];

pub(super) const CASES: &[Case] = &[
    case(
        "nvarchar(10)",
        Shape::Text,
        &[
            is("N''", ""),
            is("N' '", " "),
            is("N'a b '", "a b "),
            is("N'漢🚚''\\'", "漢🚚'\\"),
            is("N'🚚🚚🚚🚚🚚'", "🚚🚚🚚🚚🚚"),
            is("N'Straße ı İ'", "Straße ı İ"),
            is("NCHAR(65535) + NCHAR(65533) + NCHAR(65279)", "\u{ffff}\u{fffd}\u{feff}"),
            is("NCHAR(1) + NCHAR(127) + NCHAR(128)", "\u{1}\u{7f}\u{80}"),
            no("N'a' + NCHAR(0) + N'b'", "NUL").but(NUL),
        ],
    ),
    case("nvarchar(4000)", Shape::Text, &[is("REPLICATE(N'🚚', 2000)", "🚚*2000")]),
    case(
        "nvarchar(max)",
        Shape::Text,
        &[
            is("REPLICATE(CONVERT(nvarchar(max), N'ä'), 9000)", "ä*9000"),
            is("REPLICATE(CONVERT(nvarchar(max), N'🚚'), 262144)", "🚚*262144"),
            is("REPLICATE(CONVERT(nvarchar(max), N'x'), 1048576)", "x*1048576"),
            is("N''", ""),
        ],
    ),
    declared(
        "nvarchar(10)",
        "nvarchar(3)",
        Shape::Text,
        &[is("N'a🚚'", "a🚚"), no("N'🚚🚚'", "UTF-16")],
    ),
    declared("nvarchar(9)", "decimal(9,2)", Shape::Text, &[no("N'1'", "varchar(n)")]),
    // The code page of the collation, Windows-1252.
    case(
        "varchar(10)",
        Shape::Text,
        &[
            is("''", ""),
            is("'é€ü '", "é€ü "),
            is("'a''b'", "a'b"),
            is("CHAR(160) + CHAR(255)", "\u{a0}ÿ"),
        ],
    ),
    case("varchar(8000)", Shape::Text, &[is("REPLICATE('é', 8000)", "é*8000")]),
    case(
        "varchar(max)",
        Shape::Text,
        &[is("REPLICATE(CONVERT(varchar(max), 'x'), 1048576)", "x*1048576"), is("' '", " ")],
    ),
    // The blanks at the end fill the column up and mean nothing.
    case(
        "nchar(5)",
        Shape::Text,
        &[is("N'ä'", "ä"), is("N''", ""), is("N' a'", " a"), is("N'🚚🚚a'", "🚚🚚a")],
    ),
    case(
        "char(5)",
        Shape::Text,
        &[is("'ab'", "ab"), is("'abcde'", "abcde"), is("''", ""), is("'é'", "é")],
    ),
    case("binary(4)", Shape::Bytes, &[is("0x00FF", "00ff0000"), is("0xFFFFFFFF", "ffffffff")]),
    case(
        "varbinary(8)",
        Shape::Bytes,
        &[is("0x", ""), is("0x00FF10", "00ff10"), is("0x0100", "0100"), is("0x01", "01")],
    ),
    case(
        "varbinary(max)",
        Shape::Bytes,
        &[
            is(
                "CONVERT(varbinary(max), REPLICATE(CONVERT(varchar(max), 'A'), 1048576))",
                "41*1048576",
            ),
            is("0x00", "00"),
        ],
    ),
    declared("varbinary(8)", "text", Shape::Bytes, &[no("0x01", "take the declaration out")]),
    case(
        "uniqueidentifier",
        Shape::Uuid,
        &[
            is("'00112233-4455-6677-8899-AABBCCDDEEFF'", "00112233-4455-6677-8899-aabbccddeeff"),
            is("'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"),
            is("'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ],
    ),
    // What only the real server has.
    case(
        "nvarchar(3)",
        Shape::Text,
        &[no("NCHAR(0xD83D)", "surrogate"), no("N'a' + NCHAR(0xDE00)", "surrogate")],
    )
    .real_only(),
    case("text", Shape::Text, &[is("'é€ü '", "é€ü "), is("''", "")]).real_only(),
    case("ntext", Shape::Text, &[is("N'漢🚚 '", "漢🚚 "), is("N''", "")]).real_only(),
    case("image", Shape::Bytes, &[is("0x00FF10", "00ff10"), is("0x", "")]).real_only(),
    case("xml", Shape::Text, &[no("'<a/>'", "v: \"text\"")]).real_only(),
    declared("xml", "text", Shape::Text, &[is("N'<a b=\"1\">漢</a>'", "<a b=\"1\">漢</a>")])
        .real_only(),
    case("hierarchyid", Shape::Text, &[no("'/1/'", "v: \"text\"")]).real_only(),
    declared("hierarchyid", "text", Shape::Text, &[is("'/1/2.5/'", "/1/2.5/"), is("'/'", "/")])
        .real_only(),
    case("sql_variant", Shape::Text, &[no("1", "sql_variant")]).real_only(),
    case("geography", Shape::Text, &[no("'POINT(1 2)'", "geography")]).real_only(),
    case("geometry", Shape::Text, &[no("'POINT(1 2)'", "geometry")]).real_only(),
];
