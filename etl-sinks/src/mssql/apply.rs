//! What brings staged rows to a table, as T-SQL.

use etl_core::Result;
use etl_core::connector::Mode;
use etl_sql::mssql::bulk::DELETE_FLAG;
use etl_sql::mssql::error::own;
use etl_sql::mssql::quote::{name, text};
use etl_sql::mssql::target::{Column, Target};
use etl_sql::mssql::types::{BINARY_COLLATION, SqlType};

use super::statements::STAGE;

/// Delete or mark, update what differs, insert what is new; or, in append mode, insert.
pub(super) fn apply(target: &Target) -> Result<String> {
    let mut sql = String::new();
    if target.mode.is_keyed() {
        sql.push_str(&leave(target)?);
        sql.push_str(&update(target, &From::Batch)?);
    }
    sql.push_str(&insert(target, &From::Batch)?);
    sql.push_str(&unaltered(target)?);
    Ok(sql)
}

/// Nothing stays if the target is no longer as it was found: SQL Server rounds into a column of
/// fewer digits without a word. Behind the rows: their locks keep the table as it is.
pub(super) fn unaltered(target: &Target) -> Result<String> {
    let Some(altered) = &target.altered else { return Ok(String::new()) };
    Ok(format!(
        "IF EXISTS (SELECT 1 FROM sys.tables WHERE [object_id] = OBJECT_ID({}) AND CONVERT(nvarchar(40), [modify_date], 126) <> {}) THROW {}, N'the target was altered', 1;
",
        text(&target.table.quoted()?),
        text(altered),
        own::TARGET_ALTERED
    ))
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

    /// The condition on the rows that are to be there, before others.
    fn wanted(&self) -> String {
        match self {
            Self::Batch => format!("s.{DELETE_FLAG} = 0 AND "),
            Self::Load(_) => String::new(),
        }
    }
}

pub(super) fn join(target: &Target, from: &From) -> Result<String> {
    let equal = |column: &Column| {
        // The batch's stage has the target's collations, a load's the plan's.
        let other = matches!(from, From::Load(_)) && column.collation != BINARY_COLLATION;
        let collation = if other && column.sql_type.is_text() {
            format!(" COLLATE {}", column.collation)
        } else {
            String::new()
        };
        assigned(column).map(|equal| format!("{equal}{collation}"))
    };
    Ok(target.key().map(equal).collect::<Result<Vec<_>>>()?.join(" AND "))
}

/// `t.[name] = s.[c0]`: in a condition and in a SET.
fn assigned(column: &Column) -> Result<String> {
    name(&column.name).map(|name| format!("t.{name} = s.{}", column.staged))
}

/// What the stage's deletes do. The clock is looked at once per statement: one time for a batch.
fn leave(target: &Target) -> Result<String> {
    let (table, join) = (target.table.quoted()?, join(target, &From::Batch)?);
    let what = match &target.mark {
        Some(mark) => {
            let mark = name(mark)?;
            format!(
                "UPDATE t SET t.{mark} = SYSUTCDATETIME()
  FROM {table} AS t INNER JOIN {STAGE} AS s ON {join} WHERE s.{DELETE_FLAG} = 1 AND t.{mark} IS NULL"
            )
        }
        None if target.deletes => format!(
            "DELETE t FROM {table} AS t INNER JOIN {STAGE} AS s ON {join} WHERE s.{DELETE_FLAG} = 1"
        ),
        None => return Ok(String::new()),
    };
    Ok(format!("{what};\nSET @deleted = @@ROWCOUNT;\n"))
}

pub(super) fn update(target: &Target, from: &From) -> Result<String> {
    let others: Vec<_> = target.columns.iter().filter(|column| !column.key).collect();
    let mut sets = others.iter().copied().map(assigned).collect::<Result<Vec<_>>>()?;
    let mut differs = others.iter().map(|column| differs(column)).collect::<Result<Vec<_>>>()?;
    if let Some(mark) = &target.mark {
        let mark = name(mark)?;
        sets.push(format!("t.{mark} = NULL"));
        differs.push(format!("t.{mark} IS NOT NULL"));
    }
    if sets.is_empty() {
        return Ok(String::new());
    }
    Ok(format!(
        "UPDATE t SET {}
  FROM {} AS t INNER JOIN {} AS s ON {}
 WHERE {}(
      {});
SET @updated = @@ROWCOUNT;
",
        sets.join(", "),
        target.table.quoted()?,
        from.table(),
        join(target, from)?,
        from.wanted(),
        differs.join("\n   OR ")
    ))
}

/// Whether a staged value differs from the target's, decided on bytes and never by collation.
/// A value that became NULL in a column that does not take it never gets here.
fn differs(column: &Column) -> Result<String> {
    let (s, t) = (format!("s.{}", column.staged), format!("t.{}", name(&column.name)?));
    let unequal = match column.sql_type {
        SqlType::NVarChar(_) => format!(
            "{s} COLLATE {BINARY_COLLATION} <> {t} COLLATE {BINARY_COLLATION} OR DATALENGTH({s}) <> DATALENGTH({t})"
        ),
        // Binary values that differ in trailing zero bytes only are equal to SQL Server.
        SqlType::VarBinary(_) => format!("{s} <> {t} OR DATALENGTH({s}) <> DATALENGTH({t})"),
        _ => format!("{s} <> {t}"),
    };
    if column.nullable {
        Ok(format!(
            "({unequal} OR ({s} IS NULL AND {t} IS NOT NULL) OR ({s} IS NOT NULL AND {t} IS NULL))"
        ))
    } else {
        Ok(format!("({unequal})"))
    }
}

pub(super) fn insert(target: &Target, from: &From) -> Result<String> {
    let table = target.table.quoted()?;
    let mut names =
        target.columns.iter().map(|column| name(&column.name)).collect::<Result<Vec<_>>>()?;
    let mut staged: Vec<_> =
        target.columns.iter().map(|column| format!("s.{}", column.staged)).collect();
    if let Some(mark) = &target.mark {
        // Said, because the column may have a default.
        names.push(name(mark)?);
        staged.push("NULL".to_owned());
    }
    let new = match target.mode {
        Mode::Append => format!("s.{DELETE_FLAG} = 0"),
        Mode::Upsert | Mode::Replace => {
            // Our application lock keeps our own runs apart; only others need a range lock.
            let hint = if target.foreign_writers { " WITH (UPDLOCK, SERIALIZABLE)" } else { "" };
            let join = join(target, from)?;
            let wanted = from.wanted();
            format!("{wanted}NOT EXISTS (SELECT 1 FROM {table} AS t{hint} WHERE {join})")
        }
    };
    Ok(format!(
        "INSERT INTO {table} ({})
SELECT {} FROM {} AS s
 WHERE {new};
SET @inserted = @@ROWCOUNT;
",
        names.join(", "),
        staged.join(", "),
        from.table()
    ))
}
