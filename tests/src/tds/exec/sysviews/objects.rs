//! `sys` views of databases, schemas, tables, columns, indexes and constraints.

use super::{Builder, Look, View, b, n, s, when};
use crate::tds::engine::catalog::{Column, Database, Generated, Index, IndexKind, TableDef};
use crate::tds::exec::functions::TYPES;
use crate::tds::types::{SqlType, Value};

pub(super) fn view(look: &mut Look<'_, '_, '_>, name: &str) -> Option<View> {
    Some(match name {
        "databases" => databases(look),
        "database_recovery_status" => recovery_status(look),
        "trigger_events" => Builder::new(
            "object_id int, type int, type_desc n60, is_first bit?, is_last bit?",
            look.coll(),
        )
        .done(),
        "security_policies" => {
            Builder::new("name sysname, object_id int, is_enabled bit", look.coll()).done()
        }
        "security_predicates" => Builder::new(
            "object_id int, security_predicate_id int, target_object_id int, predicate_type int?",
            look.coll(),
        )
        .done(),
        "schemas" => {
            let mut v = Builder::new("name sysname, schema_id int, principal_id int?", look.coll());
            for x in &look.db.schemas {
                v.row(vec![s(&x.name), n(x.id), n(x.owner)]);
            }
            v.done()
        }
        "tables" => tables(look),
        "views" => {
            let mut v = Builder::new(
                "name sysname, object_id int, schema_id int, parent_object_id int, type char2, type_desc n60?, create_date datetime, modify_date datetime",
                look.coll(),
            );
            for x in look.db.views.iter().filter(|x| look.sees(x.id)) {
                let at = when(x.created);
                v.row(vec![s(&x.name), n(x.id), n(x.schema), n(0), s("V "), s("VIEW"), at.clone(), at]);
            }
            v.done()
        }
        "objects" | "all_objects" => objects(look),
        "columns" | "all_columns" => columns(look),
        "identity_columns" => identity_columns(look),
        "computed_columns" => computed_columns(look),
        "types" => types(look),
        "indexes" => indexes(look),
        "index_columns" => index_columns(look),
        "key_constraints" => key_constraints(look),
        "check_constraints" => check_constraints(look),
        "default_constraints" => default_constraints(look),
        "foreign_keys" => foreign_keys(look),
        "foreign_key_columns" => foreign_key_columns(look),
        "partitions" => partitions(look),
        "triggers" => Builder::new(
            "name sysname, object_id int, parent_class tinyint, parent_id int, type char2, is_disabled bit, is_instead_of_trigger bit",
            look.coll(),
        )
        .done(),
        _ => return None,
    })
}

fn databases(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "name sysname?, database_id int, owner_sid bin?, create_date datetime, compatibility_level tinyint, collation_name sysname?, user_access tinyint?, user_access_desc n60?, is_read_only bit?, state tinyint?, state_desc n60?, snapshot_isolation_state tinyint?, snapshot_isolation_state_desc n60?, is_read_committed_snapshot_on bit?, recovery_model tinyint?, recovery_model_desc n60?, service_broker_guid guid, is_in_standby bit?",
        look.coll(),
    );
    for d in &look.ctx.state.catalog.databases {
        let snapshot = d.snapshot_isolation;
        v.row(vec![
            s(&d.name),
            n(d.id),
            Value::bin(crate::tds::exec::functions::sid_of(d.owner)),
            when(d.created),
            n(150),
            s(d.collation.name()),
            n(0),
            s("MULTI_USER"),
            b(false),
            n(0),
            s("ONLINE"),
            n(i64::from(snapshot)),
            s(if snapshot { "ON" } else { "OFF" }),
            b(d.read_committed_snapshot),
            n(if d.recovery == "SIMPLE" { 3 } else { 1 }),
            s(&d.recovery),
            guid(d, 1),
            b(false),
        ]);
    }
    v.done()
}

/// An identifier that a database keeps as long as it exists.
fn guid(d: &Database, purpose: u8) -> Value {
    let mut bytes = [purpose; 16];
    bytes[..4].copy_from_slice(&d.id.to_be_bytes());
    bytes[4..8].copy_from_slice(&d.created.0.to_be_bytes());
    bytes[8..].copy_from_slice(&d.created.1.to_be_bytes());
    bytes[8] = purpose;
    Value::Guid(bytes)
}

fn recovery_status(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "database_id int, database_guid guid?, family_guid guid?, recovery_fork_guid guid?",
        look.coll(),
    );
    for d in &look.ctx.state.catalog.databases {
        v.row(vec![n(d.id), guid(d, 2), guid(d, 3), guid(d, 4)]);
    }
    v.done()
}

