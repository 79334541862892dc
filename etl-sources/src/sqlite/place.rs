//! Where a sweep stands, as the sink keeps it.

use etl_core::Position;
use etl_core::error::{Error, Result};
use etl_sql::sqlite::text;
use serde::{Deserialize, Serialize};

/// A position. All times are UTC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    v: u8,
    /// A sweep begins here; everything below is read and settled.
    pub(super) low: Option<Moment>,
    /// The horizon of the sweep that goes on, or of the last one.
    pub(super) h: Option<Moment>,
    /// The highest cursor that earlier sweeps delivered: up to here rows are read again.
    pub(super) high: Option<Moment>,
    /// The last row that this sweep delivered; none between sweeps.
    pub(super) scan: Option<Scan>,
}

/// The last row of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scan {
    pub(super) cursor: Moment,
    pub(super) key: Vec<KeyPart>,
}

/// A key column's value, just as the file keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum KeyPart {
    Integer(i64),
    Text(String),
    Blob { hex: String },
}

/// Microseconds since 1970 UTC, written as `2026-01-02T03:04:05.123456Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Moment(pub(super) i64);

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        text::parse_timestamp(&written)
            .map(Self)
            .ok_or_else(|| "a time must be written as 2026-01-02T03:04:05.123456Z".to_owned())
    }
}

impl From<Moment> for String {
    fn from(moment: Moment) -> Self {
        // Moments come from texts or from a clock, both within the years that have a text.
        text::timestamp(moment.0, true).unwrap_or_default()
    }
}

impl Default for Place {
    fn default() -> Self {
        Self { v: 1, low: None, h: None, high: None, scan: None }
    }
}

impl Place {
    /// # Errors
    /// `Config` if the position is of another source or a newer version.
    pub(super) fn of(position: Option<&Position>) -> Result<Self> {
        let Some(position) = position else { return Ok(Self::default()) };
        let place: Self = position.decode()?;
        if place.v != 1 {
            return Err(Error::config(format!(
                "the stored position {position} is of version {}, this program reads version 1",
                place.v
            )));
        }
        // Nothing is below a horizon that there is not, and none goes back.
        if place.low > place.h {
            return Err(Error::config(format!(
                "the stored position {position} begins (low) above its horizon (h), which no \
                 sweep leaves behind: run with --full-refresh, or set another with `state set`"
            )));
        }
        Ok(place)
    }

    pub(super) fn position(&self) -> Result<Position> {
        Position::encode(self)
    }

    /// The place in the middle of a sweep.
    pub(super) fn at(&self, scan: Scan) -> Self {
        Self { scan: Some(scan), ..self.clone() }
    }

    /// Rows with a cursor below this were read, and no sweep that goes on from here reads them again:
    /// what the sweep under way has behind it, as far as its horizon reaches, and what the ones
    /// before it had. Whatever is written from now on is above it.
    pub(super) fn passed(&self) -> Option<Moment> {
        self.low.max(self.scan.as_ref().map(|scan| scan.cursor).min(self.h))
    }

    /// The place behind a sweep whose last row, if it read one, had the cursor `last`.
    ///
    /// `low` never passes the horizon, never goes back, and, unless `exact`, never passes what
    /// was read: then a clock that was set back costs nothing.
    pub(super) fn after(&self, last: Option<Moment>, exact: bool) -> Self {
        let reached = if exact { self.h } else { last.min(self.h) };
        Self { low: self.low.max(reached), high: self.high.max(last), scan: None, ..self.clone() }
    }
}

