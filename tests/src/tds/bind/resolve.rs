//! Names to objects, with the right to read them.

use std::sync::Arc;

use super::query::source_of;
use super::{Binder, Label, OutCol, Pred, Rows, Scope, Source};
use crate::tds::engine::catalog::{Database, Securable, TableDef, ViewDef, same};
use crate::tds::engine::permission;
use crate::tds::error::{Reach, Result, SqlError, invalid_object, unsupported};
use crate::tds::exec::{Ctx, sysviews};
use crate::tds::parse::ast::{Hints, ObjName};

/// What a name stands for.
pub(crate) enum Found {
    Table { db: i32, def: Arc<TableDef> },
    View { db: i32, def: ViewDef },
    System { schema: String, name: String },
}

impl Source {
    /// Whether a column prefix means this source.
    pub(crate) fn answers_to(&self, qualifier: &[String]) -> bool {
        match qualifier {
            [one] => same(one, &self.alias),
            parts => {
                self.qualifier.len() >= parts.len()
                    && self.qualifier[self.qualifier.len() - parts.len()..]
                        .iter()
                        .zip(parts)
                        .all(|(a, b)| same(a, b))
            }
        }
    }
}

/// The schema that a name without one is looked for in, then `dbo`.
fn search_path(ctx: &Ctx<'_>, db: &Database) -> Vec<i32> {
    let mut out = Vec::new();
    let user = ctx.user_in(db);
    if let Some(p) = user.and_then(|u| db.principal_by_id(u)) {
        out.extend(db.schema(&p.default_schema).map(|s| s.id));
    }
    if !out.contains(&1) {
        out.push(1);
    }
    out
}

/// The object of that name, without regard to rights. `Ok(None)` when there is none.
pub(crate) fn find_object(ctx: &mut Ctx<'_>, name: &ObjName) -> Result<Option<Found>> {
    if name.is_temp() || name.is_table_variable() {
        let owner = if name.name.starts_with("##") { 0 } else { ctx.sess.id };
        let def = ctx
            .state
            .temp
            .get(&owner)
            .and_then(|m| m.get(&name.name.to_lowercase()))
            .map(|(d, _)| d.clone());
        return Ok(def.map(|def| Found::Table { db: ctx.sess.db, def }));
    }
    let catalog = ctx.state.catalog.clone();
    let db = match &name.db {
        Some(n) => match catalog.database(n) {
            Some(db) => db,
            None => return Ok(None),
        },
        None => ctx.database(&catalog),
    };
    if ctx.user_in(db).is_none() {
        return Err(SqlError::new(
            916,
            14,
            format!(
                "The server principal \"{}\" is not able to access the database \"{}\" under the current security context.",
                ctx.sess.login_name, db.name
            ),
        )
        .reach(Reach::Batch));
    }
    let schemas = match &name.schema {
        Some(s) if same(s, "sys") || same(s, "INFORMATION_SCHEMA") => {
            return Ok(Some(Found::System {
                schema: s.to_ascii_lowercase(),
                name: name.name.to_ascii_lowercase(),
            }));
        }
        Some(s) => db.schema(s).map(|s| vec![s.id]).unwrap_or_default(),
        None => search_path(ctx, db),
    };
    for schema in schemas {
        ctx.wait_for_ddl(db.id, schema, &name.name)?;
        if let Some(def) = db.table(schema, &name.name) {
            return Ok(Some(Found::Table { db: db.id, def: def.clone() }));
        }
        if let Some(def) = db.view(schema, &name.name) {
            return Ok(Some(Found::View { db: db.id, def: def.clone() }));
        }
    }
    Ok(None)
}

/// A table for writing or DDL; 208 when it is missing.
pub(crate) fn find_table(ctx: &mut Ctx<'_>, name: &ObjName) -> Result<(i32, Arc<TableDef>)> {
    match find_object(ctx, name)? {
        Some(Found::Table { db, def }) => Ok((db, def)),
        Some(Found::View { .. }) => Err(unsupported("writing through a view")),
        Some(Found::System { .. }) => {
            Err(SqlError::new(259, 16, "Ad hoc updates to system catalogs are not allowed.")
                .reach(Reach::Batch))
        }
        None if name.is_table_variable() => Err(SqlError::new(
            1087,
            15,
            format!("Must declare the table variable \"{}\".", name.name),
        )
        .reach(Reach::Batch)),
        None => Err(invalid_object(&name.display())),
    }
}

pub(crate) fn find_schema(ctx: &Ctx<'_>, db: &Database, name: Option<&str>) -> Option<i32> {
    match name {
        Some(n) => db.schema(n).map(|s| s.id),
        None => search_path(ctx, db).first().copied(),
    }
}

/// The columns of a table as a source shows them.
pub(crate) fn base_columns(def: &TableDef) -> Vec<OutCol> {
    def.columns
        .iter()
        .map(|c| OutCol {
            name: c.name.clone(),
            ty: c.ty,
            label: c.collation.map_or(Label::None, Label::Implicit),
            nullable: c.nullable,
            identity: c.identity.is_some(),
            computed: c.computed.is_some(),
        })
        .collect()
}

