//! Every T-SQL statement that the product can send, as a golden file.
//!
//! `ETL_UPDATE_GOLDEN=1` writes them anew; CI parses them with a T-SQL grammar of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use etl_core::connector::Stream;
use etl_core::predicate::Predicate;
use etl_core::schema::{StreamSchema, meta};
use etl_core::sink::Statement;
use etl_core::{Definition, StreamConfig};
use etl_sinks::mssql::aside;
use etl_sinks::mssql::replace::Replace;
use etl_sinks::mssql::statements::{self, Statements};
use etl_sources::mssql::Plan;
use etl_sources::mssql::query::{self, Bounds};
use etl_sql::mssql::quote::TableName;
use etl_sql::mssql::read::{Mark, catalog, horizon};
use etl_sql::mssql::target::{self, Target};
use etl_sql::mssql::{MssqlConfig, bulk, plan};
use secrecy::SecretString;
use serde_json::{Value, json};

/// A column of every type.
fn every_type() -> Vec<Field> {
    let text = |name: &str, length: &str| {
        Field::new(name, DataType::Utf8, true)
            .with_metadata([(meta::MAX_CHARS.to_owned(), length.to_owned())].into())
    };
    let micros = TimeUnit::Microsecond;
    vec![
        Field::new("id", DataType::Int64, false),
        Field::new("small", DataType::Int16, true),
        Field::new("whole", DataType::Int32, false),
        Field::new("single", DataType::Float32, true),
        Field::new("double", DataType::Float64, true),
        Field::new("amount", DataType::Decimal128(18, 2), false),
        Field::new("flag", DataType::Boolean, true),
        text("code", "10"),
        text("title", "1500"),
        Field::new("note", DataType::Utf8, true),
        Field::new("raw", DataType::Binary, true),
        Field::new("day", DataType::Date32, true),
        Field::new("local", DataType::Timestamp(micros, None), true),
        Field::new("updated_at", DataType::Timestamp(micros, Some("UTC".into())), false),
        Field::new("clock", DataType::Time64(micros), true),
        Field::new("uid", DataType::FixedSizeBinary(16), true),
    ]
}

fn target(object: &str, key: &[&str], fields: Vec<Field>, extra: Value) -> Arc<Target> {
    let mut config = json!({
        "object": object, "primary_key": key, "cursor": { "column": "updated_at" },
        "select": ["id"],
    });
    for (name, value) in extra.as_object().unwrap() {
        config[name] = value.clone();
    }
    let config: StreamConfig = serde_json::from_value(config).unwrap();
    let schema = StreamSchema {
        name: "orders/public.orders".to_owned(),
        schema: Arc::new(Schema::new(fields)),
        key: key.iter().map(|name| (*name).to_owned()).collect(),
        definition: Definition::default(),
    };
    Arc::new(Target::planned(&config, &schema).unwrap())
}

/// Targets that differ in every way that changes a statement.
fn targets() -> BTreeMap<&'static str, Arc<Target>> {
    let key = |length: &str| {
        let length = [(meta::MAX_UNITS.to_owned(), length.to_owned())].into();
        Field::new("k.e y", DataType::Utf8, false).with_metadata(length)
    };
    let at = Field::new("updated_at", DataType::Date32, true);
    BTreeMap::from([
        ("upsert", target("dbo.orders", &["id"], every_type(), json!({}))),
        ("replace", target("dbo.orders", &["id"], every_type(), json!({ "mode": "replace" }))),
        ("replace_text_key", {
            let fields = vec![key("400"), Field::new("id", DataType::Int32, false), at.clone()];
            let replace = json!({ "mode": "replace", "foreign_writers": true });
            let mut found =
                target("sales.[or'ders \"x\"]", &["k.e y", "id"], fields, replace).as_ref().clone();
            // As a table that was there before may be.
            found.columns[0].collation = "Latin1_General_BIN".to_owned();
            found.altered = Some("2024-02-29T10:00:00.123".to_owned());
            Arc::new(found)
        }),
        ("append", target("dbo.orders_log", &["id"], every_type(), json!({ "mode": "append" }))),
        ("text_key_shared", {
            let fields = vec![key("400"), Field::new("id", DataType::Int32, false), at.clone()];
            let keep = json!({ "foreign_writers": true, "on_filter_exit": "keep" });
            let mut found = target("sales.[or'ders \"x\"]", &["k.e y", "id"], fields, keep);
            Arc::make_mut(&mut found).altered = Some("2024-02-29T10:00:00.123".to_owned());
            found
        }),
        ("long_key", target("dbo.long", &["k.e y"], vec![key("800"), at], json!({}))),
        (
            "marked",
            target("dbo.orders", &["id"], every_type(), json!({ "on_filter_exit": "soft_delete" })),
        ),
        (
            "marked_key_only",
            target(
                "dbo.ids",
                &["id"],
                vec![Field::new("id", DataType::Int64, false)],
                json!({ "on_filter_exit": "soft_delete", "soft_delete": { "column": "gone at" } }),
            ),
        ),
        (
            "key_only",
            target("dbo.ids", &["id"], vec![Field::new("id", DataType::Int64, false)], json!({})),
        ),
    ])
}

