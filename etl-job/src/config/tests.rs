use std::collections::BTreeMap;

use super::*;

const GOOD: &str = "\
version: 1
pipeline: shop
source: { type: sqlite, path: a.db }
target:
  type: sqlite
  path: b.db
streams:
  orders:
    object: orders
    primary_key: [id]
    cursor: { column: updated_at }
    select: [id, status, updated_at]
    where: \"status = 'confirmed'\"
";

fn load_with(text: &str, secrets: Secrets, env: &[(&str, &str)]) -> Result<PipelineFile> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yaml");
    std::fs::write(&path, text).unwrap();
    let env: BTreeMap<_, _> =
        env.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    load::load(&path, secrets, &|name| env.get(name).cloned())
}

fn load_text(text: &str) -> Result<PipelineFile> {
    load_with(text, Secrets::Required, &[])
}

/// The error of `GOOD` with one part replaced.
fn error_of(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    let error = load_text(&GOOD.replace(old, new)).err();
    let error = error.unwrap_or_else(|| panic!("accepted: {new}"));
    assert_eq!(error.class(), etl_core::Class::Config, "{error}");
    error.to_string()
}

#[test]
fn a_good_file_is_read_whole() {
    let file = load_text(GOOD).unwrap();
    assert_eq!(file.name(), "shop");
    assert_eq!(file.streams()[0].full_name(), "shop/orders");
    assert_eq!(file.target().value()["path"], "b.db");
    assert_eq!(file.batch_limits(), BatchLimits::default());
    assert_eq!(file.lease().ttl, Duration::from_secs(30));
}

#[test]
fn every_limit_is_read() {
    let text = format!(
        "{GOOD}limits: {{ memory: 64MiB, batch: {{ rows: 10, bytes: 16MiB }}, deadline: 4m30s }}\n\
         lease: {{ ttl: 10s, max_skip: 1h }}\nquarantine: {{ max_rows: 0 }}\n\
         telemetry: {{ pushgateway: 'http://push:9091' }}\n"
    );
    let file = load_text(&text).unwrap();
    assert_eq!(file.batch_limits(), BatchLimits { rows: 10, bytes: 16 << 20 });
    assert_eq!(file.deadline(), Some(Duration::from_secs(270)));
    assert_eq!(file.lease().max_skip, Duration::from_hours(1));
    assert_eq!(file.telemetry().pushgateway.as_deref(), Some("http://push:9091"));
}

#[test]
fn memory_bounds_the_batch_that_nobody_set() {
    let file = load_text(&format!("{GOOD}limits: {{ memory: 4MiB }}\n")).unwrap();
    assert_eq!(file.batch_limits().bytes, 1 << 20);
}

#[test]
fn what_is_wrong_is_told_with_line_path_and_suggestion() {
    for (old, new, expected) in [
        (
            "pipeline: shop",
            "pipelin: shop",
            "p.yaml:2: pipelin: unknown key \"pipelin\"; did you mean \"pipeline\"?",
        ),
        (
            "    object:",
            "    objct:",
            "p.yaml:9: streams.orders.objct: unknown key \"objct\"; did you mean \"object\"?",
        ),
        ("column: updated_at }", "colum: updated_at }", "p.yaml:11: streams.orders.cursor.colum"),
        ("    object: orders\n", "", "missing key \"object\""),
        ("version: 1", "version: 2", "p.yaml:1: version: the file is of version 2, this program"),
        ("version: 1\n", "", "version is missing"),
        ("version: 1", "version: one", "must be the number 1"),
        ("pipeline: shop", "pipeline: Shop's", "p.yaml:2: pipeline: the pipeline's name must be"),
        ("  orders:", "  'or\"ders':", "the stream's name must be"),
        ("[id]", "id", "p.yaml:10: streams.orders.primary_key: invalid type"),
        (
            "\"status = 'confirmed'\"",
            "true",
            "p.yaml:13: streams.orders.where: invalid type: boolean",
        ),
        ("\"status = 'confirmed'\"", "lower(status) = 'a'", "p.yaml:13: streams.orders.where"),
        ("type: sqlite, path: a.db", "path: a.db", "p.yaml:3: source: type is missing"),
        ("select: [id,", "select: [", "primary_key: column id is not in select"),
    ] {
        let error = error_of(old, new);
        assert!(error.contains(expected), "{new}: {error}");
    }
}

