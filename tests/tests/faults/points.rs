//! The fail points, by the part of a run in which they are.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::binary::{etl_job, etl_job_faults};

/// A fail point, and how often a run of a few batches passes it at least.
pub(crate) type Point = (&'static str, u64);

/// As a mode: append, of a batch in which some rows cannot be stored.
pub(crate) const ASIDE: &str = "aside";

/// The streams that pass a fail point.
#[derive(Clone, Copy)]
enum In {
    All,
    /// Those that write to the target batch by batch.
    Writing,
    /// Those with a key.
    Keyed,
    /// Those that replace the target as a whole.
    Replacing,
    /// Those that put rows aside.
    Sifting,
}

impl In {
    fn has(self, mode: &str) -> bool {
        match self {
            Self::All => true,
            Self::Writing => mode != "replace",
            Self::Keyed => !matches!(mode, "append" | ASIDE),
            Self::Replacing => mode == "replace",
            Self::Sifting => mode == ASIDE,
        }
    }
}

const POINTS: [(&str, u64, In); 59] = [
    // The engine and the program.
    ("job.before-run", 1, In::All),
    ("open.before", 1, In::All),
    ("open.after", 1, In::All),
    ("claim.after", 1, In::All),
    ("resume.after", 1, In::All),
    ("read.before", 1, In::All),
    ("read.began", 1, In::All),
    ("read.batch", 3, In::All),
    ("read.end", 1, In::All),
    ("carry.batch", 3, In::All),
    ("commit.before", 3, In::All),
    ("commit.after", 3, In::All),
    ("commit.counted", 3, In::All),
    ("commit.acknowledged", 3, In::All),
    ("sift.probe", 3, In::Sifting),
    ("sift.done", 1, In::Sifting),
    ("replace.before", 1, In::Replacing),
    ("replace.after", 1, In::Replacing),
    ("finish.before", 1, In::All),
    ("finish.after", 1, In::All),
    ("job.after-run", 1, In::All),
    // The Postgres source.
    ("postgres-source.horizon", 1, In::All),
    ("postgres-source.snapshot", 1, In::All),
    ("postgres-source.row", 7, In::All),
    ("postgres-source.end", 1, In::All),
    // The SQL Server sink.
    ("mssql.claim.sent", 1, In::All),
    ("mssql.claim.answered", 1, In::All),
    ("mssql.stage.empty", 3, In::All),
    ("mssql.load.row", 7, In::All),
    ("mssql.load.unfinished", 3, In::All),
    ("mssql.load.done", 3, In::All),
    ("mssql.commit.sent", 3, In::Writing),
    ("mssql.commit.answered", 3, In::Writing),
    ("mssql.replace.load.sent", 3, In::Replacing),
    ("mssql.replace.load.answered", 3, In::Replacing),
    ("mssql.replace.apply.sent", 1, In::Replacing),
    ("mssql.replace.apply.answered", 1, In::Replacing),
    ("mssql.finish.sent", 1, In::All),
    // The Postgres sink.
    ("postgres.claim.taken", 1, In::All),
    ("postgres.commit.begun", 3, In::All),
    ("postgres.commit.staged", 3, In::All),
    ("postgres.commit.advanced", 3, In::All),
    ("postgres.commit.applied", 3, In::All),
    ("postgres.commit.counted", 3, In::All),
    ("postgres.commit.sent", 3, In::All),
    ("postgres.commit.answered", 3, In::All),
    ("postgres.replace.advanced", 1, In::Replacing),
    ("postgres.replace.applied", 1, In::Replacing),
    ("postgres.replace.sent", 1, In::Replacing),
    ("postgres.replace.answered", 1, In::Replacing),
    ("postgres.finish.released", 1, In::All),
    // The SQLite sink.
    ("sqlite.claim.taken", 1, In::All),
    ("sqlite.commit.staged", 3, In::Keyed),
    ("sqlite.commit.begun", 3, In::All),
    ("sqlite.commit.applied", 3, In::All),
    ("sqlite.commit.advanced", 3, In::All),
    ("sqlite.commit.sent", 3, In::All),
    ("sqlite.commit.answered", 3, In::All),
    ("sqlite.finish.released", 1, In::All),
];

/// All that a run into this kind of target in this mode passes.
pub(crate) fn of(target: &str, mode: &str) -> Vec<Point> {
    let is_there = |name: &str| match name.split('.').next() {
        Some(sink @ ("mssql" | "postgres" | "sqlite")) => sink == target,
        _ => true,
    };
    let points = POINTS.iter().filter(|(name, _, modes)| is_there(name) && modes.has(mode));
    points.map(|&(name, passes, _)| (name, passes)).collect()
}

/// The names that the sources have.
fn in_the_sources(folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_the_sources(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let found =
                text.split("fail_point!(").skip(1).filter_map(|rest| rest.split('"').nth(1));
            names.extend(found.map(str::to_owned));
        }
    }
}

#[test]
fn every_fail_point_is_killed_at() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut names = Vec::new();
    for part in ["etl-core", "etl-sql", "etl-sources", "etl-sinks", "etl-job"] {
        in_the_sources(&root.join(part).join("src"), &mut names);
    }
    // The macro's own documentation has an example.
    names.retain(|name| name != "name");
    names.sort();
    let mut known: Vec<_> = POINTS.iter().map(|(name, _, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(names, known);
    for target in ["mssql", "postgres", "sqlite"] {
        assert!(of(target, "append").len() >= 25, "{target}: {}", of(target, "append").len());
    }
}

/// Which of these texts are somewhere in a program.
fn texts_in(program: &Path, texts: &[&str]) -> BTreeSet<String> {
    let mut grep = Command::new("grep");
    grep.args(["--text", "--only-matching", "--fixed-strings"]);
    grep.args(texts.iter().flat_map(|text| ["-e", *text]));
    let found = grep.arg(program).output().unwrap();
    assert!(found.stderr.is_empty(), "{found:?}");
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn no_fail_point_is_in_the_program_that_is_released() {
    let mut texts: Vec<_> = POINTS.iter().map(|(name, _, _)| *name).collect();
    texts.push("ETL_FAIL_POINT");
    assert_eq!(texts_in(etl_job(), &texts), BTreeSet::new());
    let all: BTreeSet<_> = texts.iter().map(|&text| text.to_owned()).collect();
    assert_eq!(
        texts_in(etl_job_faults(), &texts),
        all,
        "the search finds nothing: it proves nothing"
    );
}

#[test]
fn a_fail_point_that_is_not_understood_is_refused() {
    for text in
        ["", "commit.before", "commit.before:1", "commit.before:x:kill", "commit.before:1:die"]
    {
        let mut command = Command::new(etl_job_faults());
        let ended =
            command.args(["lint", "none.yaml"]).env("ETL_FAIL_POINT", text).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(
            ended.status.code() == Some(64) && said.contains("commit.before:2:kill"),
            "{text}: {said}"
        );
    }
}
