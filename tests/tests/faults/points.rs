//! The fail points, by the part of a run in which they are.

/// A fail point, and how often a run of a few batches passes it at least.
pub(super) type Point = (&'static str, u64);

/// In the engine and the program.
pub(super) const ENGINE: &[Point] = &[
    ("job.before-run", 1),
    ("open.before", 1),
    ("open.after", 1),
    ("claim.after", 1),
    ("resume.after", 1),
    ("read.before", 1),
    ("read.began", 1),
    ("read.batch", 3),
    ("read.end", 1),
    ("carry.batch", 3),
    ("commit.before", 3),
    ("commit.after", 3),
    ("commit.counted", 3),
    ("commit.acknowledged", 3),
    ("finish.before", 1),
    ("finish.after", 1),
    ("job.after-run", 1),
];

/// In the Postgres source.
pub(super) const SOURCE: &[Point] = &[
    ("postgres-source.horizon", 1),
    ("postgres-source.snapshot", 1),
    ("postgres-source.row", 7),
    ("postgres-source.end", 1),
];

/// In the SQL Server sink.
pub(super) const MSSQL: &[Point] = &[
    ("mssql.claim.sent", 1),
    ("mssql.claim.answered", 1),
    ("mssql.stage.empty", 3),
    ("mssql.load.row", 7),
    ("mssql.load.unfinished", 3),
    ("mssql.load.done", 3),
    ("mssql.commit.sent", 3),
    ("mssql.commit.answered", 3),
    ("mssql.finish.sent", 1),
];

/// In the Postgres sink.
pub(super) const POSTGRES: &[Point] = &[
    ("postgres.claim.taken", 1),
    ("postgres.commit.begun", 3),
    ("postgres.commit.staged", 3),
    ("postgres.commit.advanced", 3),
    ("postgres.commit.applied", 3),
    ("postgres.commit.counted", 3),
    ("postgres.commit.sent", 3),
    ("postgres.commit.answered", 3),
    ("postgres.finish.released", 1),
];

/// All that a run into this kind of target passes.
pub(super) fn of(target: &str) -> Vec<Point> {
    let sink = if target == "mssql" { MSSQL } else { POSTGRES };
    [ENGINE, SOURCE, sink].concat()
}

/// The names that the sources have.
fn in_the_sources(folder: &std::path::Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_the_sources(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let found = text.split("fail_point!(\"").skip(1);
            names.extend(found.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
}

#[test]
fn every_fail_point_is_killed_at() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut names = Vec::new();
    for part in ["etl-core", "etl-sql", "etl-sources", "etl-sinks", "etl-job"] {
        in_the_sources(&root.join(part).join("src"), &mut names);
    }
    // The macro's own doc comment has an example.
    names.retain(|name| name != "name");
    names.sort();
    let mut known: Vec<_> = [ENGINE, SOURCE, MSSQL, POSTGRES].concat();
    known.sort_unstable();
    assert_eq!(names, known.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for target in ["mssql", "postgres"] {
        assert!(of(target).len() >= 25, "{target}: {}", of(target).len());
    }
}

#[test]
fn no_fail_point_is_in_the_program_that_is_released() {
    let has = |program: &std::path::Path, text: &str| {
        let bytes = std::fs::read(program).unwrap();
        etl_tests::wire::frames::find(&bytes, text.as_bytes()).is_some()
    };
    let (released, armed) =
        (crate::support::binary::etl_job(), crate::support::binary::etl_job_faults());
    for text in [
        "ETL_FAIL_POINT",
        "fail point reached",
        "mssql.load.unfinished",
        "postgres.commit.advanced",
    ] {
        assert!(!has(released, text), "{text} is in {}", released.display());
        assert!(has(armed, text), "{text} is not in {}: this proves nothing", armed.display());
    }
}
