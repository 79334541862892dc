//! Orders that change between runs of the real program, and what must have arrived in the end.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use etl_core::Outcome;
use etl_core::metrics::Metrics;
use etl_job::build::Wish;
use etl_job::config::{PipelineFile, Secrets};
use etl_tests::torture::{Rows, Tally};
use serde_json::json;
use tempfile::TempDir;

use super::world::{Lane, World, postgres_rows};
use crate::support::binary;

/// A lane with a pipeline file.
pub(super) struct Shop {
    pub(super) lane: Lane,
    append: bool,
    folder: TempDir,
    next_id: u64,
}

impl Shop {
    pub(super) async fn open(target: &str, mode: &str) -> Self {
        let world = World::new(9).await;
        let lane = Lane::new(&world, target, mode).await;
        let folder = TempDir::new().unwrap();
        let shop = Self { lane, append: mode == "append", folder, next_id: 1_000 };
        shop.write(&shop.lane.sections.1["url"].as_str().unwrap().to_owned());
        shop
    }

    /// The pipeline file with this URL of the target.
    pub(super) fn write(&self, target_url: &str) {
        let (mut source, mut target) = self.lane.sections.clone();
        // The program's own limits: a busy machine is no fault.
        for section in [&mut source, &mut target] {
            section.as_object_mut().unwrap().retain(|key, _| !key.ends_with("_timeout"));
        }
        target["url"] = target_url.into();
        let file = json!({
            "version": 1, "pipeline": self.lane.stream.pipeline, "source": source, "target": target,
            "streams": { "public.orders": {
                "object": self.lane.stream.config.object, "primary_key": ["id"],
                "mode": if self.append { "append" } else { "upsert" },
                "cursor": { "column": "updated_at", "guard": "1s" },
                "select": ["id", "note", "amount", "updated_at"],
            } },
            "limits": { "batch": { "rows": 3 } },
            "lease": { "ttl": "3s" },
        });
        std::fs::write(self.path(), file.to_string()).unwrap();
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("orders.yaml")
    }

    /// `etl-job-faults run`, to be killed, stopped or paused at a fail point, or anywhere.
    pub(super) fn job(&self, point: Option<&str>) -> Command {
        let mut command = Command::new(binary::etl_job_faults());
        command.args(["run", "--json"]).arg(self.path()).stdin(std::process::Stdio::null());
        command.env_remove("RUST_LOG");
        if let Some(point) = point {
            command.env("ETL_FAIL_POINT", point);
        }
        command
    }

    /// Work for some batches. An append may deliver at once what is as old as the guard.
    pub(super) async fn change(&mut self, random: &mut fastrand::Rng) {
        let first = self.next_id;
        self.next_id += 8;
        let last = self.next_id - 1;
        let mut sql = format!(
            "INSERT INTO public.orders SELECT g, 'n' || g, g, clock_timestamp() - interval '0.99 s'
               FROM generate_series({first}, {last}) AS g;"
        );
        if !self.append {
            let id = random.u64(1..=9);
            sql.push_str(&format!(
                "UPDATE public.orders SET note = 'changed ' || {first} WHERE id IN ({id}, {first} - 8);"
            ));
        }
        self.lane.world.source.execute(&sql).await;
    }

    /// Runs without a fault until the target is the source. Rows above the horizon come with a
    /// later run, so what is missing is missing only in the end; what came twice did so at once.
    pub(super) async fn settle(&self, tally: &Tally, story: &str) {
        let file = PipelineFile::load(&self.path(), Secrets::Required).unwrap();
        let stream = &file.streams()[0];
        let (mut wanted, mut found) = (Rows::new(), Rows::new());
        let mut last = None;
        for _ in 0..12 {
            let pipeline = file.build_pipeline(stream, &Wish::default(), Metrics::none()).unwrap();
            let Some(run) = Lane::run(pipeline, tally, story).await else { return };
            if run.report.outcome == Outcome::Success {
                wanted = postgres_rows(&self.lane.world.source).await;
                found = self.lane.target.rows().await;
                if is_same(&wanted, &found) {
                    break;
                }
            }
            last = Some(run);
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        assert!(!found.is_empty(), "{story}: no success without faults: {last:?}");
        tally.compare(story, &wanted, &found);
    }
}

fn is_same(wanted: &Rows, found: &Rows) -> bool {
    let sorted = |rows: &Rows| {
        let mut rows = rows.clone();
        rows.sort();
        rows
    };
    sorted(wanted) == sorted(found)
}

/// Several shops that are tried at once: most of a try is waiting for the lease of the killed.
pub(super) async fn shops(count: usize, target: &str, mode: &str) -> Vec<Shop> {
    let opening = (0..count).map(|_| Shop::open(target, mode));
    futures::future::join_all(opening).await
}

/// The lanes of a queue: each takes the next piece of work when it is done with one.
pub(super) async fn share<T: Send + 'static, F>(
    shops: Vec<Shop>,
    work: Vec<T>,
    tally: &Arc<Tally>,
    one: impl Fn(Shop, T, Arc<Tally>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Shop> + Send + 'static,
{
    let work = Arc::new(std::sync::Mutex::new(work));
    let mut tasks = tokio::task::JoinSet::new();
    for mut shop in shops {
        let (work, tally, one) = (Arc::clone(&work), Arc::clone(tally), one.clone());
        tasks.spawn(async move {
            loop {
                let Some(next) = work.lock().unwrap().pop() else { return };
                shop = one(shop, next, Arc::clone(&tally)).await;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}
