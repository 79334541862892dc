//! The demo's folder.

use std::path::{Path, PathBuf};

use etl_core::{Error, Result};

/// Says that a folder is the demo's, so that only such a one is ever emptied.
const MARK: &str = ".etl-demo";

/// Everything that a demo leaves; SQLite keeps the last three beside a database.
const FILES: [&str; 3] = ["source.db", "target.db", "pipeline.yaml"];
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A folder with a source, a target and a pipeline file.
pub(super) struct Place {
    dir: PathBuf,
}

impl Place {
    /// Makes the folder, or empties the one that an earlier demo left.
    ///
    /// # Errors
    /// `Config` if it holds anything else, or cannot be made.
    pub(super) fn make(dir: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::config(format!("demo folder {}", dir.display())).with_source(error)
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let mut entries = std::fs::read_dir(dir).map_err(failed)?;
        if entries.next().is_some() && !dir.join(MARK).exists() {
            return Err(Error::config(format!(
                "demo folder {}: it is not empty and not from a demo; choose another with --dir",
                dir.display()
            )));
        }
        std::fs::write(dir.join(MARK), "Made by etl-job demo, which may empty this folder.\n")
            .map_err(failed)?;
        // Absolute, so that the pipeline file works from everywhere.
        let place = Self { dir: dir.canonicalize().map_err(failed)? };
        for file in FILES {
            for end in [""].iter().chain(&BESIDE) {
                match std::fs::remove_file(place.dir.join(format!("{file}{end}"))) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        return Err(failed(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(place)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn source(&self) -> PathBuf {
        self.dir.join("source.db")
    }

    pub(super) fn target(&self) -> PathBuf {
        self.dir.join("target.db")
    }

    pub(super) fn pipeline(&self) -> PathBuf {
        self.dir.join("pipeline.yaml")
    }

    /// Writes the pipeline file.
    ///
    /// # Errors
    /// `Config` if it cannot be written.
    pub(super) fn write_pipeline(&self) -> Result<()> {
        let text = format!(
            "# The confirmed orders, from one SQLite file to another.\n\
             # Instead of SQLite: type: postgres and type: mssql, each with a url and tls.\n\
             version: 1\n\
             pipeline: demo\n\
             source: {{ type: sqlite, path: {} }}\n\
             target: {{ type: sqlite, path: {} }}\n\
             streams:\n  \
               orders:\n    \
                 object: orders\n    \
                 mode: upsert\n    \
                 primary_key: [id]\n    \
                 cursor: {{ column: updated_at, set_by: database }}\n    \
                 select: [id, customer, status, amount, note, updated_at]\n    \
                 where: \"status = 'confirmed'\"\n    \
                 on_filter_exit: delete\n",
            quoted(&self.source()),
            quoted(&self.target()),
        );
        std::fs::write(self.pipeline(), text)
            .map_err(|error| Error::config("writing the demo's pipeline file").with_source(error))
    }
}

/// A path as a YAML text in double quotes; a `$` that could begin a reference is written twice.
fn quoted(path: &Path) -> String {
    serde_json::Value::String(path.display().to_string().replace("${", "$${")).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_anything_else_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
        let error = Place::make(dir.path()).err().unwrap();
        assert!(error.to_string().contains("not empty"), "{error}");
        assert!(dir.path().join("thesis.txt").exists());
    }

    #[test]
    fn an_earlier_demo_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::make(&dir.path().join("new")).unwrap();
        std::fs::write(place.source(), "old").unwrap();
        let place = Place::make(&dir.path().join("new")).unwrap();
        assert!(!place.source().exists());
    }
}
