//! How much is logged: `RUST_LOG` counts for our own crates; dependencies stop at info, and the
//! databases' drivers are silent: they log statements and what servers say, errors and notices
//! among it, and both quote values. What matters of it is in our own errors.

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// This workspace's crates, as targets.
const OURS: [&str; 6] =
    ["etl_core", "etl_sql", "etl_sources", "etl_sinks", "etl_job", "mssql_init"];

/// The drivers, as the beginnings of targets.
const DRIVERS: [&str; 2] = ["tiberius", "sqlx"];

/// The filter that `RUST_LOG`'s value asks for. What cannot be read counts as not said.
pub(super) fn filter(wanted: Option<&str>) -> Targets {
    let mut ours = LevelFilter::INFO;
    let mut others = LevelFilter::INFO;
    let mut targets = Vec::new();
    for part in wanted.unwrap_or_default().split(',').map(str::trim) {
        // Nothing at all is read as a level, and as the strictest one.
        if part.is_empty() || part.ends_with('=') {
            continue;
        }
        match part.split_once('=') {
            Some((target, level)) => {
                let Ok(level) = level.parse::<LevelFilter>() else { continue };
                let level = if is_ours(target) { level } else { capped(level) };
                targets.push((target.to_owned(), level));
            }
            None => {
                let Ok(level) = part.parse::<LevelFilter>() else { continue };
                (ours, others) = (level, capped(level));
            }
        }
    }
    Targets::new()
        .with_default(others)
        .with_targets(OURS.map(|target| (target, ours)))
        .with_targets(targets.into_iter().filter(|(target, _)| !is_driver(target)))
        .with_targets(DRIVERS.map(|target| (target, LevelFilter::OFF)))
}

fn is_driver(target: &str) -> bool {
    DRIVERS.iter().any(|driver| target.starts_with(driver))
}

fn is_ours(target: &str) -> bool {
    OURS.contains(&target.split("::").next().unwrap_or_default())
}

fn capped(level: LevelFilter) -> LevelFilter {
    level.min(LevelFilter::from_level(Level::INFO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_never_log_below_info() {
        for wanted in
            ["trace", "sqlx::query=trace", "tiberius=debug,etl_core=trace", "hyper::client=trace"]
        {
            let filter = filter(Some(wanted));
            for target in ["hyper::client::conn", "reqwest"] {
                assert!(!filter.would_enable(target, &Level::DEBUG), "{wanted} {target}");
                assert!(filter.would_enable(target, &Level::INFO), "{wanted} {target}");
            }
            for target in ["sqlx::query", "sqlx_core", "tiberius", "tiberius::tds::stream::token"] {
                assert!(!filter.would_enable(target, &Level::ERROR), "{wanted} {target}");
            }
        }
    }

    #[test]
    fn our_own_crates_do_as_they_are_told() {
        assert!(filter(Some("debug")).would_enable("etl_core::pipeline", &Level::DEBUG));
        assert!(filter(Some("etl_core=trace")).would_enable("etl_core::pipeline", &Level::TRACE));
        assert!(!filter(Some("etl_core=trace")).would_enable("etl_job", &Level::DEBUG));
        assert!(!filter(Some("warn")).would_enable("etl_job", &Level::INFO));
        assert!(!filter(Some("warn")).would_enable("reqwest", &Level::INFO));
        assert!(filter(None).would_enable("etl_job", &Level::INFO));
        assert!(filter(Some("nonsense=x,,=")).would_enable("etl_job", &Level::INFO));
    }
}
