//! What exists: logins, databases, schemas, tables, views, principals, permissions.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ObjectId;
use crate::tds::types::{Coll, SqlType};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Catalog {
    pub(crate) next_id: i32,
    pub(crate) server_collation: Coll,
    pub(crate) new_database_collation: Coll,
    pub(crate) logins: Vec<Login>,
    pub(crate) databases: Vec<Database>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) id: i32,
    pub(crate) name: String,
    /// Kept as it is: a double guards nothing.
    pub(crate) password: String,
    pub(crate) disabled: bool,
    pub(crate) default_database: String,
    pub(crate) sysadmin: bool,
    pub(crate) check_policy: bool,
    pub(crate) server_permissions: Vec<(String, bool)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Database {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) collation: Coll,
    pub(crate) owner: i32,
    pub(crate) read_committed_snapshot: bool,
    pub(crate) snapshot_isolation: bool,
    pub(crate) recovery: String,
    pub(crate) created: (i32, u64),
    pub(crate) schemas: Vec<Schema>,
    #[serde(with = "shared")]
    pub(crate) tables: BTreeMap<ObjectId, Arc<TableDef>>,
    pub(crate) views: Vec<ViewDef>,
    pub(crate) principals: Vec<Principal>,
    pub(crate) role_members: Vec<(i32, i32)>,
    pub(crate) permissions: Vec<Permission>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Schema {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) owner: i32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Principal {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) role: bool,
    pub(crate) login: Option<i32>,
    pub(crate) default_schema: String,
    pub(crate) owner: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Securable {
    Database,
    Schema(i32),
    Object(ObjectId),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Permission {
    pub(crate) grantee: i32,
    pub(crate) on: Securable,
    pub(crate) name: String,
    pub(crate) deny: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ViewDef {
    pub(crate) id: ObjectId,
    pub(crate) schema: i32,
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) text: String,
    pub(crate) created: (i32, u64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TableDef {
    pub(crate) id: ObjectId,
    pub(crate) schema: i32,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) checks: Vec<Check>,
    pub(crate) foreign_keys: Vec<ForeignKey>,
    pub(crate) created: (i32, u64),
    pub(crate) modified: (i32, u64),
    pub(crate) next_column: i32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) id: i32,
    pub(crate) name: String,
    pub(crate) ty: SqlType,
    pub(crate) collation: Option<Coll>,
    pub(crate) nullable: bool,
    pub(crate) identity: Option<(i64, i64)>,
    pub(crate) computed: Option<(String, bool)>,
    pub(crate) default: Option<Default>,
    /// What the server fills it with by itself.
    #[serde(default)]
    pub(crate) generated: Option<Generated>,
}

/// A column that nobody but the server writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Generated {
    /// `rowversion`: the database's next number with every insert and update.
    Version,
    /// `GENERATED ALWAYS AS ROW START`: when the writing transaction began, in UTC.
    PeriodStart,
    /// `GENERATED ALWAYS AS ROW END`: the end of time.
    PeriodEnd,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Default {
    pub(crate) id: ObjectId,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) system_named: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum IndexKind {
    PrimaryKey,
    UniqueConstraint,
    Index,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Index {
    /// `sys.indexes.index_id`: 1 is clustered.
    pub(crate) id: i32,
    pub(crate) object: ObjectId,
    pub(crate) name: String,
    pub(crate) kind: IndexKind,
    pub(crate) unique: bool,
    pub(crate) ignore_dup_key: bool,
    pub(crate) system_named: bool,
    /// Positions in `columns`, and whether descending.
    pub(crate) keys: Vec<(usize, bool)>,
    pub(crate) include: Vec<usize>,
    pub(crate) filter: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    pub(crate) id: ObjectId,
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) disabled: bool,
    pub(crate) trusted: bool,
    pub(crate) system_named: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ForeignKey {
    pub(crate) id: ObjectId,
    pub(crate) name: String,
    pub(crate) columns: Vec<usize>,
    pub(crate) table: ObjectId,
    pub(crate) referenced: Vec<usize>,
    pub(crate) disabled: bool,
    pub(crate) trusted: bool,
    pub(crate) system_named: bool,
}

impl TableDef {
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| same(&c.name, name))
    }

    pub(crate) fn primary_key(&self) -> Option<&Index> {
        self.indexes.iter().find(|i| i.kind == IndexKind::PrimaryKey)
    }
}

