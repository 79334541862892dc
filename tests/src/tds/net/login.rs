//! LOGIN7 (MS-TDS 2.2.6.4), and who is let in.

use super::reader::utf16;
use crate::tds::engine::catalog::{Catalog, Login};
use crate::tds::engine::permission;
use crate::tds::error::{Reach, Result, SqlError};

#[derive(Debug, Default)]
pub(crate) struct Login7 {
    pub(crate) packet_size: u32,
    pub(crate) host: String,
    pub(crate) user: String,
    password: String,
    pub(crate) program: String,
    pub(crate) database: String,
    integrated: bool,
}

pub(crate) fn parse(message: &[u8]) -> Option<Login7> {
    let u16_at = |at: usize| Some(u16::from_le_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let bytes = |at: usize| {
        let offset = usize::from(u16_at(at)?);
        let length = usize::from(u16_at(at + 2)?) * 2;
        message.get(offset..offset + length)
    };
    let text = |at: usize| Some(utf16(bytes(at)?));
    let hidden: Vec<u8> = bytes(44)?.iter().map(|b| (b ^ 0xa5).rotate_left(4)).collect();
    Some(Login7 {
        packet_size: u32::from_le_bytes(message.get(8..12)?.try_into().ok()?),
        host: text(36)?,
        user: text(40)?,
        password: utf16(&hidden),
        program: text(48)?,
        database: text(68)?,
        integrated: message.get(25)? & 0x80 != 0,
    })
}

fn failed(user: &str) -> SqlError {
    SqlError::new(18_456, 14, format!("Login failed for user '{user}'.")).reach(Reach::Connection)
}

/// The login and its database.
pub(crate) fn authenticate(catalog: &Catalog, l: &Login7) -> Result<(Login, i32)> {
    if l.integrated {
        return Err(failed(&l.user));
    }
    let login = catalog
        .login(&l.user)
        .filter(|x| x.password == l.password)
        .ok_or_else(|| failed(&l.user))?;
    if login.disabled {
        return Err(SqlError::new(
            18_470,
            14,
            format!("Login failed for user '{}'. Reason: The account is disabled.", l.user),
        )
        .reach(Reach::Connection));
    }
    let wanted = if l.database.is_empty() { &login.default_database } else { &l.database };
    let cannot_open = || {
        SqlError::new(
            4060,
            11,
            format!("Cannot open database \"{wanted}\" requested by the login. The login failed."),
        )
        .reach(Reach::Connection)
    };
    let db = catalog.database(wanted).ok_or_else(cannot_open)?;
    if permission::user_of(db, login).is_none() {
        return Err(cannot_open());
    }
    Ok((login.clone(), db.id))
}
