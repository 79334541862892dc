//! The parts of a name such as `schema.table`, as a pipeline file writes it.

/// Splits at dots. A part that begins with `open` goes to the `close` that ends it, may hold
/// anything, and has each `close` inside twice; any other part is taken letter by letter. `None` if
/// a quoted part does not end, or something other than a dot comes behind it.
pub(crate) fn split(text: &str, open: char, close: char) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        let mut part = String::new();
        if rest.next_if_eq(&open).is_some() {
            loop {
                match rest.next()? {
                    end if end != close => part.push(end),
                    _ if rest.next_if_eq(&close).is_some() => part.push(close),
                    _ => break,
                }
            }
        } else {
            while let Some(other) = rest.next_if(|c| *c != '.') {
                part.push(other);
            }
        }
        parts.push(part);
        match rest.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}
