//! `etl-job` with places at which a test ends or holds it:
//! `ETL_FAIL_POINT=commit.before:2:kill etl-job-faults run orders.yaml`.

use std::io::Read;
use std::process::ExitCode;

use etl_core::fail_point;

fn main() -> ExitCode {
    if let Ok(text) = std::env::var("ETL_FAIL_POINT") {
        let Some((name, nth, action)) = plan(&text) else {
            eprintln!(
                "ETL_FAIL_POINT={text}: not like commit.before:2:kill or commit.before:2:hold"
            );
            return ExitCode::from(etl_job::exit::USAGE);
        };
        fail_point::arm(name, nth, action);
    }
    etl_job::main()
}

/// The name of a fail point, which pass of it, and what happens there.
fn plan(text: &str) -> Option<(&str, u64, fn(&str))> {
    let (rest, action) = text.rsplit_once(':')?;
    let (name, nth) = rest.rsplit_once(':')?;
    let action = match action {
        "kill" => kill,
        "hold" => hold,
        _ => return None,
    };
    Some((name, nth.parse().ok()?, action))
}

/// The process is gone at once: no destructor runs, nothing is said to anybody.
fn kill(_: &str) {
    std::process::abort();
}

/// The task stands still until stdin ends; others, such as the one that hears signals, go on.
fn hold(name: &str) {
    eprintln!("fail point reached: {name}");
    tokio::task::block_in_place(|| std::io::stdin().lock().read_to_end(&mut Vec::new()).ok());
}
