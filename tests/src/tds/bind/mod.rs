//! Syntax tree to typed plans: names resolved, types and collations settled, joins ordered.

mod aggregate;
mod expr;
mod func;
mod plan;
mod query;
mod resolve;
mod visit;

use crate::tds::engine::ObjectId;
use crate::tds::engine::catalog::TableDef;
use crate::tds::engine::table::Filter;
use crate::tds::error::Result;
use crate::tds::exec::Ctx;
use crate::tds::parse::ast::{BinOp, Cte, Hints, SetOp};
use crate::tds::types::{Coll, Row, SqlType, Value};

pub(crate) use expr::{arithmetic, assign_cast, collation_conflict, convert_to};
pub(crate) use resolve::{Found, base_columns, find_object, find_schema, find_table};
pub(crate) use visit::{mask_of, mask_of_pred};

/// Where the collation of a text expression comes from (Collation precedence).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    None,
    /// Literals and variables: gives way to everything.
    Default(Coll),
    /// Columns.
    Implicit(Coll),
    /// COLLATE.
    Explicit(Coll),
    /// Two columns that differ; an error once something must be compared.
    Conflict(Coll, Coll),
}

impl Label {
    pub(crate) fn coll(self) -> Option<Coll> {
        match self {
            Label::None => None,
            Label::Default(c) | Label::Implicit(c) | Label::Explicit(c) | Label::Conflict(c, _) => {
                Some(c)
            }
        }
    }
}

/// What a scalar function does with its arguments.
pub(crate) type Body = fn(&mut Ctx<'_>, &[Value], &[SqlType]) -> Result<Value>;

/// A typed scalar expression.
#[derive(Clone, Debug)]
pub(crate) struct TExpr {
    pub(crate) ty: SqlType,
    pub(crate) label: Label,
    pub(crate) nullable: bool,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Const(Value),
    Var(usize),
    Column { depth: usize, source: usize, column: usize },
    Cast { inner: Box<TExpr>, style: Option<Box<TExpr>>, attempt: bool },
    Arith(BinOp, Box<TExpr>, Box<TExpr>),
    Concat(Box<TExpr>, Box<TExpr>),
    Negate(Box<TExpr>),
    BitNot(Box<TExpr>),
    Case { whens: Vec<(Pred, TExpr)>, otherwise: Option<Box<TExpr>> },
    Coalesce(Vec<TExpr>),
    Func { body: Body, args: Vec<TExpr> },
    Subquery(Box<QueryPlan>),
    Aggregate(usize),
    Window(usize),
}

/// A predicate: true, false or unknown.
#[derive(Clone, Debug)]
pub(crate) enum Pred {
    Compare { op: BinOp, left: Box<TExpr>, right: Box<TExpr>, coll: Option<Coll> },
    And(Box<Pred>, Box<Pred>),
    Or(Box<Pred>, Box<Pred>),
    Not(Box<Pred>),
    IsNull(Box<TExpr>),
    InList { expr: Box<TExpr>, list: Vec<TExpr>, coll: Option<Coll> },
    InQuery { expr: Box<TExpr>, plan: Box<QueryPlan>, coll: Option<Coll> },
    Exists(Box<QueryPlan>),
    Quantified { expr: Box<TExpr>, op: BinOp, all: bool, plan: Box<QueryPlan>, coll: Option<Coll> },
    Like { expr: Box<TExpr>, pattern: Box<TExpr>, escape: Option<Box<TExpr>>, coll: Option<Coll> },
}

/// A column of a source or a result.
#[derive(Clone, Debug)]
pub(crate) struct OutCol {
    pub(crate) name: String,
    pub(crate) ty: SqlType,
    pub(crate) label: Label,
    pub(crate) nullable: bool,
    pub(crate) identity: bool,
    /// Computed columns and expressions.
    pub(crate) computed: bool,
}

/// The rows of one FROM element.
#[derive(Clone, Debug)]
pub(crate) enum Rows {
    Table {
        id: ObjectId,
        hints: Hints,
    },
    Query {
        plan: Box<QueryPlan>,
        correlated: bool,
    },
    Values(Vec<Vec<TExpr>>),
    Fixed(std::sync::Arc<Vec<Row>>),
    /// `inserted` and `deleted`: the executor supplies the tuple.
    Supplied,
}

#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) alias: String,
    /// The table's own name parts, when it has no alias.
    pub(crate) qualifier: Vec<String>,
    pub(crate) columns: Vec<OutCol>,
    pub(crate) rows: Rows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AggKind {
    CountStar,
    Count,
    CountBig,
    Sum,
    Min,
    Max,
    Avg,
    StringAgg,
}

#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) kind: AggKind,
    pub(crate) arg: Option<TExpr>,
    pub(crate) separator: Option<TExpr>,
    pub(crate) distinct: bool,
    pub(crate) order: Vec<(TExpr, bool)>,
    pub(crate) ty: SqlType,
}

