//! The statements that bring a batch to its target, as functions of the target alone, so that each
//! has a golden file. None has a parameter.

use etl_core::Result;
use etl_core::connector::Mode;
use etl_sql::postgres::bulk::DELETE_FLAG;
use etl_sql::postgres::plan::key_list;
use etl_sql::postgres::quote::name;
use etl_sql::postgres::sqltype::SqlType;
use etl_sql::postgres::target::{Column, Target};

/// The staging table: the transaction's own, gone with it.
const STAGE: &str = "pg_temp.etl_job_stage";

/// Statements of one stream.
#[derive(Debug, Clone)]
pub struct Statements {
    /// Creates the stage.
    pub create_stage: String,
    /// Takes the rows into the stage.
    pub copy: String,
    /// Deletes or marks rows that left, in `upsert` mode and where rows may leave.
    pub leave: Option<String>,
    /// Updates what differs, in `upsert` mode and where there is more than a key.
    pub update: Option<String>,
    /// Inserts what is new; in `append` mode, all of it.
    pub insert: String,
}

impl Statements {
    /// The statements for a target as it was found.
    ///
    /// # Errors
    /// `Config` for bad names.
    pub fn new(target: &Target) -> Result<Self> {
        let (upsert, batch) = (target.mode.is_keyed(), From::Batch);
        Ok(Self {
            create_stage: create_stage(target),
            copy: copy(target),
            leave: if upsert { leave(target)? } else { None },
            update: if upsert { update(target, &batch)? } else { None },
            insert: insert(target, &batch)?,
        })
    }

    /// What applies the stage, in this order and in one go. Deletes come first: a new row may
    /// need what a deleted one had in another unique index.
    #[must_use]
    pub fn apply(&self) -> String {
        let before = self.leave.iter().chain(&self.update);
        before.chain([&self.insert]).map(String::as_str).collect::<Vec<_>>().join(";\n")
    }
}

fn create_stage(target: &Target) -> String {
    let mut lines = vec![format!("  {DELETE_FLAG} boolean NOT NULL")];
    for column in &target.columns {
        // A key is looked up by the target's index, which has the target's collation.
        let collation = match (&column.collation, column.sql_type.staged()) {
            (Some(collation), "text") => format!(" COLLATE {collation}"),
            _ => String::new(),
        };
        let null = if column.key { " NOT NULL" } else { "" };
        let staged = column.sql_type.staged();
        lines.push(format!("  {} {staged}{collation}{null}", column.staged));
    }
    if target.mode.is_keyed() {
        // Two rows for one key stop the batch, and the planner knows that there are none.
        let key: Vec<_> = target.key().map(|column| column.staged.as_str()).collect();
        lines.push(format!("  PRIMARY KEY ({})", key.join(", ")));
    }
    let lines = lines.join(",\n");
    format!("CREATE TEMPORARY TABLE {STAGE} (\n{lines}\n) ON COMMIT DROP")
}

fn copy(target: &Target) -> String {
    let names: Vec<_> = target.columns.iter().map(|column| column.staged.as_str()).collect();
    format!("COPY {STAGE} ({DELETE_FLAG}, {}) FROM STDIN (FORMAT binary)", names.join(", "))
}

fn names(target: &Target) -> Result<Vec<String>> {
    target.columns.iter().map(|column| name(&column.name)).collect()
}

/// A staged value as the target's column takes it.
fn staged(column: &Column) -> String {
    match &column.cast {
        Some(cast) => format!("s.{}::{cast}", column.staged),
        None => format!("s.{}", column.staged),
    }
}

/// Where the rows come from.
pub(super) enum From {
    /// The batch's own stage.
    Batch,
    /// A table in which a load was collected, quoted.
    Load(String),
}

impl From {
    fn table(&self) -> &str {
        match self {
            Self::Batch => STAGE,
            Self::Load(table) => table,
        }
    }

    /// The condition on the rows that are to be there.
    fn wanted(&self) -> String {
        match self {
            Self::Batch => format!("NOT s.{DELETE_FLAG}"),
            Self::Load(_) => "true".to_owned(),
        }
    }
}

pub(super) fn join(target: &Target, from: &From) -> Result<String> {
    let equal = |column: &Column| {
        // The batch's stage has the target's collations.
        let collation = match (&column.collation, column.sql_type.staged(), from) {
            (Some(collation), "text", From::Load(_)) => format!(" COLLATE {collation}"),
            _ => String::new(),
        };
        Ok(format!("t.{} = {}{collation}", name(&column.name)?, staged(column)))
    };
    Ok(target.key().map(equal).collect::<Result<Vec<_>>>()?.join(" AND "))
}

