//! One error type, classed by what the caller can do next.

use std::error::Error as StdError;
use std::fmt;

/// The result of everything in this workspace's libraries.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`]. Each class has one exit code and one metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Nothing was done, or all of it was rolled back: connect anew, back off, try again.
    Transient,
    /// A request was sent and no answer came: look before doing it again.
    Unknown,
    /// Disk, log or memory is short: try again later and with less at a time.
    Capacity,
    /// One row cannot be stored as it is.
    Data,
    /// The shapes of source, stream and target differ: stop before writing.
    Schema,
    /// A setting is wrong: stop at once.
    Config,
    /// Credentials or rights are missing: stop at once, trying again locks accounts.
    Permission,
    /// Another run has taken the pipeline over: nothing of this batch was written.
    Fenced,
    /// A defect in this program.
    Internal,
}

impl Class {
    /// Every class, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::Transient,
        Self::Unknown,
        Self::Capacity,
        Self::Data,
        Self::Schema,
        Self::Config,
        Self::Permission,
        Self::Fenced,
        Self::Internal,
    ];

    /// The metric label and the word in logs and in the ledger.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Unknown => "unknown",
            Self::Capacity => "capacity",
            Self::Data => "data",
            Self::Schema => "schema",
            Self::Config => "config",
            Self::Permission => "permission",
            Self::Fenced => "fenced",
            Self::Internal => "internal",
        }
    }

    /// The exit code of a process that ends with this class, after BSD `sysexits.h`.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Config => 64,
            Self::Data | Self::Schema => 65,
            Self::Internal => 70,
            Self::Transient | Self::Unknown | Self::Capacity | Self::Fenced => 75,
            Self::Permission => 77,
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Transient | Self::Unknown | Self::Capacity)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error: what was being done, its [`Class`], the database's own code, and the cause.
///
/// The text never holds a secret, nor a row's value; a database's own message, which may quote
/// values, is not part of it.
pub struct Error(Box<Inner>);

struct Inner {
    class: Class,
    text: String,
    code: Option<String>,
    column: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    lasting: Option<Lasting>,
}

