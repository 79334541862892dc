//! Orders that change between runs of the real program, and what must have arrived in the end.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etl_core::Outcome;
use etl_core::metrics::Metrics;
use etl_job::build::Wish;
use etl_job::config::{PipelineFile, Secrets};
use etl_tests::torture::{Rows, Tally};
use etl_tests::wire::{Protocol, Proxy, Rewrite, Rules};
use serde_json::json;
use tempfile::TempDir;

use super::world::{Lane, Link, World, at_once, orders, postgres_rows, stream_config};
use crate::support::binary;

/// A lane with a pipeline file.
pub(super) struct Shop {
    pub(super) lane: Lane,
    pub(super) mode: &'static str,
    folder: TempDir,
    next_id: u64,
    /// The orders that were in the target at some time, as far as a comparison has seen.
    arrived: BTreeSet<String>,
    /// How long a run takes that nobody disturbs.
    usual: Option<Duration>,
    /// What rewrites the statements on their way to the target.
    proxy: Option<Proxy>,
}

impl Shop {
    pub(super) async fn open(target: &str, mode: &'static str) -> Self {
        let world = World::new(9).await;
        let lane = Lane::new(&world, target, mode).await;
        let folder = TempDir::new().unwrap();
        let shop = Self {
            lane,
            mode,
            folder,
            next_id: 1_000,
            arrived: BTreeSet::new(),
            usual: None,
            proxy: None,
        };
        shop.write(&shop.lane.sections.1["url"].clone());
        shop
    }

    /// The pipeline file with this URL of the target.
    fn write(&self, url: &serde_json::Value) {
        let (mut source, mut target) = self.lane.sections.clone();
        // The program's own limits: a busy machine is no fault.
        for section in [&mut source, &mut target] {
            section.as_object_mut().unwrap().retain(|key, _| !key.ends_with("_timeout"));
        }
        if !url.is_null() {
            target["url"] = url.clone();
        }
        let stream = stream_config(self.lane.target.kind(), self.mode);
        let file = json!({
            "version": 1, "pipeline": self.lane.stream.pipeline, "allow_inline_secrets": true,
            "source": source, "target": target,
            "streams": { "public.orders": stream },
            "limits": { "batch": { "rows": 3 } },
            // As short as a file may say; who follows a killed run waits for it.
            "lease": { "ttl": "3s" },
        });
        std::fs::write(self.path(), file.to_string()).unwrap();
    }

    /// From now on the target's statements are sent with these changes.
    pub(super) async fn rewrite(&mut self, protocol: Protocol, rewrites: Vec<Rewrite>) {
        let rules = Rules { rewrites, ..Rules::default() };
        let proxy = Proxy::start(protocol, &self.lane.server(Link::Target), rules).await;
        self.write(&self.lane.by_way_of(Link::Target, &proxy.address()).1["url"]);
        self.proxy = Some(proxy);
    }

    /// From now on they are sent as they are; some have been changed.
    pub(super) fn straighten(&mut self) {
        let proxy = self.proxy.take().unwrap();
        assert!(proxy.rewritten() > 0, "what is to be changed is not sent");
        self.write(&self.lane.sections.1["url"]);
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("orders.yaml")
    }

    /// `etl-job-faults run`, to be killed or held at a fail point, or anywhere.
    pub(super) fn job(&self, point: Option<String>) -> Command {
        let mut command = Command::new(binary::etl_job_faults());
        command.args(["run", "--json"]).arg(self.path()).env_remove("RUST_LOG");
        if let Some(point) = point {
            command.env("ETL_FAIL_POINT", point);
        }
        command
    }

    /// How long a run takes that nobody disturbs. There is work for another then.
    pub(super) async fn usual(&mut self) -> Duration {
        if let Some(usual) = self.usual {
            return usual;
        }
        self.change().await;
        let began = Instant::now();
        let ended = tokio::process::Command::from(self.job(None)).output().await.unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let usual = began.elapsed();
        self.arrived.extend(ids(&self.found().await));
        self.change().await;
        *self.usual.insert(usual)
    }