fn tables(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "name sysname, object_id int, principal_id int?, schema_id int, parent_object_id int, type char2, type_desc n60?, create_date datetime, modify_date datetime, is_ms_shipped bit, is_published bit, max_column_id_used int, uses_ansi_nulls bit?, is_memory_optimized bit?, temporal_type tinyint?, temporal_type_desc n60?, is_external bit",
        look.coll(),
    );
    for t in look.tables() {
        v.row(vec![
            s(&t.name),
            n(t.id),
            Value::Null,
            n(t.schema),
            n(0),
            s("U "),
            s("USER_TABLE"),
            when(t.created),
            when(t.modified),
            b(false),
            b(false),
            n(t.next_column - 1),
            b(true),
            b(false),
            n(0),
            s("NON_TEMPORAL_TABLE"),
            b(false),
        ]);
    }
    v.done()
}

fn objects(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "name sysname, object_id int, principal_id int?, schema_id int, parent_object_id int, type char2, type_desc n60?, create_date datetime, modify_date datetime, is_ms_shipped bit",
        look.coll(),
    );
    let mut put =
        |name: &str, id: i32, schema: i32, parent: i32, kind: &str, desc: &str, at: (i32, u64)| {
            v.row(vec![
                s(name),
                n(id),
                Value::Null,
                n(schema),
                n(parent),
                s(kind),
                s(desc),
                when(at),
                when(at),
                b(false),
            ]);
        };
    for t in look.tables() {
        put(&t.name, t.id, t.schema, 0, "U ", "USER_TABLE", t.created);
        for i in &t.indexes {
            match i.kind {
                IndexKind::PrimaryKey => {
                    put(
                        &i.name,
                        i.object,
                        t.schema,
                        t.id,
                        "PK",
                        "PRIMARY_KEY_CONSTRAINT",
                        t.created,
                    );
                }
                IndexKind::UniqueConstraint => {
                    put(&i.name, i.object, t.schema, t.id, "UQ", "UNIQUE_CONSTRAINT", t.created);
                }
                IndexKind::Index => {}
            }
        }
        for c in &t.checks {
            put(&c.name, c.id, t.schema, t.id, "C ", "CHECK_CONSTRAINT", t.created);
        }
        for f in &t.foreign_keys {
            put(&f.name, f.id, t.schema, t.id, "F ", "FOREIGN_KEY_CONSTRAINT", t.created);
        }
        for d in t.columns.iter().filter_map(|c| c.default.as_ref()) {
            put(&d.name, d.id, t.schema, t.id, "D ", "DEFAULT_CONSTRAINT", t.created);
        }
    }
    for x in look.db.views.iter().filter(|x| look.sees(x.id)) {
        put(&x.name, x.id, x.schema, 0, "V ", "VIEW", x.created);
    }
    v.done()
}

const COLUMN: &str = "object_id int, name sysname?, column_id int, system_type_id tinyint, user_type_id int, max_length smallint, precision tinyint, scale tinyint, collation_name sysname?, is_nullable bit?, is_ansi_padded bit, is_rowguidcol bit, is_identity bit, is_computed bit, is_filestream bit, default_object_id int, is_sparse bit?, is_hidden bit?, generated_always_type tinyint?, is_masked bit, encryption_type int?";

fn column(t: &TableDef, c: &Column) -> Vec<Value> {
    let (p, scale) = c.ty.precision_scale();
    let is_version = c.generated == Some(Generated::Version);
    let id = if is_version { 189 } else { c.ty.system_type_id() };
    let always = match c.generated {
        Some(Generated::PeriodStart) => 1,
        Some(Generated::PeriodEnd) => 2,
        Some(Generated::Version) | None => 0,
    };
    vec![
        n(t.id),
        s(&c.name),
        n(c.id),
        n(id),
        n(i64::from(id)),
        n(c.ty.max_length()),
        n(p),
        n(scale),
        c.collation.map_or(Value::Null, |x| s(x.name())),
        b(c.nullable),
        b(c.ty.is_text() || c.ty.is_binary()),
        b(false),
        b(c.identity.is_some()),
        b(c.computed.is_some()),
        b(false),
        n(c.default.as_ref().map_or(0, |d| d.id)),
        b(false),
        b(false),
        n(always),
        b(false),
        Value::Null,
    ]
}

fn columns(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(COLUMN, look.coll());
    for t in look.tables() {
        for c in &t.columns {
            v.row(column(&t, c));
        }
    }
    v.done()
}

