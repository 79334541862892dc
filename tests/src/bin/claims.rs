//! Says at the end of a test run what it could not prove.

use etl_tests::claims::{CLAIMS, is_microsoft};
use etl_tests::mssql::{Kind, cell_text, kind, server};
use etl_tests::skips;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = server().await;
    let mut connection = etl_sql::mssql::Connection::open(&config).await?;
    let rows = connection.batch("SELECT @@VERSION AS [version];", "asking for the version").await?;
    let cell = rows.into_iter().flatten().next();
    let version = cell.as_ref().and_then(cell_text).unwrap_or_default();
    let version = version.lines().next().unwrap_or_default().to_owned();
    let double = kind().await == Kind::Double;
    let (server, open) = if double {
        ("the double".to_owned(), CLAIMS)
    } else if is_microsoft(&version) {
        (version, &CLAIMS[..0])
    } else {
        (version, CLAIMS)
    };
    println!("SQL Server tests ran against: {server}");
    match skips::noted()? {
        None => println!("tests that could not run here: not counted (scripts/test counts them)"),
        Some(noted) => {
            println!(
                "tests that could not run here, although they count as passed: {}",
                noted.len()
            );
            for line in noted {
                println!("  {line}");
            }
        }
    }
    println!("not provable here: {}", open.len());
    for (claim, why) in open {
        println!("  - {claim} ({why})");
    }
    Ok(())
}
