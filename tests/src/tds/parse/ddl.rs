//! Tables, indexes, schemas, views, databases.

use super::Parser;
use super::ast::{
    AlterTable, ColumnDef, ConstraintDef, ConstraintKind, Ddl, DropKind, Ident, IndexDef, StmtKind,
    Texted,
};
use crate::tds::engine::catalog::Generated;
use crate::tds::error::{Result, unsupported};
use crate::tds::types::SqlType;

impl Parser<'_> {
    pub(super) fn ddl(&mut self) -> Result<StmtKind> {
        let verb = self.any_word()?;
        let alter_or_create = verb == "CREATE" && self.eat_words(&["OR", "ALTER"]);
        let mut unique = false;
        let mut clustered = None;
        if verb == "CREATE" {
            unique = self.eat_word("UNIQUE");
            clustered = self.clustered();
        }
        let what = self.any_word()?;
        let ddl = match (verb.as_str(), what.as_str()) {
            ("CREATE", "TABLE") => {
                let name = self.obj_name()?;
                let (columns, constraints) = self.table_elements()?;
                self.table_options()?;
                Ddl::CreateTable { name, columns, constraints }
            }
            ("CREATE", "INDEX") => self.create_index(unique, clustered == Some(true))?,
            ("CREATE", "SCHEMA") => {
                if self.eat_word("AUTHORIZATION") {
                    let name = self.ident()?;
                    Ddl::CreateSchema { owner: Some(name.clone()), name }
                } else {
                    let name = self.ident()?;
                    let owner =
                        if self.eat_word("AUTHORIZATION") { Some(self.ident()?) } else { None };
                    Ddl::CreateSchema { name, owner }
                }
            }
            ("CREATE" | "ALTER", "VIEW") => {
                let name = self.obj_name()?;
                let columns = if self.is("(") { self.name_list()? } else { Vec::new() };
                if self.is_word("WITH") {
                    return Err(unsupported("CREATE VIEW WITH options"));
                }
                self.expect_word("AS")?;
                let start = self.at;
                self.query()?;
                Ddl::CreateView {
                    name,
                    columns,
                    text: self.text_since(start),
                    alter: verb == "ALTER" || alter_or_create,
                }
            }
            ("CREATE", "DATABASE") => {
                let name = self.ident()?;
                let collation = if self.eat_word("COLLATE") { Some(self.ident()?) } else { None };
                if self.is_word("ON")
                    || self.is_word("WITH")
                    || self.is_word("CONTAINMENT")
                    || self.is_word("AS")
                {
                    return Err(unsupported("CREATE DATABASE with files or options"));
                }
                Ddl::CreateDatabase { name, collation }
            }
            ("ALTER", "DATABASE") => self.alter_database()?,
            ("ALTER", "TABLE") => {
                let name = self.obj_name()?;
                let change = self.alter_table()?;
                Ddl::AlterTable { name, change }
            }
            ("DROP", "INDEX") => {
                let if_exists = self.eat_words(&["IF", "EXISTS"]);
                let name = self.ident()?;
                self.expect_word("ON")?;
                Ddl::DropIndex { name, table: self.obj_name()?, if_exists }
            }
            ("DROP", "TABLE") => self.drop(DropKind::Table)?,
            ("DROP", "VIEW") => self.drop(DropKind::View)?,
            ("DROP", "SCHEMA") => self.drop(DropKind::Schema)?,
            ("DROP", "DATABASE") => self.drop(DropKind::Database)?,
            ("DROP", "LOGIN") => self.drop(DropKind::Login)?,
            ("DROP", "USER") => self.drop(DropKind::User)?,
            ("DROP", "ROLE") => self.drop(DropKind::Role)?,
            ("CREATE", "LOGIN") => {
                let name = self.ident()?;
                Ddl::CreateLogin { name, options: self.login_options(true)? }
            }
            ("ALTER", "LOGIN") => {
                let name = self.ident()?;
                Ddl::AlterLogin { name, options: self.login_options(false)? }
            }
            ("CREATE", "USER") => {
                let name = self.ident()?;
                Ddl::CreateUser { name, options: self.user_options()? }
            }
            ("ALTER", "USER") => {
                let name = self.ident()?;
                Ddl::AlterUser { name, options: self.user_options()? }
            }
            ("CREATE", "ROLE") => {
                let name = self.ident()?;
                let owner = if self.eat_word("AUTHORIZATION") { Some(self.ident()?) } else { None };
                Ddl::CreateRole { name, owner }
            }
            ("ALTER", "ROLE") => self.alter_role(false)?,
            ("ALTER", "SERVER") => {
                self.expect_word("ROLE")?;
                self.alter_role(true)?
            }
            ("ALTER", "AUTHORIZATION") => {
                self.expect_word("ON")?;
                let on = self.securable()?;
                self.expect_word("TO")?;
                Ddl::AlterAuthorization { on, to: self.ident()? }
            }
            _ => return Err(unsupported(format!("{verb} {what}"))),
        };
        Ok(StmtKind::Ddl(ddl))
    }

    fn drop(&mut self, kind: DropKind) -> Result<Ddl> {
        let if_exists = self.eat_words(&["IF", "EXISTS"]);
        let mut names = vec![self.obj_name()?];
        while self.eat(",") {
            names.push(self.obj_name()?);
        }
        Ok(Ddl::Drop { kind, names, if_exists })
    }

    fn clustered(&mut self) -> Option<bool> {
        if self.eat_word("CLUSTERED") {
            Some(true)
        } else if self.eat_word("NONCLUSTERED") {
            Some(false)
        } else {
            None
        }
    }

    fn table_options(&mut self) -> Result<()> {
        if self.eat_word("ON") {
            // Only the filegroup every database has.
            let group = self.ident()?;
            if !group.eq_ignore_ascii_case("PRIMARY") && !group.eq_ignore_ascii_case("default") {
                return Err(unsupported(format!("filegroup {group}")));
            }
        }
        if self.is_word("WITH") {
            self.next();
            self.index_options()?;
        }
        for word in ["TEXTIMAGE_ON", "FILESTREAM_ON", "AS"] {
            if self.is_word(word) {
                return Err(unsupported(format!("CREATE TABLE ... {word}")));
            }
        }
        Ok(())
    }

    /// `(DATA_COMPRESSION = PAGE, ...)`; returns IGNORE_DUP_KEY.
    fn index_options(&mut self) -> Result<bool> {
        let mut ignore_dup_key = false;
        self.expect("(")?;
        loop {
            let name = self.any_word()?;
            self.expect("=")?;
            match name.as_str() {
                "DATA_COMPRESSION"
                | "PAD_INDEX"
                | "STATISTICS_NORECOMPUTE"
                | "SORT_IN_TEMPDB"
                | "DROP_EXISTING"
                | "ONLINE"
                | "ALLOW_ROW_LOCKS"
                | "ALLOW_PAGE_LOCKS"
                | "OPTIMIZE_FOR_SEQUENTIAL_KEY" => {
                    let value = self.any_word()?;
                    if name == "DROP_EXISTING" && value == "ON" {
                        return Err(unsupported("DROP_EXISTING = ON"));
                    }
                }
                "FILLFACTOR" | "MAXDOP" => {
                    self.integer()?;
                }
                "IGNORE_DUP_KEY" => ignore_dup_key = self.on_off()?,
                other => return Err(unsupported(format!("option {other}"))),
            }
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(ignore_dup_key)
    }

    fn create_index(&mut self, unique: bool, clustered: bool) -> Result<Ddl> {
        let name = self.ident()?;
        self.expect_word("ON")?;
        let table = self.obj_name()?;
        let columns = self.key_columns()?;
        let include = if self.eat_word("INCLUDE") { self.name_list()? } else { Vec::new() };
        let mut filter = None;
        if self.eat_word("WHERE") {
            filter = Some(self.texted()?);
        }
        let mut ignore_dup_key = false;
        if self.is_word("WITH") {
            self.next();
            ignore_dup_key = self.index_options()?;
        }
        if self.eat_word("ON") {
            self.ident()?;
        }
        Ok(Ddl::CreateIndex(IndexDef {
            name,
            table,
            unique,
            clustered,
            columns,
            include,
            filter,
            ignore_dup_key,
        }))
    }

    fn key_columns(&mut self) -> Result<Vec<(String, bool)>> {
        self.expect("(")?;
        let mut out = Vec::new();
        loop {
            let name = self.ident()?;
            let desc = self.eat_word("DESC");
            if !desc {
                self.eat_word("ASC");
            }
            out.push((name, desc));
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(out)
    }

    /// An expression, kept as its text.
    fn texted(&mut self) -> Result<Texted> {
        let start = self.at;
        self.expr()?;
        Ok(Texted { text: self.text_since(start) })
    }

    pub(super) fn table_elements(&mut self) -> Result<(Vec<ColumnDef>, Vec<ConstraintDef>)> {
        self.expect("(")?;
        let mut columns = Vec::new();
        let mut constraints = Vec::new();
        let mut period = None;
        loop {
            if self.is(")") {
                break;
            }
            if self.eat_word("PERIOD") {
                period = Some(self.period()?);
            } else {
                self.table_element(&mut columns, &mut constraints)?;
            }
            if !self.eat(",") {
                break;
            }
        }
        self.expect(")")?;
        let is = |name: Option<&String>, generated| {
            let mut of_kind = columns.iter().filter(|c| c.generated == Some(generated));
            match (of_kind.next(), name) {
                (None, None) => true,
                (Some(column), Some(name)) => column.name.eq_ignore_ascii_case(name),
                _ => false,
            }
        };
        let (start, end) = period.as_ref().map_or((None, None), |(a, b)| (Some(a), Some(b)));
        if !is(start, Generated::PeriodStart) || !is(end, Generated::PeriodEnd) {
            return Err(unsupported("a PERIOD that is not of the two generated columns"));
        }
        Ok((columns, constraints))
    }

    /// `FOR SYSTEM_TIME (a, b)`; a table may have a period without a history.
    fn period(&mut self) -> Result<(Ident, Ident)> {
        self.expect_word("FOR")?;
        self.expect_word("SYSTEM_TIME")?;
        self.expect("(")?;
        let start = self.ident()?;
        self.expect(",")?;
        let end = self.ident()?;
        self.expect(")")?;
        Ok((start, end))
    }

    fn table_element(
        &mut self,
        columns: &mut Vec<ColumnDef>,
        constraints: &mut Vec<ConstraintDef>,
    ) -> Result<()> {
        if self.is_word("INDEX") {
            return Err(unsupported("an index inside CREATE TABLE"));
        }
        match self.constraint(None)? {
            Some(c) => constraints.push(c),
            None => columns.push(self.column()?),
        }
        Ok(())
    }

    fn column(&mut self) -> Result<ColumnDef> {
        let name = self.ident()?;
        let mut def = ColumnDef {
            name,
            ty: None,
            computed: None,
            collation: None,
            nullable: None,
            identity: None,
            generated: None,
            constraints: Vec::new(),
        };
        if self.eat_word("AS") {
            let text = self.texted()?;
            let persisted = self.eat_word("PERSISTED");
            def.computed = Some((text, persisted));
        } else if self.eat_word("ROWVERSION") || self.eat_word("TIMESTAMP") {
            def.ty = Some(SqlType::Binary(8));
            def.generated = Some(Generated::Version);
        } else {
            def.ty = Some(self.data_type()?);
        }
        loop {
            if self.eat_word("COLLATE") {
                def.collation = Some(self.ident()?);
            } else if self.is_word("NOT") && self.is_word_at(1, "NULL") {
                self.next();
                self.next();
                def.nullable = Some(false);
            } else if self.eat_word("NULL") {
                def.nullable = Some(true);
            } else if self.eat_word("IDENTITY") {
                let mut seed = (1, 1);
                if self.eat("(") {
                    seed.0 = self.integer()?;
                    self.expect(",")?;
                    seed.1 = self.integer()?;
                    self.expect(")")?;
                }
                def.identity = Some(seed);
            } else if self.eat_word("GENERATED") {
                for word in ["ALWAYS", "AS", "ROW"] {
                    self.expect_word(word)?;
                }
                def.generated = Some(if self.eat_word("START") {
                    Generated::PeriodStart
                } else {
                    self.expect_word("END")?;
                    Generated::PeriodEnd
                });
            } else if self.is_word("SPARSE") || self.is_word("ROWGUIDCOL") || self.is_word("MASKED")
            {
                return Err(unsupported(format!("column option {}", self.any_word()?)));
            } else {
                match self.constraint(Some(&def.name.clone()))? {
                    Some(c) => def.constraints.push(c),
                    None => return Ok(def),
                }
            }
        }
    }

    /// A constraint of a column (if named) or of the table.
    fn constraint(&mut self, column: Option<&str>) -> Result<Option<ConstraintDef>> {
        let name = if self.eat_word("CONSTRAINT") { Some(self.ident()?) } else { None };
        let kind = if self.is_word("PRIMARY") || self.is_word("UNIQUE") {
            let primary = self.any_word()? == "PRIMARY";
            if primary {
                self.expect_word("KEY")?;
            }
            let clustered = self.clustered();
            let columns = match column {
                Some(c) if !self.is("(") => vec![(c.to_owned(), false)],
                _ => self.key_columns()?,
            };
            if self.is_word("WITH")
                && !self.is_word_at(1, "CHECK")
                && !self.is_word_at(1, "NOCHECK")
            {
                self.next();
                if self.index_options()? {
                    return Err(unsupported("IGNORE_DUP_KEY on a constraint"));
                }
            }
            if self.is_word("ON") {
                self.next();
                self.ident()?;
            }
            ConstraintKind::Key { primary, clustered, columns }
        } else if self.eat_word("CHECK") {
            if self.eat_words(&["NOT", "FOR", "REPLICATION"]) {
                return Err(unsupported("NOT FOR REPLICATION"));
            }
            self.expect("(")?;
            let text = self.texted()?;
            self.expect(")")?;
            ConstraintKind::Check(text)
        } else if self.is_word("FOREIGN") || self.is_word("REFERENCES") {
            let columns = if self.eat_word("FOREIGN") {
                self.expect_word("KEY")?;
                if self.is("(") {
                    self.name_list()?
                } else {
                    column.map(|c| vec![c.to_owned()]).unwrap_or_default()
                }
            } else {
                column.map(|c| vec![c.to_owned()]).unwrap_or_default()
            };
            self.expect_word("REFERENCES")?;
            let table = self.obj_name()?;
            let referenced = if self.is("(") { self.name_list()? } else { Vec::new() };
            while self.eat_word("ON") {
                self.any_word()?;
                if !self.eat_words(&["NO", "ACTION"]) {
                    return Err(unsupported("ON DELETE or ON UPDATE actions"));
                }
            }
            ConstraintKind::Foreign { columns, table, referenced }
        } else if self.eat_word("DEFAULT") {
            let value = self.texted()?;
            let column = if self.eat_word("FOR") {
                self.ident()?
            } else {
                column.map(ToOwned::to_owned).ok_or_else(|| self.unexpected())?
            };
            ConstraintKind::Default { value, column }
        } else if name.is_some() {
            return Err(self.unexpected());
        } else {
            return Ok(None);
        };
        Ok(Some(ConstraintDef { name, kind }))
    }

    fn alter_table(&mut self) -> Result<AlterTable> {
        let mut check = true;
        if self.eat_word("WITH") {
            check = self.any_word()? == "CHECK";
        }
        if self.is_word("CHECK") || self.is_word("NOCHECK") {
            let enable = self.any_word()? == "CHECK";
            self.expect_word("CONSTRAINT")?;
            let name = if self.eat_word("ALL") { None } else { Some(self.ident()?) };
            return Ok(AlterTable::EnableConstraint { name, enable });
        }
        if self.eat_word("ADD") {
            let (mut columns, mut constraints) = (Vec::new(), Vec::new());
            loop {
                self.table_element(&mut columns, &mut constraints)?;
                if !self.eat(",") {
                    return Ok(AlterTable::Add { columns, constraints, check });
                }
            }
        }
        if self.eat_word("ALTER") {
            self.expect_word("COLUMN")?;
            let name = self.ident()?;
            let ty = self.data_type()?;
            let collation = if self.eat_word("COLLATE") { Some(self.ident()?) } else { None };
            let nullable = if self.eat_words(&["NOT", "NULL"]) {
                Some(false)
            } else if self.eat_word("NULL") {
                Some(true)
            } else {
                None
            };
            return Ok(AlterTable::AlterColumn { name, ty, collation, nullable });
        }
        if self.eat_word("DROP") {
            let (mut columns, mut constraints) = (Vec::new(), Vec::new());
            let mut if_exists = false;
            let mut in_columns = false;
            loop {
                if self.eat_word("COLUMN") {
                    in_columns = true;
                } else if self.eat_word("CONSTRAINT") {
                    in_columns = false;
                }
                if_exists |= self.eat_words(&["IF", "EXISTS"]);
                let name = self.ident()?;
                if in_columns {
                    columns.push(name);
                } else {
                    constraints.push(name);
                }
                if !self.eat(",") {
                    return Ok(AlterTable::Drop { columns, constraints, if_exists });
                }
            }
        }
        Err(unsupported(format!("ALTER TABLE ... {}", self.any_word()?)))
    }

    fn alter_database(&mut self) -> Result<Ddl> {
        let name = if self.eat_word("CURRENT") { None } else { Some(self.ident()?) };
        let mut settings = Vec::new();
        if self.eat_word("COLLATE") {
            settings.push(("COLLATE".to_owned(), self.ident()?));
            return Ok(Ddl::AlterDatabase { name, settings });
        }
        self.expect_word("SET")?;
        loop {
            let option = self.any_word()?;
            self.eat("=");
            let value = self.any_word()?;
            match option.as_str() {
                "READ_COMMITTED_SNAPSHOT"
                | "ALLOW_SNAPSHOT_ISOLATION"
                | "RECOVERY"
                | "AUTO_CLOSE"
                | "AUTO_SHRINK" => {}
                other => return Err(unsupported(format!("ALTER DATABASE SET {other}"))),
            }
            settings.push((option, value));
            if !self.eat(",") {
                break;
            }
        }
        if self.eat_word("WITH") {
            self.any_word()?;
            self.eat_word("IMMEDIATE");
        }
        Ok(Ddl::AlterDatabase { name, settings })
    }
}
