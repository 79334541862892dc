//! The registry of sinks: one folder, one cargo feature and one line each.

#[cfg(any(feature = "mssql", feature = "postgres"))]
mod altered;
#[cfg(feature = "mssql")]
pub mod mssql;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(any(feature = "mssql", feature = "postgres", feature = "sqlite"))]
mod step;
#[cfg(any(feature = "mssql", feature = "postgres"))]
mod trial;

use etl_core::connector::SinkConnector;
use etl_core::{Error, Result};

/// Every sink of this build.
pub const SINKS: &[SinkConnector] = &[
    #[cfg(feature = "mssql")]
    mssql::CONNECTOR,
    #[cfg(feature = "postgres")]
    postgres::CONNECTOR,
    #[cfg(feature = "sqlite")]
    sqlite::CONNECTOR,
];

/// The sink of a kind: the word after `type:`.
///
/// # Errors
/// `Config` listing the kinds that there are, and the one that was probably meant.
pub fn find(kind: &str) -> Result<&'static SinkConnector> {
    SINKS.iter().find(|sink| sink.kind == kind).ok_or_else(|| {
        let known: Vec<_> = SINKS.iter().map(|sink| sink.kind).collect();
        let meant = known
            .iter()
            .map(|known| (strsim::jaro_winkler(known, kind), known))
            .filter(|(likeness, _)| *likeness > 0.75)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map_or_else(|| ".".to_owned(), |(_, known)| format!("; did you mean \"{known}\"?"));
        let known = known.join(", ");
        Error::config(format!("there is no sink \"{kind}\"{meant} There is: {known}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_kind_is_found_or_guessed() {
        assert_eq!(find("sqlite").unwrap().kind, "sqlite");
        let error = find("sqlit").err().unwrap().to_string();
        assert!(error.contains("did you mean \"sqlite\"?"), "{error}");
        let error = find("oracle").err().unwrap().to_string();
        assert!(error.contains("There is:") && !error.contains("did you mean"), "{error}");
    }
}
