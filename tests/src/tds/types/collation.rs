//! Collations: which texts are equal, and in which order they stand.
//!
//! `_BIN`/`_BIN2` compare UTF-16 code units. The others fold case (`CI`) and accents (`AI`), and
//! give control characters no weight at all; collations of version 80 (no `_100_` in the name)
//! give supplementary characters (emoji) none either. Trailing blanks never count in `=`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Mutex;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::tds::error::{Result, SqlError};

#[derive(Debug)]
struct Info {
    name: String,
    binary: bool,
    case_sensitive: bool,
    accent_sensitive: bool,
    supplementary: bool,
    utf8: bool,
    sort_id: u8,
}

/// A collation, compared by name.
#[derive(Clone, Copy)]
pub(crate) struct Coll(&'static Info);

static KNOWN: Mutex<Vec<&'static Info>> = Mutex::new(Vec::new());

const FAMILIES: [&str; 9] = [
    "SQL_Latin1_General_CP1",
    "SQL_Latin1_General_CP850",
    "SQL_Latin1_General_CP437",
    "Latin1_General",
    "Latin1_General_100",
    "Latin1_General_90",
    "French",
    "German_PhoneBook",
    "Finnish_Swedish",
];

impl Coll {
    /// The collation of that name, in any case; error 448 when there is none.
    pub(crate) fn parse(name: &str) -> Result<Coll> {
        let mut known = KNOWN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(info) = known.iter().find(|i| i.name.eq_ignore_ascii_case(name)) {
            return Ok(Coll(info));
        }
        let info = read(name)
            .ok_or_else(|| SqlError::new(448, 16, format!("Invalid collation '{name}'.")))?;
        // Collations are few and live as long as the process.
        let info: &'static Info = Box::leak(Box::new(info));
        known.push(info);
        Ok(Coll(info))
    }

    pub(crate) fn name(self) -> &'static str {
        &self.0.name
    }

    pub(crate) fn is_case_sensitive(self) -> bool {
        self.0.binary || self.0.case_sensitive
    }

    pub(crate) fn is_utf8(self) -> bool {
        self.0.utf8
    }

    /// The five bytes of a collation on the wire.
    pub(crate) fn wire(self) -> [u8; 5] {
        let mut flags: u8 = 0;
        if self.0.binary {
            flags |= if self.0.name.ends_with('2') { 0x20 } else { 0x10 };
        } else {
            if !self.0.case_sensitive {
                flags |= 0x01;
            }
            if !self.0.accent_sensitive {
                flags |= 0x02;
            }
            flags |= 0x0c;
        }
        let version: u8 = if self.0.name.contains("_100") { 0x20 } else { 0 };
        let low = if self.0.utf8 { 0x04 } else { 0 };
        [0x09, 0x04, flags << 4, (flags >> 4) | low | version, self.0.sort_id]
    }

    /// Whether two texts are the same to `=`.
    pub(crate) fn equal(self, a: &str, b: &str) -> bool {
        let (a, b) = (a.trim_end_matches(' '), b.trim_end_matches(' '));
        if a == b {
            return true;
        }
        if self.0.binary {
            return false;
        }
        if a.is_ascii() && b.is_ascii() && !self.0.case_sensitive && printable(a) && printable(b) {
            return a.eq_ignore_ascii_case(b);
        }
        self.key(a) == self.key(b)
    }

    /// The order of two texts.
    pub(crate) fn compare(self, a: &str, b: &str) -> Ordering {
        let (a, b) = (a.trim_end_matches(' '), b.trim_end_matches(' '));
        if self.0.binary {
            let blank = |unit: Option<u16>| unit.unwrap_or(0x20);
            let (mut x, mut y) = (a.encode_utf16(), b.encode_utf16());
            loop {
                match (x.next(), y.next()) {
                    (None, None) => return Ordering::Equal,
                    (p, q) => match blank(p).cmp(&blank(q)) {
                        Ordering::Equal => {}
                        other => return other,
                    },
                }
            }
        }
        self.key(a).cmp(&self.key(b))
    }

    fn key(self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() * 3 + 4);
        self.sort_key(text, &mut out);
        out
    }

    /// Appends bytes that are equal exactly for equal texts, and ordered as the texts are.
    pub(crate) fn sort_key(self, text: &str, out: &mut Vec<u8>) {
        let text = text.trim_end_matches(' ');
        if self.0.binary {
            for unit in text.encode_utf16() {
                out.extend_from_slice(&unit.to_be_bytes());
                if unit == 0 {
                    out.extend_from_slice(&[0, 1]);
                }
            }
            out.extend_from_slice(&[0, 0, 0, 0]);
            return;
        }
        let mut accents = Vec::new();
        let mut cases = Vec::new();
        let mut put = |primary: u32, accent: u8, case: u8| {
            let bytes = primary.to_be_bytes();
            out.extend_from_slice(&bytes[1..]);
            accents.push(accent);
            cases.push(case);
        };
        for c in text.chars() {
            if has_no_weight(c) || (u32::from(c) > 0xffff && !self.0.supplementary) {
                continue;
            }
            match c {
                'ß' => {
                    put(letter('S'), 0, 0);
                    put(letter('S'), 0, 0);
                }
                'æ' | 'Æ' => {
                    put(letter('A'), 0, u8::from(c == 'Æ'));
                    put(letter('E'), 0, u8::from(c == 'Æ'));
                }
                'œ' | 'Œ' => {
                    put(letter('O'), 0, u8::from(c == 'Œ'));
                    put(letter('E'), 0, u8::from(c == 'Œ'));
                }
                _ => {
                    let (base, accent) = decompose(c);
                    let upper = upper(base);
                    let case = u8::from(upper == base && upper != lower(base));
                    put(primary(upper), accent, case);
                }
            }
        }
        out.extend_from_slice(&[0, 0, 0]);
        if self.0.accent_sensitive {
            level(out, &accents);
        }
        if self.0.case_sensitive {
            level(out, &cases);
        }
    }
}

