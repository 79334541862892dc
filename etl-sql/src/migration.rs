//! Changes of the state tables, in order.

use sha2::{Digest, Sha256};

/// One change of the state tables; never edited once released, only followed by another.
#[derive(Debug)]
pub struct Migration {
    /// Counts from 1.
    pub version: i32,
    /// What it is about.
    pub name: &'static str,
    /// What it runs.
    pub statements: &'static [&'static str],
}

impl Migration {
    /// What shows that an applied migration is still the one that we know.
    #[must_use]
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for statement in self.statements {
            hash.update(statement.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
