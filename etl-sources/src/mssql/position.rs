//! Where a sweep stands.

use etl_core::error::{Error, Result};
use etl_core::position::Position;
use etl_sql::mssql::read::{Cursor, Mark};
use serde::{Deserialize, Serialize};

/// The version of [`Place`]'s JSON.
const VERSION: u8 = 1;

/// The position of this source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The version of this form.
    pub v: u8,
    /// The database's identifier, for people.
    pub database: String,
    /// The branch of its history, for people.
    pub fork: String,
    /// The next sweep reads what is not below this. Never goes back.
    pub low: Option<Mark>,
    /// The horizon of the sweep that is going on, or of the last one. `None` if none was known.
    pub h: Option<Mark>,
    /// The greatest cursor that a completed sweep has read; only counts what is read again.
    pub high: Option<Mark>,
    /// The last row that the sweep going on has read, cursor and key; `None` between sweeps.
    pub scan: Option<(Mark, Vec<String>)>,
    /// How many rows above `h` the sweep going on has delivered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub above: u64,
    /// With rowversions: up to which time everything committed is below `h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Mark>,
    /// With rowversions: a number, and a time by which nothing greater was committed. Once `h` is
    /// above the number, that time becomes `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<(Mark, Mark)>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Place {
    /// Before the first sweep.
    #[must_use]
    pub fn start() -> Self {
        Self {
            v: VERSION,
            database: String::new(),
            fork: String::new(),
            low: None,
            h: None,
            high: None,
            scan: None,
            above: 0,
            at: None,
            next: None,
        }
    }

    /// The place that a position holds.
    ///
    /// # Errors
    /// `Config` if it is of another source or of a newer version.
    pub fn decode(position: Option<&Position>) -> Result<Self> {
        let Some(position) = position else {
            return Ok(Self::start());
        };
        let place: Self = position.decode()?;
        if place.v != VERSION { Err(Self::other(position.as_str())) } else { Ok(place) }
    }

    /// Makes sure that it belongs to a stream with this cursor and so many key columns.
    ///
    /// # Errors
    /// `Config` if it does not.
    pub fn fits(&self, cursor: Cursor, key_columns: usize) -> Result<()> {
        let key = self.scan.as_ref().is_none_or(|(_, key)| key.len() == key_columns);
        let scan = self.scan.as_ref().map(|(mark, _)| *mark);
        let marks = [self.low, self.h, self.high, scan];
        let kind = marks.into_iter().flatten().all(|mark| cursor.is_kind_of(mark));
        if key && kind {
            return Ok(());
        }
        Err(Self::other(&serde_json::to_string(self).unwrap_or_default()))
    }

    /// Rows with a cursor below this were read, and no sweep that goes on from here reads them again:
    /// what the sweep under way has behind it, as far as its horizon reaches, and what the ones
    /// before it had. Whatever is written from now on is above it.
    pub(super) fn passed(&self) -> Option<Mark> {
        self.low.max(self.scan.as_ref().map(|(mark, _)| *mark).min(self.h))
    }

    fn other(text: &str) -> Error {
        Error::config(format!(
            "the stored position {text} is of another version, another cursor or another key: run \
             with --full-refresh, or set another with `state set`"
        ))
    }

    /// The time up to which everything committed is below `h`, microseconds since 1970.
    #[must_use]
    pub fn settled_micros(&self) -> Option<i64> {
        match self.h? {
            Mark::Version(_) => self.at?.unix_micros(),
            time @ Mark::Instant(_) => time.unix_micros(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_as_it_was_written() {
        let place = Place {
            low: Some(Mark::Version(2_000)),
            h: Some(Mark::Version(2_100)),
            scan: Some((Mark::Version(2_050), vec!["O'Brien \\ \"x\"".to_owned()])),
            above: 3,
            at: Some(Mark::from_unix_micros(1_700_000_000_123_456)),
            next: Some((Mark::Version(2_200), Mark::from_unix_micros(1_700_000_001_000_000))),
            ..Place::start()
        };
        let position = Position::encode(&place).unwrap();
        assert!(position.as_str().contains("\"h\":\"0x0000000000000834\""), "{position}");
        assert_eq!(Place::decode(Some(&position)).unwrap(), place);
        assert!(place.fits(Cursor::Version, 1).is_ok());
        assert!(place.fits(Cursor::Version, 2).is_err(), "another key");
        assert!(place.fits(Cursor::DateTime(0), 1).is_err(), "another cursor");
        let newer = Position::from_text(position.as_str().replace("\"v\":1", "\"v\":2")).unwrap();
        assert!(Place::decode(Some(&newer)).is_err());
        assert_eq!(Place::decode(None).unwrap(), Place::start());
        assert_eq!(place.settled_micros(), Some(1_700_000_000_123_456));
    }

    #[test]
    fn what_is_settled_is_a_time_whatever_the_cursor_is() {
        let of = |h: Option<Mark>, at: Option<Mark>| Place { h, at, ..Place::start() };
        let at = |micros| Some(Mark::from_unix_micros(micros));
        assert_eq!(of(at(5), None).settled_micros(), Some(5));
        assert_eq!(of(Some(Mark::Version(5)), at(7)).settled_micros(), Some(7));
        assert_eq!(of(Some(Mark::Version(5)), None).settled_micros(), None);
        assert_eq!(of(None, at(7)).settled_micros(), None);
    }

    #[test]
    fn a_count_of_nothing_is_not_written() {
        let text = |above| Position::encode(&Place { above, ..Place::start() }).unwrap();
        assert!(!text(0).as_str().contains("above"));
        assert!(text(1).as_str().contains("\"above\":1"));
        assert_eq!(Place::decode(Some(&text(1))).unwrap().above, 1);
    }

    #[test]
    fn what_is_passed_ends_at_the_scan_and_at_the_horizon() {
        let passed = |low: Option<i64>, h: Option<i64>, scan: Option<i64>| {
            let mark = |number: i64| Mark::Version(number.try_into().unwrap());
            let scan = scan.map(|scan| (mark(scan), vec!["1".to_owned()]));
            Place { low: low.map(mark), h: h.map(mark), scan, ..Place::start() }.passed()
        };
        let mark = |number: i64| Some(Mark::Version(number.try_into().unwrap()));
        assert_eq!(passed(None, None, None), None);
        assert_eq!(passed(Some(5), Some(9), None), mark(5));
        assert_eq!(passed(Some(5), Some(9), Some(7)), mark(7));
        // Above the horizon rows come early, and again.
        assert_eq!(passed(Some(5), Some(9), Some(12)), mark(9));
        assert_eq!(passed(None, Some(9), Some(7)), mark(7));
        assert_eq!(passed(None, None, Some(7)), None);
    }
}
