//! A type that nobody can insert. Every other, value by value, is in `types`.

use etl_core::testing::canonical;

use super::support::{self, WIDE, sweep};

#[tokio::test(flavor = "multi_thread")]
async fn a_rowversion_is_carried_as_eight_bytes() {
    let Some(trial) = support::Trial::orders().await else { return };
    trial.insert(1..=1, "a").await;
    let batches = sweep(&trial.source(|_| ()), None, WIDE).await.unwrap();
    let rows = canonical(batches[0].changes.records()).unwrap();
    let sql = "SELECT CONVERT(nvarchar(16), CONVERT(varbinary(8), rv), 2) FROM dbo.orders;";
    let expected = trial.database.rows(sql).await[0][0].clone().unwrap().to_lowercase();
    assert_eq!(rows[0]["rv"].as_deref(), Some(expected.as_str()));
}
