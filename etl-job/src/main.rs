//! Moves rows: demo, prepare, check, run and state of a pipeline file.

use std::process::ExitCode;

fn main() -> ExitCode {
    etl_job::main()
}