fn level(out: &mut Vec<u8>, weights: &[u8]) {
    let end = weights.iter().rposition(|w| *w != 0).map_or(0, |i| i + 1);
    out.extend(weights[..end].iter().map(|w| w + 1));
    out.push(0);
}

fn printable(text: &str) -> bool {
    text.bytes().all(|b| (0x20..0x7f).contains(&b))
}

fn has_no_weight(c: char) -> bool {
    matches!(u32::from(c), 0..=8 | 0x0e..=0x1f | 0x7f..=0x9f | 0xad | 0x200b..=0x200f | 0xfeff)
}

fn upper(c: char) -> char {
    let mut it = c.to_uppercase();
    match (it.next(), it.next()) {
        (Some(u), None) => u,
        _ => c,
    }
}

fn lower(c: char) -> char {
    let mut it = c.to_lowercase();
    match (it.next(), it.next()) {
        (Some(u), None) => u,
        _ => c,
    }
}

fn letter(c: char) -> u32 {
    0x4000 + u32::from(c)
}

/// Blanks, then punctuation and symbols, digits, Latin letters, everything else.
fn primary(upper: char) -> u32 {
    let code = u32::from(upper);
    match upper {
        'A'..='Z' => letter(upper),
        '0'..='9' => 0x3000 + code,
        _ if upper.is_whitespace() => 0x0100 + code,
        _ if upper.is_ascii() => 0x1000 + code,
        _ if upper.is_alphabetic() => 0x01_0000 + code,
        _ => {
            0x2000_u32.saturating_add(code.min(0x0fff))
                + if code > 0x0fff { 0x20_0000 + code } else { 0 }
        }
    }
}

/// Base letter and accent number of the accented Latin letters.
fn decompose(c: char) -> (char, u8) {
    if u32::from(c) < 0xc0 {
        return (c, 0);
    }
    const TABLE: [(char, &str); 40] = [
        ('A', "ÀÁÂÃÄÅĀĂĄ"),
        ('a', "àáâãäåāăą"),
        ('C', "_ĆĈĊČÇ"),
        ('c', "_ćĉċčç"),
        ('D', "_Ď"),
        ('d', "_ď"),
        ('E', "ÈÉÊ_ËĒĔĖĘĚ"),
        ('e', "èéê_ëēĕėęě"),
        ('G', "_ĜĞĠĢ"),
        ('g', "_ĝğġģ"),
        ('I', "ÌÍÎĨÏĪĬĮİ"),
        ('i', "ìíîĩïīĭį"),
        ('K', "Ķ"),
        ('k', "ķ"),
        ('L', "ĹĻĽ"),
        ('l', "ĺļľ"),
        ('N', "ŃŅŇÑ"),
        ('n', "ńņňñ"),
        ('O', "ÒÓÔÕÖŌŎŐØ"),
        ('o', "òóôõöōŏőø"),
        ('R', "ŔŖŘ"),
        ('r', "ŕŗř"),
        ('S', "ŚŜŞŠ"),
        ('s', "śŝşš"),
        ('T', "ŢŤ"),
        ('t', "ţť"),
        ('U', "ÙÚÛŨÜŪŬŮŰŲ"),
        ('u', "ùúûũüūŭůűų"),
        ('W', "Ŵ"),
        ('w', "ŵ"),
        ('Y', "ÝŶŸ"),
        ('y', "ýŷÿ"),
        ('Z', "ŹŻŽ"),
        ('z', "źżž"),
        ('H', "Ĥ"),
        ('h', "ĥ"),
        ('J', "Ĵ"),
        ('j', "ĵ"),
        ('Ð', "Đ"),
        ('ð', "đ"),
    ];
    if u32::from(c) < 0x180 {
        for (base, accented) in TABLE {
            if let Some(i) = accented.chars().position(|x| x == c) {
                return (base, u8::try_from(i + 1).unwrap_or(1));
            }
        }
    }
    (c, 0)
}

