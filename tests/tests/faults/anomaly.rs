//! One fault at frame n, for n = 1, 2, 3 … until none strikes any more, in both directions of
//! both links.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use etl_core::Outcome;
use etl_tests::torture::{Recorder, Tally, size};
use etl_tests::wire::{Fault, Kind, Protocol, Proxy, Rewrite, Rules, Way};
use serde_json::Value;

use super::broken;
use super::world::{Lane, Link, World, at_once};

/// One link of a lane, and what is wrong with what is sent over it.
#[derive(Clone, Default)]
struct Variant {
    encrypted: bool,
    rewrite: Option<Rewrite>,
    /// Whether the source takes a broken connection for the end of its rows.
    credulous: bool,
}

/// A link with its name in the records.
struct Wire {
    name: &'static str,
    link: Link,
    protocol: Protocol,
    lanes: Vec<Arc<Lane>>,
}

impl Wire {
    async fn new(name: &'static str, link: Link, kind: &str) -> Self {
        let world = World::new(8).await;
        let protocol = match (link, kind) {
            (Link::Target, "mssql") => Protocol::Tds,
            _ => Protocol::Postgres,
        };
        let mut lanes = Vec::new();
        for _ in 0..size(8, 16) {
            lanes.push(Arc::new(Lane::new(&world, kind, "append").await));
        }
        Self { name, link, protocol, lanes }
    }

    /// Every n-th frame from `first` on, in steps, several lanes at once.
    async fn every_frame(&self, kind: Kind, variant: &Variant, tally: &Arc<Tally>, step: u64) {
        // What a lost answer does shows early in what comes back.
        for way in [Way::ToClient, Way::ToServer] {
            let next = Arc::new(AtomicU64::new(1));
            let over = Arc::new(AtomicBool::new(false));
            let tasks = self.lanes.iter().map(|lane| {
                let (lane, tally) = (Arc::clone(lane), Arc::clone(tally));
                let (next, over) = (Arc::clone(&next), Arc::clone(&over));
                let (link, protocol, variant) = (self.link, self.protocol, variant.clone());
                async move {
                    while !over.load(Ordering::SeqCst) && !is_enough(&variant, &tally) {
                        let nth = next.fetch_add(step, Ordering::SeqCst);
                        let fault = Fault { way, nth, kind };
                        if !one(&lane, link, protocol, fault, &variant, &tally).await {
                            over.store(true, Ordering::SeqCst);
                        }
                    }
                }
            });
            at_once(tasks).await;
        }
    }

    /// Every kind of fault, each with a record of its own.
    async fn torture(&self, bounded_step: u64, control: (Kind, &str, &Variant)) {
        for kind in Kind::ALL {
            let record =
                Recorder::new(&format!("one fault at every frame, {}: {kind:?}", self.name));
            let step = size(bounded_step, 1);
            self.every_frame(kind, &Variant::default(), &record.promise(), step).await;
            if kind == Kind::Flip {
                let encrypted = Variant { encrypted: true, ..Variant::default() };
                self.every_frame(kind, &encrypted, &record.promise(), step).await;
            }
            if kind == control.0 {
                let tally = record.control(control.1);
                self.every_frame(kind, control.2, &tally, (bounded_step / 4).max(1)).await;
            }
            record.end();
        }
    }
}

/// A control may end as soon as it was caught.
fn is_enough(variant: &Variant, tally: &Tally) -> bool {
    (variant.rewrite.is_some() || variant.credulous) && tally.is_wrong()
}

/// A first load over a wire with one fault, runs without until a success; whether a later frame may
/// be there.
async fn one(
    lane: &Lane,
    link: Link,
    protocol: Protocol,
    fault: Fault,
    variant: &Variant,
    tally: &Tally,
) -> bool {
    lane.clear().await;
    let rewrites = variant.rewrite.clone().into_iter().collect();
    let rules = Rules { fault: Some(fault), rewrites, ..Rules::default() };
    let proxy = Proxy::start(protocol, &lane.server(link), rules).await;
    let mut sections = lane.by_way_of(link, &proxy.address());
    if variant.encrypted {
        let section: &mut Value =
            if link == Link::Source { &mut sections.0 } else { &mut sections.1 };
        section["tls"] = "trust-server-certificate".into();
    }
    let story = format!("{link:?} {fault:?} encrypted {}", variant.encrypted);
    let pipeline = if variant.credulous {
        lane.pipeline_of(broken::credulous(lane.source(&sections.0)), lane.sink(&sections.1))
    } else {
        lane.pipeline(&sections)
    };
    let finished = Lane::run(pipeline, tally, &story).await;
    let struck = proxy.has_struck();
    let outcome = finished.map(|finished| finished.report.outcome);
    if struck && !fault.kind.breaks() && outcome != Some(Outcome::Success) {
        tally.wrong(1, 0, &format!("{story}: a slow wire ended a run: {outcome:?}"));
    }
    tally.faults(u64::from(struck));
    drop(proxy);
    lane.settle(tally, &format!("{story}, first run {outcome:?}")).await;
    // Only a run that came to its end without the fault has no such frame.
    struck || outcome != Some(Outcome::Success)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_frame_between_postgres_and_the_job_is_survived() {
    let wire = Wire::new("Postgres source", Link::Source, "mssql").await;
    let credulous = Variant { credulous: true, ..Variant::default() };
    let control = (Kind::End, "taking the end of a connection for an error", &credulous);
    wire.torture(23, control).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_frame_between_the_job_and_sql_server_is_survived() {
    let wire = Wire::new("SQL Server target", Link::Target, "mssql").await;
    let clause = " AND [sequence] = @sequence";
    let rewrite = Some(Rewrite::without(clause));
    let blind = Variant { rewrite, ..Variant::default() };
    wire.torture(3, (Kind::Reset, clause, &blind)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_frame_between_the_job_and_a_postgres_target_is_survived() {
    let wire = Wire::new("Postgres target", Link::Target, "postgres").await;
    let clause = " AND sequence = $3";
    let rewrite = Some(Rewrite::without(clause));
    let blind = Variant { rewrite, ..Variant::default() };
    wire.torture(11, (Kind::Reset, clause, &blind)).await;
}
