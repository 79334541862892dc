//! What somebody who means harm gets: no connection, no secret, no forged line, no right.

mod canary; // no secret in any output, in any spelling, whatever fails
mod hostile; // names, values and messages that would forge lines or steer a terminal
mod tls; // certificates and servers that are not what they should be

/// Bytes as they might stand somewhere else: as they are, in UTF-16, in base64 and hexadecimal,
/// in a URL, in JSON, and as a TDS login writes a password.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = secret.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let tds = utf16.iter().map(|byte| byte.rotate_left(4) ^ 0xa5).collect();
    let percent = |upper: bool| {
        let one = |byte: u8| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        };
        secret.bytes().map(one).collect::<String>().into_bytes()
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut all = vec![secret.as_bytes().to_vec(), percent(true), percent(false), tds];
    for bytes in [secret.as_bytes(), &utf16] {
        all.push(hex(bytes).into_bytes());
        all.push(hex(bytes).to_uppercase().into_bytes());
        all.extend(base64_inside(bytes));
    }
    let json = serde_json::Value::from(secret).to_string();
    all.push(json.as_bytes()[1..json.len() - 1].to_vec());
    all.extend([utf16, big]);
    all
}

/// What is sure to stand in the base64 of any text that holds `bytes`, at each of three places.
fn base64_inside(bytes: &[u8]) -> Vec<Vec<u8>> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |sextet: u32| LETTERS[usize::try_from(sextet & 63).unwrap()];
    let at = |skip: usize| {
        let groups = bytes[skip..].chunks_exact(3);
        groups
            .flat_map(|group| {
                let bits = group.iter().fold(0, |bits, byte| (bits << 8) | u32::from(*byte));
                [bits >> 18, bits >> 12, bits >> 6, bits].map(letter)
            })
            .collect()
    };
    vec![at(0), at(1), at(2)]
}

/// The spelling in which `bytes` hold the secret, if they do.
pub(crate) fn found(bytes: &[u8], secret: &str) -> Option<String> {
    spellings(secret)
        .into_iter()
        .find(|spelling| bytes.windows(spelling.len()).any(|window| window == spelling))
        .map(|spelling| String::from_utf8_lossy(&spelling).into_owned())
}

#[test]
fn every_spelling_is_found() {
    let secret = "Kn4r'e\"&ß/1";
    for spelling in spellings(secret) {
        let text = [b"abc ".as_slice(), &spelling, b" def"].concat();
        assert!(found(&text, secret).is_some(), "{:?}", String::from_utf8_lossy(&spelling));
    }
    // RFC 4648, of "xKn4r'e" and the like, at each place.
    for text in ["S240cidl", "eEtuNHInZQ==", "eHhLbjRyJ2U="] {
        assert!(found(text.as_bytes(), "Kn4r'e").is_some(), "{text}");
    }
    assert_eq!(found(b"Kn4r", secret), None);
}
