//! `etl-job` with places at which a test ends or holds it: `ETL_FAIL_POINT=commit.before:2:kill`.

use std::process::ExitCode;

use etl_core::fail_point::{Plan, arm};

fn main() -> ExitCode {
    match std::env::var("ETL_FAIL_POINT").map(|text| text.parse::<Plan>()) {
        Ok(Ok(plan)) => arm(plan),
        Ok(Err(error)) => {
            eprintln!("ETL_FAIL_POINT: {error}");
            return ExitCode::from(etl_job::exit::USAGE);
        }
        Err(_) => {}
    }
    etl_job::main()
}
