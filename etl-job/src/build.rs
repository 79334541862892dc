//! From a pipeline file to the things that run. Opens no connection.

use std::sync::Arc;
use std::time::Duration;

use etl_core::catalog::Catalog;
use etl_core::connector::{Mode, SinkConnector, SourceConnector, Stream};
use etl_core::error::ResultExt;
use etl_core::metrics::Metrics;
use etl_core::pipeline::output_schema;
use etl_core::retry::RetryPolicy;
use etl_core::sink::{Prepared, SinkAdmin, siblings};
use etl_core::{
    Class, Definition, Error, Pipeline, PipelineOptions, Result, Sink, Source, StreamSchema,
    Transform, transform,
};

use crate::config::tree::Step;
use crate::config::{PipelineFile, Section};
use crate::secrets;

/// A table, for comparing: its schema and its name.
pub(crate) type Identity = (Option<String>, String);

/// What the command line says about one run, beside the file.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// What is to be done.
    pub work: Work,
    /// Instead of the file's deadline.
    pub deadline: Option<Duration>,
}

/// What one run is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Work {
    /// To carry what is new.
    #[default]
    Sweep,
    /// To read everything again, whatever the checkpoint says.
    FullRefresh,
    /// To try again what was put aside.
    Replay,
}

impl PipelineFile {
    /// The source of one stream.
    ///
    /// # Errors
    /// `Config` with the key that is wrong.
    pub fn build_source(&self, stream: &Stream) -> Result<Arc<dyn Source>> {
        let section = self.source();
        let connector = self.source_connector()?;
        (connector.build)(section.value(), stream).map_err(|error| self.explain(section, error))
    }

    /// The sink of one stream.
    ///
    /// # Errors
    /// `Config` with the key that is wrong.
    pub fn build_sink(&self, stream: &Stream) -> Result<Box<dyn Sink>> {
        let section = self.target();
        let connector = self.sink_connector()?;
        (connector.build)(section.value(), stream).map_err(|error| self.explain(section, error))
    }

    /// What operators do to one stream's target.
    ///
    /// # Errors
    /// `Config` with the key that is wrong.
    pub fn build_admin(&self, stream: &Stream) -> Result<Box<dyn SinkAdmin>> {
        let section = self.target();
        let connector = self.sink_connector()?;
        (connector.admin)(section.value(), stream).map_err(|error| self.explain(section, error))
    }

    /// One stream's pipeline, ready to run.
    ///
    /// # Errors
    /// `Config` with the key that is wrong.
    pub fn build_pipeline(
        &self,
        stream: &Stream,
        wish: &Wish,
        metrics: Metrics,
    ) -> Result<Pipeline> {
        let full_refresh = wish.work == Work::FullRefresh;
        if full_refresh && stream.config.mode == Mode::Append {
            return Err(Error::config(format!(
                "{}: --full-refresh would append every row again; empty {} and use `state reset`",
                stream.full_name(),
                stream.config.object
            )));
        }
        let options = PipelineOptions {
            limits: self.batch_limits(),
            max_cell: self.max_cell(),
            deadline: wish.deadline.or(self.deadline()),
            lease_ttl: self.lease().ttl,
            max_skip: self.lease().max_skip,
            retry: RetryPolicy::default(),
            max_rejected: stream.config.max_rejected(),
            full_refresh,
            definition: definition(self, stream)?,
        };
        let source = self.build_source(stream)?;
        let sink = self.build_sink(stream)?;
        let transforms = transforms(stream)?;
        let name = stream.full_name();
        Ok(Pipeline::new(name, source, transforms, sink, options).with_metrics(metrics))
    }

    /// The schema that one stream's target must take: asks the source, applies the transforms.
    ///
    /// # Errors
    /// What the source says; `Config` if a transform does not fit.
    pub async fn output_schema(&self, stream: &Stream) -> Result<StreamSchema> {
        let source = self.build_source(stream)?;
        output_schema(source.schema().await?, &transforms(stream)?, &definition(self, stream)?)
    }