#[test]
fn limits_that_do_not_fit_are_explained() {
    for (more, expected) in [
        (
            "limits: { memory: 8MiB, batch: { bytes: 4MiB } }",
            "more than a quarter of limits.memory (8.0 MiB)",
        ),
        ("limits: { memory: lots }", "limits.memory: \"lots\" is not a size"),
        ("limits: { batch: { rows: 0 } }", "at least 1"),
        ("limits: { cell: 1GiB }", "limits.cell: 1KiB to 512MiB"),
        ("limits: { memory: 8GiB, batch: { bytes: 2GiB } }", "limits.batch.bytes: at most 1GiB"),
        ("limits: { deadline: soon }", "limits.deadline: \"soon\" is not a duration"),
        ("lease: { ttl: 1s }", "lease.ttl: between 3s and 1h"),
        (
            "quarantine: { max_rows: 0.5 }",
            "p.yaml:14: quarantine.max_rows: 0.5 is neither a number of rows, such as 10, nor a share",
        ),
        ("quarantine: { max_rows: 5, rows: 1 }", "unknown key \"rows\""),
    ] {
        let error = load_text(&format!("{GOOD}{more}\n")).err().unwrap().to_string();
        assert!(error.contains(expected), "{more}: {error}");
    }
}

#[test]
fn what_may_be_put_aside_is_said_for_all_streams_or_for_one() {
    let limit = |text: &str| {
        let file = load_text(text)?;
        Ok::<_, etl_core::Error>(file.streams()[0].config.max_rejected().to_string())
    };
    let all = format!("{GOOD}quarantine: {{ max_rows: 0.5% }}\n");
    assert_eq!(limit(GOOD).unwrap(), "0");
    assert_eq!(limit(&all).unwrap(), "0.5%");
    let default = format!("{all}defaults: {{ quarantine: {{ max_rows: 7 }} }}\n");
    assert_eq!(limit(&default).unwrap(), "7");
    let own = "object: orders\n    quarantine: { max_rows: 3 }";
    assert_eq!(limit(&default.replace("object: orders", own)).unwrap(), "3");
    let word =
        |text: &str| text.replace("object: orders", "object: orders\n    on_special: quarantine");
    let error = limit(&word(GOOD)).unwrap_err().to_string();
    assert!(error.contains("streams.orders: on_special: quarantine puts rows aside"), "{error}");
    assert_eq!(limit(&word(&all)).unwrap(), "0.5%");
}

#[test]
fn names_have_a_greatest_length() {
    let long = "a".repeat(120);
    assert!(load_text(&GOOD.replace("pipeline: shop", &format!("pipeline: {long}"))).is_ok());
    let error = error_of("pipeline: shop", &format!("pipeline: {long}a"));
    assert!(error.contains("it has 121"), "{error}");
}

/// `GOOD` with two streams that write to two objects of a target of some kind.
fn two_streams(kind: &str, one: &str, other: &str) -> Result<PipelineFile> {
    let target = format!("target:\n  type: {kind}\n  url: \"${{env:NO_SUCH_URL}}\"\n");
    let sqlite = "target:\n  type: sqlite\n  path: b.db\n";
    let text = if kind == "sqlite" { GOOD.to_owned() } else { GOOD.replace(sqlite, &target) };
    let second = GOOD.split_once("streams:\n").unwrap().1.replace("  orders:", "  copy:");
    let text = text.replace("object: orders", &format!("object: \"{one}\""))
        + &second.replace("object: orders", &format!("object: \"{other}\""));
    load_with(&text, Secrets::Optional, &[])
}

#[test]
fn two_streams_cannot_own_one_table_however_it_is_spelled() {
    for (kind, one, other) in [
        ("sqlite", "orders", "Orders"),
        ("sqlite", "main.orders", "orders"),
        ("postgres", "orders", "public.orders"),
        ("mssql", "orders", "dbo.orders"),
        ("mssql", "dbo.orders", "[DBO].[Orders]"),
        ("mssql", "dw.größe", "dw.GRÖßE"),
    ] {
        let error = two_streams(kind, one, other).err();
        let error = error.unwrap_or_else(|| panic!("{kind}: {one} and {other}")).to_string();
        let told =
            format!("stream copy writes to {other}, and so does stream orders, as {one}; two");
        assert!(error.contains("streams.copy.object: ") && error.contains(&told), "{error}");
    }
}

#[test]
fn two_streams_own_two_tables() {
    for (kind, one, other) in [
        ("sqlite", "orders", "orders2"),
        // To Postgres these are two tables.
        ("postgres", "orders", "Orders"),
        ("postgres", "a.orders", "b.orders"),
        ("mssql", "orders", "dw.orders"),
        ("mssql", "[a.b]", "a.b"),
    ] {
        let file = two_streams(kind, one, other).unwrap();
        let names: Vec<_> = file.streams().iter().map(|one| one.name.clone()).collect();
        assert_eq!(names, ["orders", "copy"], "{kind}: {one} and {other}");
    }
}