/// A table to read from, as its catalog tells it.
fn source_table() -> catalog::Table {
    let column = |name: &str, kind: &str, max_length: i16| catalog::Column {
        name: name.to_owned(),
        type_name: kind.to_owned(),
        max_length,
        precision: 19,
        scale: 4,
        nullable: name == "note",
        collation: None,
        masked: false,
        encrypted: false,
        is_row_start: false,
        has_default: false,
        default: None,
        readable: true,
    };
    catalog::Table {
        object_id: 1,
        kind: "U".to_owned(),
        unmasked: true,
        row_security: false,
        columns: vec![
            column("k.e y", "varchar", 40),
            column("part", "int", 4),
            column("note", "nchar", 20),
            column("amount", "money", 8),
            column("paid", "bit", 1),
            column("rv", "timestamp", 8),
        ],
        indexes: Vec::new(),
        on_insert: false,
        on_update: false,
    }
}

/// What the source sends.
fn source_statements() -> BTreeMap<String, String> {
    let mut all: BTreeMap<_, _> = [
        ("database", catalog::DATABASE),
        ("fork", catalog::FORK),
        ("tables", etl_sources::mssql::catalog::TABLES),
        ("table", catalog::TABLE),
        ("columns", catalog::COLUMNS),
        ("indexes", catalog::INDEXES),
        ("triggers", catalog::TRIGGERS),
        ("row_security", catalog::ROW_SECURITY),
        ("versions", horizon::VERSIONS),
        ("clock", horizon::CLOCK),
        ("open", horizon::OPEN),
        ("lists", horizon::LISTS),
    ]
    .map(|(name, sql)| (format!("source.{name}"), sql.to_owned()))
    .into();
    let filter = "paid AND (note LIKE '50[%' OR amount > 1.5) IS NOT TRUE";
    let config: StreamConfig = serde_json::from_value(json!({
        "object": "o", "primary_key": ["k.e y", "part"], "cursor": { "column": "rv" },
        "select": ["k.e y", "part", "note", "amount", "paid", "rv"], "where": filter,
    }))
    .unwrap();
    let stream = Stream { pipeline: "orders".into(), name: "dbo.[or'ders x]".into(), config };
    let database = catalog::Database {
        identity: catalog::Identity { database: String::new(), fork: String::new() },
        reading: catalog::Reading::Snapshot,
        is_copy: false,
    };
    let filter = Predicate::parse(filter).unwrap();
    let plan = Plan::resolve(&database, &source_table(), &stream, Some(&filter)).unwrap();
    let table = TableName::parse(&stream.name).unwrap();
    let low = Some(Mark::Version(2_001));
    let below = Some(Mark::Version(2_100));
    let behind = Some((Mark::Version(2_050), vec!["O'Brien".to_owned(), "-7".to_owned()]));
    for (name, bounds) in [
        ("sweep_first", Bounds::default()),
        ("sweep_next", Bounds { low, below, behind: None }),
        ("sweep_resumed", Bounds { low: None, below: None, behind }),
    ] {
        all.insert(format!("source.{name}"), query::sweep(&plan, &table, &bounds).unwrap() + ";");
    }
    all.insert("source.trial".to_owned(), query::trial(&plan, &table).unwrap());
    all.insert("source.by_key".to_owned(), query::by_key(&plan, &table, 2).unwrap() + ";");
    all
}