impl KeyPart {
    pub(super) fn blob(bytes: &[u8]) -> Self {
        Self::Blob { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    /// The bytes of a blob's hex text.
    ///
    /// # Errors
    /// `Config` if the position was not written by this program.
    pub(super) fn bytes(hex: &str) -> Result<Vec<u8>> {
        let pair = |at: usize| hex.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
        (0..hex.len())
            .step_by(2)
            .map(pair)
            .collect::<Option<_>>()
            .ok_or_else(|| Error::config("the stored position holds a key that is not hex text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(low: i64, h: i64) -> Place {
        Place { low: Some(Moment(low)), h: Some(Moment(h)), ..Place::default() }
    }

    #[test]
    fn a_position_is_read_back_as_it_was_written() {
        let key = vec![KeyPart::Integer(-7), KeyPart::Text("é".into()), KeyPart::blob(&[0, 255])];
        let scan = Scan { cursor: Moment(1_767_322_800_123_456), key };
        let place = place(1, 2).at(scan);
        assert_eq!(Place::of(Some(&place.position().unwrap())).unwrap(), place);
        assert_eq!(KeyPart::bytes("00ff").unwrap(), [0, 255]);
        assert!(KeyPart::bytes("0é").is_err());
        let newer = Position::from_text(r#"{"v":2,"low":null,"h":null,"high":null,"scan":null}"#);
        assert!(Place::of(Some(&newer.unwrap())).is_err());
        assert!(Place::of(Some(&self::place(2, 1).position().unwrap())).is_err());
    }

    #[test]
    fn a_sweep_ends_at_its_last_row_or_its_horizon_and_never_goes_back() {
        let ends = |last: Option<i64>, exact| place(10, 20).after(last.map(Moment), exact).low;
        assert_eq!(ends(Some(15), false), Some(Moment(15)));
        assert_eq!(ends(Some(25), false), Some(Moment(20)));
        assert_eq!(ends(Some(5), false), Some(Moment(10)));
        assert_eq!(ends(None, false), Some(Moment(10)));
        assert_eq!(ends(Some(15), true), Some(Moment(20)));
        assert_eq!(ends(None, true), Some(Moment(20)));
        let no_horizon = Place::default().after(Some(Moment(5)), false);
        assert_eq!((no_horizon.low, no_horizon.high), (None, Some(Moment(5))));
    }

    #[test]
    fn a_time_that_cannot_be_read_is_refused() {
        let of = |low: &str| {
            let text = format!(r#"{{"v":1,"low":{low},"h":null,"high":null,"scan":null}}"#);
            Place::of(Some(&Position::from_text(text).unwrap()))
        };
        assert!(of("\"yesterday\"").is_err() && of("7").is_err());
        assert_eq!(Place::of(None).unwrap(), Place::default());
        let at = "2026-01-02T03:04:05.123456Z";
        let moment = Moment::try_from(at.to_owned()).unwrap();
        assert_eq!((String::from(moment), moment.0), (at.to_owned(), 1_767_323_045_123_456));
    }

    #[test]
    fn low_may_reach_the_horizon() {
        let settled = place(2, 2);
        assert_eq!(Place::of(Some(&settled.position().unwrap())).unwrap(), settled);
    }

    #[test]
    fn behind_a_sweep_there_is_no_row_to_go_on_from() {
        let scan = Scan { cursor: Moment(15), key: vec![KeyPart::Integer(1)] };
        let place = Place { high: Some(Moment(18)), ..place(10, 20) };
        let going = place.at(scan.clone());
        assert_eq!((going.scan.as_ref(), going.h), (Some(&scan), place.h));
        let ended = going.after(Some(Moment(15)), true);
        assert_eq!((ended.scan, ended.high), (None, Some(Moment(18))));
        assert_eq!(KeyPart::bytes("0102ff").unwrap(), [1, 2, 255]);
        for wrong in ["0", "zz", "010"] {
            assert!(KeyPart::bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_passed_ends_at_the_scan_and_at_the_horizon() {
        let passed = |scan: Option<i64>| {
            let scan = scan.map(|at| Scan { cursor: Moment(at), key: Vec::new() });
            Place { scan, ..place(10, 20) }.passed()
        };
        assert_eq!(passed(None), Some(Moment(10)));
        assert_eq!(passed(Some(15)), Some(Moment(15)));
        // Above the horizon rows come early, and again.
        assert_eq!(passed(Some(25)), Some(Moment(20)));
        assert_eq!(Place::default().passed(), None);
    }
}
