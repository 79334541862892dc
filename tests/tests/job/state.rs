//! `etl-job state`.

use serde_json::{Value, json};

use super::Demo;
use crate::support::binary::run;

#[test]
fn a_position_is_shown_set_and_reset_only_with_yes() {
    let demo = Demo::new();
    let file = demo.file();
    let show = || run(&["state", "show", &file, "--json"]).expect(0).last();
    let before = show();
    assert_eq!(before["prepared"], true);
    assert!(before["position"].is_object() && before["definition"].is_object(), "{before}");

    let wish = run(&["state", "reset", &file, "--json"]).expect(0).last();
    assert_eq!(wish["changed"], false);
    assert_eq!((&wish["old"], &wish["new"]), (&before["position"], &Value::Null));
    assert_eq!(show(), before);

    let done = run(&["state", "reset", &file, "--json", "--yes"]).expect(0).last();
    assert_eq!(done["changed"], true);
    let after = show();
    assert_eq!(after["position"], Value::Null);
    assert!(after["sequence"].as_i64() > before["sequence"].as_i64(), "{before} {after}");

    let position = before["position"].to_string();
    let set = ["state", "set", &file, "--json", "--yes", "--position", &position];
    let set = run(&set).expect(0).last();
    assert_eq!((&set["old"], &set["new"]), (&json!(null), &before["position"]));
    assert_eq!(show()["position"], before["position"]);
}

#[test]
fn a_position_that_is_not_json_is_refused() {
    let demo = Demo::new();
    let said = run(&["state", "set", &demo.file(), "--yes", "--position", "tomorrow"]).expect(64);
    assert!(said.stderr.contains("--position: a position must be JSON text"), "{said:?}");
}

#[test]
fn old_and_new_are_printed_for_people_too() {
    let demo = Demo::new();
    let said = run(&["state", "reset", &demo.file()]).expect(0);
    for part in ["would change; add --yes to do it", "\n  old {", "\n  new null"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
}
