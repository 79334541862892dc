//! The syntax tree.

use crate::tds::engine::catalog::Generated;
use crate::tds::types::SqlType;

pub(crate) type Ident = String;

/// A name of one to three parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjName {
    pub(crate) db: Option<Ident>,
    pub(crate) schema: Option<Ident>,
    pub(crate) name: Ident,
}

impl ObjName {
    pub(crate) fn bare(name: &str) -> ObjName {
        ObjName { db: None, schema: None, name: name.to_owned() }
    }

    /// The name as messages quote it.
    pub(crate) fn display(&self) -> String {
        [self.db.as_deref(), self.schema.as_deref(), Some(&*self.name)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(".")
    }

    pub(crate) fn is_temp(&self) -> bool {
        self.name.starts_with('#')
    }

    /// A variable has no schema; behind one, `[@t]` is a table's name as any other.
    pub(crate) fn is_table_variable(&self) -> bool {
        self.db.is_none() && self.schema.is_none() && self.name.starts_with('@')
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BinOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    BitAnd,
    BitOr,
    BitXor,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl BinOp {
    pub(crate) fn is_comparison(self) -> bool {
        matches!(self, BinOp::Eq | BinOp::Ne | BinOp::Lt | BinOp::Le | BinOp::Gt | BinOp::Ge)
    }

    /// The operator's name in messages.
    pub(crate) fn words(self) -> &'static str {
        match self {
            BinOp::Add => "add",
            BinOp::Sub => "subtract",
            BinOp::Mul => "multiply",
            BinOp::Div => "divide",
            BinOp::Mod => "modulo",
            BinOp::BitAnd => "'&'",
            BinOp::BitOr => "'|'",
            BinOp::BitXor => "'^'",
            BinOp::Eq => "equal to",
            BinOp::Ne => "not equal to",
            BinOp::Lt => "less than",
            BinOp::Le => "less than or equal to",
            BinOp::Gt => "greater than",
            BinOp::Ge => "greater than or equal to",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct OrderItem {
    pub(crate) expr: Expr,
    pub(crate) desc: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Over {
    pub(crate) partition: Vec<Expr>,
    pub(crate) order: Vec<OrderItem>,
}

/// Scalar expressions and predicates; the binder tells them apart.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Null,
    Default,
    Number(String),
    Str(String),
    NStr(String),
    Hex(Vec<u8>),
    Column(Vec<Ident>),
    Var(String),
    SysVar(String),
    Negate(Box<Expr>),
    BitNot(Box<Expr>),
    Binary(BinOp, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    IsNull(Box<Expr>, bool),
    Between {
        expr: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        not: bool,
    },
    InList {
        expr: Box<Expr>,
        list: Vec<Expr>,
        not: bool,
    },
    InQuery {
        expr: Box<Expr>,
        query: Box<Query>,
        not: bool,
    },
    Like {
        expr: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
        not: bool,
    },
    Exists(Box<Query>),
    /// `expr op ANY|ALL (query)`.
    Quantified {
        expr: Box<Expr>,
        op: BinOp,
        all: bool,
        query: Box<Query>,
    },
    Case {
        operand: Option<Box<Expr>>,
        whens: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast {
        expr: Box<Expr>,
        ty: SqlType,
        style: Option<Box<Expr>>,
        attempt: bool,
    },
    Collate(Box<Expr>, String),
    Func {
        name: String,
        args: Vec<Expr>,
        distinct: bool,
        star: bool,
        over: Option<Over>,
        within: Vec<OrderItem>,
    },
    Subquery(Box<Query>),
    AtTimeZone,
}

#[derive(Clone, Debug)]
pub(crate) struct Cte {
    pub(crate) name: Ident,
    pub(crate) columns: Vec<Ident>,
    pub(crate) query: Query,
}

#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) ctes: Vec<Cte>,
    pub(crate) body: SetExpr,
    pub(crate) order: Vec<OrderItem>,
    pub(crate) offset: Option<Expr>,
    pub(crate) fetch: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetOp {
    Union,
    UnionAll,
    Except,
    Intersect,
}

#[derive(Clone, Debug)]
pub(crate) enum SetExpr {
    Select(Box<Select>),
    Op(SetOp, Box<SetExpr>, Box<SetExpr>),
}

#[derive(Clone, Debug)]
pub(crate) struct Select {
    pub(crate) distinct: bool,
    pub(crate) top: Option<Expr>,
    pub(crate) items: Vec<Item>,
    pub(crate) into: Option<ObjName>,
    pub(crate) from: Vec<TableRef>,
    pub(crate) filter: Option<Expr>,
    pub(crate) group: Vec<Expr>,
    pub(crate) having: Option<Expr>,
}

#[derive(Clone, Debug)]
pub(crate) enum Item {
    Star(Vec<Ident>),
    Expr { expr: Expr, alias: Option<Ident> },
    Assign { var: String, op: Option<BinOp>, expr: Expr },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
    Cross,
    CrossApply,
    OuterApply,
}

#[derive(Clone, Debug)]
pub(crate) enum TableRef {
    Table { name: ObjName, alias: Option<Ident>, hints: Hints },
    Variable { name: String, alias: Option<Ident> },
    Derived { query: Box<Query>, alias: Ident, columns: Vec<Ident> },
    Values { rows: Vec<Vec<Expr>>, alias: Ident, columns: Vec<Ident> },
    Join { kind: JoinKind, left: Box<TableRef>, right: Box<TableRef>, on: Option<Expr> },
}

/// Table hints that change what the double does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hints {
    pub(crate) updlock: bool,
    pub(crate) xlock: bool,
    pub(crate) serializable: bool,
    pub(crate) repeatable: bool,
    pub(crate) nolock: bool,
    pub(crate) readpast: bool,
    pub(crate) tablock: bool,
    pub(crate) tablockx: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Target {
    Table(ObjName, Hints),
    Variable(String),
}

#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) items: Vec<Item>,
    pub(crate) into: Option<(Target, Option<Vec<Ident>>)>,
}

#[derive(Clone, Debug)]
pub(crate) enum InsertSource {
    Values(Vec<Vec<Expr>>),
    Query(Box<Query>),
    Defaults,
}

#[derive(Clone, Debug)]
pub(crate) struct Insert {
    pub(crate) ctes: Vec<Cte>,
    pub(crate) target: Target,
    pub(crate) columns: Option<Vec<Ident>>,
    pub(crate) output: Option<Output>,
    pub(crate) source: InsertSource,
}

#[derive(Clone, Debug)]
pub(crate) struct Assignment {
    pub(crate) variable: Option<String>,
    pub(crate) column: Option<Ident>,
    pub(crate) op: Option<BinOp>,
    pub(crate) expr: Expr,
}

#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) ctes: Vec<Cte>,
    pub(crate) top: Option<Expr>,
    pub(crate) target: Target,
    pub(crate) sets: Vec<Assignment>,
    pub(crate) output: Option<Output>,
    pub(crate) from: Vec<TableRef>,
    pub(crate) filter: Option<Expr>,
}

#[derive(Clone, Debug)]
pub(crate) struct Delete {
    pub(crate) ctes: Vec<Cte>,
    pub(crate) top: Option<Expr>,
    pub(crate) target: Target,
    pub(crate) output: Option<Output>,
    pub(crate) from: Vec<TableRef>,
    pub(crate) filter: Option<Expr>,
}

/// An expression kept with its text, as the catalog stores it.
#[derive(Clone, Debug)]
pub(crate) struct Texted {
    pub(crate) text: String,
}

#[derive(Clone, Debug)]
pub(crate) struct ColumnDef {
    pub(crate) name: Ident,
    pub(crate) ty: Option<SqlType>,
    pub(crate) computed: Option<(Texted, bool)>,
    pub(crate) collation: Option<String>,
    pub(crate) nullable: Option<bool>,
    pub(crate) identity: Option<(i64, i64)>,
    pub(crate) generated: Option<Generated>,
    pub(crate) constraints: Vec<ConstraintDef>,
}

#[derive(Clone, Debug)]
pub(crate) enum ConstraintKind {
    Key { primary: bool, clustered: Option<bool>, columns: Vec<(Ident, bool)> },
    Check(Texted),
    Foreign { columns: Vec<Ident>, table: ObjName, referenced: Vec<Ident> },
    Default { value: Texted, column: Ident },
}

#[derive(Clone, Debug)]
pub(crate) struct ConstraintDef {
    pub(crate) name: Option<Ident>,
    pub(crate) kind: ConstraintKind,
}

#[derive(Clone, Debug)]
pub(crate) struct IndexDef {
    pub(crate) name: Ident,
    pub(crate) table: ObjName,
    pub(crate) unique: bool,
    pub(crate) clustered: bool,
    pub(crate) columns: Vec<(Ident, bool)>,
    pub(crate) include: Vec<Ident>,
    pub(crate) filter: Option<Texted>,
    pub(crate) ignore_dup_key: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum AlterTable {
    Add { columns: Vec<ColumnDef>, constraints: Vec<ConstraintDef>, check: bool },
    AlterColumn { name: Ident, ty: SqlType, collation: Option<String>, nullable: Option<bool> },
    Drop { columns: Vec<Ident>, constraints: Vec<Ident>, if_exists: bool },
    EnableConstraint { name: Option<Ident>, enable: bool },
}

#[derive(Clone, Debug)]
pub(crate) enum Securable {
    Database(Option<Ident>),
    Schema(Ident),
    Object(ObjName),
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrantAction {
    Grant,
    Deny,
    Revoke,
}

#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) action: GrantAction,
    pub(crate) permissions: Vec<String>,
    pub(crate) on: Option<Securable>,
    pub(crate) to: Vec<Ident>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LoginOptions {
    pub(crate) password: Option<String>,
    pub(crate) default_database: Option<Ident>,
    pub(crate) name: Option<Ident>,
    pub(crate) enable: Option<bool>,
    pub(crate) check_policy: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct UserOptions {
    pub(crate) login: Option<Ident>,
    pub(crate) without_login: bool,
    pub(crate) default_schema: Option<Ident>,
    pub(crate) name: Option<Ident>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropKind {
    Table,
    View,
    Schema,
    Database,
    Login,
    User,
    Role,
}

#[derive(Clone, Debug)]
pub(crate) enum Ddl {
    CreateTable { name: ObjName, columns: Vec<ColumnDef>, constraints: Vec<ConstraintDef> },
    AlterTable { name: ObjName, change: AlterTable },
    CreateIndex(IndexDef),
    DropIndex { name: Ident, table: ObjName, if_exists: bool },
    CreateSchema { name: Ident, owner: Option<Ident> },
    CreateView { name: ObjName, columns: Vec<Ident>, text: String, alter: bool },
    CreateDatabase { name: Ident, collation: Option<String> },
    AlterDatabase { name: Option<Ident>, settings: Vec<(String, String)> },
    CreateLogin { name: Ident, options: LoginOptions },
    AlterLogin { name: Ident, options: LoginOptions },
    CreateUser { name: Ident, options: UserOptions },
    AlterUser { name: Ident, options: UserOptions },
    CreateRole { name: Ident, owner: Option<Ident> },
    AlterRole { name: Ident, member: Ident, add: bool, server: bool },
    AlterAuthorization { on: Securable, to: Ident },
    Drop { kind: DropKind, names: Vec<ObjName>, if_exists: bool },
    Grant(Grant),
}

#[derive(Clone, Debug)]
pub(crate) struct ExecArg {
    pub(crate) name: Option<String>,
    pub(crate) value: Expr,
    pub(crate) output: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum SetOption {
    /// Options that are on or off, by name.
    Flag(String, bool),
    LockTimeout(i64),
    DeadlockPriority(i32),
    Isolation(Isolation),
    IdentityInsert(ObjName, bool),
    /// Options that change nothing here, such as `DATEFORMAT mdy`.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
    Snapshot,
}

#[derive(Clone, Debug)]
pub(crate) struct BulkColumn {
    pub(crate) name: Ident,
    pub(crate) ty: SqlType,
    pub(crate) collation: Option<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct InsertBulk {
    pub(crate) table: ObjName,
    pub(crate) columns: Vec<BulkColumn>,
    pub(crate) check_constraints: bool,
    pub(crate) keep_nulls: bool,
    pub(crate) tablock: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum StmtKind {
    Query { query: Query },
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Truncate(ObjName),
    InsertBulk(InsertBulk),
    Declare(Vec<(String, SqlType, Option<Expr>)>),
    DeclareTable { name: String, columns: Vec<ColumnDef>, constraints: Vec<ConstraintDef> },
    SetVar { name: String, op: Option<BinOp>, expr: Expr },
    Set(Vec<SetOption>),
    If { condition: Expr, then: Box<Stmt>, otherwise: Option<Box<Stmt>> },
    While { condition: Expr, body: Box<Stmt> },
    Block(Vec<Stmt>),
    Break,
    Continue,
    Return(Option<Expr>),
    Try { body: Vec<Stmt>, catch: Vec<Stmt> },
    Throw(Option<(Expr, Expr, Expr)>),
    Raiserror { message: Expr, severity: Expr, state: Expr, args: Vec<Expr> },
    Print(Expr),
    Begin(Option<String>),
    Commit,
    Rollback(Option<String>),
    Save(String),
    ExecString(Expr),
    ExecProc { result: Option<String>, name: ObjName, args: Vec<ExecArg> },
    Use(Ident),
    WaitFor(Expr),
    Ddl(Ddl),
}

/// A statement and the line on which it starts.
#[derive(Clone, Debug)]
pub(crate) struct Stmt {
    pub(crate) line: u32,
    /// The statement's own text, for faults that match it.
    pub(crate) text: std::sync::Arc<str>,
    pub(crate) kind: StmtKind,
}
