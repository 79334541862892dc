//! Where a sweep stands.

use etl_core::error::{Error, Result};
use etl_core::position::Position;
use serde::{Deserialize, Serialize};

use super::mark::{Kind, Mark};

/// The version of [`Place`]'s JSON.
const VERSION: u8 = 1;

/// The position of this source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The version of this form.
    pub v: u8,
    /// The server's system identifier, for people.
    pub system: String,
    /// The server's timeline, for people.
    pub timeline: String,
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
    /// With transaction numbers: up to which time everything committed is below `h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Mark>,
    /// With transaction numbers: a number, and a time by which only lesser ones were committed.
    /// Once `h` has reached the number, that time becomes `at`.
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
            system: String::new(),
            timeline: String::new(),
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
        if place.v == VERSION { Ok(place) } else { Err(Self::other(position.as_str())) }
    }

    /// Makes sure that it belongs to a stream with this cursor and so many key columns.
    ///
    /// # Errors
    /// `Config` if it does not.
    pub fn fits(&self, kind: Kind, key_columns: usize) -> Result<()> {
        let key = self.scan.as_ref().is_none_or(|(_, key)| key.len() == key_columns);
        let scan = self.scan.as_ref().map(|(mark, _)| *mark);
        let marks = [self.low, self.h, self.high, scan];
        if key && marks.into_iter().flatten().all(|mark| kind.has(mark)) {
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

    /// Whether the horizon is later than what the server says that now is.
    pub(super) fn is_ahead_of(&self, now: Mark) -> bool {
        self.h.is_some_and(|h| h > now)
    }

    /// Fixes the horizon of a sweep that begins; it never goes back. One that goes on keeps its own,
    /// because with a newer one it would step over what was written behind it meanwhile.
    pub(super) fn begin(&mut self, horizon: Option<Mark>) {
        if self.scan.is_none() {
            self.h = self.h.max(horizon);
            self.above = 0;
        }
    }

    /// Finds the time up to which everything committed is below the horizon: one that was noted
    /// together with a number that the horizon has reached. `clock` was noted with `number`.
    pub(super) fn freshen(&mut self, number: Mark, clock: Mark) {
        let Some(h) = self.h else { return };
        for (number, time) in [self.next, Some((number, clock))].into_iter().flatten() {
            if h >= number {
                self.at = self.at.max(Some(time));
                self.next = None;
            } else {
                self.next = self.next.or(Some((number, time)));
            }
        }
    }

    /// The time up to which everything committed is below `h`, microseconds since 1970.
    #[must_use]
    pub fn settled_micros(&self) -> Option<i64> {
        match self.h? {
            Mark::Xid(_) => self.at?.micros(),
            time @ Mark::Instant(_) => time.micros(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back_as_it_was_written() {
        let place = Place {
            low: Some(Mark::Instant(1_700_000_000_123_456)),
            h: Some(Mark::Instant(1_700_000_100_000_000)),
            scan: Some((Mark::Instant(1_700_000_000_000_001), vec!["O'Brien \\ \"x\"".to_owned()])),
            above: 3,
            ..Place::start()
        };
        let position = Position::encode(&place).unwrap();
        assert!(position.as_str().contains("2023-11-14T22:13:20.123456Z"), "{position}");
        assert_eq!(Place::decode(Some(&position)).unwrap(), place);
        let time = Kind::Time { to_utc: 0 };
        assert!(place.fits(time, 1).is_ok());
        assert!(place.fits(time, 2).is_err(), "another key");
        assert!(place.fits(Kind::Xid, 1).is_err(), "another cursor");
        let newer = Position::from_text(position.as_str().replace("\"v\":1", "\"v\":2")).unwrap();
        assert!(Place::decode(Some(&newer)).is_err());
        assert_eq!(Place::decode(None).unwrap(), Place::start());
    }

    #[test]
    fn numbers_of_transactions_are_texts_that_lose_nothing() {
        let place = Place {
            low: Some(Mark::Xid(0)),
            h: Some(Mark::Xid(u64::MAX)),
            at: Some(Mark::Instant(1_700_000_000_123_456)),
            next: Some((Mark::Xid(7), Mark::Instant(1_700_000_001_000_000))),
            ..Place::start()
        };
        let position = Position::encode(&place).unwrap();
        assert!(position.as_str().contains("\"h\":\"xid 18446744073709551615\""), "{position}");
        assert_eq!(Place::decode(Some(&position)).unwrap(), place);
        assert!(place.fits(Kind::Xid, 1).is_ok());
        assert!(place.fits(Kind::Time { to_utc: 0 }, 1).is_err(), "another cursor");
        assert_eq!(place.settled_micros(), Some(1_700_000_000_123_456));
        for wrong in ["xid", "xid ", "xid -1", "xid +1", "xid 18446744073709551616", "7"] {
            let text = position.as_str().replace("xid 0", wrong);
            let position = Position::from_text(text).unwrap();
            assert!(Place::decode(Some(&position)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sweep_that_goes_on_keeps_its_horizon_and_none_goes_back() {
        let place = |h: u64, scan: Option<u64>| Place {
            h: Some(Mark::Xid(h)),
            scan: scan.map(|at| (Mark::Xid(at), vec![])),
            above: 3,
            ..Place::start()
        };
        for (mut place, horizon, expected) in [
            (place(7, None), Some(9), (9, 0)),
            (place(7, None), Some(5), (7, 0)),
            (place(7, None), None, (7, 0)),
            (place(7, Some(6)), Some(9), (7, 3)),
        ] {
            place.begin(horizon.map(Mark::Xid));
            assert_eq!((place.h, place.above), (Some(Mark::Xid(expected.0)), expected.1));
        }
        let seven = place(7, None);
        let ahead = [6, 7, 8].map(|now| seven.is_ahead_of(Mark::Xid(now)));
        assert_eq!(ahead, [true, false, false]);
        assert!(!Place::start().is_ahead_of(Mark::Xid(0)));
    }

    #[test]
    fn a_time_that_was_noted_counts_once_the_horizon_has_reached_its_number() {
        let (time, xid) = (Mark::Instant, Mark::Xid);
        let mut place = Place::start();
        place.freshen(xid(10), time(100));
        assert_eq!((place.at, place.next), (None, None), "there is no horizon");
        place.begin(Some(xid(9)));
        place.freshen(xid(10), time(100));
        // The older note stays: a newer one at each sweep would never be reached.
        place.freshen(xid(20), time(200));
        assert_eq!((place.at, place.next), (None, Some((xid(10), time(100)))));
        place.begin(Some(xid(10)));
        place.freshen(xid(30), time(300));
        assert_eq!((place.at, place.next), (Some(time(100)), Some((xid(30), time(300)))));
        place.begin(Some(xid(40)));
        place.freshen(xid(40), time(400));
        assert_eq!((place.at, place.next), (Some(time(400)), None));
    }

    #[test]
    fn what_is_settled_is_a_time_whatever_the_cursor_is() {
        let of = |h: Option<Mark>, at: Option<Mark>| Place { h, at, ..Place::start() };
        assert_eq!(of(Some(Mark::Instant(5)), None).settled_micros(), Some(5));
        assert_eq!(of(Some(Mark::Xid(5)), Some(Mark::Instant(7))).settled_micros(), Some(7));
        assert_eq!(of(Some(Mark::Xid(5)), None).settled_micros(), None);
        assert_eq!(of(None, Some(Mark::Instant(7))).settled_micros(), None);
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
            let mark = Mark::Instant;
            let scan = scan.map(|scan| (mark(scan), vec!["1".to_owned()]));
            Place { low: low.map(mark), h: h.map(mark), scan, ..Place::start() }.passed()
        };
        let mark = |number: i64| Some(Mark::Instant(number));
        assert_eq!(passed(None, None, None), None);
        assert_eq!(passed(Some(5), Some(9), None), mark(5));
        assert_eq!(passed(Some(5), Some(9), Some(7)), mark(7));
        // Above the horizon rows come early, and again.
        assert_eq!(passed(Some(5), Some(9), Some(12)), mark(9));
        assert_eq!(passed(None, Some(9), Some(7)), mark(7));
        assert_eq!(passed(None, None, Some(7)), None);
    }
}
