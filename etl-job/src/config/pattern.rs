//! Streams that are named by a pattern, such as `public.*`.

use etl_core::catalog::{ObjectName, TableInfo};
use etl_core::connector::Stream;
use etl_core::predicate::Predicate;
use etl_core::{Error, Result};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::names::{fill, fits, nearest};

/// How the file's source reads a table's name.
pub(crate) type NameOf = fn(&str) -> Result<ObjectName>;

/// What only a pattern says; all else is as in a stream, with `primary_key` and `select` from the
/// source's catalog where it does not say.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PatternForm {
    /// Tables that are not carried, by name or by pattern.
    pub exclude: Vec<String>,
    /// Columns that are not carried, of whichever table has them.
    pub exclude_columns: Vec<String>,
}

/// A pattern and what its streams say.
pub(crate) struct Pattern {
    /// As the file has it.
    pub(crate) text: String,
    glob: ObjectName,
    exclude: Vec<(String, ObjectName)>,
    exclude_columns: Vec<String>,
    /// A stream's settings but for what its table decides.
    template: Map<String, Value>,
}

/// Whether a stream's name is one.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains('*')
}

impl Pattern {
    /// From what the file says, defaults included.
    ///
    /// # Errors
    /// `Config` with the key that is wrong.
    pub(super) fn read(text: &str, mut said: Map<String, Value>, name_of: NameOf) -> Result<Self> {
        let mut own = Map::new();
        for key in ["exclude", "exclude_columns"] {
            own.extend(said.remove_entry(key));
        }
        let own: PatternForm =
            serde_json::from_value(own.into()).map_err(|error| Error::config(error.to_string()))?;
        if said.contains_key("table") {
            return Err(Error::config("table: a pattern finds its tables; leave it out"));
        }
        let object = said.get("object").and_then(Value::as_str).unwrap_or_default();
        if !object.contains("{table}") {
            return Err(Error::config(
                "object: write {table} where the name of each table goes, such as dbo.{table}; \
                 {schema} is known too",
            ));
        }
        let named = |name: String| Ok((name.clone(), name_of(&name)?));
        let exclude = own.exclude.into_iter().map(named).collect::<Result<_>>();
        Ok(Self {
            text: text.to_owned(),
            glob: name_of(text)?,
            exclude: exclude.map_err(|error| error.context("exclude"))?,
            exclude_columns: own.exclude_columns,
            template: said,
        })
    }

    /// Whether the pattern fits a table's name, excluded or not.
    pub(super) fn fits(&self, name: &ObjectName) -> bool {
        fits(&self.glob, name)
    }

    /// Whether the pattern makes a stream of a table.
    pub(super) fn takes(&self, name: &ObjectName) -> bool {
        self.fits(name) && !self.exclude.iter().any(|(_, glob)| fits(glob, name))
    }

    /// Whether a stream of this name may be one of the pattern's: streams have small letters only.
    pub(super) fn covers(&self, stream: &ObjectName) -> bool {
        let fold = |name: &ObjectName| ObjectName { ignores_case: true, ..name.clone() };
        let stream = fold(stream);
        let excluded = self.exclude.iter().any(|(_, glob)| fits(&fold(glob), &stream));
        fits(&fold(&self.glob), &stream) && !excluded
    }