#[derive(Clone, Debug)]
pub(crate) enum WindowKind {
    RowNumber,
    Rank,
    DenseRank,
    Lag(Box<TExpr>, i64),
    Aggregate(Aggregate),
}

#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) kind: WindowKind,
    pub(crate) partition: Vec<TExpr>,
    pub(crate) order: Vec<(TExpr, bool)>,
}

/// How the rows of a source are found.
#[derive(Clone, Debug)]
pub(crate) enum Access {
    Scan,
    /// Equality on the leading columns of an index.
    Index {
        index: usize,
        keys: Vec<TExpr>,
        full: bool,
    },
    /// Equality on anything, through a hash table that lives as long as the statement.
    Hash {
        build: Vec<TExpr>,
        probe: Vec<TExpr>,
        colls: Vec<Option<Coll>>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepKind {
    Inner,
    Left,
    Full,
}

/// One source joined to the tuples so far.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) source: usize,
    pub(crate) kind: StepKind,
    pub(crate) access: Access,
    /// Predicates on the source alone: tested while it is read.
    pub(crate) local: Vec<Pred>,
    /// Predicates that decide whether a row joins.
    pub(crate) on: Vec<Pred>,
    /// Predicates tested on the joined tuple.
    pub(crate) after: Vec<Pred>,
    /// Key of the rows cached for one statement; 0 when they depend on the enclosing query.
    pub(crate) cache: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct JoinPlan {
    pub(crate) sources: Vec<Source>,
    pub(crate) steps: Vec<Step>,
    /// Predicates without any column of this level: tested once, first.
    pub(crate) first: Vec<Pred>,
}

#[derive(Clone, Debug)]
pub(crate) struct Grouping {
    pub(crate) keys: Vec<TExpr>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) having: Option<Pred>,
    /// Without GROUP BY there is one group, even of no rows.
    pub(crate) scalar: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum OrderKey {
    Output(usize),
    Expr(TExpr),
}

#[derive(Clone, Debug)]
pub(crate) struct SelectPlan {
    pub(crate) join: JoinPlan,
    pub(crate) grouping: Option<Grouping>,
    pub(crate) windows: Vec<Window>,
    pub(crate) items: Vec<TExpr>,
    pub(crate) assigns: Vec<(usize, TExpr)>,
    pub(crate) distinct: bool,
    pub(crate) top: Option<TExpr>,
    pub(crate) order: Vec<(OrderKey, bool)>,
}

#[derive(Clone, Debug)]
pub(crate) enum SetPlan {
    Select(Box<SelectPlan>),
    Op { op: SetOp, left: Box<SetPlan>, right: Box<SetPlan> },
}

#[derive(Clone, Debug)]
pub(crate) struct QueryPlan {
    pub(crate) body: SetPlan,
    pub(crate) columns: Vec<OutCol>,
    /// Order of a set operation; a plain SELECT orders itself.
    pub(crate) order: Vec<(usize, bool)>,
    pub(crate) offset: Option<TExpr>,
    pub(crate) fetch: Option<TExpr>,
    pub(crate) correlated: bool,
    /// Key of the result cached for one statement.
    pub(crate) cache: usize,
}

/// One level of names.
#[derive(Default)]
pub(crate) struct Scope {
    pub(crate) sources: Vec<Source>,
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) windows: Vec<Window>,
    pub(crate) allow_aggregates: bool,
    pub(crate) allow_windows: bool,
    /// While a derived table is bound its neighbours are not visible.
    pub(crate) closed: bool,
    pub(crate) uses_outer: bool,
}

/// Binds one statement.
pub(crate) struct Binder<'a, 'c> {
    pub(crate) ctx: &'a mut Ctx<'c>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) ctes: Vec<Cte>,
    pub(crate) view_depth: u32,
    /// Inside a view the owner's rights were checked already.
    pub(crate) trusted: bool,
}

impl<'a, 'c> Binder<'a, 'c> {
    pub(crate) fn new(ctx: &'a mut Ctx<'c>) -> Binder<'a, 'c> {
        Binder { ctx, scopes: Vec::new(), ctes: Vec::new(), view_depth: 0, trusted: false }
    }

    pub(crate) fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }
}

impl TExpr {
    pub(crate) fn constant(value: Value, ty: SqlType) -> TExpr {
        TExpr { ty, label: Label::None, nullable: value.is_null(), kind: Kind::Const(value) }
    }
}

/// The rows a filtered index holds.
pub(crate) fn row_filter(def: &TableDef, text: &str) -> Option<Filter> {
    let pred = resolve::row_predicate(def, text).ok()?;
    Some(std::sync::Arc::new(move |row: &[Value]| simple_truth(&pred, row)))
}

/// Index filters compare columns with constants only, so they need no session.
fn simple_truth(pred: &Pred, row: &[Value]) -> bool {
    crate::tds::exec::eval::pure_predicate(pred, row) == Some(true)
}
