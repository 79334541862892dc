//! What must never be seen: finds passwords in settings, and keeps them out of all output.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// What is shown in a secret's place.
const MASK: &str = "[secret]";

/// Shorter values would be found inside ordinary words.
const SHORTEST: usize = 4;

/// Passwords that were in an example once, or that an attacker tries first: their letters and
/// digits, in lower case.
const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "changeit",
    "replaceme",
    "placeholder",
    "todo",
    "yourstrongpassw0rd",
    "yourstrongpassword",
    "yourpassword",
    "yourpasswordhere",
    "passwordhere",
    "pssw0rd",
    "passw0rd",
    "password",
    "password1",
    "password123",
    "secret",
    "admin",
    "guest",
    "postgres",
    "root",
    "sa",
    "test",
    "example",
    "123456",
    "12345678",
];

static KNOWN: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// From now on [`redact`] hides `value`, also as JSON and as a URL write it.
pub fn remember(value: &str) {
    if value.chars().count() < SHORTEST {
        return;
    }
    let json = serde_json::Value::from(value).to_string();
    let json = json.get(1..json.len() - 1).unwrap_or(value).to_owned();
    let url: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.extend([value.to_owned(), json, url.replace('+', "%20"), url]);
}

/// `text` without any secret that was remembered.
#[must_use]
pub fn redact(text: &str) -> String {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut found: Vec<_> = known.iter().filter(|secret| text.contains(secret.as_str())).collect();
    // The longest first: a password may be part of a connection text that is a secret, too.
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let mut text = text.to_owned();
    for secret in found {
        text = text.replace(secret.as_str(), MASK);
    }
    text
}

/// Whether a setting of this name is a secret as a whole.
#[must_use]
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["password", "passwd", "pwd", "secret", "token", "api_key", "apikey"]
        .iter()
        .any(|word| key.contains(word))
}

/// The passwords in a setting's value: of a URL, of a URL's query, of a `key=value` text.
///
/// Each as it stands there and, if that differs, percent-decoded.
#[must_use]
pub fn passwords(key: &str, value: &str) -> Vec<String> {
    let mut found = Vec::new();
    if is_secret_key(key) {
        found.push(value.to_owned());
    }
    found.extend(userinfo_password(value));
    found.extend(keyword_passwords(value));
    let decoded: Vec<_> = found.iter().map(|password| decode(password)).collect();
    found.extend(decoded);
    found.retain(|password| !password.is_empty());
    found.sort();
    found.dedup();
    found
}

/// Whether it is a password that is in every example: one of a list, `<anything>`, or one
/// character again and again.
#[must_use]
pub fn is_placeholder(password: &str) -> bool {
    let password = password.trim().to_lowercase();
    let letters: String = password.chars().filter(|c| c.is_alphanumeric()).collect();
    let first = password.chars().next();
    PLACEHOLDERS.contains(&letters.as_str())
        || (password.starts_with('<') && password.ends_with('>'))
        || (password.chars().count() >= 3 && password.chars().all(|c| Some(c) == first))
}

/// `secret` of `scheme://user:secret@host`, also where it was not encoded as it should be.
fn userinfo_password(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    if let Ok(url) = url::Url::parse(text) {
        return url.password().map(str::to_owned);
    }
    let (userinfo, _) = rest.rsplit_once('@')?;
    userinfo.split_once(':').map(|(_, password)| password.to_owned())
}

/// `secret` of `…?password=secret&…`, `…;Password=secret;…` and `… password=secret …`.
fn keyword_passwords(text: &str) -> Vec<String> {
    let separator = if text.contains(';') { [';', ';', ';'] } else { ['?', '&', ' '] };
    text.split(separator)
        .filter_map(|part| part.split_once('='))
        .filter(|(key, _)| ["password", "pwd"].contains(&key.trim().to_ascii_lowercase().as_str()))
        .map(|(_, value)| value.trim().trim_matches(['\'', '"', '{', '}']).to_owned())
        .collect()
}

fn decode(text: &str) -> String {
    let query = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(query.as_bytes())
        .next()
        .map_or_else(|| text.to_owned(), |(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_found_wherever_people_put_them() {
        for (key, value, expected) in [
            ("url", "postgres://u:hun%40ter@h/db", "hun@ter"),
            ("url", "postgres://u:a/b#c@h:5432/db", "a/b#c"),
            ("url", "postgres://h/db?user=x&password=hunter", "hunter"),
            ("url", "Server=h;User Id=sa;Password=hunter;", "hunter"),
            ("url", "host=h password='hunter' user=x", "hunter"),
            ("api_token", "hunter", "hunter"),
        ] {
            let found = passwords(key, value);
            assert!(found.iter().any(|password| password == expected), "{value}: {found:?}");
        }
        for (key, value) in [
            ("url", "postgres://u@h:5432/db?application_name=x@y"),
            ("url", "sqlite:/tmp/a.db"),
            ("where", "status = 'confirmed'"),
            ("url", "postgres://u:@h/db"),
        ] {
            assert!(passwords(key, value).is_empty(), "{value}");
        }
    }

    #[test]
    fn a_remembered_secret_is_hidden_everywhere() {
        remember("kr4k4toa");
        remember("scheme://u:kr4k4toa@h");
        assert_eq!(redact("a scheme://u:kr4k4toa@h b kr4k4toa"), "a [secret] b [secret]");
        remember("abc");
        assert_eq!(redact("abc"), "abc");
        remember("kr4 \"k4\\toa");
        for written in ["kr4 \"k4\\toa", r#"kr4 \"k4\\toa"#, "kr4+%22k4%5Ctoa", "kr4%20%22k4%5Ctoa"]
        {
            assert_eq!(redact(written), "[secret]", "{written}");
        }
    }

    #[test]
    fn example_passwords_are_known() {
        for word in [
            "CHANGE_ME",
            "changeme",
            "YourStrong@Passw0rd",
            "admin",
            "guest",
            "<secret word>",
            "***",
        ] {
            assert!(is_placeholder(word), "{word}");
        }
        for word in ["correct horse battery staple", "Admin-of-1", "1", "aab"] {
            assert!(!is_placeholder(word), "{word}");
        }
    }
}
