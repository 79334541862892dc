//! Changes to valid inputs.

use fastrand::Rng;
use serde_json::Value;

/// Words of a filter.
pub(crate) const SQL: &[&str] = &[
    " AND ",
    " OR ",
    "NOT ",
    "(",
    ")",
    " IS NULL",
    " IS NOT TRUE",
    " IN (1, 2)",
    " BETWEEN 1 AND 2",
    " LIKE '%_\\'",
    " = ",
    " <> ",
    " >= ",
    "-",
    "'",
    "''",
    "\"",
    "status",
    "amount",
    "\"Näme\"",
    "TRUE",
    "NULL",
    "99999999999999999999999999999999999999999",
    "0.000000000000000000000000000000000000001",
    "'2024-02-30'",
    "'9999-12-31 23:59:59.9999999'",
    "CASE WHEN ",
    "::int",
    " COLLATE x",
    "lower(",
    "/*",
    "--",
    ";",
    "\u{0}",
    "\u{202e}",
    "$1",
    "[1]",
    "1e400",
    "EXISTS (SELECT 1)",
    "INTERVAL '1'",
    "{",
    "a.b.c",
];

/// Words of a position.
pub(crate) const JSON: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "-1",
    "0",
    "1e999",
    "-0.0",
    "18446744073709551616",
    "9223372036854775807",
    "-9223372036854775808",
    "\"",
    "\\u0000",
    "\\ud800",
    "\"v\":1",
    "\"v\":2",
    "\"low\":",
    "\"scan\":",
    "\"0000-01-01T00:00:00.000000Z\"",
    "\"9999-12-31T23:59:59.999999Z\"",
    "\"2024-02-29T24:00:00.000000Z\"",
    "\"2016-12-31T23:59:60.000000Z\"",
    "\"0001-01-01T00:00:00.000000Z\"",
    "\"2024-01-01T00:00:00.000000+23:59\"",
    "\"0xFFFFFFFFFFFFFFFF\"",
    "\"0x0000000000000000\"",
    "{\"hex\":\"0g\"}",
    "\"99999-12-31T23:59:59.000000Z\"",
    "\"above\":18446744073709551615",
];

/// Words of a pipeline file.
pub(crate) const YAML: &[&str] = &[
    ": ",
    "\n",
    "\n  ",
    "- ",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "!tag ",
    "? ",
    "|\n",
    ">-\n",
    "{",
    "}",
    "[",
    "]",
    "---\n",
    "...\n",
    "# ",
    "\t",
    "~",
    "null",
    "yes",
    "0x10",
    "1_000",
    ".inf",
    "1e999",
    "-1",
    "\"\\uD800\"",
    "'",
    "${env:HOME}",
    "${env:NOPE}",
    "${env:NOPE:d}",
    "${file:/dev/null}",
    "${file:/dev/zero}",
    "${file:.}",
    "${",
    "$${",
    "version: 2",
    "0s",
    "99999999999999h",
    "9999999999GiB",
    "memory: 1",
    "rows: 0",
    "decimal(39,40)",
    "%d",
    "\u{feff}",
    "\u{0}",
    "streams:",
    "where: ",
    "transforms: [cast: {",
    "+99:99",
    "postgres://",
    "mssql://a:b@[::1]:99999/d",
];

/// A changed one of `valid`.
pub(crate) fn bytes(rng: &mut Rng, valid: &[Vec<u8>]) -> Vec<u8> {
    let mut input = rng.choice(valid).unwrap().clone();
    for _ in 0..rng.usize(1..=4) {
        change(rng, &mut input, valid);
    }
    input
}