#[test]
fn everything_that_is_wrong_with_streams_is_told_at_once() {
    let second = GOOD.split_once("streams:\n").unwrap().1.replace("  orders:", "  Copy:");
    let text = GOOD.replace("[id]", "[nope]") + &second;
    let error = load_text(&text).err().unwrap().to_string();
    assert!(error.contains("p.yaml:8: streams.orders: primary_key: column nope"), "{error}");
    assert!(error.contains("p.yaml:14: streams.Copy: the stream's name must be"), "{error}");
}

#[test]
fn streams_that_run_at_a_time_share_the_memory() {
    let second = GOOD.split_once("streams:\n").unwrap().1;
    let streams: String = (0..9)
        .map(|n| {
            second
                .replace("orders:", &format!("s{n}:"))
                .replace("object: orders", &format!("object: t{n}"))
        })
        .collect();
    let ten = format!("{GOOD}{streams}");
    let bytes = |more: &str| load_text(&format!("{ten}limits: {{ memory: 32MiB{more} }}\n"));
    assert_eq!(bytes("").unwrap().batch_limits().bytes, 2 << 20);
    assert_eq!(bytes(", parallel: 1").unwrap().batch_limits().bytes, 4 << 20);
    assert_eq!(bytes(", parallel: 16").unwrap().batch_limits().bytes, (32 << 20) / 10 / 4);
    let error = bytes(", batch: { bytes: 4MiB }").err().unwrap().to_string();
    assert!(error.contains("which 4 streams at a time share (limits.parallel)"), "{error}");
    for wrong in [", parallel: 0", ", parallel: 65"] {
        let error = bytes(wrong).err().unwrap().to_string();
        assert!(error.contains("limits.parallel: 1 to 64"), "{error}");
    }
    let error = load_text(&format!("{ten}limits: {{ memory: 2MiB }}\n")).err().unwrap();
    assert!(error.to_string().contains("at least 1MiB a stream, which 4 streams"), "{error}");
}

#[test]
fn defaults_count_unless_a_stream_says_otherwise() {
    let text = GOOD.replace("    primary_key: [id]\n", "")
        + "defaults: { primary_key: [id], where: \"status = 'x'\" }\n";
    let config = load_text(&text).unwrap().streams()[0].config.clone();
    assert_eq!(config.primary_key, ["id"]);
    assert_eq!(config.filter.as_deref(), Some("status = 'confirmed'"));
}

#[test]
fn a_secret_is_followed_and_never_shown() {
    let text = GOOD.replace("path: b.db", "url: \"postgres://u:${env:PW}@h/db\"");
    let file = load_with(&text, Secrets::Required, &[("PW", "canary-9f2")]).unwrap();
    assert_eq!(file.target().value()["url"], "postgres://u:canary-9f2@h/db");
    assert!(!format!("{file:?} {:?}", file.target()).contains("canary"));
    assert_eq!(crate::secrets::redact("x canary-9f2"), "x [secret]");
}

#[test]
fn a_missing_secret_names_key_and_reference() {
    let text = GOOD.replace("path: b.db", "url: \"${file:/no/such/secret}\"");
    let error = load_text(&text).err().unwrap().to_string();
    assert!(error.contains("p.yaml:6: target.url: secret file /no/such/secret"), "{error}");
    let file = load_with(&text, Secrets::Optional, &[]).unwrap();
    assert_eq!(file.target().value()["url"], "sqlite://stand_in:1@stand-in.invalid/stand_in");
}

#[test]
fn a_password_in_the_file_is_refused_unless_accepted() {
    for url in ["postgres://u:hunter2x@h/db", "${env:NONE:postgres://u:hunter2x@h/db}"] {
        let text = GOOD.replace("path: b.db", &format!("url: \"{url}\""));
        let error = load_text(&text).err().unwrap().to_string();
        assert!(error.contains("stands in this file in clear"), "{error}");
        assert!(!error.contains("hunter2x"), "{error}");
        assert!(load_text(&format!("{text}allow_inline_secrets: true\n")).is_ok());
    }
}

#[test]
fn an_example_password_is_refused_wherever_it_comes_from() {
    let text = GOOD.replace("path: b.db", "url: \"postgres://u:${env:PW}@h/db\"");
    for password in ["CHANGE_ME", "YourStrong%40Passw0rd", "guest"] {
        let error = load_with(&text, Secrets::Required, &[("PW", password)]).err().unwrap();
        assert!(error.to_string().contains("stand in examples"), "{password}: {error}");
    }
}

#[test]
fn a_value_that_is_a_secret_is_not_quoted_in_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "canary-5aa\n").unwrap();
    let reference =
        format!("limits: {{ batch: {{ rows: \"${{file:{}}}\" }} }}\n", file.path().display());
    let error = load_text(&format!("{GOOD}{reference}")).err().unwrap().to_string();
    assert!(error.contains("limits.batch.rows") && !error.contains("canary"), "{error}");
}
