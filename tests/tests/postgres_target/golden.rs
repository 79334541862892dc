//! Every statement that is sent to a Postgres target, as a golden file.
//!
//! `ETL_UPDATE_GOLDEN=1` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use etl_core::connector::Mode;
use etl_core::schema::{StreamSchema, meta};
use etl_core::{Definition, StreamConfig};
use etl_sinks::postgres::apply::Statements;
use etl_sinks::postgres::replace::Replace;
use etl_sinks::postgres::statements;
use etl_sql::postgres::plan;
use etl_sql::postgres::sqltype::SqlType;
use etl_sql::postgres::target::Target;
use serde_json::{Value, json};

fn target(key: &[&str], fields: Vec<Field>, extra: Value) -> Target {
    let mut config = json!({
        "object": "dw.or\"ders", "primary_key": key, "cursor": { "column": "updated_at" },
        "select": ["id"],
    });
    for (name, value) in extra.as_object().unwrap() {
        config[name] = value.clone();
    }
    let config: StreamConfig = serde_json::from_value(config).unwrap();
    let schema = StreamSchema {
        name: "orders/public.o'rders".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        definition: Definition::default(),
    };
    Target::planned(&config, &schema).unwrap()
}

fn fields() -> Vec<Field> {
    let bounded = [(meta::MAX_CHARS.to_owned(), "40".to_owned())].into();
    vec![
        Field::new("id", DataType::Int64, false),
        Field::new("k e\"y", DataType::Utf8, false).with_metadata(bounded),
        Field::new("amount", DataType::Decimal128(18, 2), false),
        Field::new("ratio", DataType::Float64, true),
        Field::new("note", DataType::Utf8, true),
    ]
}

/// Targets that differ in every way that changes a statement.
fn targets() -> BTreeMap<&'static str, Target> {
    let key = ["id", "k e\"y"];
    let mut found = target(&key, fields(), json!({ "foreign_writers": true }));
    // As a table that was there before may be.
    found.columns[1].collation = Some("pg_catalog.\"de_DE\"".to_owned());
    found.columns[4].sql_type = SqlType::CiText;
    found.columns[4].cast = Some("public.citext".to_owned());
    let mut found_replaced = found.clone();
    found_replaced.mode = Mode::Replace;
    let ids = vec![Field::new("id", DataType::Int64, false)];
    BTreeMap::from([
        ("upsert", target(&key, fields(), json!({}))),
        ("keep", target(&key, fields(), json!({ "on_filter_exit": "keep" }))),
        ("append", target(&key, fields(), json!({ "mode": "append" }))),
        ("found_shared", found),
        ("found_replaced", found_replaced),
        ("replace", target(&key, fields(), json!({ "mode": "replace" }))),
        (
            "marked_shared",
            target(
                &key,
                fields(),
                json!({ "on_filter_exit": "soft_delete", "foreign_writers": true }),
            ),
        ),
        ("marked_key_only", {
            let mark = json!({ "column": "gone \"at" });
            let marked = json!({ "on_filter_exit": "soft_delete", "soft_delete": mark });
            target(&["id"], ids.clone(), marked)
        }),
        ("key_only", target(&["id"], ids, json!({}))),
    ])
}

fn all_statements() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, sql) in [
        ("abandon", statements::abandon("etl")),
        ("advance", statements::advance("etl")),
        ("change", statements::change("etl")),
        ("claim", statements::claim("etl")),
        ("clear_aside", statements::clear_aside("etl")),
        ("clear_other_loads", statements::clear_other_loads("etl")),
        ("close_ledger", statements::close_ledger("etl")),
        ("count", statements::count("etl")),
        ("enter_aside", statements::enter_aside("etl")),
        ("entries", statements::entries("etl")),
        ("look", statements::look("etl")),
        ("look_and_lock", statements::look_and_lock("etl")),
        ("open_ledger", statements::open_ledger("etl")),
        ("release", statements::release("etl")),
        ("renew", statements::renew("etl")),
        ("renew_aside", statements::renew_aside("etl")),
        ("total", statements::total("etl")),
        ("totals", statements::totals("etl")),
        ("version", statements::version("etl")),
    ] {
        all.insert(name.to_owned(), sql.unwrap());
    }
    let mut written = BTreeSet::new();
    for (name, target) in targets() {
        let stage = target.stage("etl").unwrap();
        if let Some(stage) = &stage {
            let sent = Replace::new(&target, stage).unwrap();
            let update = sent.update.unwrap_or_default();
            let script = [sent.empty, sent.count, sent.delete, update, sent.insert];
            all.insert(format!("{name}.replace"), script.join(";\n"));
        }
        let sent = Statements::new(stage.as_ref().unwrap_or(&target)).unwrap();
        all.insert(format!("{name}.stage"), format!("{};\n{}", sent.create_stage, sent.copy));
        all.insert(format!("{name}.apply"), sent.apply());
        let steps = plan::statements("etl", &target, Some("etl_\"job")).unwrap();
        // What a script before it has, such as migrations, is only named.
        let script = steps.into_iter().map(|step| {
            let title = step.title();
            let text = if written.insert(step.text.clone()) { step.text } else { String::new() };
            format!("-- {title}\n{text}")
        });
        let script: Vec<_> = script.collect();
        all.insert(format!("{name}.prepare"), script.join("\n"));
    }
    all
}

#[test]
fn every_statement_to_postgres_is_its_golden_file() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/postgres");
    let all = all_statements();
    if std::env::var_os("ETL_UPDATE_GOLDEN").is_some() {
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in &all {
            std::fs::write(folder.join(format!("{name}.sql")), format!("{text}\n")).unwrap();
        }
    }
    for (name, text) in &all {
        let golden = std::fs::read_to_string(folder.join(format!("{name}.sql")))
            .unwrap_or_else(|_| panic!("{name} has no golden file; run with ETL_UPDATE_GOLDEN=1"));
        assert_eq!(
            golden.trim_end(),
            text.trim_end(),
            "{name}; look at the difference, then run with ETL_UPDATE_GOLDEN=1"
        );
    }
    let files = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, all.len(), "a golden file belongs to no statement");
}
