//! Windows-1252, the code page of `varchar` in every collation that the double knows.

/// The characters of the bytes 0x80 to 0x9f; NUL where the code page has none.
const HIGH: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn byte(c: char) -> Option<u8> {
    match u32::from(c) {
        n @ (0..=0x7f | 0xa0..=0xff) => u8::try_from(n).ok(),
        _ => HIGH.iter().position(|h| *h == c).and_then(|i| u8::try_from(i + 0x80).ok()),
    }
}

/// The bytes of a text; what the code page lacks becomes `?`, as on the server.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match byte(c) {
            Some(b) => out.push(b),
            None => out.extend(std::iter::repeat_n(b'?', c.len_utf16())),
        }
    }
    out
}

pub(crate) fn decode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|b| match b {
            0x80..=0x9f => HIGH[usize::from(b - 0x80)],
            _ => char::from(*b),
        })
        .collect()
}

/// The text as it comes back after being stored in a `varchar`.
pub(crate) fn lossy(text: String) -> String {
    if text.chars().all(|c| byte(c).is_some()) { text } else { decode(&encode(&text)) }
}