/// File name and text of everything that is sent.
fn all_statements() -> BTreeMap<String, String> {
    let mut all = source_statements();
    for (name, sql) in [
        ("claim", statements::claim("etl")),
        ("look", statements::look("etl")),
        ("version", statements::version("etl")),
        ("ledger", statements::ledger("etl")),
        ("streams", statements::streams("etl")),
        ("totals", statements::totals("etl")),
        ("renew", statements::renew("etl")),
        ("finish", statements::finish("etl")),
        ("change_state", statements::change("etl")),
        ("entries", aside::entries("etl")),
        ("aside.create", Ok(aside::create())),
        ("aside.truncate", Ok(aside::truncate())),
        ("aside.fill", Ok(aside::fill(2))),
    ] {
        all.insert(name.to_owned(), sql.unwrap());
    }
    all.insert("target_altered".to_owned(), target::ALTERED.to_owned());
    all.insert("target_columns".to_owned(), target::COLUMNS.to_owned());
    all.insert("target_keys".to_owned(), target::UNIQUE_KEYS.to_owned());
    let url = SecretString::from("mssql://etl_job:unused-1@localhost/dw");
    let job = MssqlConfig::from_url(&url).unwrap();
    for (name, target) in targets() {
        let stage = target.stage("etl").unwrap();
        if let Some(stage) = &stage {
            let sent = Replace::new("etl", &target, stage).unwrap();
            all.insert(format!("{name}.load"), sent.load.commit(""));
            all.insert(format!("{name}.load_position"), sent.load_position.commit(""));
            all.insert(format!("{name}.load_probe"), sent.load.probe());
            all.insert(format!("{name}.apply"), sent.apply);
        }
        let sent = Statements::new("etl", stage.as_ref().unwrap_or(&target)).unwrap();
        all.insert(format!("{name}.stage"), sent.create_stage);
        all.insert(format!("{name}.commit"), sent.commit.commit(""));
        all.insert(format!("{name}.probe"), sent.commit.probe());
        if let Some(column) = target.columns.iter().find(|column| !column.key) {
            let fill = bulk::fill_statement(statements::STAGE, &target, column);
            all.insert(format!("{name}.fill_stage"), fill);
        }
        all.insert(format!("{name}.trial"), statements::trial(&target).unwrap());
        all.insert("truncate_stage".to_owned(), sent.truncate_stage);
        all.insert("commit_position".to_owned(), sent.commit_position.commit(""));
        let beside = aside::commit("etl").unwrap();
        all.insert("commit_aside".to_owned(), sent.commit_position.commit(&beside));
        insert_new(&mut all, &format!("{name}.prepare"), plan::statements("etl", &target).unwrap());
        let steps = mssql_init::steps::steps(&job, None, std::slice::from_ref(&target)).unwrap();
        if name == "upsert" {
            let reader = SecretString::from("mssql://etl_metrics:unused-2@localhost/dw");
            let reader = MssqlConfig::from_url(&reader).unwrap();
            let more = mssql_init::steps::steps(&job, Some(&reader), &[target]).unwrap();
            let own = more.into_iter().filter(|step| !steps.contains(step));
            insert_new(&mut all, "metrics_login.init", own.map(|step| step.statement));
        }
        insert_new(&mut all, &format!("{name}.init"), steps.into_iter().map(|step| step.statement));
    }
    all
}

/// The titles of a script's statements, in order, and those of its statements that no script
/// before it has: migrations and the like would be in every one.
fn insert_new(
    all: &mut BTreeMap<String, String>,
    script: &str,
    statements: impl IntoIterator<Item = Statement>,
) {
    let mut titles = String::new();
    for (index, statement) in statements.into_iter().enumerate() {
        writeln!(titles, "-- {index:02} {}", statement.title()).unwrap();
        if !all.values().any(|text| *text == statement.text) {
            all.insert(format!("{script}.{index:02}"), statement.text);
        }
    }
    all.insert(script.to_owned(), titles);
}

#[test]
fn every_statement_is_its_golden_file() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/tsql");
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

/// Statements of kinds that sqlparser does not know: THROW, EXEC with a result, sp_executesql's
/// parameters in DECLARE, GRANT ON OBJECT::, TRUNCATE of a temporary table.
#[test]
fn a_second_grammar_reads_what_it_knows() {
    let known = |name: &str| {
        ["look", "totals", "renew", "target_altered", "target_columns", "target_keys"]
            .contains(&name)
            || [".stage", ".fill_stage"].iter().any(|end| name.ends_with(end))
    };
    for (name, sql) in all_statements().into_iter().filter(|(name, _)| known(name)) {
        let dialect = sqlparser::dialect::MsSqlDialect {};
        let parsed = sqlparser::parser::Parser::parse_sql(&dialect, &sql);
        assert!(parsed.is_ok_and(|parsed| !parsed.is_empty()), "{name}: {sql}");
    }
}

#[test]
fn a_deleted_clause_is_seen() {
    let sent = Statements::new("etl", &targets()["upsert"]).unwrap();
    for clause in ["[sequence] = @sequence", "[run_id] = @run_id", "sp_getapplock", "XACT_ABORT ON"]
    {
        assert!(sent.commit.commit("").contains(clause), "{clause}");
    }
}
