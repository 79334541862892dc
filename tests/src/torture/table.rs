//! The table of `docs/reliability.md`.

use std::fmt::Write;

use super::{Control, Entry, Measured};

/// Between these two lines the page is generated.
pub const MARKS: (&str, &str) = (
    "<!-- from docs/measured/faults.json by scripts/torture; do not edit -->",
    "<!-- end of the table -->",
);

/// What is there before anything was measured.
pub const NOTHING_YET: &str = "No run is recorded yet. Each test prints its figures when it runs; \
    `scripts/torture` records them here.\n";

/// The tests and their controls as Markdown.
#[must_use]
pub fn table(measured: &Measured) -> String {
    let Measured { day, commit, servers, tests } = measured;
    let mut text = format!(
        "Measured on {day}, commit {commit}, {servers}.\n\n\
         | test | runs | faults | rows compared | lost | twice | hangs | controls |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for entry in tests {
        let Entry { name, runs, faults, rows, lost, twice, hangs, controls, .. } = entry;
        let at = entry.commit.as_ref().map(|at| format!(" (commit {at})")).unwrap_or_default();
        let caught = controls.iter().filter(|control| control.caught()).count();
        let controls = match controls.len() {
            0 => String::new(),
            all => format!("{caught} of {all} caught"),
        };
        // Writing to a text cannot fail.
        writeln!(
            text,
            "| {name}{at} | {} | {} | {} | {lost} | {twice} | {hangs} | {controls} |",
            grouped(*runs),
            grouped(*faults),
            grouped(*rows)
        )
        .ok();
    }
    text.push_str(
        "\n| control: the test without … | faults | lost | twice | hangs |\n|---|---|---|---|---|\n",
    );
    for (entry, control) in tests.iter().flat_map(|e| e.controls.iter().map(move |c| (e, c))) {
        let Control { without, faults, lost, twice, hangs } = control;
        let (faults, hangs) = (grouped(*faults), hangs.map(grouped).unwrap_or_default());
        writeln!(text, "| {}: {without} | {faults} | {lost} | {twice} | {hangs} |", entry.name)
            .ok();
    }
    text
}

/// 12,345
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The page with this table between the marks; `None` if they are not there.
#[must_use]
pub fn page_with(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some(format!("{before}{}\n{table}{}{after}", MARKS.0, MARKS.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_the_page_keeps_its_text() {
        assert_eq!(
            ["0".to_owned(), "999".to_owned(), "1,000".to_owned(), "1,234,567".to_owned()],
            [0, 999, 1000, 1_234_567].map(grouped)
        );
        let page = format!("a\n{}\nold\n{}\nb\n", MARKS.0, MARKS.1);
        let new = page_with(&page, "new\n").unwrap();
        assert_eq!(new, format!("a\n{}\nnew\n{}\nb\n", MARKS.0, MARKS.1));
        assert_eq!(page_with("without", "new"), None);
    }
}
