use etl_core::Class;

use super::*;
use crate::config::Secrets;

const FILE: &str = "\
version: 1
pipeline: shop
source: { type: postgres, url: \"${env:NO_SUCH_URL}\" }
target: { type: mssql, url: \"${env:NO_SUCH_URL}\" }
defaults: { cursor: { column: updated_at }, columns: { amount: \"decimal(18,2)\" } }
streams:
  public.orders:
    object: dbo.orders
    primary_key: [id]
    select: [id, updated_at]
  public.*:
    object: dbo.{table}
    exclude: [public.audit_*, public.tmp]
    exclude_columns: [secret]
";

fn load(text: &str) -> Result<PipelineFile> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yaml");
    std::fs::write(&path, text).unwrap();
    PipelineFile::load(&path, Secrets::Optional)
}

fn table_in(schema: &str, table: &str, columns: &[&str], key: &[&str]) -> TableInfo {
    let texts = |of: &[&str]| of.iter().map(|text| (*text).to_owned()).collect();
    TableInfo {
        name: ObjectName {
            schema: Some(schema.to_owned()),
            table: table.to_owned(),
            ignores_case: false,
        },
        columns: texts(columns),
        primary_key: texts(key),
    }
}

fn table(name: &str) -> TableInfo {
    table_in("public", name, &["id", "note", "secret", "updated_at"], &["id"])
}

/// The streams' names, and why others were refused, of `text` and a catalog.
fn resolved(text: &str, tables: Vec<TableInfo>, prepared: &[&str]) -> (Vec<Stream>, Vec<String>) {
    let prepared: Vec<_> = prepared.iter().map(|name| (*name).to_owned()).collect();
    let resolved = load(text).unwrap().resolve(Ok(tables), &prepared);
    let refused = resolved.refused.into_iter();
    let refused =
        refused.map(|one| format!("{} [{}] {}", one.stream, one.error.class(), one.error));
    (resolved.streams, refused.collect())
}

fn names(streams: &[Stream]) -> Vec<&str> {
    streams.iter().map(|stream| stream.name.as_str()).collect()
}

#[test]
fn a_pattern_makes_a_stream_of_each_table_but_those_excluded_or_named() {
    let tables = ["orders", "items", "audit_1", "tmp", "tmp2"].map(table);
    let elsewhere = table_in("other", "items", &["id", "updated_at"], &["id"]);
    let tables = tables.into_iter().chain([elsewhere]).collect();
    let (streams, refused) = resolved(FILE, tables, &[]);
    assert!(refused.is_empty(), "{refused:?}");
    assert_eq!(names(&streams), ["public.orders", "public.items", "public.tmp2"]);
    // The one that the file names stays as it says.
    assert_eq!(streams[0].config.select, ["id", "updated_at"]);
    let found = &streams[1].config;
    assert_eq!(found.object, "dbo.items");
    assert_eq!(found.primary_key, ["id"]);
    assert_eq!(found.select, ["id", "note", "updated_at"], "without the excluded column");
    assert_eq!(found.cursor.column, "updated_at");
    assert!(found.columns.is_empty(), "a declaration for a column that it does not have");
    assert_eq!(streams[1].table(), "public.items");
}

#[test]
fn a_table_that_lacks_what_the_pattern_wants_is_refused_alone() {
    let tables = vec![
        table("items"),
        table_in("public", "no_key", &["id", "updated_at"], &[]),
        table_in("public", "no_cursor", &["id", "note"], &["id"]),
        table_in("public", "Order Details", &["id", "updated_at"], &["id"]),
        table_in("public", "a.b", &["id", "updated_at"], &["id"]),
        table_in("public", "secret_key", &["secret", "updated_at"], &["secret"]),
    ];
    let (streams, refused) = resolved(FILE, tables, &[]);
    assert_eq!(names(&streams), ["public.orders", "public.items"]);
    for (stream, parts) in [
        (
            "public.no_key",
            vec!["no primary key", "stream of its own", "exclude: [\"public.no_key\"]"],
        ),
        ("public.no_cursor", vec!["no column updated_at", "cursor.column", "pattern public.*"]),
        ("public.Order Details", vec!["a-z A-Z 0-9", "table: \"public.Order Details\""]),
        ("public.a.b", vec!["no checkpoint can be named"]),
        ("public.secret_key", vec!["primary_key: column secret is not in select"]),
    ] {
        let told = refused.iter().find(|one| one.starts_with(&format!("{stream} [config] ")));
        let told = told.unwrap_or_else(|| panic!("{stream}: {refused:?}"));
        for part in parts {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    assert_eq!(refused.len(), 5, "{refused:?}");
}

#[test]
fn names_with_capitals_become_streams_in_small_letters() {
    let tables = vec![table("OrderLines")];
    let (streams, _) = resolved(FILE, tables, &[]);
    assert_eq!(names(&streams), ["public.orders", "public.orderlines"]);
    assert_eq!(streams[1].table(), "public.OrderLines");
    assert_eq!(streams[1].config.object, "dbo.OrderLines");
    // Two that become one are none.
    let (streams, refused) = resolved(FILE, vec![table("lines"), table("Lines")], &[]);
    assert_eq!(names(&streams), ["public.orders"]);
    assert_eq!(refused.len(), 2);
    assert!(refused[0].contains("several tables give a stream of this name"), "{refused:?}");
}

#[test]
fn a_table_that_two_patterns_match_is_refused_with_both() {
    let text = format!("{FILE}  public.i*:\n    object: dbo.i_{{table}}\n");
    let (streams, refused) = resolved(&text, vec![table("items"), table("names")], &[]);
    assert_eq!(names(&streams), ["public.orders", "public.names"]);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("public.* and public.i* both match"), "{refused:?}");
    let text = text.replace("public.tmp]", "public.tmp, public.items]");
    let (streams, refused) = resolved(&text, vec![table("items"), table("names")], &[]);
    assert_eq!(names(&streams), ["public.orders", "public.items", "public.names"]);
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn a_pattern_that_matches_nothing_is_refused_with_what_is_near() {
    for (pattern, expected) in [
        ("publik.*", "did you mean \"public.*\"?"),
        ("public.itms_*", "did you mean \"public.items_old\"?"),
        ("public.zzzzzzz*", "it has public.items_old, public.orders"),
    ] {
        let text = FILE.replace("  public.*:", &format!("  {pattern}:"));
        let (streams, refused) = resolved(&text, vec![table("items_old"), table("orders")], &[]);
        assert_eq!(names(&streams), ["public.orders"], "the others go on");
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].starts_with(&format!("{pattern} [config]")), "{refused:?}");
        assert!(refused[0].contains(expected), "{expected}: {refused:?}");
    }
    let (_, refused) = resolved(FILE, Vec::new(), &[]);
    assert!(refused[0].contains("none that this login may see"), "{refused:?}");
    // Excluded or named ones count: the pattern is not at fault.
    let (_, refused) = resolved(FILE, vec![table("orders"), table("audit_1")], &[]);
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn two_tables_for_one_target_are_refused_and_the_named_stream_keeps_its_own() {
    let text =
        FILE.replace("  public.*:", "  '*.*':").replace("object: dbo.orders", "object: ORDERS");
    let other = table_in("other", "orders", &["id", "updated_at"], &["id"]);
    let items = ["a", "b"].map(|schema| table_in(schema, "items", &["id", "updated_at"], &["id"]));
    let tables = items.into_iter().chain([other, table("names")]).collect();
    let (streams, refused) = resolved(&text, tables, &[]);
    assert_eq!(names(&streams), ["public.orders", "public.names"]);
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused[0].contains("a.items [config] it would write to dbo.items"), "{refused:?}");
    assert!(refused[0].contains("so does stream b.items"), "{refused:?}");
    assert!(refused[2].contains("so does stream public.orders"), "{refused:?}");
}

#[test]
fn a_table_that_is_gone_is_missed() {
    let prepared = ["public.orders", "public.items", "public.gone", "public.tmp", "sales.x"];
    let (streams, refused) = resolved(FILE, vec![table("items")], &prepared);
    assert_eq!(names(&streams), ["public.orders", "public.items"]);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].starts_with("public.gone [schema] the pattern public.*"), "{refused:?}");
    assert!(refused[0].contains("exclude: [\"public.gone\"]"), "{refused:?}");
    // One that another stream reads by now is not gone.
    let text = format!(
        "{FILE}  lines:\n    {{ table: public.items, object: o, primary_key: [id], select: [id, updated_at] }}\n"
    );
    let (streams, refused) = resolved(&text, vec![table("items")], &prepared[..2]);
    assert_eq!(names(&streams), ["public.orders", "lines"]);
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn without_a_catalog_patterns_are_refused_and_other_streams_are_not() {
    let file = load(FILE).unwrap();
    let error = Error::transient("no answer").with_code("57P03");
    let resolved = file.resolve(Err(error), &[]);
    assert_eq!(names(&resolved.streams), ["public.orders"]);
    let refused = &resolved.refused[0];
    assert_eq!((refused.stream.as_str(), refused.error.class()), ("public.*", Class::Transient));
    assert_eq!(refused.error.code(), Some("57P03"));
}

#[test]
fn a_pattern_is_checked_as_far_as_no_table_is_needed() {
    for (old, new, expected) in [
        ("object: dbo.{table}", "object: dbo.all", "write {table} where the name"),
        ("object: dbo.{table}", "object: dbo.{tabel}{table}", "only {table} and {schema}"),
        ("exclude: [", "exclud: [", "unknown key \"exclud\""),
        ("exclude_columns: [secret]", "exclude_columns: secret", "invalid type"),
        ("exclude_columns: [secret]", "where: lower(x) = 'a'", "where"),
        ("exclude_columns: [secret]", "table: x", "table: a pattern finds its tables"),
        ("exclude_columns: [secret]", "mode: upsrt", "did you mean \"upsert\"?"),
        ("column: updated_at", "guard: 5s", "missing key \"column\""),
    ] {
        assert!(FILE.contains(old), "{old}");
        let error = load(&FILE.replace(old, new)).err();
        let error = error.unwrap_or_else(|| panic!("accepted: {new}")).to_string();
        assert!(error.contains("streams.") && error.contains(expected), "{new}: {error}");
    }
    let file = load(&FILE.replace("exclude_columns: [secret]", "where: \"b > 1\"")).unwrap();
    assert_eq!(file.patterns().collect::<Vec<_>>(), ["public.*"]);
    assert_eq!(file.samples().unwrap().len(), 2);
}

#[test]
fn a_stream_of_a_pattern_is_known_by_name_without_the_source() {
    let file = load(FILE).unwrap();
    assert_eq!(file.unseen("public.anything").unwrap().full_name(), "shop/public.anything");
    assert_eq!(file.unseen("public.orders").unwrap().config.object, "dbo.orders");
    for other in ["public.tmp", "sales.x"] {
        let error = file.unseen(other).err().unwrap().to_string();
        assert!(error.contains("there is no stream"), "{error}");
    }
}

#[test]
fn placeholders_are_filled_in_streams_that_the_file_names_too() {
    let text = FILE.replace("object: dbo.orders", "object: \"{schema}_x.{table}\"");
    assert_eq!(load(&text).unwrap().streams()[0].config.object, "public_x.orders");
}
