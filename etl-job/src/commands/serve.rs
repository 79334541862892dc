//! `etl-job serve --metrics-only`: what the ledgers in the target say, also while no run ever starts.

mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use etl_core::connector::Stream;
use etl_core::{Class, Error, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::cli::Serve;
use crate::config::{PipelineFile, Secrets};
use crate::exit;
use crate::report;
use crate::telemetry::Telemetry;
use watch::{Pulses, Watch};

/// Serves until asked to stop.
///
/// # Errors
/// `Config` without `--metrics-only`, if the file or a secret of its target will not do, or if the
/// address cannot be listened on. A target that cannot be reached is a metric, no error.
pub async fn serve(args: &Serve, telemetry: &Telemetry, stop: &CancellationToken) -> Result<u8> {
    if !args.metrics_only {
        return Err(Error::config(
            "serve: give --metrics-only; serving metrics is all that this command can do, `run` \
             carries rows",
        ));
    }
    let file = PipelineFile::load(&args.file, Secrets::OfTarget)?;
    let pulses = Arc::new(Pulses::new(args.every));
    let mut watches = Watches {
        telemetry: telemetry.clone(),
        every: args.every,
        pulses: Arc::clone(&pulses),
        names: BTreeSet::new(),
        tasks: JoinSet::new(),
    };
    for stream in file.streams() {
        watches.begin(&file, stream)?;
    }
    let server = telemetry.serve(&args.addr, pulses).await?;
    if file.patterns().next().is_some() {
        watches.find_more(&args.file, stop).await;
    }
    stop.cancelled().await;
    drop(server);
    Ok(exit::DONE)
}

/// How often the target is asked for streams that a pattern has made since.
const FIND_EVERY: Duration = Duration::from_mins(1);

/// After a refused login it is asked again only so much later: refusals lock accounts.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);

/// One task for each stream.
struct Watches {
    telemetry: Telemetry,
    every: Duration,
    pulses: Arc<Pulses>,
    names: BTreeSet<String>,
    tasks: JoinSet<()>,
}

impl Watches {
    fn begin(&mut self, file: &PipelineFile, stream: &Stream) -> Result<()> {
        if !self.names.insert(stream.name.clone()) {
            return Ok(());
        }
        let metrics = self.telemetry.metrics(&stream.pipeline, &stream.name);
        for section in [file.source(), file.target()] {
            metrics.tls_unverified(section.side, section.tls_unverified());
        }
        let ledger = self.telemetry.ledger(&stream.pipeline, &stream.name);
        let span = tracing::info_span!("ledger", pipeline = stream.pipeline, stream = stream.name);
        let watch = Watch::new(file, stream, ledger)?;
        let (pulses, index) = (Arc::clone(&self.pulses), self.pulses.add());
        self.tasks.spawn(watch.forever(self.every, pulses, index).instrument(span));
        Ok(())
    }

    /// Looks again and again for streams that patterns have made: the target knows them, and the
    /// source's secrets are not here.
    async fn find_more(&mut self, path: &Path, stop: &CancellationToken) {
        let mut told: Option<String> = None;
        loop {
            let found = self.find(path).await;
            let pause = match &found {
                Err(error) if error.class() == Class::Permission => REFUSED_PAUSE,
                _ => FIND_EVERY.min(self.every * 4),
            };
            let text = found.err().map(|error| report::error(&error));
            if let Some(text) = text.as_ref().filter(|text| told.as_ref() != Some(text)) {
                tracing::warn!("streams that patterns have made are not looked for: {text}");
            }
            told = text;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn find(&mut self, path: &Path) -> Result<()> {
        let file = PipelineFile::load(path, Secrets::OfTarget)?;
        for stream in file.prepared().await? {
            // What no pattern covers is not this file's any more.
            if let Ok(stream) = file.unseen(&stream.name) {
                self.begin(&file, &stream)?;
            }
        }
        Ok(())
    }
}
