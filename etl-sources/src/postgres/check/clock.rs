//! Defaults that are the server's clock.

/// Whether a default is the server's clock, at or after the start of the transaction, without
/// arithmetic on it.
pub(super) fn is_server_clock(default: &str) -> bool {
    let mut text = default.to_ascii_lowercase();
    while let Some(inner) = unwrapped(&text) {
        text = inner.to_owned();
    }
    // A precision, as in current_timestamp(3).
    let name = text.split_once('(').map_or(text.as_str(), |(name, _)| name);
    let precise = text.strip_prefix(name).is_some_and(|rest| {
        let digits = rest.trim_matches(['(', ')']);
        rest.len() <= 3 && digits.chars().all(|c| c.is_ascii_digit())
    });
    precise
        && matches!(
            name,
            "now"
                | "clock_timestamp"
                | "transaction_timestamp"
                | "statement_timestamp"
                | "current_timestamp"
                | "localtimestamp"
        )
}

/// The expression inside of parentheses, a cast, or a change of time zone.
fn unwrapped(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    // Not the outer pair in `(a) + (b)`.
    let inside = inside.filter(|inner| {
        let mut depth = 0_i32;
        inner.chars().all(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth >= 0
        })
    });
    let zone = |zone: &str| zone.starts_with('\'') && !zone.contains([')', ',']);
    let cast = |kind: &str| kind.starts_with("timestamp") && !kind.contains(['+', '-']);
    inside
        .or_else(|| text.rsplit_once("::").filter(|(_, kind)| cast(kind)).map(|(inner, _)| inner))
        .or_else(|| {
            text.rsplit_once(" at time zone ").filter(|(_, to)| zone(to)).map(|(inner, _)| inner)
        })
        .or_else(|| {
            let (to, inner) =
                text.strip_prefix("timezone(")?.strip_suffix(')')?.split_once(", ")?;
            zone(to).then_some(inner)
        })
}

#[cfg(test)]
mod tests {
    use super::is_server_clock;

    #[test]
    fn a_default_is_the_servers_clock_or_not() {
        for clock in [
            "now()",
            "CURRENT_TIMESTAMP",
            "CURRENT_TIMESTAMP(3)",
            "clock_timestamp()",
            "(now())::timestamp without time zone",
            "LOCALTIMESTAMP",
            "timezone('utc'::text, now())",
            "(now() AT TIME ZONE 'utc'::text)",
            "statement_timestamp()",
        ] {
            assert!(is_server_clock(clock), "{clock}");
        }
        for other in [
            "'2024-01-01 00:00:00+00'::timestamp with time zone",
            "(now() - '01:00:00'::interval)",
            "timezone('utc'::text, (now() - '01:00:00'::interval))",
            "my_clock()",
            "nowhere()",
            "date_trunc('day'::text, now())",
        ] {
            assert!(!is_server_clock(other), "{other}");
        }
    }
}
