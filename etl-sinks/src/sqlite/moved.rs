//! From a stage to a table: update what differs, insert what is new.

use etl_core::StreamSchema;
use etl_core::error::Result;
use etl_sql::sqlite::quote;

/// The parts of statements that move rows of a stage `s` to a table `t`.
pub(super) struct Moved {
    table: String,
    all: String,
    staged: String,
    joined: String,
    set: Vec<String>,
    differs: Vec<String>,
}

impl Moved {
    /// To `table`, quoted, from columns of these names, in the schema's order.
    /// Where rows that left are marked in `mark`, quoted, a row that is written is not.
    pub(super) fn new(
        schema: &StreamSchema,
        table: &str,
        staged: &[String],
        mark: Option<&str>,
    ) -> Result<Self> {
        let (mut all, mut joined, mut set, mut differs) = (vec![], vec![], vec![], vec![]);
        for (field, staged) in schema.schema.fields().iter().zip(staged) {
            let name = quote::name(field.name())?;
            if schema.is_key(field.name()) {
                // The plus keeps the planner from walking the target and looking into the stage.
                joined.push(format!("t.{name} = +s.{staged}"));
            } else {
                set.push(format!("{name} = s.{staged}"));
                // Bytes decide, whatever collation the table declares.
                differs.push(format!("t.{name} COLLATE BINARY IS NOT s.{staged}"));
            }
            all.push(name);
        }
        let mut values: Vec<_> = staged.iter().map(|name| format!("s.{name}")).collect();
        if let Some(mark) = mark {
            set.push(format!("{mark} = NULL"));
            differs.push(format!("t.{mark} IS NOT NULL"));
            // Said, because the column may have a default.
            all.push(mark.to_owned());
            values.push("NULL".to_owned());
        }
        Ok(Self {
            table: table.to_owned(),
            all: all.join(", "),
            staged: values.join(", "),
            joined: joined.join(" AND "),
            set,
            differs,
        })
    }

    /// Updates what differs; `None` if there is nothing beside the key.
    pub(super) fn update(&self, from: &str, which: &str) -> Option<String> {
        let Self { table, joined, set, differs, .. } = self;
        (!set.is_empty()).then(|| {
            format!(
                "UPDATE main.{table} AS t SET {} FROM {from} AS s WHERE {which}{joined} AND ({})",
                set.join(", "),
                differs.join(" OR ")
            )
        })
    }

    /// Inserts what is new.
    pub(super) fn insert(&self, from: &str, which: &str) -> String {
        let Self { table, all, staged, joined, .. } = self;
        format!(
            "INSERT INTO main.{table} ({all}) SELECT {staged} FROM {from} AS s WHERE {which}NOT \
             EXISTS (SELECT 1 FROM main.{table} AS t WHERE {joined})"
        )
    }
}
