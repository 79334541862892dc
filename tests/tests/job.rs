//! The real program, from its command line to its exit code.

mod demo; // a whole life of a pipeline, verified by content
mod files; // what is wrong with a file is told with line, key and suggestion
mod runs; // two at once, killed, stopped, continued, redefined
mod serve; // the ledger as metrics, while nothing runs
mod state; // checkpoints shown and changed
mod telemetry; // logs, metrics page, pushes; and no secret in any of it

use std::path::{Path, PathBuf};

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use crate::support::binary::{Said, run};

/// A demo of 2,000 orders that has run: a source, a target and a pipeline file to try things on.
struct Demo {
    dir: TempDir,
}

impl Demo {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let demo = Self { dir };
        let path = demo.path("demo");
        demo_in(&path).expect(0);
        demo
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self) -> String {
        self.path("demo/pipeline.yaml").to_str().unwrap().to_owned()
    }

    /// Changes the pipeline file.
    fn edit(&self, old: &str, new: &str) {
        let text = std::fs::read_to_string(self.file()).unwrap();
        assert!(text.contains(old), "{old} is not in {text}");
        std::fs::write(self.file(), text.replace(old, new)).unwrap();
    }

    /// Adds to the pipeline file.
    fn add(&self, more: &str) {
        let text = std::fs::read_to_string(self.file()).unwrap();
        std::fs::write(self.file(), text + more).unwrap();
    }

    fn run(&self) -> Said {
        run(&["run", &self.file(), "--json"])
    }

    async fn source(&self) -> SqliteConnection {
        open(&self.path("demo/source.db")).await
    }

    async fn target(&self) -> SqliteConnection {
        open(&self.path("demo/target.db")).await
    }

    /// What both sides hold, as texts: the confirmed orders of the source, and the target.
    async fn contents(&self) -> (Vec<String>, Vec<String>) {
        (content(&mut self.source().await).await, content(&mut self.target().await).await)
    }
}

async fn open(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    options.busy_timeout(std::time::Duration::from_secs(20)).connect().await.unwrap()
}

async fn content(connection: &mut SqliteConnection) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT quote(id) || quote(customer) || quote(status) || quote(amount) || quote(note) \
         || quote(updated_at) FROM orders WHERE status = 'confirmed' ORDER BY id",
    )
    .fetch_all(connection)
    .await
    .unwrap()
}

fn demo_in(dir: &Path) -> Said {
    run(&["demo", "--rows", "2000", "--json", "--dir", dir.to_str().unwrap()])
}