fn identity_columns(look: &Look<'_, '_, '_>) -> View {
    let spec = format!(
        "{COLUMN}, seed_value bigint?, increment_value bigint?, last_value bigint?, is_not_for_replication bit?"
    );
    let mut v = Builder::new(&spec, look.coll());
    for t in look.tables() {
        for c in &t.columns {
            if let Some((seed, step)) = c.identity {
                let last = look.ctx.state.tables.get(&t.id).and_then(|d| d.identity);
                let mut row = column(&t, c);
                row.extend([n(seed), n(step), last.map_or(Value::Null, Value::Int), b(false)]);
                v.row(row);
            }
        }
    }
    v.done()
}

fn computed_columns(look: &Look<'_, '_, '_>) -> View {
    let spec = format!("{COLUMN}, definition nmax?, uses_database_collation bit, is_persisted bit");
    let mut v = Builder::new(&spec, look.coll());
    for t in look.tables() {
        for c in &t.columns {
            if let Some((text, persisted)) = &c.computed {
                let mut row = column(&t, c);
                row.extend([s(format!("({text})")), b(true), b(*persisted)]);
                v.row(row);
            }
        }
    }
    v.done()
}

fn types(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "name sysname, system_type_id tinyint, user_type_id int, schema_id int, principal_id int?, max_length smallint, precision tinyint, scale tinyint, collation_name sysname?, is_nullable bit?, is_user_defined bit, is_assembly_type bit, default_object_id int, rule_object_id int, is_table_type bit",
        look.coll(),
    );
    let sysname = [("sysname", 231_u8, 256_i64, 256_i64)];
    let all = TYPES.iter().map(|t| (t.0, t.1, i64::from(t.2), t.3)).chain(sysname);
    for (name, system, user, length) in all {
        let text = matches!(system, 35 | 167 | 175 | 231 | 239);
        v.row(vec![
            s(name),
            n(system),
            n(user),
            n(4),
            Value::Null,
            n(length),
            n(0),
            n(0),
            if text { s(look.coll().name()) } else { Value::Null },
            b(user != 256),
            b(false),
            b(false),
            n(0),
            n(0),
            b(false),
        ]);
    }
    v.done()
}

/// The heap that a table without a clustered index is.
fn has_heap(t: &TableDef) -> bool {
    !t.indexes.iter().any(|i| i.id == 1)
}

fn indexes(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "object_id int, name sysname?, index_id int, type tinyint, type_desc n60?, is_unique bit?, data_space_id int?, ignore_dup_key bit?, is_primary_key bit?, is_unique_constraint bit?, fill_factor tinyint, is_padded bit?, is_disabled bit?, is_hypothetical bit?, has_filter bit, filter_definition nmax?",
        look.coll(),
    );
    for t in look.tables() {
        let mut put = |i: Option<&Index>| {
            let (kind, desc) = match i.map(|i| i.id) {
                None => (0, "HEAP"),
                Some(1) => (1, "CLUSTERED"),
                Some(_) => (2, "NONCLUSTERED"),
            };
            let filter = i.and_then(|i| i.filter.as_ref());
            v.row(vec![
                n(t.id),
                i.map_or(Value::Null, |i| s(&i.name)),
                n(i.map_or(0, |i| i.id)),
                n(kind),
                s(desc),
                b(i.is_some_and(|i| i.unique)),
                n(1),
                b(i.is_some_and(|i| i.ignore_dup_key)),
                b(i.is_some_and(|i| i.kind == IndexKind::PrimaryKey)),
                b(i.is_some_and(|i| i.kind == IndexKind::UniqueConstraint)),
                n(0),
                b(false),
                b(false),
                b(false),
                b(filter.is_some()),
                filter.map_or(Value::Null, |f| s(format!("({f})"))),
            ]);
        };
        if has_heap(&t) {
            put(None);
        }
        t.indexes.iter().for_each(|i| put(Some(i)));
    }
    v.done()
}

fn index_columns(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "object_id int, index_id int, index_column_id int, column_id int, key_ordinal tinyint, partition_ordinal tinyint, is_descending_key bit?, is_included_column bit?",
        look.coll(),
    );
    for t in look.tables() {
        for i in &t.indexes {
            let keys = i.keys.iter().map(|(c, desc)| (*c, *desc, false));
            let included = i.include.iter().map(|c| (*c, false, true));
            for (at, (c, desc, include)) in (1_i64..).zip(keys.chain(included)) {
                v.row(vec![
                    n(t.id),
                    n(i.id),
                    n(at),
                    n(t.columns[c].id),
                    n(if include { 0 } else { at }),
                    n(0),
                    b(desc),
                    b(include),
                ]);
            }
        }
    }
    v.done()
}

