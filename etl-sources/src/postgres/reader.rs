//! The rows of a sweep, gathered into batches with their positions.

use std::sync::Arc;

use etl_core::batch::{Batch, BatchLimits, Progress};
use etl_core::connector::Stream;
use etl_core::error::{Error, Result};
use etl_core::position::Position;
use etl_core::quarantine::Aside;
use etl_sql::postgres::copy::{Fault, Frame, Rows, text_of};

use super::mark::{Kind, Mark};
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
    /// With transaction numbers: the least one that no row of this server can have.
    given_out: Option<Mark>,
    /// The last row read since then: its cursor and the bytes of its key.
    last: Option<(Mark, Vec<Vec<u8>>)>,
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
            given_out: None,
            last: None,
            max_reread: stream.config.max_reread(),
            settled_only: Plan::settled_only(stream),
            tells_passing: query::tells_passing(&plan),
            plan,
        }
    }

    /// The same, of rows whose cursors are below this mark; another is an error.
    pub(super) fn below(mut self, given_out: Option<Mark>) -> Self {
        self.given_out = given_out;
        self
    }

    /// The number of fields that a row of the statement has.
    pub(super) fn fields(&self) -> usize {
        self.plan.columns.len() + usize::from(self.tells_passing)
    }

    /// Whether a batch has to be taken before this row.
    pub(super) fn is_full(&self, next: &Frame<'_>) -> bool {
        !self.rows.is_empty()
            && (self.rows.len() >= self.limits.rows
                || self.rows.bytes().saturating_add(next.size()) > self.limits.bytes)
    }

    /// Adds a row. `false` if the sweep has delivered as many rows above the horizon as it may;
    /// then this one waits for a later sweep.
    pub(super) fn push(&mut self, frame: &Frame<'_>) -> Result<bool> {
        let cursor = self.cursor_of(frame)?;
        let above = self.place.h.is_none_or(|h| cursor >= h);
        if above && self.place.above >= self.max_reread {
            return Ok(false);
        }
        let delete = self.tells_passing && frame.field(self.plan.columns.len()) != Some(&[1]);
        self.rows.push(frame, delete).map_err(|fault| self.plan.explain(frame, fault))?;
        self.place.above += u64::from(above);
        self.progress.read += 1;
        self.progress.reread += u64::from(self.place.high.is_some_and(|high| cursor <= high));
        let (last, key) = self.last.get_or_insert_with(|| (cursor, Vec::new()));
        *last = cursor;
        key.resize(self.plan.key.len(), Vec::new());
        for (bytes, place) in key.iter_mut().zip(&self.plan.key) {
            bytes.clear();
            bytes.extend_from_slice(frame.field(*place).unwrap_or_default());
        }
        Ok(true)
    }

    /// The rows so far, and the position behind the last of them.
    pub(super) fn batch(&mut self) -> Result<Batch> {
        if let Some((cursor, key)) = &self.last {
            self.place.scan = Some((*cursor, self.key_texts(key.iter().map(Vec::as_slice))?));
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
            (_, h) if self.settled_only || self.plan.kind == Kind::Xid => h,
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

    fn cursor_of(&self, frame: &Frame<'_>) -> Result<Mark> {
        let mark = frame.field(self.plan.cursor).and_then(|bytes| self.plan.kind.read(bytes));
        let wrong = match (mark, self.given_out) {
            (None, _) => {
                "is NULL, infinite, or outside the years 1 to 9999; correct it at the source"
            }
            (Some(mark), Some(given_out)) if mark >= given_out => {
                "is a transaction's number that this server has not given out yet: the row was \
                 written without the trigger, or is another server's. Update it at the source, so \
                 that the trigger sets its number"
            }
            (Some(mark), _) => return Ok(mark),
        };
        Err(Error::data(format!(
            "the cursor {} of the row with key {} {wrong}",
            self.plan.column(self.plan.cursor),
            self.plan.key_of(frame)
        )))
    }

    fn key_texts<'a>(&self, key: impl Iterator<Item = &'a [u8]>) -> Result<Vec<String>> {
        self.plan
            .key
            .iter()
            .zip(key)
            .map(|(place, bytes)| {
                let mapped = self.plan.columns.get(*place);
                mapped.and_then(|mapped| text_of(mapped.wire, bytes)).ok_or_else(|| {
                    let column = self.plan.column(*place);
                    Error::internal(format!("key column {column} has no text"))
                })
            })
            .collect()
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
    pub(super) fn explain(&self, frame: &Frame<'_>, fault: Fault) -> Error {
        let column = self.column(fault.column).to_owned();
        let key = self.key_of(frame);
        Error::from(fault).context(format!("column {column} of the row with key {key}"))
    }

    fn column(&self, place: usize) -> &str {
        self.columns.get(place).map_or("", |mapped| mapped.field.name())
    }

    /// `(id = 17)`, for messages.
    fn key_of(&self, frame: &Frame<'_>) -> String {
        let parts: Vec<_> = self
            .key
            .iter()
            .map(|place| {
                let wire = self.columns.get(*place).map(|mapped| mapped.wire);
                let text = wire.zip(frame.field(*place)).and_then(|(wire, b)| text_of(wire, b));
                format!("{} = {}", self.column(*place), text.as_deref().unwrap_or("?"))
            })
            .collect();
        format!("({})", parts.join(", "))
    }
}
