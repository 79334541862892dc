use super::*;

use etl_core::Outcome;

fn finished(error: Option<Error>) -> Finished {
    let mut report = RunReport::new("shop/orders", uuid::Uuid::nil());
    report.outcome = if error.is_some() { Outcome::Failed } else { Outcome::Success };
    report.read = 7;
    report.batches = 2;
    report.written = 5;
    report.duration = Duration::from_micros(1_234_567);
    report.checkpoint_to = Some(Position::from_text(r#"{"low":"2026-01-01"}"#).unwrap());
    Finished { report, error, skipped_for: None, skipped_too_long: false }
}

#[test]
fn a_summary_has_exactly_the_published_fields() {
    let summary = serde_json::to_value(Summary::new("shop", "orders", &finished(None))).unwrap();
    let mut keys: Vec<_> = summary.as_object().unwrap().keys().cloned().collect();
    keys.sort();
    let mut expected = vec![
        "pipeline",
        "stream",
        "run",
        "outcome",
        "read",
        "written",
        "deleted",
        "unchanged",
        "reread",
        "quarantined",
        "checkpoint_from",
        "checkpoint_to",
        "duration_seconds",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(summary["duration_seconds"], 1.235);
    assert_eq!(summary["checkpoint_from"], Value::Null);
    assert_eq!(summary["checkpoint_to"]["low"], "2026-01-01");
}

#[test]
fn text_and_json_tell_the_same() {
    let summary =
        Summary::new("shop", "orders", &finished(Some(Error::data("x").with_code("8115"))));
    let text = summary.text();
    for (key, value) in serde_json::to_value(&summary).unwrap().as_object().unwrap() {
        let value = match value {
            Value::Object(error) if key == "error" => error["message"].as_str().unwrap().to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert!(text.contains(&value), "{key}: {value} is not in {text}");
    }
}

#[test]
fn an_error_says_what_why_what_was_written_and_what_to_do() {
    let cause = std::io::Error::other("the disk is gone");
    let error = Error::transient("reading orders").with_source(cause).with_code("58030");
    let summary = Summary::new("shop", "orders", &finished(Some(error)));
    let failure = summary.error.unwrap();
    assert_eq!((failure.class, failure.code.as_deref()), ("transient", Some("58030")));
    for part in [
        "shop/orders: reading orders: the disk is gone [class transient, code 58030]",
        "2 batches (5 rows written, 0 deleted) are durable",
        r#"goes on at {"low":"2026-01-01"}"#,
        "run it again",
    ] {
        assert!(failure.message.contains(part), "{part} is not in {}", failure.message);
    }
}

#[test]
fn a_terminal_cannot_be_steered_by_a_message() {
    assert_eq!(safe("a\u{1b}[31mb\u{202e}c\rd\ne"), "a\\u{1b}[31mb\\u{202e}c\\u{d}d\ne");
}
