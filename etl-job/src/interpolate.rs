//! References in a pipeline file: `${env:NAME}`, `${env:NAME:default}`, `${file:/path}`.
//!
//! `$${` stands for `${` itself. What a reference brings in is not looked at again.

use std::io::Read;
use std::path::Path;

use etl_core::{Error, Result};

use crate::secrets;

/// A file that is read as a secret holds a line, not a book.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// What stands for a value that is not there: good as a password, a host and a port.
const STAND_IN: &str = "1";

/// Where references lead.
pub struct Resolver<'a> {
    /// Looks an environment variable up.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The folder that a relative path in `${file:…}` starts from.
    pub folder: &'a Path,
    /// Whether what cannot be found is left out (checking a file away from where it runs) or an
    /// error.
    pub offline: bool,
}

/// A text after its references were followed.
#[derive(Default)]
pub struct Resolved {
    /// The text as the connector gets it.
    pub text: String,
    /// What of it stands in the pipeline file itself: references empty, defaults in place.
    pub literal: String,
    /// Whether a reference could not be followed; only with [`Resolver::offline`].
    pub unresolved: bool,
}

/// What is between `${` and `}`.
enum Reference<'a> {
    Env { name: &'a str, default: Option<&'a str> },
    File(&'a str),
}

impl Resolver<'_> {
    /// Follows every reference in `text`.
    ///
    /// # Errors
    /// `Config`: a reference that is no reference, a variable that is not set, a file that cannot
    /// be read. The message never holds a value.
    pub fn resolve(&self, text: &str) -> Result<Resolved> {
        let mut resolved = Resolved::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                resolved.push_literal(before);
                resolved.push_literal("${");
                rest = after;
                continue;
            }
            resolved.push_literal(before);
            let (inside, after) = after.split_once('}').ok_or_else(|| {
                Error::config(
                    "a reference is not closed: \"${\" without \"}\" (write $${ for a plain ${)",
                )
            })?;
            self.follow(&parse(inside)?, &mut resolved)?;
            rest = after;
        }
        resolved.push_literal(rest);
        Ok(resolved)
    }

    fn follow(&self, reference: &Reference<'_>, resolved: &mut Resolved) -> Result<()> {
        let found = match reference {
            Reference::Env { name, default } => {
                let value = (self.env)(name).filter(|value| !value.is_empty() || default.is_none());
                if let (None, Some(default)) = (&value, default) {
                    resolved.push_literal(default);
                    return Ok(());
                }
                value.ok_or_else(|| {
                    Error::config(format!(
                        "environment variable {name} is not set; set it, or give a default: \
                         ${{env:{name}:default}}"
                    ))
                })
            }
            Reference::File(path) => read(&self.folder.join(path)).inspect(|value| {
                secrets::remember(value);
            }),
        };
        match found {
            Ok(value) => resolved.text.push_str(&value),
            Err(_) if self.offline => {
                resolved.unresolved = true;
                resolved.text.push_str(STAND_IN);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl Resolved {
    fn push_literal(&mut self, text: &str) {
        self.text.push_str(text);
        self.literal.push_str(text);
    }
}

fn parse(inside: &str) -> Result<Reference<'_>> {
    let unknown = || {
        Error::config(format!(
            "\"${{{}}}\" is not a reference: use ${{env:NAME}}, ${{env:NAME:default}} or \
             ${{file:/path}} (write $${{ for a plain ${{)",
            inside.chars().take(40).collect::<String>()
        ))
    };
    match inside.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(Reference::File(path)),
        Some(("env", rest)) => {
            let (name, default) = match rest.split_once(':') {
                Some((name, default)) => (name, Some(default)),
                None => (rest, None),
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(plain) {
                return Err(unknown());
            }
            Ok(Reference::Env { name, default })
        }
        _ => Err(unknown()),
    }
}

fn read(path: &Path) -> Result<String> {
    let shown = path.display();
    let failed = |what: &str| Error::config(format!("secret file {shown}: {what}"));
    // What the file system says of its size is not to be relied on: a device has none.
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| failed(&format!("cannot be read ({})", error.kind())))?;
    if u64::try_from(text.len()).is_ok_and(|size| size > MAX_FILE_BYTES) {
        return Err(failed("is larger than 64 KiB; is it the right file?"));
    }
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str, offline: bool) -> Result<Resolved> {
        let env = |name: &str| match name {
            "HOST" => Some("db".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        Resolver { env: &env, folder: Path::new("/nowhere"), offline }.resolve(text)
    }

    #[test]
    fn references_and_escapes_are_followed() {
        let resolved = resolve("a ${env:HOST} $${env:HOST} ${env:NO:dflt:x} ${env:EMPTY:e}", false);
        let resolved = resolved.unwrap();
        assert_eq!(resolved.text, "a db ${env:HOST} dflt:x e");
        assert_eq!(resolved.literal, "a  ${env:HOST} dflt:x e");
    }

    #[test]
    fn a_file_is_read_without_its_last_newline() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "two\nlines\r\n").unwrap();
        let text = format!("${{file:{}}}", file.path().display());
        assert_eq!(resolve(&text, false).unwrap().text, "two\nlines");
    }

    #[test]
    fn a_file_without_an_end_is_refused() {
        let error = resolve("${file:/dev/zero}", false).err().unwrap().to_string();
        assert!(error.contains("is larger than 64 KiB"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        for (text, expected) in [
            ("${env:NOPE}", "environment variable NOPE is not set"),
            ("${file:/no/such}", "secret file /no/such: cannot be read"),
            ("${file:rel}", "secret file /nowhere/rel"),
            ("${vault:x}", "not a reference"),
            ("${env:a b}", "not a reference"),
            ("${env:NAME", "not closed"),
        ] {
            let error = resolve(text, false).err().unwrap().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let offline = resolve("x${file:/no/such}y", true).unwrap();
        assert!(offline.unresolved);
        assert_eq!(offline.text, "x1y");
    }
}
