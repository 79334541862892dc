//! `INFORMATION_SCHEMA` views.

use super::objects::character_length;
use super::{Builder, Look, View, n, s};
use crate::tds::engine::catalog::IndexKind;
use crate::tds::types::Value;

pub(super) fn view(look: &mut Look<'_, '_, '_>, name: &str) -> Option<View> {
    Some(match name {
        "tables" => tables(look),
        "columns" => columns(look),
        "schemata" => {
            let mut v = Builder::new(
                "CATALOG_NAME sysname?, SCHEMA_NAME sysname, SCHEMA_OWNER sysname?",
                look.coll(),
            );
            for x in &look.db.schemas {
                let owner = look.db.principal_by_id(x.owner).map_or("dbo", |p| &p.name);
                v.row(vec![s(&look.db.name), s(&x.name), s(owner)]);
            }
            v.done()
        }
        "table_constraints" => table_constraints(look),
        "key_column_usage" => key_column_usage(look),
        _ => return None,
    })
}

fn tables(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "TABLE_CATALOG sysname?, TABLE_SCHEMA sysname?, TABLE_NAME sysname, TABLE_TYPE varchar?",
        look.coll(),
    );
    let db = &look.db.name;
    for t in look.tables() {
        v.row(vec![s(db), s(look.db.schema_name(t.schema)), s(&t.name), s("BASE TABLE")]);
    }
    for x in look.db.views.iter().filter(|x| look.sees(x.id)) {
        v.row(vec![s(db), s(look.db.schema_name(x.schema)), s(&x.name), s("VIEW")]);
    }
    v.done()
}

fn columns(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "TABLE_CATALOG sysname?, TABLE_SCHEMA sysname?, TABLE_NAME sysname, COLUMN_NAME sysname?, ORDINAL_POSITION int?, COLUMN_DEFAULT nmax?, IS_NULLABLE varchar?, DATA_TYPE sysname?, CHARACTER_MAXIMUM_LENGTH int?, CHARACTER_OCTET_LENGTH int?, NUMERIC_PRECISION tinyint?, NUMERIC_PRECISION_RADIX smallint?, NUMERIC_SCALE int?, DATETIME_PRECISION smallint?, CHARACTER_SET_NAME sysname?, COLLATION_NAME sysname?",
        look.coll(),
    );
    for t in look.tables() {
        for (at, c) in (1_i64..).zip(&t.columns) {
            let (p, scale) = c.ty.precision_scale();
            let number = c.ty.is_numeric() && c.ty != crate::tds::types::SqlType::Bit;
            let radix = if c.ty.is_approximate() { 2 } else { 10 };
            let exact = number && !c.ty.is_approximate();
            let sized = c.ty.is_text() || c.ty.is_binary();
            let set = match (c.ty.is_text(), c.ty.is_wide()) {
                (true, true) => s("UNICODE"),
                (true, false) => s("iso_1"),
                _ => Value::Null,
            };
            v.row(vec![
                s(&look.db.name),
                s(look.db.schema_name(t.schema)),
                s(&t.name),
                s(&c.name),
                n(at),
                c.default.as_ref().map_or(Value::Null, |d| s(format!("({})", d.text))),
                s(if c.nullable { "YES" } else { "NO" }),
                s(c.ty.name()),
                if sized { character_length(c.ty) } else { Value::Null },
                if sized { n(c.ty.max_length()) } else { Value::Null },
                if number { n(p) } else { Value::Null },
                if number { n(radix) } else { Value::Null },
                if exact { n(scale) } else { Value::Null },
                if c.ty.is_temporal() { n(c.ty.time_scale()) } else { Value::Null },
                set,
                c.collation.map_or(Value::Null, |x| s(x.name())),
            ]);
        }
    }
    v.done()
}

fn table_constraints(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "CONSTRAINT_CATALOG sysname?, CONSTRAINT_SCHEMA sysname?, CONSTRAINT_NAME sysname, TABLE_CATALOG sysname?, TABLE_SCHEMA sysname?, TABLE_NAME sysname?, CONSTRAINT_TYPE varchar?, IS_DEFERRABLE varchar, INITIALLY_DEFERRED varchar",
        look.coll(),
    );
    let db = &look.db.name;
    for t in look.tables() {
        let schema = look.db.schema_name(t.schema);
        let mut put = |name: &str, kind: &str| {
            v.row(vec![
                s(db),
                s(schema),
                s(name),
                s(db),
                s(schema),
                s(&t.name),
                s(kind),
                s("NO"),
                s("NO"),
            ]);
        };
        for i in &t.indexes {
            match i.kind {
                IndexKind::PrimaryKey => put(&i.name, "PRIMARY KEY"),
                IndexKind::UniqueConstraint => put(&i.name, "UNIQUE"),
                IndexKind::Index => {}
            }
        }
        t.checks.iter().for_each(|c| put(&c.name, "CHECK"));
        t.foreign_keys.iter().for_each(|f| put(&f.name, "FOREIGN KEY"));
    }
    v.done()
}

fn key_column_usage(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "CONSTRAINT_CATALOG sysname?, CONSTRAINT_SCHEMA sysname?, CONSTRAINT_NAME sysname, TABLE_CATALOG sysname?, TABLE_SCHEMA sysname?, TABLE_NAME sysname?, COLUMN_NAME sysname?, ORDINAL_POSITION int",
        look.coll(),
    );
    let db = &look.db.name;
    for t in look.tables() {
        let schema = look.db.schema_name(t.schema);
        let keys = t.indexes.iter().filter(|i| i.kind != IndexKind::Index);
        let keys = keys.map(|i| (&i.name, i.keys.iter().map(|(c, _)| *c).collect::<Vec<_>>()));
        let foreign = t.foreign_keys.iter().map(|f| (&f.name, f.columns.clone()));
        for (name, columns) in keys.chain(foreign) {
            for (at, c) in (1_i64..).zip(columns) {
                v.row(vec![
                    s(db),
                    s(schema),
                    s(name),
                    s(db),
                    s(schema),
                    s(&t.name),
                    s(&t.columns[c].name),
                    n(at),
                ]);
            }
        }
    }
    v.done()
}
