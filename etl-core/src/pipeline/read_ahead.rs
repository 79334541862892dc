//! One batch is read while another is being committed.

use std::sync::Arc;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::batch::{Batch, BatchLimits};
use crate::error::Error;
use crate::fail_point;
use crate::position::Position;
use crate::source::Source;

/// What a reader has to say.
pub(super) enum Next {
    /// A batch.
    Batch(Batch),
    /// The sweep is complete.
    End,
    /// The reading failed; it may be begun anew behind the last commit.
    Failed(Error),
    /// Nobody asked the reader: the run is to stop.
    Stop,
}

/// A source being read in a task of its own. Dropping it ends the read.
pub(super) struct ReadAhead {
    receiver: mpsc::Receiver<Next>,
    task: JoinHandle<()>,
}

impl ReadAhead {
    pub(super) fn start(
        source: Arc<dyn Source>,
        after: Option<Position>,
        limits: BatchLimits,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        let reading = async move { read(&*source, after, limits, &sender).await };
        let task = tokio::spawn(reading.in_current_span());
        Self { receiver, task }
    }

    /// The next word of the reader. Cancel-safe.
    pub(super) async fn next(&mut self) -> Next {
        // An end is always said. Silence means that the reader's task is gone, and a source that
        // dies must never be mistaken for one that ended.
        self.receiver
            .recv()
            .await
            .unwrap_or_else(|| Next::Failed(Error::internal("the source's reader panicked")))
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(
    source: &dyn Source,
    after: Option<Position>,
    limits: BatchLimits,
    sender: &mpsc::Sender<Next>,
) {
    fail_point!("read.before");
    let mut stream = match source.read(after, limits).await {
        Ok(stream) => stream,
        Err(error) => {
            // Without a receiver there is nobody to tell.
            drop(sender.send(Next::Failed(error)).await);
            return;
        }
    };
    fail_point!("read.began");
    // The place in the channel is taken before the batch is read, so that one batch waits and
    // no second one is held here.
    while let Ok(place) = sender.reserve().await {
        let next = match stream.next().await {
            Some(Ok(batch)) => {
                fail_point!("read.batch");
                Next::Batch(batch)
            }
            Some(Err(error)) => Next::Failed(error),
            None => {
                fail_point!("read.end");
                Next::End
            }
        };
        let last = !matches!(next, Next::Batch(_));
        place.send(next);
        if last {
            return;
        }
    }
}