    /// The exclusions that exclude none of the source's tables.
    pub(super) fn idle_exclusions<'a>(
        &'a self,
        tables: &'a [TableInfo],
    ) -> impl Iterator<Item = &'a str> {
        self.exclude
            .iter()
            .filter(|(_, glob)| !tables.iter().any(|table| fits(glob, &table.name)))
            .map(|(text, _)| text.as_str())
    }

    /// The stream that the pattern makes of a table.
    ///
    /// # Errors
    /// `Config` with what the table lacks, or what is wrong with the settings.
    pub(super) fn stream(&self, pipeline: &str, name: &str, table: &TableInfo) -> Result<Stream> {
        let mut said = self.template.clone();
        let has = |column: &str| table.columns.iter().any(|one| one == column);
        if let Some(cursor) = self.cursor().filter(|cursor| !has(cursor)) {
            return Err(Error::config(format!(
                "table {} has no column {cursor}, which cursor.column names; {}",
                table.name,
                self.way_out(&table.name)
            )));
        }
        if !said.contains_key("primary_key") {
            if table.primary_key.is_empty() {
                return Err(Error::config(format!(
                    "table {} has no primary key; {}",
                    table.name,
                    self.way_out(&table.name)
                )));
            }
            said.insert("primary_key".to_owned(), json!(table.primary_key));
        }
        if !said.contains_key("select") {
            let carried = |column: &&String| !self.exclude_columns.contains(column);
            let columns: Vec<_> = table.columns.iter().filter(carried).collect();
            said.insert("select".to_owned(), json!(columns));
        }
        let selected = said.get("select").and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some(Value::Object(columns)) = said.get_mut("columns") {
            columns.retain(|column, _| selected.iter().any(|one| one == column));
        }
        let object = said.get("object").and_then(Value::as_str).unwrap_or_default();
        let object = fill(object, &table.name).map_err(|error| error.context("object"))?;
        said.insert("object".to_owned(), object.into());
        let letters = table.name.to_string();
        if letters != name {
            said.insert("table".to_owned(), letters.into());
        }
        let config = serde_json::from_value(said.into())
            .map_err(|error| Error::config(crate::config::reworded(&error.to_string())))?;
        super::load::check(&config).map_err(|(part, error)| match part {
            Some(part) => error.context(part),
            None => error,
        })?;
        Ok(Stream { pipeline: pipeline.to_owned(), name: name.to_owned(), config })
    }

    /// The stream that the pattern would make of a table of this name that has what the pattern
    /// wants: good for all that does not ask the source.
    ///
    /// # Errors
    /// `Config` with what is wrong with the settings.
    pub(super) fn stream_unseen(
        &self,
        pipeline: &str,
        name: &str,
        table: ObjectName,
    ) -> Result<Stream> {
        let list = |key: &str| -> Vec<String> {
            let values = self.template.get(key).and_then(Value::as_array);
            let texts = values.into_iter().flatten().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        };
        let filter = self.template.get("where").and_then(Value::as_str);
        let mut columns: Vec<String> = self.cursor().map(str::to_owned).into_iter().collect();
        let key = columns.clone();
        columns.extend(list("primary_key"));
        columns.extend(
            filter.and_then(|text| Predicate::parse(text).ok()).map_or_else(Vec::new, |filter| {
                filter.columns().into_iter().map(str::to_owned).collect()
            }),
        );
        columns.sort();
        columns.dedup();
        self.stream(pipeline, name, &TableInfo { name: table, columns, primary_key: key })
    }

    /// The name of some table that the pattern fits.
    pub(super) fn sample(&self) -> ObjectName {
        let filled = |text: &String| text.replace('*', "x");
        ObjectName {
            schema: self.glob.schema.as_ref().map(filled),
            table: filled(&self.glob.table),
            ..self.glob
        }
    }

    fn cursor(&self) -> Option<&str> {
        self.template.get("cursor")?.get("column")?.as_str()
    }

    /// What to do about a table that cannot be carried like the others.
    pub(super) fn way_out(&self, table: &ObjectName) -> String {
        format!(
            "write it out as a stream of its own, or add exclude: [\"{table}\"] to the pattern {}",
            self.text
        )
    }

    /// What a person may have meant with a pattern that fits nothing.
    pub(super) fn near(&self, tables: &[TableInfo]) -> String {
        let best = tables
            .iter()
            .filter_map(|table| {
                let empty = String::new();
                let schemas = (self.glob.schema.as_ref(), table.name.schema.as_ref());
                let schema = match schemas {
                    (Some(glob), Some(schema)) => nearest(glob, schema)?,
                    _ => (0, empty.as_str()),
                };
                let name = nearest(&self.glob.table, &table.name.table)?;
                let dot = if schema.1.is_empty() { "" } else { "." };
                Some((schema.0 + name.0, format!("{}{dot}{}", schema.1, name.1)))
            })
            .min();
        let some = || tables.iter().take(5).map(|table| table.name.to_string()).collect::<Vec<_>>();
        match best {
            Some((_, text)) => format!("; did you mean \"{text}\"?"),
            None if tables.is_empty() => "; it has none that this login may see".to_owned(),
            None if tables.len() > 5 => {
                format!("; it has {} and {} more", some().join(", "), tables.len() - 5)
            }
            None => format!("; it has {}", some().join(", ")),
        }
    }
}
