//! What is tried: a type at the source, values of it, and what each must be in the target.

/// What must become of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// It arrives, and shows this text there; see [`Shape`].
    Is(&'static str),
    /// It arrives without what the config says may be cut off, and shows this text there.
    Cut(&'static str),
    /// The run stops before anything is written, with the column's name and this word.
    Refused(&'static str),
}

/// How a value shows in a target: one text per value, whichever database it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `-12`, `12.50`
    Number,
    /// The nearest text, of 4 bytes: `-0.0`, `1e-45`
    Real,
    /// The same of 8 bytes.
    Double,
    /// `true`
    Bool,
    /// As it is.
    Text,
    /// `00ff`
    Bytes,
    /// `2024-02-29`
    Date,
    /// `23:59:59.999999`
    Time,
    /// `2024-02-29T23:59:59.999999`
    Timestamp,
    /// `2024-02-29T23:59:59.999999Z`
    Instant,
    /// `00112233-4455-6677-8899-aabbccddeeff`
    Uuid,
}

/// A value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    /// The value in the source's SQL.
    pub(super) sql: &'static str,
    want: Want,
    /// Targets where it is something else.
    except: &'static [(&'static str, Want)],
}

impl Cell {
    pub(super) fn want(&self, target: &str) -> Want {
        let other = self.except.iter().find(|(kind, _)| *kind == target);
        other.map_or(self.want, |(_, want)| *want)
    }

    /// Something else in one target.
    pub(super) const fn but(mut self, except: &'static [(&'static str, Want)]) -> Self {
        self.except = except;
        self
    }
}

/// It arrives, and shows this text.
pub(super) const fn is(sql: &'static str, text: &'static str) -> Cell {
    Cell { sql, want: Want::Is(text), except: &[] }
}

/// It arrives, and shows as it is written in SQL without quotes.
pub(super) const fn same(literal: &'static str) -> Cell {
    is(literal, literal)
}

/// It arrives without what the config says may be cut off.
pub(super) const fn cut(sql: &'static str, text: &'static str) -> Cell {
    Cell { sql, want: Want::Cut(text), except: &[] }
}

/// It is refused, with this word.
pub(super) const fn no(sql: &'static str, word: &'static str) -> Cell {
    Cell { sql, want: Want::Refused(word), except: &[] }
}

/// A type at the source and values of it; NULL is tried with every type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    /// The type as the source declares it.
    pub(super) kind: &'static str,
    /// What the config says under `columns`.
    pub(super) declared: Option<&'static str>,
    pub(super) shape: Shape,
    pub(super) cells: &'static [Cell],
    /// Whether only the real server has it, and the double does not.
    pub(super) real_only: bool,
}

/// A type that needs no declaration.
pub(super) const fn case(kind: &'static str, shape: Shape, cells: &'static [Cell]) -> Case {
    Case { kind, declared: None, shape, cells, real_only: false }
}

/// A type with a declaration.
pub(super) const fn declared(
    kind: &'static str,
    declared: &'static str,
    shape: Shape,
    cells: &'static [Cell],
) -> Case {
    Case { kind, declared: Some(declared), shape, cells, real_only: false }
}

impl Case {
    pub(super) const fn real_only(mut self) -> Self {
        self.real_only = true;
        self
    }

    /// The type, and its declaration, for messages.
    pub(super) fn name(&self) -> String {
        match self.declared {
            Some(declared) => format!("{} as {declared}", self.kind),
            None => self.kind.to_owned(),
        }
    }
}

/// `ä*9000` stands for that many of them.
pub(super) fn expand(text: &str) -> String {
    match text.rsplit_once('*').and_then(|(part, times)| Some((part, times.parse().ok()?))) {
        Some((part, times)) => part.repeat(times),
        None => text.to_owned(),
    }
}

/// `decimal(38,s)` or `numeric(38,s)` for every s: the greatest, the least, the least above zero.
pub(super) fn every_scale(name: &str) -> Vec<Case> {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let of = |scale: usize| {
        let nines = "9".repeat(38);
        let (whole, fraction) = nines.split_at(38 - scale);
        let whole = if whole.is_empty() { "0" } else { whole };
        let most = if scale == 0 { nines.clone() } else { format!("{whole}.{fraction}") };
        let least = if scale == 0 { "1".to_owned() } else { format!("0.{:0>scale$}", 1) };
        let zero = if scale == 0 { "0".to_owned() } else { format!("0.{}", "0".repeat(scale)) };
        let cells = vec![
            same(leak(most.clone())),
            same(leak(format!("-{most}"))),
            same(leak(least.clone())),
            same(leak(format!("-{least}"))),
            is("0", leak(zero)),
        ];
        let kind = leak(format!("{name}(38,{scale})"));
        case(kind, Shape::Number, Box::leak(cells.into_boxed_slice()))
    };
    (0..=38).map(of).collect()
}
