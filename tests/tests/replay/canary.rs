//! A value of a row that is put aside is in nobody's output, in no spelling, and not in the
//! quarantine; of the row only its key is.

use super::world::{BAD, World, named};
use crate::matrix::{TARGETS, sources};
use crate::security::found;
use crate::support::binary::{Listener, Said};

/// Everything that a command says to anybody, at TRACE.
fn all(world: &World, command: &[&str], more: &[&str]) -> Vec<u8> {
    let (gateway, collector) = (Listener::start("200 OK"), Listener::start("200 OK"));
    let mut command = world.command(command, more);
    command.env("RUST_LOG", "trace");
    command.env("ETL_PUSHGATEWAY_URL", format!("http://{}", gateway.address));
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.address));
    let said = Said::of(&command.output().unwrap());
    let mut all = format!("{}{}", said.stdout, said.stderr).into_bytes();
    for (head, body) in gateway.requests.try_iter().chain(collector.requests.try_iter()) {
        all.extend(head.into_bytes());
        all.extend(body);
    }
    all
}

/// What the target keeps about the rows.
async fn kept(world: &World) -> Vec<u8> {
    let state = |table: &str| match world.target.kind() {
        "sqlite" => format!("etl_{table}"),
        _ => format!("etl.{table}"),
    };
    let columns = "key_json, reason, error_code, column_name";
    let quarantine = format!("SELECT {columns} FROM {}", state("quarantine"));
    let runs = format!("SELECT outcome, error_class, error_code FROM {}", state("run"));
    let cells = [world.target.cells(&quarantine).await, world.target.cells(&runs).await];
    let text: Vec<String> = cells.into_iter().flatten().flatten().flatten().collect();
    assert!(text.iter().any(|cell| cell.contains("\"12\"")), "{text:?}");
    text.join("\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_of_a_row_that_is_put_aside_is_told_to_anybody() {
    for from in sources().await {
        for to in TARGETS {
            let world = World::things(from, to, serde_json::json!({})).await;
            let run = all(&world, &["run"], &["--json"]);
            assert!(run.windows(11).any(|window| window == b"quarantined"), "{from} to {to}");
            for (what, said) in [
                ("run", run),
                ("replay", all(&world, &["replay"], &["--json"])),
                ("list", all(&world, &["replay", "--list"], &["--json"])),
                ("the target", kept(&world).await),
            ] {
                let text = String::from_utf8_lossy(&said);
                assert_eq!(found(&said, BAD), None, "{from} to {to}, {what}: {text}");
            }
            // Some rows more than may be put aside: the error that stops the run.
            let table = named(from, "things");
            world.source.execute(&format!("UPDATE {table} SET note = '{BAD}';")).await;
            let mut strict = world;
            strict.file["quarantine"]["max_rows"] = 4.into();
            strict.write();
            let said = all(&strict, &["run"], &["--json"]);
            let text = String::from_utf8_lossy(&said);
            assert!(text.contains("\"class\":\"data\""), "{from} to {to}: {text}");
            assert_eq!(found(&said, BAD), None, "{from} to {to}, the limit: {text}");
        }
    }
}