impl Database {
    pub(crate) fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas.iter().find(|s| same(&s.name, name))
    }

    pub(crate) fn schema_name(&self, id: i32) -> &str {
        self.schemas.iter().find(|s| s.id == id).map_or("", |s| &s.name)
    }

    pub(crate) fn principal(&self, name: &str) -> Option<&Principal> {
        self.principals.iter().find(|p| same(&p.name, name))
    }

    pub(crate) fn principal_by_id(&self, id: i32) -> Option<&Principal> {
        self.principals.iter().find(|p| p.id == id)
    }

    pub(crate) fn table(&self, schema: i32, name: &str) -> Option<&Arc<TableDef>> {
        self.tables.values().find(|t| t.schema == schema && same(&t.name, name))
    }

    pub(crate) fn view(&self, schema: i32, name: &str) -> Option<&ViewDef> {
        self.views.iter().find(|v| v.schema == schema && same(&v.name, name))
    }

    /// Every name that a new object of the schema may not take.
    pub(crate) fn object_exists(&self, schema: i32, name: &str) -> bool {
        self.table(schema, name).is_some()
            || self.view(schema, name).is_some()
            || self.tables.values().filter(|t| t.schema == schema).any(|t| {
                t.indexes.iter().any(|i| i.kind != IndexKind::Index && same(&i.name, name))
                    || t.checks.iter().any(|c| same(&c.name, name))
                    || t.foreign_keys.iter().any(|f| same(&f.name, name))
                    || t.columns
                        .iter()
                        .any(|c| c.default.as_ref().is_some_and(|d| same(&d.name, name)))
            })
    }
}

impl Catalog {
    /// A server with `sa`, `master`, `tempdb`, `model` and `msdb`.
    pub(crate) fn new(sa_password: &str, server: Coll, new_database: Coll) -> Catalog {
        let mut catalog = Catalog {
            next_id: 1_000_000,
            server_collation: server,
            new_database_collation: new_database,
            logins: vec![Login {
                id: 1,
                name: "sa".to_owned(),
                password: sa_password.to_owned(),
                disabled: false,
                default_database: "master".to_owned(),
                sysadmin: true,
                check_policy: true,
                server_permissions: Vec::new(),
            }],
            databases: Vec::new(),
        };
        for name in ["master", "tempdb", "model", "msdb"] {
            catalog.add_database(name, server, 1);
        }
        catalog
    }

    pub(crate) fn new_id(&mut self) -> i32 {
        self.next_id += 16;
        self.next_id
    }

    pub(crate) fn add_database(&mut self, name: &str, collation: Coll, owner: i32) {
        let id = self.databases.iter().map(|d| d.id).max().unwrap_or(0) + 1;
        let user = |id: i32, name: &str, schema: &str, login: Option<i32>| Principal {
            id,
            name: name.to_owned(),
            role: false,
            login,
            default_schema: schema.to_owned(),
            owner: 1,
        };
        let role = |id: i32, name: &str| Principal { role: true, ..user(id, name, "", None) };
        let schema = |id: i32, name: &str| Schema { id, name: name.to_owned(), owner: id };
        self.databases.push(Database {
            id,
            name: name.to_owned(),
            collation,
            owner,
            read_committed_snapshot: false,
            snapshot_isolation: false,
            recovery: "FULL".to_owned(),
            created: crate::tds::types::datetime::now(),
            schemas: vec![
                schema(1, "dbo"),
                schema(2, "guest"),
                schema(3, "INFORMATION_SCHEMA"),
                schema(4, "sys"),
            ],
            tables: BTreeMap::new(),
            views: Vec::new(),
            principals: vec![
                role(0, "public"),
                user(1, "dbo", "dbo", Some(owner)),
                user(2, "guest", "guest", None),
                user(3, "INFORMATION_SCHEMA", "", None),
                user(4, "sys", "", None),
                role(16_384, "db_owner"),
                role(16_385, "db_accessadmin"),
                role(16_386, "db_securityadmin"),
                role(16_387, "db_ddladmin"),
                role(16_389, "db_backupoperator"),
                role(16_390, "db_datareader"),
                role(16_391, "db_datawriter"),
                role(16_392, "db_denydatareader"),
                role(16_393, "db_denydatawriter"),
            ],
            role_members: vec![(16_384, 1)],
            permissions: Vec::new(),
        });
    }

    pub(crate) fn database(&self, name: &str) -> Option<&Database> {
        self.databases.iter().find(|d| same(&d.name, name))
    }

    pub(crate) fn database_mut(&mut self, id: i32) -> Option<&mut Database> {
        self.databases.iter_mut().find(|d| d.id == id)
    }

    pub(crate) fn login(&self, name: &str) -> Option<&Login> {
        self.logins.iter().find(|l| same(&l.name, name))
    }

    pub(crate) fn login_by_id(&self, id: i32) -> Option<&Login> {
        self.logins.iter().find(|l| l.id == id)
    }
}

/// Names are compared without regard to case, as the default collation has it.
pub(crate) fn same(a: &str, b: &str) -> bool {
    a == b || a.to_lowercase() == b.to_lowercase()
}

/// Tables are written as a list.
mod shared {
    use super::{Arc, BTreeMap, ObjectId, TableDef};
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        tables: &BTreeMap<ObjectId, Arc<TableDef>>,
        s: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        s.collect_seq(tables.values().map(AsRef::as_ref))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> std::result::Result<BTreeMap<ObjectId, Arc<TableDef>>, D::Error> {
        let list = Vec::<TableDef>::deserialize(d)?;
        Ok(list.into_iter().map(|t| (t.id, Arc::new(t))).collect())
    }
}
