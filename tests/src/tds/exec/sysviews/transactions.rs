//! `sys.dm_tran_…`: the transactions that are open, for those with VIEW SERVER STATE.

use super::{Builder, Look, View, n, s, when};
use crate::tds::engine::permission::server_allowed;
use crate::tds::error::{Result, SqlError};
use crate::tds::exec::Ctx;
use crate::tds::types::Value;

/// Read/write, and active.
const READ_WRITE: i64 = 1;
const ACTIVE: i64 = 2;

pub(super) fn require(ctx: &Ctx<'_>) -> Result<()> {
    if server_allowed(&ctx.state.catalog, ctx.sess.login, "VIEW SERVER STATE") {
        return Ok(());
    }
    Err(SqlError::new(
        300,
        14,
        "VIEW SERVER STATE permission was denied on object 'server', database 'master'.",
    ))
}

pub(super) fn view(look: &Look<'_, '_, '_>, name: &str) -> Option<View> {
    Some(match name {
        "dm_tran_active_transactions" => active(look),
        "dm_tran_database_transactions" => by_database(look),
        _ => return None,
    })
}

fn number(descriptor: u64) -> Value {
    Value::Int(i64::try_from(descriptor).unwrap_or(i64::MAX))
}

fn active(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "transaction_id bigint, name n60, transaction_begin_time datetime, transaction_type int, transaction_state int",
        look.coll(),
    );
    for txn in look.ctx.state.txns.values() {
        v.row(vec![
            number(txn.descriptor),
            s("user_transaction"),
            when(txn.begun),
            n(READ_WRITE),
            n(ACTIVE),
        ]);
    }
    v.done()
}

fn by_database(look: &Look<'_, '_, '_>) -> View {
    let mut v = Builder::new(
        "transaction_id bigint, database_id int, database_transaction_begin_time datetime?, database_transaction_type int, database_transaction_state int",
        look.coll(),
    );
    for (session, txn) in &look.ctx.state.txns {
        let Some(info) = look.ctx.state.sessions.get(session) else { continue };
        v.row(vec![
            number(txn.descriptor),
            n(info.database),
            when(txn.begun),
            n(READ_WRITE),
            n(ACTIVE),
        ]);
    }
    v.done()
}