/// A changed one of `valid`, with words among it that mean something there.
pub(crate) fn text(rng: &mut Rng, valid: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = rng.choice(valid).unwrap().clone();
    for _ in 0..rng.usize(1..=4) {
        let at = rng.usize(0..=input.len());
        let word = rng.choice(words).unwrap().as_bytes();
        match rng.u8(..8) {
            0..4 => drop(input.splice(at..at, word.iter().copied())),
            4 => {
                let end = input.len().min(at + rng.usize(..20));
                input.splice(at..end, word.iter().copied());
            }
            // Deep, or long: what recursion and what is not linear would choke on.
            5 if rng.u8(..8) == 0 => {
                let times = 1 << rng.u8(4..14);
                input.splice(at..at, word.repeat(times));
                input.truncate(60_000);
            }
            _ => change(rng, &mut input, valid),
        }
    }
    input
}

/// A changed one of `valid`, still JSON: other values, or those of another.
pub(crate) fn json(rng: &mut Rng, valid: &[Vec<u8>]) -> Vec<u8> {
    let read = |text: &Vec<u8>| serde_json::from_slice::<Value>(text).unwrap();
    let mut whole = read(rng.choice(valid).unwrap());
    let other = read(rng.choice(valid).unwrap());
    for _ in 0..rng.usize(1..=3) {
        let word = *rng.choice(JSON).unwrap();
        let word = serde_json::from_str(word).unwrap_or_else(|_| Value::from(word));
        *somewhere(rng, &mut whole) = if rng.bool() { word } else { part(rng, &other) };
    }
    whole.to_string().into_bytes()
}

/// A place in a value: mostly a leaf.
fn somewhere<'a>(rng: &mut Rng, whole: &'a mut Value) -> &'a mut Value {
    let count = match &*whole {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    };
    if count == 0 || rng.u8(..16) == 0 {
        return whole;
    }
    let place = rng.usize(..count);
    match whole {
        Value::Object(map) => somewhere(rng, map.values_mut().nth(place).unwrap()),
        Value::Array(list) => somewhere(rng, &mut list[place]),
        leaf => leaf,
    }
}

/// A value of a position.
fn part(rng: &mut Rng, whole: &Value) -> Value {
    let parts: Vec<_> = whole.as_object().unwrap().values().collect();
    (*rng.choice(&parts).unwrap()).clone()
}

/// One change that needs no words.
pub(crate) fn change(rng: &mut Rng, input: &mut Vec<u8>, valid: &[Vec<u8>]) {
    if input.is_empty() {
        return;
    }
    let at = rng.usize(..input.len());
    match rng.u8(..10) {
        0 => input[at] ^= 1 << rng.u8(..8),
        1 => input[at] = *rng.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap(),
        2 => input.truncate(at),
        3 => drop(input.drain(at..(at + rng.usize(1..9)).min(input.len()))),
        4 => {
            let end = (at + rng.usize(1..64)).min(input.len());
            let again = input[at..end].to_vec();
            input.splice(at..at, again);
        }
        5 => {
            // Another input's end behind this one's beginning.
            let other = rng.choice(valid).unwrap();
            input.truncate(at);
            input.extend_from_slice(&other[rng.usize(..=other.len())..]);
        }
        6 => drop(input.splice(at..at, (0..rng.usize(1..9)).map(|_| rng.u8(..)))),
        _ => lie(rng, input, at),
    }
}

/// A length, or any other number, that is not true: two, four or eight bytes, either end first.
fn lie(rng: &mut Rng, input: &mut [u8], at: usize) {
    let value: i64 = match rng.u8(..8) {
        0 => -1,
        1 => -2,
        2 => i64::MAX,
        3 => i64::from(i32::MAX),
        4 => i64::MIN,
        5 => i64::from(i16::MAX),
        6 => rng.i64(-4..300),
        _ => rng.i64(..),
    };
    let width = *rng.choice(&[2, 4, 8]).unwrap();
    let low = &value.to_le_bytes()[..width];
    let mut bytes = low.to_vec();
    if rng.bool() {
        bytes.reverse();
    }
    for (place, byte) in input[at..].iter_mut().zip(bytes) {
        *place = byte;
    }
}
