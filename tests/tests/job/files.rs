//! Pipeline files that are wrong, and the words for it.

use crate::support::binary::run;

const FILE: &str = "\
version: 1
pipeline: orders
source: { type: sqlite, path: source.db }
target:
  type: sqlite
  path: target.db
streams:
  orders:
    object: orders
    primary_key: [id]
    cursor: { column: updated_at }
    select: [id, status, updated_at]
    where: \"status = 'confirmed'\"
    on_filter_exit: delete
";

/// `FILE` with a part replaced; what `lint` says and its exit code.
fn lint(old: &str, new: &str) -> (i32, String) {
    assert!(FILE.contains(old), "{old}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.yaml");
    std::fs::write(&path, FILE.replacen(old, new, 1)).unwrap();
    let said = run(&["lint", path.to_str().unwrap()]);
    (said.code, said.stdout)
}

#[test]
fn a_good_file_passes() {
    assert_eq!(lint("version: 1", "version: 1").0, 0);
}

#[test]
fn a_bad_file_is_told_with_line_key_and_suggestion() {
    for (old, new, expected) in [
        (
            "pipeline:",
            "limts: {}\npipeline:",
            "orders.yaml:2: limts: unknown key \"limts\"; did you mean \"limits\"?",
        ),
        (
            "    object:",
            "    objct:",
            "orders.yaml:9: streams.orders.objct: unknown key \"objct\"; did you mean \"object\"?",
        ),
        (
            "  path: target.db",
            "  pth: target.db",
            "orders.yaml:6: target.pth: unknown key \"pth\"; did you mean \"path\"?",
        ),
        ("type: sqlite, path", "type: sqlit, path", "orders.yaml:3: source.type: "),
        ("type: sqlite, path", "type: sqlit, path", "did you mean \"sqlite\"?"),
        (
            "path: source.db",
            "path: \"${vault:x}\"",
            "orders.yaml:3: source.path: \"${vault:x}\" is not a reference",
        ),
        ("version: 1", "version: 7", "is of version 7, this program"),
        (
            "pipeline: orders",
            "pipeline: orders\nlimits: { deadline: 5 minuts }",
            "limits.deadline: \"5 minuts\" is not a duration",
        ),
        (
            "pipeline: orders",
            "pipeline: orders\nlimits: { memory: 32MB2 }",
            "limits.memory: \"32MB2\" is not a size",
        ),
        (
            "pipeline: orders",
            "pipeline: orders\nlimits: { memory: 8MiB, batch: { bytes: 8MiB } }",
            "more than a quarter",
        ),
        (
            "pipeline: orders",
            "pipeline: orders\nquarantine: { max_rows: some }",
            "orders.yaml:3: quarantine.max_rows: \"some\" is neither a number of rows",
        ),
        ("\"status = 'confirmed'\"", "\"status + 1\"", "orders.yaml:13: streams.orders.where"),
        (
            "\"status = 'confirmed'\"",
            "\"now() > updated_at\"",
            "orders.yaml:13: streams.orders.where",
        ),
        (
            "on_filter_exit: delete",
            "on_filter_exit: delte",
            "unknown value \"delte\"; did you mean \"delete\"?",
        ),
        ("  orders:", "  \"or'ders\":", "the stream's name must be"),
        ("pipeline: orders", "pipeline: \"or\\\"ders\"", "the pipeline's name must be"),
        ("[id]", "[key]", "primary_key: column key is not in select"),
        (
            "streams:\n",
            "streams:\n  copy: { object: ORDERS, primary_key: [id], cursor: { column: id }, select: [id] }\n",
            "two streams cannot own one table",
        ),
        (
            "    object: orders\n",
            "    object: orders\n    object: orders\n",
            "orders.yaml: line 10",
        ),
    ] {
        let (code, text) = lint(old, new);
        assert_eq!(code, 64, "{new}: {text}");
        assert!(text.contains(expected), "{new}:\n{text}\nhas no\n{expected}");
    }
}

#[test]
fn names_that_are_too_long_are_refused() {
    let (code, text) = lint("pipeline: orders", &format!("pipeline: {}", "a".repeat(121)));
    assert_eq!(code, 64);
    assert!(text.contains("it has 121"), "{text}");
}

#[test]
fn the_worst_of_several_files_counts_and_each_has_a_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let (good, bad) = (dir.path().join("good.yaml"), dir.path().join("bad.yaml"));
    std::fs::write(&good, FILE).unwrap();
    std::fs::write(&bad, "version: 1\n").unwrap();
    let said = run(&["lint", "--json", bad.to_str().unwrap(), good.to_str().unwrap()]).expect(64);
    let verdicts: Vec<_> = said.objects().iter().map(|one| one["ok"].clone()).collect();
    assert_eq!(verdicts, [false, true]);
}

#[test]
fn secrets_may_be_missing_for_lint_and_not_for_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders.yaml");
    let text = FILE
        .replace("type: sqlite, path: source.db", "type: postgres, url: '${file:/no/such/pg-url}'");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    run(&["lint", path]).expect(0);
    for command in ["run", "check", "prepare"] {
        let said = run(&[command, path]).expect(64);
        let expected = "orders.yaml:3: source.url: secret file /no/such/pg-url: cannot be read";
        assert!(said.stderr.contains(expected), "{command}: {said:?}");
    }
}

#[test]
fn a_wrong_command_line_is_64_and_help_is_no_error() {
    for wrong in [&["run"][..], &["rum"], &["run", "f", "--every", "often"], &[]] {
        let said = run(wrong).expect(64);
        assert!(said.stdout.is_empty(), "{said:?}");
    }
    assert!(run(&["--help"]).expect(0).stdout.contains("Exit codes"));
    run(&["--version"]).expect(0);
    run(&["run", "/no/such/file.yaml"]).expect(64);
}

#[test]
fn the_schema_knows_every_connector() {
    let schema: serde_json::Value =
        serde_json::from_str(&run(&["schema"]).expect(0).stdout).unwrap();
    let kinds = |side: &str| -> Vec<_> {
        let sections = schema["properties"][side]["oneOf"].as_array().unwrap();
        sections.iter().map(|one| one["properties"]["type"]["const"].clone()).collect()
    };
    assert!(kinds("source").contains(&"postgres".into()));
    assert!(kinds("target").contains(&"mssql".into()));
}
