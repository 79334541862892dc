//! Prints a query's rows, for scripts that compare what has arrived.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use etl_sql::mssql::connect::Connection;
use etl_sql::mssql::{MssqlConfig, Tls};
use etl_tests::mssql::cell_text;
use secrecy::SecretString;

/// One row a line, `|` between the cells, NULL as nothing; the certificate is not verified.
#[derive(Debug, Parser)]
#[command(name = "mssql-rows")]
struct Arguments {
    /// File that holds mssql://login:password@host:1433/database.
    #[arg(long)]
    url_file: PathBuf,
    /// Another address than the URL's.
    #[arg(long)]
    host: Option<String>,
    /// The query.
    sql: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let a = Arguments::parse();
    let url = std::fs::read_to_string(&a.url_file)
        .with_context(|| format!("reading {}", a.url_file.display()))?;
    let mut config = MssqlConfig::from_url(&SecretString::from(url.trim()))?;
    config.tls = Tls::TrustServerCertificate;
    config.host = a.host.unwrap_or(config.host);
    let mut connection = Connection::open(&config).await?;
    for row in connection.batch(&a.sql, "asking for rows").await? {
        let cells: Vec<_> =
            row.into_iter().map(|cell| cell_text(&cell).unwrap_or_default()).collect();
        println!("{}", cells.join("|"));
    }
    Ok(())
}