    /// What lists the source's tables.
    ///
    /// # Errors
    /// `Config` with the key that is wrong.
    pub fn build_catalog(&self) -> Result<Box<dyn Catalog>> {
        let section = self.source();
        let connector = self.source_connector()?;
        (connector.catalog)(section.value(), self.name())
            .map_err(|error| self.explain(section, error))
    }

    /// Which table a stream reads, in a form that can be compared; `None` if its name cannot be read.
    pub(crate) fn table_of(&self, stream: &Stream) -> Option<Identity> {
        let name = (self.source_connector().ok()?.object)(stream.table()).ok()?;
        Some(name.identity())
    }

    /// Which table a stream writes, in a form that can be compared.
    pub(crate) fn object_of(&self, stream: &Stream) -> Result<Identity> {
        Ok((self.sink_connector()?.object)(&stream.config.object)?.identity())
    }

    /// The streams of the pipeline that the target was prepared for, by their names without the
    /// pipeline's.
    ///
    /// # Errors
    /// What the target says.
    pub async fn prepared(&self) -> Result<Vec<Prepared>> {
        let samples = self.samples()?;
        let any = samples.first().ok_or_else(|| Error::internal("a file without streams"))?;
        let mut prepared = self.build_admin(any)?.streams().await?;
        let prefix = siblings(&any.full_name());
        for stream in &mut prepared {
            if let Some(name) = stream.name.strip_prefix(&prefix) {
                stream.name = name.to_owned();
            }
        }
        Ok(prepared)
    }

    pub(crate) fn source_connector(&self) -> Result<&'static SourceConnector> {
        let section = self.source();
        etl_sources::find(&section.kind).map_err(|error| self.unknown_kind(section, error))
    }

    fn sink_connector(&self) -> Result<&'static SinkConnector> {
        let section = self.target();
        etl_sinks::find(&section.kind).map_err(|error| self.unknown_kind(section, error))
    }

    /// Adds the line; the registry has said which kinds there are and which was probably meant.
    fn unknown_kind(&self, section: &Section, error: Error) -> Error {
        let path = [Step::Key(section.side.to_owned()), Step::Key("type".to_owned())];
        Error::config(format!("{}{error}", self.place(&path)))
    }

    /// Adds the line of the key that a connector did not like.
    fn explain(&self, section: &Section, error: Error) -> Error {
        let text = error.to_string();
        if error.class() != Class::Config {
            return error;
        }
        let mut path = vec![Step::Key(section.side.to_owned())];
        let word = text.split_once("unknown field `").and_then(|(_, rest)| rest.split_once('`'));
        if let Some((word, _)) = word {
            path.push(Step::Key(word.to_owned()));
        }
        let side = format!("{}: ", section.side);
        let text = text.strip_prefix(&side).unwrap_or(&text);
        let text = secrets::redact(&crate::config::reworded(text));
        let place = self.place(&path);
        Error::config(format!("{place}{text}"))
    }
}

fn transforms(stream: &Stream) -> Result<Vec<Box<dyn Transform>>> {
    transform::build(&stream.config.transforms, stream.config.filter_exit())
        .context(|| stream.full_name())
}

/// The parts of a stream's definition that its source does not know.
///
/// # Errors
/// `Internal` if the transforms have no JSON form, which they have.
pub fn definition(file: &PipelineFile, stream: &Stream) -> Result<Definition> {
    let config = &stream.config;
    let transforms = serde_json::to_string(&config.transforms)
        .map_err(|error| Error::internal("writing transforms as JSON").with_source(error))?;
    let words = config.on_special_columns.iter();
    let words = words.map(|(column, special)| format!(", {column}: {}", special.as_str()));
    let special = format!("{}{}", config.on_special.as_str(), words.collect::<String>());
    let mark = config.mark().map(|column| Definition::default().with("soft_delete", column));
    Ok(mark
        .unwrap_or_default()
        .with("mode", config.mode.as_str())
        .with("object", &config.object)
        .with("on_filter_exit", config.filter_exit().as_str())
        .with("on_special", special)
        .with("target", &file.target().kind)
        .with("transforms", transforms))
}
