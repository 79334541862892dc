//! One round: every stream of a file gets its turn, some at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use etl_core::catalog::TableInfo;
use etl_core::connector::Stream;
use etl_core::error::ResultExt;
use etl_core::retry::{Retry, RetryPolicy};
use etl_core::{Error, Result};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::carry::Progress;
use super::turns;
use crate::build::{Wish, Work};
use crate::commands::is_refused_login;
use crate::config::PipelineFile;
use crate::exit;
use crate::report::{Output, Summary, Total};
use crate::telemetry::Telemetry;

/// What all streams of a round share.
pub(crate) struct Round {
    pub(super) file: PipelineFile,
    pub(super) telemetry: Telemetry,
    pub(super) stop: CancellationToken,
    pub(super) output: Output,
    pub(super) progress: Progress,
    work: Work,
    began: Instant,
    /// When no further batch, and no further stream, is begun.
    ends: Option<Instant>,
    /// What a refused login was answered with.
    refused: Mutex<Option<String>>,
}

/// Why a stream's turn does not come.
enum Closed {
    /// Somebody asked us to stop.
    Stop,
    Deadline,
    Login(String),
}

impl Round {
    /// A round of `file` that begins now.
    pub(crate) fn new(
        file: PipelineFile,
        wish: Wish,
        telemetry: &Telemetry,
        stop: &CancellationToken,
        output: Output,
    ) -> Self {
        let began = Instant::now();
        Self {
            ends: wish.deadline.or(file.deadline()).map(|limit| began + limit),
            telemetry: telemetry.clone(),
            stop: stop.clone(),
            progress: Progress::default(),
            work: wish.work,
            refused: Mutex::default(),
            began,
            file,
            output,
        }
    }

    /// Carries the stream called `only`, or all of them, and prints what became of each; the worst
    /// exit code.
    ///
    /// # Errors
    /// `Config` if there is no stream called `only`.
    pub(super) async fn run(self: Arc<Self>, only: Option<&str>) -> Result<u8> {
        let patterns = self.file.patterns().next().is_some();
        let at_once = self.file.parallel();
        let must_wait = only.is_none() && self.file.streams().len() > at_once;
        let prepared = if patterns || must_wait { self.prepared().await } else { BTreeMap::new() };
        let names: Vec<_> = prepared.keys().cloned().collect();
        let resolved = self.file.resolve(self.tables().await, &names);
        let resolved = resolved.select(only).context(|| self.file.path().display())?;
        let mut total = Total::new(self.file.name());
        for refused in resolved.refused {
            let (summary, code) = self.refuse(refused);
            total.add(&summary, code);
        }
        let streams = if resolved.streams.len() > at_once {
            turns::longest_waiting_first(resolved.streams, &prepared)
        } else {
            resolved.streams
        };
        self.carry_all(streams, at_once, &mut total).await;
        total.took(self.began.elapsed());
        if only.is_none() && (patterns || self.file.streams().len() > 1) {
            self.output.print(&total, &total.text());
        }
        Ok(total.exit_code)
    }

    /// When each prepared stream's last run began; nothing if the target does not say, since each
    /// stream will then say why.
    async fn prepared(&self) -> BTreeMap<String, Option<i64>> {
        match self.file.prepared().await {
            Ok(streams) => streams.into_iter().map(|one| (one.name, one.last_run_micros)).collect(),
            Err(error) => {
                self.look_at_refusal(&error);
                tracing::warn!("streams have their turns in the file's order: {error:?}");
                BTreeMap::new()
            }
        }
    }

    /// The tables that patterns choose from.
    async fn tables(&self) -> Result<Vec<TableInfo>> {
        let deadline = self.ends.map(tokio::time::Instant::from_std);
        let mut retry = Retry::new(RetryPolicy::default(), deadline, &self.stop);
        loop {
            match self.file.tables().await {
                Err(error) => retry.wait(error).await?,
                tables => return tables,
            }
        }
    }

    async fn carry_all(self: &Arc<Self>, streams: Vec<Stream>, at_once: usize, total: &mut Total) {
        let mut queue = VecDeque::from(streams);
        let mut at_work = JoinSet::new();
        loop {
            while at_work.len() < at_once
                && self.closed().is_none()
                && let Some(stream) = queue.pop_front()
            {
                at_work.spawn(Box::pin(Arc::clone(self).turn(stream)));
            }
            match at_work.join_next().await {
                Some(Ok((summary, code))) => total.add(&summary, code),
                // The panic hook has said what happened.
                Some(Err(_)) => total.add_lost(),
                None => break,
            }
        }
        for stream in queue {
            let (summary, code) = self.not_started(&stream);
            total.add(&summary, code);
        }
    }

    async fn turn(self: Arc<Self>, stream: Stream) -> (Summary, u8) {
        let (finished, summary) = self.carry(&stream).await;
        if let Some(error) = &finished.error {
            self.look_at_refusal(error);
        }
        (summary, finished.exit_code())
    }

    /// What the rest of the round's time and the command line make of a run that begins now.
    pub(super) fn wish(&self) -> Wish {
        let left = self.ends.map(|end| end.saturating_duration_since(Instant::now()));
        Wish { work: self.work, deadline: left }
    }

    /// A login that was refused once is refused to every stream; each further try helps to lock
    /// the account.
    pub(super) fn look_at_refusal(&self, error: &Error) {
        if is_refused_login(error) {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.get_or_insert_with(|| error.to_string());
        }
    }

    fn closed(&self) -> Option<Closed> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.stop.is_cancelled() {
            Some(Closed::Stop)
        } else if let Some(said) = refused {
            Some(Closed::Login(said))
        } else {
            self.ends.filter(|end| Instant::now() >= *end).map(|_| Closed::Deadline)
        }
    }

    fn not_started(&self, stream: &Stream) -> (Summary, u8) {
        let error = match self.closed() {
            Some(Closed::Stop) | None => None,
            Some(Closed::Deadline) => Some(Error::transient(
                "the deadline passed before its turn came; it is among the first of the next run. \
                 If that happens in every run, raise limits.deadline or limits.parallel",
            )),
            Some(Closed::Login(said)) => Some(Error::permission(format!(
                "a login was refused, and this stream has the same; so that no account is locked it \
                 was not tried again: {said}"
            ))),
        };
        let summary = Summary::not_started(&stream.pipeline, &stream.name, error.as_ref());
        self.tell(&summary);
        self.output.print(&summary, &summary.text());
        (summary, error.map_or(exit::DONE, |error| error.class().exit_code()))
    }
}