fn read(name: &str) -> Option<Info> {
    let lower = name.to_ascii_lowercase();
    let family = FAMILIES
        .iter()
        .filter(|f| lower.starts_with(&format!("{}_", f.to_ascii_lowercase())))
        .max_by_key(|f| f.len())?;
    let suffix = lower.get(family.len() + 1..)?;
    let mut info = Info {
        name: String::new(),
        binary: false,
        case_sensitive: false,
        accent_sensitive: false,
        supplementary: family.ends_with("_100"),
        utf8: false,
        sort_id: 0,
    };
    let parts: Vec<&str> = suffix.split('_').collect();
    let mut words = parts.iter().copied();
    match words.next()? {
        "bin" | "bin2" => info.binary = true,
        first @ ("ci" | "cs") => {
            info.case_sensitive = first == "cs";
            match words.next()? {
                "as" => info.accent_sensitive = true,
                "ai" => {}
                _ => return None,
            }
        }
        _ => return None,
    }
    for word in words {
        match word {
            "ks" | "ws" if !info.binary => {}
            "sc" if !info.binary => info.supplementary = true,
            "utf8" => info.utf8 = true,
            _ => return None,
        }
    }
    let canonical: Vec<String> = parts.iter().map(|p| p.to_ascii_uppercase()).collect();
    info.name = format!("{family}_{}", canonical.join("_"));
    info.sort_id = match info.name.as_str() {
        "SQL_Latin1_General_CP1_CI_AS" => 52,
        "SQL_Latin1_General_CP1_CS_AS" => 51,
        "SQL_Latin1_General_CP1_CI_AI" => 54,
        _ => 0,
    };
    Some(info)
}

impl PartialEq for Coll {
    fn eq(&self, other: &Coll) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Coll {}

impl fmt::Debug for Coll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Coll {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Coll {
    fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<Coll, D::Error> {
        let name = String::deserialize(d)?;
        Coll::parse(&name).map_err(|e| serde::de::Error::custom(e.message))
    }
}

#[cfg(test)]
mod tests {
    use super::Coll;
    use std::cmp::Ordering;

    #[test]
    fn the_default_collation_ignores_case_and_trailing_blanks_but_not_accents() {
        let c = Coll::parse("sql_latin1_general_cp1_ci_as").unwrap();
        assert_eq!(c.name(), "SQL_Latin1_General_CP1_CI_AS");
        assert_eq!(c.wire(), [0x09, 0x04, 0xd0, 0x00, 52]);
        assert!(c.equal("Abc", "aBC  "));
        assert!(!c.equal("abc", "  abc"));
        assert!(!c.equal("cafe", "café"));
        assert!(c.equal("CAFÉ", "café"));
        assert!(c.equal("Straße", "STRASSE"));
        // Version 80 gives supplementary characters no weight.
        assert!(c.equal("a😀", "a😁"));
        assert_eq!(c.compare("a", "B"), Ordering::Less);
        assert_eq!(c.compare("_", "0"), Ordering::Less);
        assert_eq!(c.compare("9", "a"), Ordering::Less);
    }

    #[test]
    fn binary_collations_compare_code_units_and_pad() {
        let c = Coll::parse("Latin1_General_100_BIN2").unwrap();
        assert!(c.equal("a", "a "));
        assert!(!c.equal("a", "A"));
        assert!(!c.equal("😀", "😁"));
        assert_eq!(c.compare("B", "a"), Ordering::Less);
        assert_eq!(c.compare("a", "a\t"), Ordering::Greater);
    }

    #[test]
    fn unknown_names_are_refused() {
        for name in
            ["", "Latin1_General", "Latin1_General_CI", "Klingon_CI_AS", "Latin1_General_CI_AS_XX"]
        {
            assert_eq!(Coll::parse(name).unwrap_err().number, 448, "{name}");
        }
    }
}
