//! Names of tables: which a pattern fits, what a stream and an object are called after them.

use etl_core::catalog::ObjectName;
use etl_core::{Error, Result};

/// The stream's name for a table: its own in small letters; `None` if no checkpoint can have it.
pub(super) fn stream_name(table: &ObjectName) -> Option<String> {
    let part = |name: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        (!name.is_empty() && name.chars().all(plain)).then(|| name.to_ascii_lowercase())
    };
    let name = match &table.schema {
        Some(schema) => format!("{}.{}", part(schema)?, part(&table.table)?),
        None => part(&table.table)?,
    };
    (name.len() <= super::load::LONGEST_NAME).then_some(name)
}

/// `object` with `{schema}` and `{table}` filled in; `{{` and `}}` are braces.
///
/// # Errors
/// `Config` for any other `{…}`.
pub(super) fn fill(object: &str, table: &ObjectName) -> Result<String> {
    let mut filled = String::new();
    let mut rest = object;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, braced) = rest.split_at(at);
        filled.push_str(before);
        if let Some(after) = braced.strip_prefix("{{").or_else(|| braced.strip_prefix("}}")) {
            filled.push_str(if braced.starts_with('{') { "{" } else { "}" });
            rest = after;
            continue;
        }
        let inside = braced.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let (word, after) = inside.unwrap_or((braced, ""));
        match (word, &table.schema) {
            ("table", _) => filled.push_str(&table.table),
            ("schema", Some(schema)) => filled.push_str(schema),
            ("schema", None) => {
                return Err(Error::config("{schema}: the source's tables are in no schema"));
            }
            _ => {
                return Err(Error::config(format!(
                    "\"{object}\": only {{table}} and {{schema}} can be filled in; write {{{{ and \
                     }}}} for braces"
                )));
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Whether a pattern fits a name, part by part.
pub(super) fn fits(glob: &ObjectName, name: &ObjectName) -> bool {
    let ((glob_schema, glob_table), (schema, table)) = (glob.identity(), name.identity());
    let schema = match (glob_schema, schema) {
        (Some(glob), Some(schema)) => wild(&glob, &schema),
        (glob, schema) => glob == schema,
    };
    schema && wild(&glob_table, &table)
}

/// Whether `text` is `pattern`, in which `*` stands for anything.
fn wild(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.split_at(at + part.len()).1;
    }
    rest.ends_with(last)
}

/// How far `text` is from what `glob` asks for, and which of both to write; `None` if too far.
pub(super) fn nearest<'a>(glob: &'a str, text: &'a str) -> Option<(usize, &'a str)> {
    if wild(glob, text) {
        return Some((0, glob));
    }
    let literal = glob.replace('*', "").to_lowercase();
    let letters: Vec<char> = text.to_lowercase().chars().collect();
    let wanted = literal.chars().count();
    let ends = |length: usize| {
        let begin: String = letters.iter().take(length).collect();
        let end: String = letters.iter().skip(letters.len().saturating_sub(length)).collect();
        [begin, end]
    };
    // Its beginning, its end or all of it, a letter more or less.
    let distance = [wanted.saturating_sub(1), wanted, wanted + 1, letters.len()]
        .into_iter()
        .flat_map(ends)
        .map(|part| strsim::damerau_levenshtein(&literal, &part))
        .min()?;
    (distance <= (wanted / 3).max(1)).then_some((distance, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(schema: &str, table: &str) -> ObjectName {
        let schema = Some(schema.to_owned());
        ObjectName { schema, table: table.to_owned(), ignores_case: false }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, fitting, other) in [
            ("*", vec!["", "a"], vec![]),
            ("a*", vec!["a", "ab"], vec!["ba"]),
            ("*_log", vec!["_log", "a_log"], vec!["log", "a_logs"]),
            ("a*b*c", vec!["abc", "axbxc", "abbcc"], vec!["ab", "acb", "abcd"]),
            ("aa*aa", vec!["aaaa", "aaxaa"], vec!["aaa"]),
            ("abc", vec!["abc"], vec!["abcd", "ab"]),
        ] {
            for text in fitting {
                assert!(wild(pattern, text), "{pattern} {text}");
            }
            for text in other {
                assert!(!wild(pattern, text), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn names_are_filled_into_an_object() {
        let orders = table("sales", "Orders");
        assert_eq!(fill("dbo.{table}", &orders).unwrap(), "dbo.Orders");
        assert_eq!(fill("{schema}_x.[{table}]", &orders).unwrap(), "sales_x.[Orders]");
        assert_eq!(fill("dbo.{{{table}}}", &orders).unwrap(), "dbo.{Orders}");
        for wrong in ["dbo.{tabel}", "dbo.{table", "dbo.}", "{}"] {
            let error = fill(wrong, &orders).unwrap_err().to_string();
            assert!(error.contains("only {table} and {schema}"), "{wrong}: {error}");
        }
        let plain = ObjectName { schema: None, ..orders };
        assert!(fill("{schema}.{table}", &plain).is_err());
    }

    #[test]
    fn a_stream_is_named_after_its_table_if_a_checkpoint_can_be() {
        let name = |schema: &str, name: &str| stream_name(&table(schema, name));
        assert_eq!(name("Sales", "Order-Lines_2").as_deref(), Some("sales.order-lines_2"));
        for hostile in ["Order Details", "größe", "a.b", "", "x;--", "tab\tle", &"x".repeat(120)]
        {
            assert_eq!(name("public", hostile), None, "{hostile}");
        }
    }

    #[test]
    fn what_was_meant_is_guessed_from_the_parts() {
        assert_eq!(nearest("publik", "public"), Some((1, "public")));
        assert_eq!(nearest("ordr_*", "order_lines"), Some((1, "order_lines")));
        assert_eq!(nearest("*_lgo", "audit_log"), Some((1, "audit_log")));
        assert_eq!(nearest("*", "anything"), Some((0, "*")));
        assert_eq!(nearest("invoices*", "orders"), None);
    }
}
