//! Logins, users, roles, permissions.

use super::Parser;
use super::ast::{Ddl, Grant, GrantAction, LoginOptions, Securable, StmtKind, UserOptions};
use super::lexer::TokenKind;
use crate::tds::error::{Result, unsupported};

impl Parser<'_> {
    pub(super) fn login_options(&mut self, create: bool) -> Result<LoginOptions> {
        let mut out = LoginOptions::default();
        if self.eat_word("ENABLE") {
            out.enable = Some(true);
            return Ok(out);
        }
        if self.eat_word("DISABLE") {
            out.enable = Some(false);
            return Ok(out);
        }
        if self.is_word("FROM") {
            return Err(unsupported("CREATE LOGIN FROM WINDOWS, EXTERNAL PROVIDER or CERTIFICATE"));
        }
        self.expect_word("WITH")?;
        loop {
            let name = self.any_word()?;
            if name == "UNLOCK" && !create {
                if !self.eat(",") {
                    break;
                }
                continue;
            }
            self.expect("=")?;
            match name.as_str() {
                "PASSWORD" => {
                    if matches!(self.peek(), TokenKind::Hex(_)) {
                        return Err(unsupported("PASSWORD = 0x... HASHED"));
                    }
                    out.password = Some(self.string()?);
                    if self.eat_word("OLD_PASSWORD") {
                        self.expect("=")?;
                        self.string()?;
                    }
                    while self.eat_word("MUST_CHANGE") || self.eat_word("UNLOCK") {}
                }
                "DEFAULT_DATABASE" => out.default_database = Some(self.ident()?),
                "DEFAULT_LANGUAGE" => {
                    self.ident()?;
                }
                "NAME" => out.name = Some(self.ident()?),
                "SID" => {
                    self.next();
                }
                "CHECK_POLICY" => out.check_policy = Some(self.on_off()?),
                "CHECK_EXPIRATION" => {
                    self.on_off()?;
                }
                other => return Err(unsupported(format!("login option {other}"))),
            }
            if !self.eat(",") {
                break;
            }
        }
        Ok(out)
    }

    pub(super) fn user_options(&mut self) -> Result<UserOptions> {
        let mut out = UserOptions::default();
        if self.eat_word("FOR") || self.eat_word("FROM") {
            if !self.eat_word("LOGIN") {
                return Err(unsupported("CREATE USER FROM other than LOGIN"));
            }
            out.login = Some(self.ident()?);
        } else if self.eat_words(&["WITHOUT", "LOGIN"]) {
            out.without_login = true;
        }
        if self.eat_word("WITH") {
            loop {
                let name = self.any_word()?;
                self.expect("=")?;
                match name.as_str() {
                    "DEFAULT_SCHEMA" => out.default_schema = Some(self.ident()?),
                    "NAME" => out.name = Some(self.ident()?),
                    "LOGIN" => out.login = Some(self.ident()?),
                    other => return Err(unsupported(format!("user option {other}"))),
                }
                if !self.eat(",") {
                    break;
                }
            }
        }
        Ok(out)
    }

    pub(super) fn alter_role(&mut self, server: bool) -> Result<Ddl> {
        let name = self.ident()?;
        let add = match self.any_word()?.as_str() {
            "ADD" => true,
            "DROP" => false,
            other => return Err(unsupported(format!("ALTER ROLE ... {other}"))),
        };
        self.expect_word("MEMBER")?;
        Ok(Ddl::AlterRole { name, member: self.ident()?, add, server })
    }

    pub(super) fn grant(&mut self) -> Result<StmtKind> {
        let action = match self.any_word()?.as_str() {
            "GRANT" => GrantAction::Grant,
            "DENY" => GrantAction::Deny,
            _ => GrantAction::Revoke,
        };
        if action == GrantAction::Revoke && self.eat_words(&["GRANT", "OPTION", "FOR"]) {
            return Err(unsupported("REVOKE GRANT OPTION FOR"));
        }
        let mut permissions = Vec::new();
        loop {
            let mut words = Vec::new();
            while !self.is(",")
                && !self.is_word("ON")
                && !self.is_word("TO")
                && !self.is_word("FROM")
            {
                if self.is("(") {
                    return Err(unsupported("column permissions"));
                }
                words.push(self.any_word()?);
            }
            if words.is_empty() {
                return Err(self.unexpected());
            }
            permissions.push(words.join(" "));
            if !self.eat(",") {
                break;
            }
        }
        let on = if self.eat_word("ON") { Some(self.securable()?) } else { None };
        let revoked_from = action == GrantAction::Revoke && self.eat_word("FROM");
        if !revoked_from {
            self.expect_word("TO")?;
        }
        let mut to = vec![self.grantee()?];
        while self.eat(",") {
            to.push(self.grantee()?);
        }
        if self.is_word("WITH") && self.is_word_at(1, "GRANT") {
            return Err(unsupported("WITH GRANT OPTION"));
        }
        self.eat_word("CASCADE");
        if self.is_word("AS") {
            return Err(unsupported("GRANT ... AS"));
        }
        Ok(StmtKind::Ddl(Ddl::Grant(Grant { action, permissions, on, to })))
    }

    fn grantee(&mut self) -> Result<String> {
        if self.eat_word("PUBLIC") { Ok("public".to_owned()) } else { self.ident() }
    }

    pub(super) fn securable(&mut self) -> Result<Securable> {
        let class = match self.peek() {
            TokenKind::Word(w) if matches!(self.peek_at(1), TokenKind::Punct("::")) => {
                Some(w.to_ascii_uppercase())
            }
            _ => None,
        };
        if class.is_some() {
            self.next();
            self.next();
        }
        match class.as_deref() {
            None | Some("OBJECT") => Ok(Securable::Object(self.obj_name()?)),
            Some("SCHEMA") => Ok(Securable::Schema(self.ident()?)),
            Some("DATABASE") => Ok(Securable::Database(Some(self.ident()?))),
            Some("SERVER") => Ok(Securable::Server),
            Some(other) => Err(unsupported(format!("securable class {other}"))),
        }
    }
}