/// What the stage's deletes do. One time for a batch: that at which this request arrived.
fn leave(target: &Target) -> Result<Option<String>> {
    let (table, join) = (target.table.quoted()?, join(target, &From::Batch)?);
    Ok(match &target.mark {
        Some(mark) => {
            let mark = name(mark)?;
            Some(format!(
                "UPDATE {table} AS t SET {mark} = statement_timestamp()
  FROM {STAGE} AS s
 WHERE s.{DELETE_FLAG} AND {join}
   AND t.{mark} IS NULL"
            ))
        }
        None => target.deletes.then(|| {
            format!("DELETE FROM {table} AS t USING {STAGE} AS s WHERE s.{DELETE_FLAG} AND {join}")
        }),
    })
}

pub(super) fn update(target: &Target, from: &From) -> Result<Option<String>> {
    let others: Vec<_> = target.columns.iter().filter(|column| !column.key).collect();
    let set = |column: &&Column| Ok(format!("{} = {}", name(&column.name)?, staged(column)));
    let mut sets = others.iter().map(set).collect::<Result<Vec<_>>>()?;
    let mut differs =
        others.iter().map(|column| differs(column, &staged(column))).collect::<Result<Vec<_>>>()?;
    unmark(target, &mut sets, &mut differs)?;
    if sets.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "UPDATE {} AS t SET {}
  FROM {} AS s
 WHERE {} AND {}
   AND ({})",
        target.table.quoted()?,
        sets.join(", "),
        from.table(),
        from.wanted(),
        join(target, from)?,
        differs.join("\n     OR ")
    )))
}

/// A row that is written is no longer marked, and was changed if it was.
fn unmark(target: &Target, sets: &mut Vec<String>, differs: &mut Vec<String>) -> Result<()> {
    if let Some(mark) = &target.mark {
        let mark = name(mark)?;
        sets.push(format!("{mark} = NULL"));
        differs.push(format!("t.{mark} IS NOT NULL"));
    }
    Ok(())
}

/// Whether the target's value differs from the value `new`: texts by their bytes whatever
/// the collation, floats by their bits (0 and -0 are equal to Postgres), json and others as text.
fn differs(column: &Column, new: &str) -> Result<String> {
    let old = format!("t.{}", name(&column.name)?);
    let form: fn(&str) -> String = match column.sql_type {
        SqlType::Text(_)
        | SqlType::Char(_)
        | SqlType::CiText
        | SqlType::Enum
        | SqlType::Array
        | SqlType::Json
        | SqlType::Jsonb => |value| format!("{value}::text COLLATE pg_catalog.\"C\""),
        SqlType::Real => |value| format!("float4send({value})"),
        SqlType::Double => |value| format!("float8send({value})"),
        _ => str::to_owned,
    };
    Ok(format!("{} IS DISTINCT FROM {}", form(&old), form(new)))
}

pub(super) fn insert(target: &Target, from: &From) -> Result<String> {
    let table = target.table.quoted()?;
    let mut names = names(target)?;
    let mut values: Vec<_> = target.columns.iter().map(staged).collect();
    if let Some(mark) = &target.mark {
        // Said, because the column may have a default.
        names.push(name(mark)?);
        values.push("NULL".to_owned());
    }
    let (new, conflict) = match target.mode {
        Mode::Append => (String::new(), String::new()),
        Mode::Upsert | Mode::Replace => (
            format!("\n   AND NOT EXISTS (SELECT FROM {table} AS t WHERE {})", join(target, from)?),
            if target.foreign_writers { on_conflict(target)? } else { String::new() },
        ),
    };
    Ok(format!(
        "INSERT INTO {table} AS t ({})
SELECT {} FROM {} AS s
 WHERE {}{new}{conflict}",
        names.join(", "),
        values.join(", "),
        from.table(),
        from.wanted()
    ))
}

/// Our checkpoint keeps our own runs apart; somebody else may insert a row of ours after we looked
/// for it.
fn on_conflict(target: &Target) -> Result<String> {
    let key = key_list(target)?;
    let others: Vec<_> = target.columns.iter().filter(|column| !column.key).collect();
    let (mut sets, mut differs) = (Vec::new(), Vec::new());
    for column in others {
        let name = name(&column.name)?;
        sets.push(format!("{name} = EXCLUDED.{name}"));
        differs.push(self::differs(column, &format!("EXCLUDED.{name}"))?);
    }
    unmark(target, &mut sets, &mut differs)?;
    if sets.is_empty() {
        return Ok(format!("\nON CONFLICT ({key}) DO NOTHING"));
    }
    let (sets, differs) = (sets.join(", "), differs.join(" OR "));
    Ok(format!("\nON CONFLICT ({key}) DO UPDATE SET {sets}\n WHERE {differs}"))
}