/// What an error is if it does not pass by itself.
#[derive(Clone, Copy)]
struct Lasting {
    tries: u32,
    class: Class,
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident => $class:ident),* $(,)?) => {
        impl Error {
            $($(#[$doc])* pub fn $name(text: impl Into<String>) -> Self { Self::new(Class::$class, text) })*
        }
    };
}

constructors! {
    /// See [`Class::Transient`].
    transient => Transient,
    /// See [`Class::Unknown`].
    unknown => Unknown,
    /// See [`Class::Capacity`].
    capacity => Capacity,
    /// See [`Class::Data`].
    data => Data,
    /// See [`Class::Schema`].
    schema => Schema,
    /// See [`Class::Config`].
    config => Config,
    /// See [`Class::Permission`].
    permission => Permission,
    /// See [`Class::Fenced`].
    fenced => Fenced,
    /// See [`Class::Internal`].
    internal => Internal,
}

impl Error {
    /// An error of `class`; `text` says what was being done and what to change.
    pub fn new(class: Class, text: impl Into<String>) -> Self {
        let text = text.into();
        Self(Box::new(Inner { class, text, code: None, column: None, source: None, lasting: None }))
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with the database's own code, such as `2627` or `40P01`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// The same error, which is about the value of one column; the text names it too.
    #[must_use]
    pub fn at_column(mut self, column: impl Into<String>) -> Self {
        self.0.column = Some(column.into());
        self
    }

    /// The same error with `context` in front: what the caller was doing.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.text = format!("{context}: {}", self.0.text);
        self
    }

    /// The same error, which is of `class` once it came at `tries` tries in a row: what a failover
    /// brings for a moment and a wrong setting for ever.
    #[must_use]
    pub fn if_it_lasts(mut self, tries: u32, class: Class) -> Self {
        self.0.lasting = Some(Lasting { tries, class });
        self
    }

    /// Whether it is another error if it does not pass by itself; see [`Error::if_it_lasts`].
    #[must_use]
    pub fn may_last(&self) -> bool {
        self.0.lasting.is_some()
    }

    /// The error that it is after it came at `tries` tries in a row.
    #[must_use]
    pub fn after(mut self, tries: u32) -> Self {
        if self.0.lasting.is_some_and(|lasting| tries >= lasting.tries)
            && let Some(lasting) = self.0.lasting.take()
        {
            self.0.class = lasting.class;
            return self.context(format_args!("tried {tries} times"));
        }
        self
    }

    /// What the caller can do.
    #[must_use]
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The database's own code.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The column whose value it is about, if it is about one.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.0.column.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.class, self.0.text)?;
        if let Some(code) = &self.0.code {
            write!(f, " (code {code})")?;
        }
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

/// Adds what was being done to an error on its way up.
pub trait ResultExt<T> {
    /// Puts `context` in front of the error's text.
    ///
    /// # Errors
    /// The same.
    fn context<C: fmt::Display>(self, context: impl FnOnce() -> C) -> Result<T>;
}

impl<T> ResultExt<T> for Result<T> {
    fn context<C: fmt::Display>(self, context: impl FnOnce() -> C) -> Self {
        self.map_err(|error| error.context(context()))
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::internal("building a record batch").with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_its_code_and_its_column_if_it_has_them() {
        let bare = Error::data("no");
        assert_eq!((bare.code(), bare.column()), (None, None));
        let whole = bare.with_code("22001").at_column("note");
        assert_eq!((whole.code(), whole.column()), (Some("22001"), Some("note")));
    }

    #[test]
    fn every_class_has_its_word_and_may_pass_or_not() {
        for (class, word, retryable) in [
            (Class::Transient, "transient", true),
            (Class::Unknown, "unknown", true),
            (Class::Capacity, "capacity", true),
            (Class::Data, "data", false),
            (Class::Schema, "schema", false),
            (Class::Config, "config", false),
            (Class::Permission, "permission", false),
            (Class::Fenced, "fenced", false),
            (Class::Internal, "internal", false),
        ] {
            assert_eq!((class.as_str(), class.to_string().as_str()), (word, word));
            assert_eq!(class.is_retryable(), retryable, "{word}");
        }
    }

    #[test]
    fn an_error_says_what_was_done_and_shows_its_cause_only_to_who_asks() {
        let cause = Error::internal("bytes").with_source(fmt::Error);
        let error = Error::transient("connecting").with_code("40P01").with_source(cause);
        let error = Err::<(), _>(error).context(|| "reading orders").unwrap_err();
        assert_eq!(error.to_string(), "reading orders: connecting");
        assert_eq!((error.class(), error.code()), (Class::Transient, Some("40P01")));
        let shown = format!("{error:?}");
        let cause = format!("internal: bytes: {}", fmt::Error);
        assert!(
            shown.starts_with("transient: reading orders: connecting (code 40P01): "),
            "{shown}"
        );
        assert_eq!(error.source().map(|source| format!("{source:?}")), Some(cause));
        assert!(shown.ends_with(&format!(": bytes: {}", fmt::Error)), "{shown}");
        assert!(Error::data("x").source().is_none() && Error::data("x").code().is_none());
    }

    #[test]
    fn what_may_last_is_another_error_from_so_many_tries_on() {
        let doubtful = || Error::transient("x").if_it_lasts(3, Class::Config);
        assert!(doubtful().may_last() && !Error::transient("x").may_last());
        assert_eq!(doubtful().after(2).class(), Class::Transient);
        for tries in [3, 4] {
            let error = doubtful().after(tries);
            assert_eq!(error.class(), Class::Config);
            assert_eq!(error.to_string(), format!("tried {tries} times: x"));
            assert!(!error.may_last());
        }
        assert_eq!(Error::transient("x").after(9).class(), Class::Transient);
    }
}
