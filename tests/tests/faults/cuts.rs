//! Commits whose connection is cut: before the server gets them, on their way, and when the
//! answer comes.

use std::sync::Arc;
use std::time::Duration;

use etl_core::sink::Sink;
use etl_core::{BatchLimits, Source};
use etl_tests::torture::{Recorder, Tally, size};
use etl_tests::wire::{Cuts, Moment, Protocol, Proxy, Rewrite, Rules, Which};

use super::broken;
use super::world::{Lane, Link, World};

/// What every commit sends, with rows or without, and nothing else does.
fn mark(kind: &str) -> String {
    let mark = if kind == "mssql" {
        "SELECT @deleted AS [deleted]"
    } else {
        "SET position = COALESCE($4, position)"
    };
    mark.to_owned()
}

type Around = fn(Box<dyn Sink>) -> Box<dyn Sink>;

/// What is taken out.
#[derive(Clone, Default)]
struct Variant {
    rewrite: Option<Rewrite>,
    around: Option<Around>,
}

/// Loads in batches of one row; every second commit is cut, in turn before, during and after it.
async fn cut(lane: &Lane, kind: &str, wanted: u64, variant: &Variant, tally: &Tally) {
    let protocol = if kind == "mssql" { Protocol::Tds } else { Protocol::Postgres };
    let mut cuts = [0; 3];
    while tally.struck() < wanted {
        lane.clear().await;
        let moments =
            vec![Moment::Before, Moment::After, Moment::During, Moment::After, Moment::Before];
        let rules = Rules {
            cuts: Some(Cuts { mark: mark(kind), which: Which::Every(2), moments }),
            rewrites: variant.rewrite.clone().into_iter().collect(),
            ..Rules::default()
        };
        let proxy = Proxy::start(protocol, &lane.server(Link::Target), rules).await;
        let sections = lane.by_way_of(Link::Target, &proxy.address());
        let source: Arc<dyn Source> = lane.source(&sections.0);
        let mut sink = lane.sink(&sections.1);
        if let Some(around) = variant.around {
            sink = around(sink);
        }
        Lane::run(lane.pipeline_of(source, sink), tally, "commits are cut").await;
        tally.faults(proxy.cuts().iter().sum());
        for (sum, count) in cuts.iter_mut().zip(proxy.cuts()) {
            *sum += count;
        }
        let rewritten = proxy.rewritten();
        assert!(variant.rewrite.is_none() || rewritten > 0, "the clause is not sent");
        drop(proxy);
        lane.settle(tally, &format!("{kind}, {cuts:?} commits cut before, during, after")).await;
        if tally.struck() > 0 && (variant.rewrite.is_some() || variant.around.is_some()) {
            // A control has seen enough.
            return;
        }
    }
    println!("{kind}: cut before, during, after: {cuts:?}");
}

async fn lane(kind: &str) -> Lane {
    let world = World::new(60).await;
    let mut lane = Lane::new(&world, kind, "append").await;
    lane.options.limits = BatchLimits { rows: 1, bytes: 1 << 20 };
    lane.options.lease_ttl = Duration::from_secs(2);
    lane
}

async fn commits_are_cut(kind: &str, name: &str, clause: &str) {
    let record = Recorder::new(&format!("commits cut before, during and after, {name}"));
    let lane = lane(kind).await;
    cut(&lane, kind, size(60, 2_500), &Variant::default(), &record.promise()).await;
    let rewrite = Some(Rewrite::without(clause));
    let tally = record.control(clause.trim());
    cut(&lane, kind, 1, &Variant { rewrite, ..Variant::default() }, &tally).await;
    let tally = record.control("the fence of a batch that is sent again (blind resend)");
    let around = Some(broken::resends_blindly as Around);
    cut(&lane, kind, 1, &Variant { around, ..Variant::default() }, &tally).await;
    record.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_to_sql_server_that_are_cut_are_applied_once() {
    commits_are_cut("mssql", "SQL Server", " AND [sequence] = @sequence").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_to_postgres_that_are_cut_are_applied_once() {
    commits_are_cut("postgres", "Postgres", " AND sequence = $3").await;
}
