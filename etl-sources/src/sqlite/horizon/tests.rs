use etl_core::connector::Stream;
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use super::*;

const SECOND: i64 = 1_000_000;

fn settings(cursor: Value) -> Settings {
    let mut config = json!({
        "object": "orders", "primary_key": ["id"], "select": ["id"],
        "cursor": { "column": "at", "set_by": "database" },
    });
    for (key, value) in cursor.as_object().unwrap() {
        config["cursor"][key] = value.clone();
    }
    let config = serde_json::from_value(config).unwrap();
    let stream = Stream { pipeline: "shop".to_owned(), name: "orders".to_owned(), config };
    Settings::new(&json!({ "path": "x.db" }), &stream).unwrap()
}

async fn file(times: &[&str]) -> SqliteConnection {
    let mut c = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    c.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, at)").await.unwrap();
    for time in times {
        let insert = sqlx::query("INSERT INTO orders (at) VALUES (?)").bind(*time);
        insert.execute(&mut c).await.unwrap();
    }
    c
}

/// Behind a sweep with this horizon.
fn settled(at: i64) -> Place {
    let h = String::from(Moment(at));
    let text = format!(r#"{{"v":1,"low":null,"h":"{h}","high":null,"scan":null}}"#);
    Place::of(Some(&etl_core::Position::from_text(text).unwrap())).unwrap()
}

fn seconds() -> Form {
    Form::read("2026-01-02 03:04:05").unwrap().0
}

#[tokio::test]
async fn the_newest_row_is_found_in_utc_with_the_form_of_its_time() {
    let mut c = file(&["2026-01-02 03:04:05", "2026-01-02 03:04:07", "2026-01-02 03:04:06"]).await;
    let (plain, ahead) = (settings(json!({})), settings(json!({ "utc_offset": "+02:00" })));
    let (form, Moment(at)) = newest(&mut c, &plain, "orders").await.unwrap().unwrap();
    assert_eq!((form.resolution_micros(), at), (SECOND, 1_767_323_047 * SECOND));
    let (_, Moment(earlier)) = newest(&mut c, &ahead, "orders").await.unwrap().unwrap();
    assert_eq!(earlier, at - 7_200 * SECOND);
    assert_eq!(newest(&mut file(&[]).await, &plain, "orders").await.unwrap(), None);
    for wrong in ["yesterday", ""] {
        let refused = newest(&mut file(&[wrong]).await, &plain, "orders").await.unwrap_err();
        assert!(refused.to_string().contains("cursor column at"), "{refused}");
    }
    let mut number = file(&[]).await;
    number.execute("INSERT INTO orders (at) VALUES (7)").await.unwrap();
    assert!(newest(&mut number, &plain, "orders").await.is_err());
}

/// The horizon of a new sweep, microseconds since 1970.
async fn horizon(
    cursor: Value,
    place: &Place,
    writers: Writers,
    newest: Option<(Form, Moment)>,
) -> Option<i64> {
    let (mut c, settings) = (file(&[]).await, settings(cursor));
    let found = of_new_sweep(&mut c, &settings, place, writers, newest).await;
    found.unwrap().map(|Moment(at)| at)
}

#[tokio::test]
async fn a_horizon_keeps_a_margin_and_stands_on_a_whole_step() {
    let (start, second) = (Place::default(), Some((seconds(), Moment(0))));
    let micros = Some((Form::read("2026-01-02 03:04:05.123456").unwrap().0, Moment(0)));
    let locked = 1_000 * SECOND + 700_000;
    for (cursor, newest, expected) in [
        // Two seconds at least.
        (json!({ "guard": "1s" }), second, 998 * SECOND),
        (json!({ "guard": "1s" }), micros, 998 * SECOND + 700_000),
        (json!({ "guard": "10s" }), second, 990 * SECOND),
        // A column without a row may be written in whole seconds.
        (json!({ "guard": "1s" }), None, 998 * SECOND),
    ] {
        let found = horizon(cursor.clone(), &start, Writers::None(locked), newest).await;
        assert_eq!(found, Some(expected), "{cursor} {newest:?}");
    }
}

#[tokio::test]
async fn without_the_lock_the_newest_row_says_what_is_settled() {
    let start = Place::default();
    for writers in [|| Writers::Active, || Writers::Unknowable] {
        let newest = Some((seconds(), Moment(1_000 * SECOND)));
        let found = horizon(json!({ "guard": "1s" }), &start, writers(), newest).await;
        assert_eq!(found, Some(998 * SECOND));
        assert_eq!(horizon(json!({}), &start, writers(), None).await, None);
    }
    // A row of the future does not carry the horizon there.
    let future = Some((seconds(), Moment(i64::MAX / 4)));
    let found = horizon(json!({}), &start, Writers::Active, future).await.unwrap();
    assert!(found < now_micros(&mut file(&[]).await).await.unwrap());
}

#[tokio::test]
async fn a_lookback_is_taken_off_the_clock() {
    let lookback = json!({ "set_by": "application", "safety": { "lookback": "1h" } });
    let now = now_micros(&mut file(&[]).await).await.unwrap();
    let found = horizon(lookback, &Place::default(), Writers::None(0), None).await.unwrap();
    let behind = now - found;
    assert!((3_600 * SECOND..3_700 * SECOND).contains(&behind), "{behind}");
}

#[tokio::test]
async fn a_horizon_never_goes_back() {
    let stored = settled(5_000 * SECOND);
    for (locked, expected) in [(1_000, 5_000), (6_002, 6_000)] {
        let writers = Writers::None(locked * SECOND);
        let found = horizon(json!({ "guard": "1s" }), &stored, writers, None).await;
        assert_eq!(found, Some(expected * SECOND));
    }
    assert_eq!(horizon(json!({}), &stored, Writers::Active, None).await, Some(5_000 * SECOND));
}

#[test]
fn only_a_clock_that_goes_back_is_told_of() {
    let [less, more] = [4, 5].map(|at| Some(Moment(at)));
    assert!(was_set_back(more, less, true));
    assert!(!was_set_back(more, less, false), "the newest row is gone");
    for stored in [None, less, more] {
        assert!(!was_set_back(stored, more, true), "{stored:?}");
    }
}

#[test]
fn a_time_without_end_is_one_that_can_be_counted_with() {
    assert_eq!(micros(Duration::from_millis(7)), 7_000);
    let endless = micros(Duration::MAX);
    assert!(endless > 50_000 * 365 * 86_400 * SECOND && endless.checked_mul(2).is_some());
}
