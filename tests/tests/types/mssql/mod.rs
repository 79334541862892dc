//! The types of SQL Server.

mod numbers;
mod texts;
mod times;

use etl_tests::mssql;

use super::cell::{Case, every_scale};

/// All of them, also those that the double lacks.
pub(super) fn all() -> Vec<Case> {
    let fixed = [numbers::CASES, texts::CASES, times::CASES];
    fixed.concat().into_iter().chain(every_scale("decimal")).collect()
}

/// What the server of this run has.
pub(super) async fn cases() -> Vec<Case> {
    let real = mssql::kind().await != mssql::Kind::Double;
    all().into_iter().filter(|case| real || !case.real_only).collect()
}
