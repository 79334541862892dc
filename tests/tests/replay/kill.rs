//! Runs that put rows aside and replays, killed; and a replay beside a run.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use etl_core::connector::Stream;
use etl_core::{Claim, Fence, Outcome, Run};
use serde_json::{Value, json};

use super::world::{BAD, World, create};
use crate::faults::points;
use crate::support::binary;

const ROWS: u64 = 1_300;

/// Rows that were put aside at the source, and were mended there without anybody seeing it: only a
/// replay brings them. Appended to a table without a key, a row that came twice is there twice.
async fn mended() -> World {
    let mut world = World::empty("postgres", "postgres").await;
    let sql = create("postgres", "things", "id bigint PRIMARY KEY, note varchar(40), d real", "");
    let rows = format!(
        "INSERT INTO things SELECT g, 'note ' || g, CASE WHEN g > {ROWS} THEN 1 ELSE 'NaN'::real END,
           timestamptz '2024-06-01Z' + g * interval '1 second' FROM generate_series(1, {ROWS} + 2) g;"
    );
    world.source.execute(&(sql + &rows)).await;
    let config = json!({
        "mode": "append", "on_special": "quarantine", "quarantine": { "max_rows": ROWS },
        "select": ["id", "note", "d", "updated_at"],
    });
    world.stream("things", config);
    world.write();
    world.job(&["prepare"], &[]).expect(0);
    let run = world.run();
    assert_eq!((&run["written"], &run["quarantined"]), (&json!(2), &json!(ROWS)), "{run}");
    let silently = "SET session_replication_role = replica; UPDATE things SET d = 1;";
    world.source.execute(silently).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_killed_at_any_moment_loses_and_doubles_nothing() {
    let world = mended().await;
    let mut half_way = 0;
    for after in [40, 90, 130, 170, 210, 260, 320, 400] {
        let mut child = world.command(&["replay"], &["--json"]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(after)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let left = world.lying().len();
        half_way += u64::from(left > 0 && left < usize::try_from(ROWS).unwrap());
        let landed = World::notes(&world.target, "things", "1 = 1").await.len();
        assert_eq!(landed + left, usize::try_from(ROWS + 2).unwrap(), "after {after} ms");
    }
    println!("killed half way: {half_way} times");
    assert_eq!(world.replay()["outcome"], "replayed");
    assert!(world.lying().is_empty());
    world.assert_equal("after the kills").await;
}

/// The fail points on the way of a batch from its first commit, which is refused, to its last, each at
/// its first and its second pass.
fn points_of_a_batch(to: &str) -> impl Iterator<Item = String> {
    let on_the_way = |name: &str| {
        ["commit", "stage", "load", "sift"].iter().any(|part| name.split('.').any(|is| is == *part))
    };
    let names = points::of(to, points::ASIDE).into_iter().map(|(name, _)| name);
    names
        .filter(move |name| on_the_way(name))
        .flat_map(|name| [1, 2].map(|pass| format!("{name}:{pass}:kill")))
}

/// Two good rows around a bad one, killed half way, then a run: the good ones are there once, since a
/// table without a key would show a second one, and the bad one lies in the quarantine.
async fn puts_aside_and_is_killed(to: &str) {
    let world = World::things("postgres", to, json!({ "mode": "append" })).await;
    let (mut last, mut killed) = (20, 0);
    for point in points_of_a_batch(to) {
        let notes = [(last + 1, "good"), (last + 2, BAD), (last + 3, "good")];
        last += 3;
        let new = notes.map(|(id, note)| format!("({id}, '{note}')")).join(", ");
        world.source.execute(&format!("INSERT INTO public.things (id, note) VALUES {new}")).await;
        // Nothing above the horizon is appended; it is a second behind the clock.
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        let mut run = Command::new(binary::etl_job_faults());
        run.arg("run").arg(world.path()).env("ETL_FAIL_POINT", &point);
        let ended = run.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        killed += usize::from(matches!(ended.signal(), Some(6 | 9)));
        world.run();
        let rows = World::notes(&world.source, "things", "1 = 1").await;
        let (bad, good): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, note)| note == BAD);
        let found = World::notes(&world.target, "things", "1 = 1").await;
        assert_eq!(found, good, "{to}, killed at {point}");
        let lying: BTreeSet<_> = world.lying().into_keys().collect();
        let bad: BTreeSet<_> = bad.iter().map(|(id, _)| format!("[\"{id}\"]")).collect();
        assert_eq!(lying, bad, "{to}, killed at {point}");
    }
    // Each was passed once at least.
    assert!(killed >= points_of_a_batch(to).count() / 2, "{to}: killed {killed} times");
    world.widen().await;
    assert_eq!(world.replay()["outcome"], "replayed");
    world.assert_equal("after the kills").await;
}

// The programs are waited for on these threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn a_run_that_puts_rows_aside_may_be_killed_at_every_fail_point_of_its_batch() {
    let targets = ["mssql", "postgres", "sqlite"];
    let all = targets.map(|to| tokio::spawn(async move { puts_aside_and_is_killed(to).await }));
    for one in all {
        one.await.unwrap();
    }
}

fn stream(world: &World) -> Stream {
    let (name, config) = world.file["streams"].as_object().unwrap().iter().next().unwrap();
    Stream {
        pipeline: "aside".to_owned(),
        name: name.clone(),
        config: serde_json::from_value(config.clone()).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_beside_a_run_is_skipped() {
    for to in ["mssql", "postgres", "sqlite"] {
        let world = World::things("postgres", to, json!({})).await;
        world.run();
        // A run that goes on: its lease is renewed.
        let stream = stream(&world);
        let schema = world.source.schema(&stream).await;
        let mut sink = world.target.sink(&stream);
        sink.open(&schema).await.unwrap();
        let (id, ttl) = (uuid::Uuid::new_v4(), Duration::from_secs(20));
        let claim = sink.claim(&Run { id, ttl, waited: false }).await.unwrap();
        let Claim::Claimed(checkpoint) = claim else { panic!("{to}: busy") };
        let definition = schema.definition.to_text().unwrap();
        let sequence = checkpoint.sequence;
        let fence = Fence { run: id, sequence, definition, ttl, generation: 0 };
        let mut command = world.command(&["replay"], &["--json"]);
        let replay = tokio::task::spawn_blocking(move || command.output().unwrap());
        while !replay.is_finished() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            sink.renew(&fence).await.unwrap();
        }
        let output = replay.await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{to}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["outcome"], Outcome::Skipped.as_str(), "{to}: {said}");
        assert_eq!(world.lying().len(), 3, "{to}");
        assert!(world.lying().values().all(|attempts| *attempts == 1), "{to}");
    }
}
