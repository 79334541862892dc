//! Columns and constraints of a definition.

use super::*;

pub(super) struct Builder<'d> {
    pub(super) def: &'d mut TableDef,
    pub(super) collation: Coll,
    pub(super) temp: bool,
}

pub(super) fn system_name(prefix: &str, table: &str, id: i32) -> String {
    let short: String = table.chars().take(9).collect();
    format!("{prefix}__{short:_<9}__{id:08X}")
}

impl Builder<'_> {
    pub(super) fn column(&mut self, ctx: &mut Ctx<'_>, c: &ColumnDef) -> Result<()> {
        if self.def.column(&c.name).is_some() {
            return Err(duplicate_column(&c.name, &self.def.name));
        }
        let id = self.def.next_column;
        self.def.next_column += 1;
        let mut column = Column {
            id,
            name: c.name.clone(),
            ty: c.ty.unwrap_or(SqlType::Int),
            collation: None,
            nullable: c.nullable.unwrap_or(true),
            identity: c.identity,
            computed: None,
            default: None,
            generated: c.generated,
        };
        if let Some(generated) = c.generated {
            self.generated(&mut column, generated, c)?;
        }
        if let Some((text, persisted)) = &c.computed {
            let e = crate::tds::parse::expression(&text.text)?;
            let mut b = Binder::new(ctx);
            let source = Source {
                alias: self.def.name.clone(),
                qualifier: Vec::new(),
                columns: base_columns(self.def),
                rows: Rows::Supplied,
            };
            b.scopes.push(Scope { sources: vec![source], ..Scope::default() });
            let bound = b.value(&e)?;
            column.ty = bound.ty;
            column.nullable = c.nullable.unwrap_or(bound.nullable);
            column.computed = Some((text.text.clone(), *persisted));
        }
        if column.ty == SqlType::Variant {
            return Err(unsupported("a sql_variant column"));
        }
        if column.ty.is_text() {
            column.collation = Some(match &c.collation {
                Some(n) if n.eq_ignore_ascii_case("DATABASE_DEFAULT") => ctx.database_collation(),
                Some(n) => Coll::parse(n)?,
                None => self.collation,
            });
        }
        if let Some((_, step)) = c.identity {
            let exact = column.ty.is_integer() && column.ty != SqlType::Bit
                || matches!(column.ty, SqlType::Decimal(_, 0));
            if !exact || step == 0 || c.nullable == Some(true) {
                return Err(SqlError::new(
                    2749,
                    16,
                    format!("Identity column '{}' must be of data type int, bigint, smallint, tinyint, or decimal or numeric with a scale of 0, unencrypted, and constrained to be nonnullable.", c.name),
                )
                .reach(Reach::Batch));
            }
            if self.def.columns.iter().any(|x| x.identity.is_some()) {
                return Err(SqlError::new(2744, 16, format!("Multiple identity columns specified for table '{}'. Only one identity column per table is allowed.", self.def.name)).reach(Reach::Batch));
            }
            column.nullable = false;
        }
        self.def.columns.push(column);
        for k in &c.constraints {
            self.constraint(ctx, k, c.nullable == Some(true))?;
        }
        Ok(())
    }

    /// A column that the server fills.
    fn generated(&self, column: &mut Column, generated: Generated, c: &ColumnDef) -> Result<()> {
        let twice = self.def.columns.iter().any(|x| x.generated == Some(generated));
        if generated == Generated::Version {
            if twice {
                return Err(SqlError::new(2738, 16, format!("A table can only have one timestamp column. Because table '{}' already has one, the column '{}' cannot be added.", self.def.name, c.name)).reach(Reach::Batch));
            }
            // Unlike other types it is NOT NULL unless said otherwise.
            column.nullable = c.nullable == Some(true);
            return Ok(());
        }
        if twice || c.nullable == Some(true) || !matches!(column.ty, SqlType::DateTime2(_)) {
            return Err(unsupported("a period column that is not one datetime2 NOT NULL"));
        }
        column.nullable = false;
        Ok(())
    }

    pub(super) fn name_for(
        &self,
        ctx: &mut Ctx<'_>,
        given: Option<&String>,
        prefix: &str,
    ) -> (ObjectId, String, bool) {
        let id = if self.temp {
            ctx.state.new_temp_id()
        } else {
            let me = ctx.sess.id;
            ctx.state.catalog_mut(me).new_id()
        };
        match given {
            Some(n) => (id, n.clone(), false),
            None => (id, system_name(prefix, &self.def.name, id), true),
        }
    }

    pub(super) fn constraint(
        &mut self,
        ctx: &mut Ctx<'_>,
        k: &ConstraintDef,
        explicit_null: bool,
    ) -> Result<()> {
        if let Some(n) = &k.name {
            let clash =
                self.def.indexes.iter().any(|i| same(&i.name, n) && i.kind != IndexKind::Index)
                    || self.def.checks.iter().any(|c| same(&c.name, n))
                    || self.def.foreign_keys.iter().any(|f| same(&f.name, n));
            let db = ctx.sess.db;
            let taken = !self.temp
                && ctx
                    .state
                    .catalog
                    .databases
                    .iter()
                    .any(|d| d.id == db && d.object_exists(self.def.schema, n));
            if clash || taken {
                return Err(already_there(n));
            }
        }
        match &k.kind {
            ConstraintKind::Key { primary, clustered, columns } => {
                let (object, name, system_named) =
                    self.name_for(ctx, k.name.as_ref(), if *primary { "PK" } else { "UQ" });
                if *primary && self.def.primary_key().is_some() {
                    return Err(SqlError::new(
                        8110,
                        16,
                        format!(
                            "Cannot add multiple PRIMARY KEY constraints to table '{}'.",
                            self.def.name
                        ),
                    )
                    .state(0)
                    .reach(Reach::Batch));
                }
                let mut keys = Vec::new();
                for (c, desc) in columns {
                    let at = self.def.column(c).ok_or_else(|| {
                        SqlError::new(
                            1911,
                            16,
                            format!(
                                "Column name '{c}' does not exist in the target table or view."
                            ),
                        )
                        .reach(Reach::Batch)
                    })?;
                    keys.push((at, *desc));
                }
                for (c, _) in &keys {
                    let col = &mut self.def.columns[*c];
                    if *primary {
                        if explicit_null {
                            return Err(SqlError::new(
                                8111,
                                16,
                                format!("Cannot define PRIMARY KEY constraint on nullable column in table '{}'.", self.def.name),
                            )
                            .reach(Reach::Batch));
                        }
                        col.nullable = false;
                    }
                }
                let has_clustered = self.def.indexes.iter().any(|i| i.id == 1);
                let clustered = clustered.unwrap_or(*primary && !has_clustered);
                let kind =
                    if *primary { IndexKind::PrimaryKey } else { IndexKind::UniqueConstraint };
                self.index(
                    Index {
                        id: 0,
                        object,
                        name,
                        kind,
                        unique: true,
                        ignore_dup_key: false,
                        system_named,
                        keys,
                        include: Vec::new(),
                        filter: None,
                    },
                    clustered,
                )
            }
            ConstraintKind::Check(text) => {
                let (id, name, system_named) = self.name_for(ctx, k.name.as_ref(), "CK");
                self.def.checks.push(Check {
                    id,
                    name,
                    text: text.text.clone(),
                    disabled: false,
                    trusted: true,
                    system_named,
                });
                Ok(())
            }
            ConstraintKind::Default { value, column } => {
                let (id, name, system_named) = self.name_for(ctx, k.name.as_ref(), "DF");
                let e = crate::tds::parse::expression(&value.text)?;
                let bound = Binder::new(ctx).value(&e)?;
                let at = self.def.column(column).ok_or_else(|| invalid_column(column))?;
                let col = &mut self.def.columns[at];
                if !convert::implicit_allowed(bound.ty, col.ty) {
                    return Err(convert::clash(bound.ty, col.ty));
                }
                if col.default.is_some() {
                    return Err(SqlError::new(
                        1781,
                        16,
                        "Column already has a DEFAULT bound to it.",
                    )
                    .reach(Reach::Batch));
                }
                col.default =
                    Some(ColumnDefault { id, name, text: value.text.clone(), system_named });
                Ok(())
            }
            ConstraintKind::Foreign { columns, table, referenced } => {
                if self.temp {
                    return Ok(());
                }
                let (id, name, system_named) = self.name_for(ctx, k.name.as_ref(), "FK");
                self.foreign(ctx, (id, name, system_named), columns, table, referenced)
            }
        }
    }

    pub(super) fn foreign(
        &mut self,
        ctx: &mut Ctx<'_>,
        (id, name, system_named): (ObjectId, String, bool),
        columns: &[String],
        table: &ObjName,
        referenced: &[String],
    ) -> Result<()> {
        let own = same(&table.name, &self.def.name);
        let target = if own {
            self.def.clone()
        } else {
            match find_object(ctx, table)? {
                Some(Found::Table { def, .. }) => (*def).clone(),
                _ => {
                    return Err(SqlError::new(
                        1767,
                        16,
                        format!(
                            "Foreign key '{name}' references invalid table '{}'.",
                            table.display()
                        ),
                    )
                    .state(0)
                    .reach(Reach::Batch));
                }
            }
        };
        let at = |t: &TableDef, names: &[String]| -> Result<Vec<usize>> {
            names.iter().map(|n| t.column(n).ok_or_else(|| invalid_column(n))).collect()
        };
        let columns = at(self.def, columns)?;
        let referenced = if referenced.is_empty() {
            target
                .primary_key()
                .map(|i| i.keys.iter().map(|(c, _)| *c).collect())
                .unwrap_or_default()
        } else {
            at(&target, referenced)?
        };
        let unique = target.indexes.iter().any(|i| {
            i.unique
                && i.filter.is_none()
                && i.keys.len() == referenced.len()
                && i.keys.iter().all(|(c, _)| referenced.contains(c))
        });
        if !unique || columns.len() != referenced.len() {
            return Err(SqlError::new(
                1776,
                16,
                format!("There are no primary or candidate keys in the referenced table '{}' that match the referencing column list in the foreign key '{name}'.", table.display()),
            )
            .state(0)
            .reach(Reach::Batch));
        }
        let table = if own { self.def.id } else { target.id };
        self.def.foreign_keys.push(ForeignKey {
            id,
            name,
            columns,
            table,
            referenced,
            disabled: false,
            trusted: true,
            system_named,
        });
        Ok(())
    }

    /// Adds an index after checking its columns and length.
    pub(super) fn index(&mut self, mut index: Index, clustered: bool) -> Result<()> {
        if clustered && self.def.indexes.iter().any(|i| i.id == 1) {
            return Err(SqlError::new(
                1902,
                16,
                format!("Cannot create more than one clustered index on table '{}'. Drop the existing clustered index before creating another.", self.def.name),
            )
            .state(3)
            .reach(Reach::Batch));
        }
        let mut bytes = 0;
        for (c, _) in &index.keys {
            let col = &self.def.columns[*c];
            let length = col.ty.max_length();
            if length < 0 {
                return Err(SqlError::new(
                    1919,
                    16,
                    format!("Column '{}' in table '{}' is of a type that is invalid for use as a key column in an index.", col.name, self.def.name),
                )
                .reach(Reach::Batch));
            }
            bytes += length;
        }
        let limit = if clustered { 900 } else { 1700 };
        let fixed: i64 = index
            .keys
            .iter()
            .map(|(c, _)| &self.def.columns[*c])
            .filter(|c| {
                !matches!(c.ty, SqlType::VarChar(_) | SqlType::NVarChar(_) | SqlType::VarBinary(_))
            })
            .map(|c| c.ty.max_length())
            .sum();
        if fixed > limit || (bytes > limit && fixed == bytes) {
            return Err(SqlError::new(
                1944,
                16,
                format!("Index '{}' was not created. This index has a key length of at least {bytes} bytes. The maximum permissible key length is {limit} bytes.", index.name),
            )
            .reach(Reach::Batch));
        }
        index.id = if clustered {
            1
        } else {
            self.def.indexes.iter().map(|i| i.id).max().unwrap_or(1).max(1) + 1
        };
        self.def.indexes.push(index);
        Ok(())
    }
}
