//! Is every row where it belongs?

use std::collections::{BTreeMap, BTreeSet};

use crate::connector::Mode;
use crate::error::Class;
use crate::testing::row::{CanonicalRow, Row};

use super::plan::{Poison, is_poison};
use super::{Stats, World, internal};

pub(super) fn judge(world: &World) -> Result<Stats, String> {
    match world.plan.mode {
        Mode::Upsert | Mode::Replace => equal_by_content(world)?,
        Mode::Append => every_version_once(world)?,
    }
    ledger_tells_the_truth(world)?;
    let rows = world.target.ledger().iter().map(|row| row.written + row.deleted).sum();
    let put_aside = world.target.figures().unwrap_or_default().rows.quarantined;
    Ok(Stats { applied: rows, put_aside, ..world.tally.stats() })
}

fn passes(world: &World, row: &Row) -> bool {
    world.plan.filter.is_none() || row.status.as_deref() == Some("confirmed")
}

fn text(rows: impl IntoIterator<Item = Row>) -> Result<Vec<CanonicalRow>, String> {
    let rows: Vec<_> = rows.into_iter().collect();
    let records = Row::records(&rows).map_err(internal)?;
    crate::testing::canonical(&records).map_err(internal)
}

/// The ids of the rows that lie in the quarantine.
fn aside(world: &World) -> Result<BTreeSet<Option<String>>, String> {
    let entries = world.target.quarantined().into_iter();
    let id = |entry: crate::Entry| entry.rejected.key.parts().map(|mut parts| parts.pop());
    entries.map(id).collect::<crate::Result<_>>().map_err(internal)
}

/// What lies in the quarantine is carried, and, where the target refuses rows only for what they
/// are, could not be stored.
fn quarantine_tells_the_truth(
    world: &World,
    aside: &BTreeSet<Option<String>>,
    expected: &BTreeMap<Option<String>, CanonicalRow>,
) -> Result<(), String> {
    for id in aside {
        let Some(row) = expected.get(id) else {
            return Err(format!(
                "row {id:?} lies in the quarantine, but is not (any more) carried"
            ));
        };
        if world.plan.poison == Some(Poison::Rows) && !is_poison(row) {
            return Err(format!("row {id:?} lies in the quarantine and could be stored: {row:?}"));
        }
    }
    Ok(())
}

/// The target holds exactly what the source holds and the filter lets through, but for rows that
/// lie in the quarantine: of those it may have a former version. Where rows are marked when they
/// leave, the others are marked, and each was let through once.
fn equal_by_content(world: &World) -> Result<(), String> {
    let stream = world.plan.stream().map_err(internal)?;
    let (mut found, mut marked) = (Vec::new(), Vec::new());
    for mut row in world.target.rows() {
        let mark = stream.config.mark().and_then(|column| row.remove(column)).flatten();
        if mark.is_some() { marked.push(row) } else { found.push(row) }
    }
    let by_id = |rows: Vec<CanonicalRow>| {
        rows.into_iter().map(|row| (row["id"].clone(), row)).collect::<BTreeMap<_, _>>()
    };
    let source = world.table.rows().into_values().filter(|row| passes(world, row));
    let expected = by_id(text(source)?);
    let found = by_id(found);
    let ever = text(world.table.versions().into_iter().filter(|row| passes(world, row)))?;
    let aside = aside(world)?;
    quarantine_tells_the_truth(world, &aside, &expected)?;
    for row in marked {
        let stands = expected.contains_key(&row["id"]) && !aside.contains(&row["id"]);
        if !ever.contains(&row) || stands {
            return Err(format!("a row is marked that did not leave: {row:?}"));
        }
    }
    for (id, row) in &expected {
        match found.get(id) {
            None if aside.contains(id) => {}
            Some(old) if aside.contains(id) && ever.contains(old) => {}
            None => return Err(format!("row {id:?} is lost: {row:?}")),
            Some(other) if other != row => {
                return Err(format!("row {id:?} is {other:?}, at the source {row:?}"));
            }
            Some(_) => {}
        }
    }
    match found.keys().find(|id| !expected.contains_key(*id)) {
        Some(id) => Err(format!("row {id:?} is in the target, but not (any more) carried")),
        None => Ok(()),
    }
}

/// No version came twice, none that never was, and each that still stands came once. (A version
/// that was replaced before a sweep could see it does not come.)
fn every_version_once(world: &World) -> Result<(), String> {
    let versions = world.table.versions();
    let all: Vec<_> = text(versions.into_iter().filter(|row| passes(world, row)))?;
    let found = world.target.rows();
    let mut times: BTreeMap<&CanonicalRow, usize> = BTreeMap::new();
    for row in &found {
        *times.entry(row).or_default() += 1;
    }
    let known: std::collections::BTreeSet<_> = all.iter().collect();
    if let Some(row) = found.iter().find(|row| !known.contains(row)) {
        return Err(format!("a version came that never was: {row:?}"));
    }
    if let Some((row, times)) = times.iter().find(|(_, times)| **times > 1) {
        return Err(format!("a version came {times} times: {row:?}"));
    }
    let standing = text(world.table.rows().into_values().filter(|row| passes(world, row)))?;
    let aside = aside(world)?;
    match standing.iter().find(|row| !times.contains_key(row) && !aside.contains(&row["id"])) {
        Some(row) => Err(format!("a version is lost: {row:?}")),
        None => Ok(()),
    }
}

/// The ledger counts every row that the checkpoint counts, and no run says that it did more than
/// the ledger knows. A run may have done more than it says, where answers get lost.
fn ledger_tells_the_truth(world: &World) -> Result<(), String> {
    let ledger: BTreeMap<_, _> =
        world.target.ledger().into_iter().map(|row| (row.run, row)).collect();
    for report in world.tally.reports() {
        let Some(row) = ledger.get(&report.run) else {
            if world.plan.is_quiet() {
                return Err(format!("a run is not in the ledger: {report:?}"));
            }
            continue;
        };
        let told = (report.read, report.written, report.deleted, report.unchanged);
        let done = (row.read, row.written, row.deleted, row.unchanged);
        // A late claim may pass for the commit of a batch that ends where the sink already is:
        // its rows are read again by the next sweep, so the run says that it read more.
        let more = told.1 > done.1 || told.2 > done.2 || told.3 > done.3;
        // Where nothing gets lost an answer may still come too late, behind others' transactions; the
        // run then says that it does not know.
        let knows = world.plan.is_quiet() && report.error_class != Some(Class::Unknown);
        if more || (knows && told != done) {
            return Err(format!(
                "a run that ended with {} says that it read, wrote, deleted, left {told:?}, but \
                 the ledger knows {done:?}",
                report.outcome.as_str()
            ));
        }
    }
    let rows: u64 = ledger.values().map(|row| row.written + row.deleted).sum();
    let checkpoint = world.target.checkpoint().map_err(internal)?.unwrap_or_default();
    if u64::try_from(checkpoint.rows_total).ok() != Some(rows) {
        return Err(format!("rows_total is {}, the ledger has {rows}", checkpoint.rows_total));
    }
    Ok(())
}
