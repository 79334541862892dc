//! The counts, and the file that publishes them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use etl_tests::mssql;
use serde::{Deserialize, Serialize};

use super::carry::Found;

/// What became of the values of one pair.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Types, each with what is declared for it.
    pub(super) types: usize,
    pub(super) cells: usize,
    pub(super) equal: usize,
    /// Without a seventh digit or an offset, as the config allows by name.
    pub(super) cut_as_declared: usize,
    pub(super) refused: usize,
    pub(super) changed: usize,
}

/// The counts of one pair, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) wrong: Vec<String>,
}

impl Tally {
    pub(super) fn add(&mut self, pair: &str, case: &str, found: Vec<(String, Found)>) {
        self.counts.types += 1;
        for (cell, found) in found {
            let counts = &mut self.counts;
            counts.cells += 1;
            match found {
                Found::Equal => counts.equal += 1,
                Found::Cut => counts.cut_as_declared += 1,
                Found::Refused => counts.refused += 1,
                Found::Wrong(what) => {
                    counts.changed += 1;
                    let cell: String = cell.chars().take(60).collect();
                    self.wrong.push(format!("{pair}, {case}, {cell}: {what}"));
                }
            }
        }
    }
}

#[derive(Serialize, Deserialize, Default)]
struct File {
    what: String,
    command: String,
    servers: BTreeMap<String, String>,
    pairs: BTreeMap<String, Counts>,
    total: Counts,
}

const WHAT: &str = "values of types that were carried from one database to another: equal by the \
    target's own text, refused by column with nothing written, or changed";
const COMMAND: &str = "ETL_UPDATE_MEASURED=1 cargo test -p etl-tests types::";

/// Makes sure that the published counts are these, or publishes them.
///
/// Against another SQL Server than the published counts are from there is nothing to compare.
pub(super) async fn publish(pairs: BTreeMap<String, Counts>) {
    let server = mssql_name().await;
    // The tests of this process share the file.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/measured/types.json");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let mut file: File = serde_json::from_str(&text).unwrap_or_default();
    if std::env::var_os("ETL_UPDATE_MEASURED").is_some() {
        file.pairs.extend(pairs);
        (file.what, file.command) = (WHAT.to_owned(), COMMAND.to_owned());
        file.servers.insert("mssql".to_owned(), server);
        file.total = file.pairs.values().fold(Counts::default(), Counts::plus);
        let text = serde_json::to_string_pretty(&file).unwrap() + "\n";
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        return std::fs::write(path, text).unwrap();
    }
    if file.servers.get("mssql") != Some(&server) {
        return eprintln!("docs/measured/types.json is not of this server: {server}");
    }
    for (pair, counts) in pairs {
        assert_eq!(file.pairs.get(&pair), Some(&counts), "{pair}: {COMMAND}");
    }
}

async fn mssql_name() -> String {
    if mssql::kind().await == mssql::Kind::Double {
        return "the double of the tests".to_owned();
    }
    let database = mssql::Database::new().await;
    let version = database.rows("SELECT @@VERSION AS [v];").await[0][0].clone().unwrap();
    version.lines().next().unwrap_or_default().to_owned()
}

impl Counts {
    fn plus(self, other: &Self) -> Self {
        Self {
            types: self.types + other.types,
            cells: self.cells + other.cells,
            equal: self.equal + other.equal,
            cut_as_declared: self.cut_as_declared + other.cut_as_declared,
            refused: self.refused + other.refused,
            changed: self.changed + other.changed,
        }
    }
}
