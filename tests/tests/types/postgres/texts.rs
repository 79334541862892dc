//! Texts, what is carried as text, and bytes.

use crate::types::cell::{Case, Shape, case, declared, is, no};

pub(super) const CASES: &[Case] = &[
    case(
        "text",
        Shape::Text,
        &[
            is("''", ""),
            is("' '", " "),
            is("'a '", "a "),
            is("' a'", " a"),
            is("E'\\t\\r\\n\\\\N'", "\t\r\n\\N"),
            is("'it''s \"q\" %_[]{}'", "it's \"q\" %_[]{}"),
            is("'NULL'", "NULL"),
            is("E'\\u0001\\u007f\\u0080\\u009f'", "\u{1}\u{7f}\u{80}\u{9f}"),
            is("E'\\ufeffa'", "\u{feff}a"),
            is("E'\\uffff\\ufffe\\ufffd'", "\u{ffff}\u{fffe}\u{fffd}"),
            is("E'\\U0010ffff\\U0001F600'", "\u{10ffff}😀"),
            is("E'e\\u0301\\u200d\\u202e\\u05d0'", "e\u{301}\u{200d}\u{202e}\u{5d0}"),
            is("'Straße ı İ ǅ 漢字'", "Straße ı İ ǅ 漢字"),
            is("repeat('x', 1048576)", "x*1048576"),
            is("repeat('é', 524288)", "é*524288"),
            is("repeat('😀', 262144)", "😀*262144"),
        ],
    ),
    case(
        "varchar(3)",
        Shape::Text,
        &[is("'abc'", "abc"), is("'😀😀😀'", "😀😀😀"), is("'a  '", "a  "), is("''", "")],
    ),
    // The widest whose nvarchar has a bound, and the next.
    case("varchar(2000)", Shape::Text, &[is("repeat('😀', 2000)", "😀*2000"), is("'a'", "a")]),
    case(
        "varchar(2001)",
        Shape::Text,
        &[is("repeat('😀', 2001)", "😀*2001"), is("repeat('x', 2001)", "x*2001")],
    ),
    case("varchar(1000)", Shape::Text, &[is("repeat('😀', 1000)", "😀*1000")]),
    case("varchar(1001)", Shape::Text, &[is("repeat('😀', 1001)", "😀*1001")]),
    case("varchar", Shape::Text, &[is("repeat('x', 5000)", "x*5000"), is("' '", " ")]),
    // An emoji is one character and two units.
    declared(
        "varchar(9)",
        "nvarchar(3)",
        Shape::Text,
        &[
            is("'abc'", "abc"),
            is("'😀a'", "😀a"),
            no("'a😀😀'", "UTF-16"),
            no("'abcd'", "takes 3"),
            no("'abc '", "takes 3"),
        ],
    ),
    declared(
        "text",
        "varchar(3)",
        Shape::Text,
        &[
            is("'abc'", "abc"),
            is("'😀😀😀'", "😀😀😀"),
            no("'abcd'", "characters"),
            no("'a   '", "characters"),
        ],
    ),
    declared(
        "text",
        "nvarchar(4000)",
        Shape::Text,
        &[is("repeat('😀', 2000)", "😀*2000"), no("repeat('😀', 2000) || 'a'", "UTF-16")],
    ),
    declared("text", "nvarchar(max)", Shape::Text, &[is("repeat('a', 5000)", "a*5000")]),
    declared("text", "decimal(18,2)", Shape::Text, &[no("'1'", "varchar")]),
    // The blanks at the end fill the column up and mean nothing.
    case(
        "char(5)",
        Shape::Text,
        &[
            is("'ab'", "ab"),
            is("' a'", " a"),
            is("''", ""),
            is("'abcde'", "abcde"),
            is("'😀'", "😀"),
        ],
    ),
    case("bpchar", Shape::Text, &[is("'ab'", "ab"), is("''", "")]),
    case("\"char\"", Shape::Text, &[no("'a'", "v: text")]),
    declared("\"char\"", "text", Shape::Text, &[is("'a'", "a"), is("''", "")]),
    case("name", Shape::Text, &[no("'a'", "v: text")]),
    declared("name", "text", Shape::Text, &[is("repeat('n', 63)", "n*63"), is("'ä'", "ä")]),
    case(
        "public.mood",
        Shape::Text,
        &[is("'sad'", "sad"), is("'ha ppy'", "ha ppy"), is("'😀'", "😀"), is("'Sad'", "Sad")],
    ),
    case("public.citext", Shape::Text, &[is("'AbC'", "AbC"), is("'a '", "a "), is("''", "")]),
    case("public.short_text", Shape::Text, &[is("'abc'", "abc"), is("'😀😀😀'", "😀😀😀")]),
    case(
        "public.price",
        Shape::Number,
        &[is("99999999.99", "99999999.99"), is("0", "0.00"), no("'NaN'", "NaN")],
    ),
    case("public.feeling", Shape::Text, &[is("'ha ppy'", "ha ppy")]),
    case("public.numbers", Shape::Text, &[is("'{1,NULL}'", "{1,NULL}")]),
    case("public.span", Shape::Text, &[no("'1 day'", "v: text")]),
    case(
        "public.moment",
        Shape::Instant,
        &[
            is("'2024-02-29 12:34:56.789+02'", "2024-02-29T10:34:56.789000Z"),
            no("'infinity'", "infinity"),
        ],
    ),
    case(
        "json",
        Shape::Text,
        &[
            is("'{\"a\" : 1.0}'", "{\"a\" : 1.0}"),
            is("'{\"b\":1,\"a\":2,\"b\":3}'", "{\"b\":1,\"a\":2,\"b\":3}"),
            is("'null'", "null"),
            is("' 1e400 '", " 1e400 "),
            is("'\"\\u0000\"'", "\"\\u0000\""),
            is("'[\"😀\", []]'", "[\"😀\", []]"),
        ],
    ),
    case(
        "jsonb",
        Shape::Text,
        &[
            is("'{\"b\":1,  \"a\":[1.00]}'", "{\"a\": [1.00], \"b\": 1}"),
            is("'null'", "null"),
            is("'\"\"'", "\"\""),
            is("'12345678901234567890.123456789'", "12345678901234567890.123456789"),
        ],
    ),
    declared("jsonb", "text", Shape::Text, &[is("'{\"a\":1}'", "{\"a\": 1}")]),
    case("xml", Shape::Text, &[no("'<a/>'", "v: text")]),
    declared(
        "xml",
        "text",
        Shape::Text,
        &[
            is("'<a b=\"1\">ä</a>'", "<a b=\"1\">ä</a>"),
            is("'<a/> text'", "<a/> text"),
            is("''", ""),
        ],
    ),
    case(
        "bytea",
        Shape::Bytes,
        &[
            is("''", ""),
            is("'\\x00'", "00"),
            is("'\\x0100'", "0100"),
            is("'\\x01'", "01"),
            is("'\\x00017f80ff'", "00017f80ff"),
            is("decode(repeat('a7', 1048576), 'hex')", "a7*1048576"),
        ],
    ),
    case(
        "uuid",
        Shape::Uuid,
        &[
            is("'00112233-4455-6677-8899-AABBCCDDEEFF'", "00112233-4455-6677-8899-aabbccddeeff"),
            is("'00000000-0000-0000-0000-000000000000'", "00000000-0000-0000-0000-000000000000"),
            is("'ffffffff-ffff-ffff-ffff-ffffffffffff'", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ],
    ),
    declared(
        "uuid",
        "text",
        Shape::Uuid,
        &[no("'00112233-4455-6677-8899-aabbccddeeff'", "take the declaration out")],
    ),
];
