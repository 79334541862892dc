//! The rows of a sweep, gathered into batches with their positions.

use std::sync::Arc;

use etl_core::batch::{Batch, BatchLimits, Progress};
use etl_core::connector::Stream;
use etl_core::error::{Class, Error, Result};
use etl_core::position::Position;
use etl_core::quarantine::Aside;
use etl_sql::mssql::read::types::Wire;
use etl_sql::mssql::read::{Cursor, Fault, Mark, Record, Rows};

use super::plan::Plan;
use super::position::Place;
use super::query;

/// Gathers rows; knows where the sweep stands.
pub(super) struct Reader {
    plan: Arc<Plan>,
    limits: BatchLimits,
    rows: Rows,
    progress: Progress,
    /// Where the sweep stood when it was begun or resumed, and how many rows above the horizon
    /// it has delivered.
    place: Place,
    /// The last row read since then: its cursor and its key.
    last: Option<(Mark, Vec<Option<String>>)>,
    max_reread: u64,
    settled_only: bool,
    tells_passing: bool,
}

impl Reader {
    pub(super) fn new(plan: Arc<Plan>, stream: &Stream, place: Place, limits: BatchLimits) -> Self {
        Self {
            rows: plan.rows(stream),
            limits,
            progress: Progress::default(),
            place,
            last: None,
            max_reread: stream.config.max_reread(),
            settled_only: plan.settled_only(stream),
            tells_passing: query::tells_passing(&plan),
            plan,
        }
    }

    /// Whether a batch has to be taken before this row.
    pub(super) fn is_full(&self, next: &Record) -> bool {
        !self.rows.is_empty()
            && (self.rows.len() >= self.limits.rows
                || self.rows.bytes().saturating_add(next.size()) > self.limits.bytes)
    }

    /// Adds a row. `false` if the sweep has delivered as many rows above the horizon as it may;
    /// then this one waits for a later sweep.
    pub(super) fn push(&mut self, record: &Record) -> Result<bool> {
        let cursor = record.mark(self.plan.cursor, self.plan.kind).ok_or_else(|| {
            Error::data(format!(
                "the cursor {} of the row with key {} is NULL or has another type than it had",
                self.plan.column(self.plan.cursor),
                self.plan.key_of(record)
            ))
        })?;
        let above = self.place.h.is_none_or(|h| cursor >= h);
        if above && self.place.above >= self.max_reread {
            return Ok(false);
        }
        let delete = self.tells_passing && !record.is_one(self.plan.columns.len());
        self.rows.push(record, delete).map_err(|fault| self.plan.explain(record, fault))?;
        self.place.above += u64::from(above);
        self.progress.read += 1;
        self.progress.reread += u64::from(self.place.high.is_some_and(|high| cursor <= high));
        self.last = Some((cursor, self.plan.key.iter().map(|place| record.text(*place)).collect()));
        Ok(true)
    }

    /// The rows so far, and the position behind the last of them.
    pub(super) fn batch(&mut self) -> Result<Batch> {
        if let Some((cursor, key)) = &self.last {
            let texts = key.iter().cloned().collect::<Option<Vec<_>>>();
            let texts = texts.ok_or_else(|| Error::data("a column of the key is NULL"))?;
            self.place.scan = Some((*cursor, texts));
        }
        self.take()
    }

    /// The rest of the rows, and the position from which the next sweep goes on.
    pub(super) fn end(&mut self) -> Result<Batch> {
        let last = self.last.as_ref().map(|(cursor, _)| *cursor);
        let last = last.or(self.place.scan.as_ref().map(|(cursor, _)| *cursor));
        let settled = match (last, self.place.h) {
            // Every row below the horizon was delivered; above it there was none, or the horizon
            // is exact.
            (_, h) if self.settled_only || self.plan.kind == Cursor::Version => h,
            (Some(last), Some(h)) => Some(last.min(h)),
            _ => None,
        };
        self.place.low = self.place.low.max(settled);
        self.place.high = self.place.high.max(last);
        self.place.scan = None;
        self.place.above = 0;
        self.take()
    }

    /// No rows, the position as it was, and nothing said about how far the target is.
    pub(super) fn hold(&mut self) -> Result<Batch> {
        let mut batch = self.take()?;
        batch.progress.horizon_micros = None;
        Ok(batch)
    }

    fn take(&mut self) -> Result<Batch> {
        let mut progress = std::mem::take(&mut self.progress);
        progress.horizon_micros = self.place.settled_micros();
        let position = Position::encode(&self.place)?;
        let (changes, put) = self.rows.take(&self.plan.key_names())?;
        let aside = Aside { put, ..Aside::default() };
        Ok(Batch { changes, position, progress, aside })
    }

    /// Says which row could not even be decoded: the one behind the last, by one of its texts.
    pub(super) fn behind(&self, error: Error) -> Error {
        if error.class() != Class::Data {
            return error;
        }
        let texts = self.plan.columns.iter().filter(|mapped| mapped.wire == Wire::Text);
        let texts: Vec<_> = texts.map(|mapped| mapped.field.name().as_str()).collect();
        let texts = match texts.as_slice() {
            [one] => format!("column {one}"),
            more => format!("one of the columns {}", more.join(", ")),
        };
        let last = self.last.as_ref().map(|(_, key)| key.clone());
        let resumed =
            self.place.scan.as_ref().map(|(_, key)| key.iter().cloned().map(Some).collect());
        let row = match last.or(resumed) {
            Some(key) => format!("the row behind the one with key {}", self.plan.key_text(&key)),
            None => "the first row".to_owned(),
        };
        let cursor = self.plan.column(self.plan.cursor);
        error.context(format!("{texts} of {row}, in the order of {cursor} and the key"))
    }
}

impl Plan {
    /// Empty columns for its rows.
    pub(super) fn rows(&self, stream: &Stream) -> Rows {
        let wires: Vec<_> = self.columns.iter().map(|mapped| mapped.wire).collect();
        let on_special = self.schema.fields().iter();
        let on_special = on_special.map(|field| stream.config.special(field.name())).collect();
        let is_key = (0..wires.len()).map(|place| self.key.contains(&place)).collect();
        Rows::new(Arc::clone(&self.schema), &wires, is_key, on_special)
    }

    /// Says which value of which row cannot be carried.
    pub(super) fn explain(&self, record: &Record, fault: Fault) -> Error {
        let column = self.column(fault.column).to_owned();
        let key = self.key_of(record);
        Error::from(fault).context(format!("column {column} of the row with key {key}"))
    }

    fn column(&self, place: usize) -> &str {
        self.columns.get(place).map_or("", |mapped| mapped.field.name())
    }

    /// `(id = 17)`, for messages.
    fn key_of(&self, record: &Record) -> String {
        let key: Vec<_> = self.key.iter().map(|place| record.text(*place)).collect();
        self.key_text(&key)
    }

    fn key_text(&self, key: &[Option<String>]) -> String {
        let part = |(place, text): (&usize, &Option<String>)| {
            format!("{} = {}", self.column(*place), text.as_deref().unwrap_or("?"))
        };
        let parts: Vec<_> = self.key.iter().zip(key).map(part).collect();
        format!("({})", parts.join(", "))
    }
}