fn key_constraints(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "name sysname, object_id int, schema_id int, parent_object_id int, type char2, type_desc n60?, create_date datetime, modify_date datetime, unique_index_id int?, is_system_named bit",
        look.coll(),
    );
    for t in look.tables() {
        for i in &t.indexes {
            let (kind, desc) = match i.kind {
                IndexKind::PrimaryKey => ("PK", "PRIMARY_KEY_CONSTRAINT"),
                IndexKind::UniqueConstraint => ("UQ", "UNIQUE_CONSTRAINT"),
                IndexKind::Index => continue,
            };
            v.row(vec![
                s(&i.name),
                n(i.object),
                n(t.schema),
                n(t.id),
                s(kind),
                s(desc),
                when(t.created),
                when(t.modified),
                n(i.id),
                b(i.system_named),
            ]);
        }
    }
    v.done()
}

fn check_constraints(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "name sysname, object_id int, schema_id int, parent_object_id int, type char2, type_desc n60?, is_disabled bit, is_not_trusted bit, parent_column_id int, definition nmax?, is_system_named bit",
        look.coll(),
    );
    for t in look.tables() {
        for c in &t.checks {
            v.row(vec![
                s(&c.name),
                n(c.id),
                n(t.schema),
                n(t.id),
                s("C "),
                s("CHECK_CONSTRAINT"),
                b(c.disabled),
                b(!c.trusted),
                n(0),
                s(format!("({})", c.text)),
                b(c.system_named),
            ]);
        }
    }
    v.done()
}

fn default_constraints(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "name sysname, object_id int, schema_id int, parent_object_id int, type char2, type_desc n60?, parent_column_id int, definition nmax?, is_system_named bit",
        look.coll(),
    );
    for t in look.tables() {
        for c in &t.columns {
            if let Some(d) = &c.default {
                v.row(vec![
                    s(&d.name),
                    n(d.id),
                    n(t.schema),
                    n(t.id),
                    s("D "),
                    s("DEFAULT_CONSTRAINT"),
                    n(c.id),
                    s(format!("({})", d.text)),
                    b(d.system_named),
                ]);
            }
        }
    }
    v.done()
}

fn foreign_keys(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "name sysname, object_id int, schema_id int, parent_object_id int, type char2, type_desc n60?, referenced_object_id int?, key_index_id int?, is_disabled bit, is_not_for_replication bit, is_not_trusted bit, delete_referential_action tinyint?, delete_referential_action_desc n60?, update_referential_action tinyint?, update_referential_action_desc n60?, is_system_named bit",
        look.coll(),
    );
    for t in look.tables() {
        for f in &t.foreign_keys {
            v.row(vec![
                s(&f.name),
                n(f.id),
                n(t.schema),
                n(t.id),
                s("F "),
                s("FOREIGN_KEY_CONSTRAINT"),
                n(f.table),
                n(1),
                b(f.disabled),
                b(false),
                b(!f.trusted),
                n(0),
                s("NO_ACTION"),
                n(0),
                s("NO_ACTION"),
                b(f.system_named),
            ]);
        }
    }
    v.done()
}

fn foreign_key_columns(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "constraint_object_id int, constraint_column_id int, parent_object_id int, parent_column_id int, referenced_object_id int, referenced_column_id int",
        look.coll(),
    );
    for t in look.tables() {
        for f in &t.foreign_keys {
            let target = look.db.tables.get(&f.table);
            for (at, (c, r)) in (1_i64..).zip(f.columns.iter().zip(&f.referenced)) {
                v.row(vec![
                    n(f.id),
                    n(at),
                    n(t.id),
                    n(t.columns[*c].id),
                    n(f.table),
                    n(target.map_or(0, |x| x.columns[*r].id)),
                ]);
            }
        }
    }
    v.done()
}

fn partitions(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "partition_id bigint, object_id int, index_id int, partition_number int, hobt_id bigint, rows bigint, data_compression tinyint, data_compression_desc n60?",
        look.coll(),
    );
    for t in look.tables() {
        let rows = look.ctx.state.tables.get(&t.id).map_or(0, |d| d.live);
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let heap = has_heap(&t).then_some(0);
        for i in heap.into_iter().chain(t.indexes.iter().map(|i| i.id)) {
            let id = i64::from(t.id) * 256 + i64::from(i);
            v.row(vec![n(id), n(t.id), n(i), n(1), n(id), n(rows), n(0), s("NONE")]);
        }
    }
    v.done()
}

/// Whether a column's type has a text form with a declared length.
pub(super) fn character_length(ty: SqlType) -> Value {
    match ty.len() {
        Some(crate::tds::types::Len::Max) => n(-1),
        Some(l) => n(i64::try_from(l.units()).unwrap_or(-1)),
        None => Value::Null,
    }
}