    /// Work for some batches. An append may deliver at once what is as old as the guard.
    pub(super) async fn change(&mut self) {
        let first = self.next_id;
        self.next_id += 8;
        let (before, last) = (first - 8, self.next_id - 1);
        let some = fastrand::u64(1..=9);
        let mut sql = format!(
            "INSERT INTO public.orders SELECT g, 'n' || g, g * CASE WHEN g % 4 = 1 THEN -1 ELSE 1 END,
                    clock_timestamp() - interval '0.99 s'
               FROM generate_series({first}, {last}) AS g;"
        );
        if self.mode != "append" {
            sql.push_str(&format!(
                "UPDATE public.orders SET note = 'changed ' || {first} WHERE id IN ({some}, {before});"
            ));
        }
        if self.mode == "soft_delete" {
            // Some leave, some come back.
            sql.push_str(&format!(
                "UPDATE public.orders SET amount = -amount WHERE id IN ({some}, {before}, {first});"
            ));
        }
        if self.mode == "replace" {
            sql.push_str(&format!("DELETE FROM public.orders WHERE id > 9 AND id < {before};"));
        }
        self.lane.world.source.execute(&sql).await;
    }

    /// What the target is to hold: of an order that has left, only that it has.
    async fn wanted(&self) -> Rows {
        let mut rows = postgres_rows(&self.lane.world.source).await;
        if self.mode == "soft_delete" {
            let is_there = |row: &[Option<String>]| !text(row, 2).starts_with('-');
            rows.retain(|row| is_there(row) || self.arrived.contains(text(row, 0)));
            rows.iter_mut().filter(|row| !is_there(row)).for_each(|row| row.truncate(1));
        }
        rows
    }

    /// What it holds, in the same form.
    pub(super) async fn found(&self) -> Rows {
        let mut rows = orders(&self.lane.target).await;
        if self.mode == "soft_delete" {
            let left = "SELECT CAST(id AS varchar(20)) FROM orders WHERE _deleted_at IS NOT NULL";
            let left = self.lane.target.cells(left).await;
            rows.iter_mut()
                .filter(|row| left.contains(&row[..1].to_vec()))
                .for_each(|row| row.truncate(1));
        }
        rows
    }

    /// Runs without a fault until the target is the source. Rows above the horizon come with a
    /// later run, so what is missing is missing only in the end; what came twice did so at once.
    pub(super) async fn settle(&mut self, tally: &Tally, story: &str) {
        let file = PipelineFile::load(&self.path(), Secrets::Required).unwrap();
        let stream = &file.streams()[0];
        let mut seen = None;
        for _ in 0..10 {
            let pipeline = file.build_pipeline(stream, &Wish::default(), Metrics::none()).unwrap();
            let Some(run) = Lane::run(pipeline, tally, story).await else { return };
            if run.report.outcome == Outcome::Success {
                let (wanted, found) = (self.wanted().await, self.found().await);
                let same = is_same(&wanted, &found);
                seen = Some((wanted, found));
                if same {
                    break;
                }
            } else {
                println!("{story}: then {:?} {:?}", run.report.outcome, run.error);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let Some((wanted, found)) = seen else { panic!("{story}: no success without faults") };
        tally.compare(story, &wanted, &found);
        self.arrived.extend(ids(&found));
    }
}

fn ids(rows: &Rows) -> impl Iterator<Item = String> {
    rows.iter().map(|row| text(row, 0).to_owned())
}

fn text(row: &[Option<String>], at: usize) -> &str {
    row[at].as_deref().unwrap_or_default()
}

fn is_same(wanted: &Rows, found: &Rows) -> bool {
    let sorted = |rows: &Rows| {
        let mut rows = rows.clone();
        rows.sort();
        rows
    };
    sorted(wanted) == sorted(found)
}

/// Work for several shops at once, each of which takes the next piece when it is done with one:
/// most of a try is waiting for the lease of the killed.
pub(super) async fn share<T: Send + 'static, F>(
    (shops, target, mode): (u64, &'static str, &'static str),
    work: Vec<T>,
    tally: Arc<Tally>,
    one: impl Fn(Shop, T, Arc<Tally>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Shop> + Send + 'static,
{
    let work = Arc::new(Mutex::new(work));
    let tasks = (0..shops).map(|_| {
        let (work, tally, one) = (Arc::clone(&work), Arc::clone(&tally), one.clone());
        async move {
            let mut shop = Shop::open(target, mode).await;
            loop {
                let Some(next) = work.lock().unwrap().pop() else { return };
                shop = one(shop, next, Arc::clone(&tally)).await;
            }
        }
    });
    at_once(tasks).await;
}