impl Binder<'_, '_> {
    pub(crate) fn named_source(
        &mut self,
        name: &ObjName,
        alias: Option<&str>,
        hints: Hints,
    ) -> Result<Source> {
        if name.schema.is_none()
            && name.db.is_none()
            && let Some(i) = self.ctes.iter().rposition(|c| same(&c.name, &name.name))
        {
            return self.cte(i, alias.unwrap_or(&name.name));
        }
        let found = find_object(self.ctx, name)?.ok_or_else(|| {
            if name.is_table_variable() {
                SqlError::new(
                    1087,
                    15,
                    format!("Must declare the table variable \"{}\".", name.name),
                )
                .reach(Reach::Batch)
            } else {
                invalid_object(&name.display())
            }
        })?;
        match found {
            Found::Table { db, def } => {
                if def.id > 0 && !self.trusted {
                    self.ctx.require(db, "SELECT", &def)?;
                }
                let qualifier = if alias.is_some() { Vec::new() } else { self.qualifier(db, &def) };
                Ok(Source {
                    alias: alias.unwrap_or(&def.name).to_owned(),
                    qualifier,
                    columns: base_columns(&def),
                    rows: Rows::Table { id: def.id, hints },
                })
            }
            Found::View { db, def } => self.view(db, &def, alias),
            Found::System { schema, name: view } => {
                let (columns, rows) = sysviews::view(self.ctx, &schema, &view, name.db.as_deref())?
                    .ok_or_else(|| invalid_object(&name.display()))?;
                Ok(Source {
                    alias: alias.unwrap_or(&name.name).to_owned(),
                    qualifier: vec![schema, view],
                    columns,
                    rows: Rows::Fixed(Arc::new(rows)),
                })
            }
        }
    }

    fn qualifier(&self, db: i32, def: &TableDef) -> Vec<String> {
        let catalog = &self.ctx.state.catalog;
        match catalog.databases.iter().find(|d| d.id == db) {
            Some(d) => vec![d.name.clone(), d.schema_name(def.schema).to_owned(), def.name.clone()],
            None => vec![def.name.clone()],
        }
    }

    fn cte(&mut self, index: usize, alias: &str) -> Result<Source> {
        let cte = self.ctes[index].clone();
        let hidden = self.ctes.split_off(index);
        let closed: Vec<bool> =
            self.scopes.iter_mut().map(|s| std::mem::replace(&mut s.closed, true)).collect();
        let plan = self.subquery(&cte.query);
        for (s, c) in self.scopes.iter_mut().zip(closed) {
            s.closed = c;
        }
        self.ctes.extend(hidden);
        let plan = plan.map_err(|e| {
            if e.number == 208 && e.message.contains(&format!("'{}'", cte.name)) {
                unsupported("recursive common table expressions")
            } else {
                e
            }
        })?;
        source_of(plan, alias, &cte.columns)
    }

    fn view(&mut self, db: i32, def: &ViewDef, alias: Option<&str>) -> Result<Source> {
        if !self.trusted {
            self.ctx.require_view(db, def)?;
        }
        self.view_depth += 1;
        if self.view_depth > 32 {
            return Err(SqlError::new(
                217,
                16,
                "Maximum stored procedure, function, trigger, or view nesting level exceeded (limit 32).",
            ));
        }
        let statements = crate::tds::parse::batch(&def.text)?;
        let Some(crate::tds::parse::ast::StmtKind::Query { query, .. }) =
            statements.into_iter().next().map(|s| s.kind)
        else {
            return Err(unsupported("this view"));
        };
        let trusted = std::mem::replace(&mut self.trusted, true);
        let ctes = std::mem::take(&mut self.ctes);
        let source = self.derived(&query, alias.unwrap_or(&def.name), &def.columns, false);
        self.ctes = ctes;
        self.trusted = trusted;
        self.view_depth -= 1;
        source
    }
}

impl Ctx<'_> {
    /// Error 229 unless the session's user has the permission on the table.
    pub(crate) fn require(&self, db: i32, permission: &str, def: &TableDef) -> Result<()> {
        self.require_on(db, permission, def.id, def.schema, &def.name)
    }

    pub(crate) fn require_view(&self, db: i32, def: &ViewDef) -> Result<()> {
        self.require_on(db, "SELECT", def.id, def.schema, &def.name)
    }

    fn require_on(&self, db: i32, asked: &str, id: i32, schema: i32, name: &str) -> Result<()> {
        if id < 0 {
            return Ok(());
        }
        let Some(db) = self.state.catalog.databases.iter().find(|d| d.id == db) else {
            return Ok(());
        };
        let user = self.user_in(db).unwrap_or(0);
        if permission::allowed(db, user, asked, Securable::Object(id)) {
            return Ok(());
        }
        Err(SqlError::new(
            229,
            14,
            format!(
                "The {asked} permission was denied on the object '{name}', database '{}', schema '{}'.",
                db.name,
                db.schema_name(schema)
            ),
        )
        .state(5))
    }
}

/// A predicate over one table's row: check constraints and index filters.
pub(crate) fn row_predicate(def: &TableDef, text: &str) -> Result<Pred> {
    let e = crate::tds::parse::expression(text)?;
    let mut state = crate::tds::engine::state::State::new(
        crate::tds::engine::catalog::Catalog::new("", default_collation()?, default_collation()?),
    );
    let mut sess = crate::tds::session::Session::detached();
    let mut ctx = Ctx::new(&mut state, &mut sess);
    let mut binder = Binder::new(&mut ctx);
    binder.scopes.push(Scope { sources: vec![row_source(def)], ..Scope::default() });
    binder.predicate(&e)
}

fn default_collation() -> Result<crate::tds::types::Coll> {
    crate::tds::types::Coll::parse("SQL_Latin1_General_CP1_CI_AS")
}

/// A table's row, supplied by the executor.
pub(crate) fn row_source(def: &TableDef) -> Source {
    Source {
        alias: def.name.clone(),
        qualifier: Vec::new(),
        columns: base_columns(def),
        rows: Rows::Supplied,
    }
}
