//! How a key is looked up in a quarantine.

use etl_core::RowKey;
use sha2::{Digest, Sha256};

/// The bytes by which an entry is found: a key may be longer than an index takes.
#[must_use]
pub fn key_hash(key: &RowKey) -> Vec<u8> {
    Sha256::digest(key.as_str().as_bytes()).to_vec()
}

#[cfg(test)]
mod tests {
    use etl_core::RowKey;

    use super::key_hash;

    #[test]
    fn keys_that_differ_have_other_hashes() {
        let hash = |text: &str| key_hash(&RowKey::from_text(text).unwrap());
        assert_eq!(hash(r#"["1"]"#), hash(r#"["1"]"#));
        assert_ne!(hash(r#"["1","2"]"#), hash(r#"["12"]"#));
        assert_eq!(hash(r#"["1"]"#).len(), 32);
    }
}
