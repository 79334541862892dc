//! Locks that are not rows: application locks, key ranges, tables, the catalog.

use std::collections::HashMap;

use super::{ObjectId, SessionId};
use crate::tds::types::key::Key;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppMode {
    IntentShared,
    Shared,
    Update,
    IntentExclusive,
    Exclusive,
}

impl AppMode {
    pub(crate) fn parse(text: &str) -> Option<AppMode> {
        Some(match text.to_ascii_lowercase().as_str() {
            "intentshared" => AppMode::IntentShared,
            "shared" => AppMode::Shared,
            "update" => AppMode::Update,
            "intentexclusive" => AppMode::IntentExclusive,
            "exclusive" => AppMode::Exclusive,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            AppMode::IntentShared => "IntentShared",
            AppMode::Shared => "Shared",
            AppMode::Update => "Update",
            AppMode::IntentExclusive => "IntentExclusive",
            AppMode::Exclusive => "Exclusive",
        }
    }

    fn compatible(self, other: AppMode) -> bool {
        use AppMode::{Exclusive, IntentExclusive, IntentShared, Shared, Update};
        match (self, other) {
            (Exclusive, _) | (_, Exclusive) => false,
            (IntentShared, _) | (_, IntentShared) => true,
            (Shared, Shared | Update) | (Update, Shared) => true,
            (IntentExclusive, IntentExclusive) => true,
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppOwner {
    Transaction,
    Session,
}

#[derive(Clone, Debug)]
struct AppHolder {
    session: SessionId,
    owner: AppOwner,
    mode: AppMode,
    count: u32,
}

/// Database, principal and resource; resources are compared byte by byte.
pub(crate) type AppResource = (i32, String, String);

#[derive(Default)]
pub(crate) struct Locks {
    app: HashMap<AppResource, Vec<AppHolder>>,
    keys: HashMap<(ObjectId, Key), SessionId>,
    tables: HashMap<ObjectId, (SessionId, bool)>,
    /// Who changes the catalog in an open transaction, and the names changed.
    pub(crate) ddl: Option<(SessionId, Vec<String>)>,
    /// Who waits for whom.
    pub(crate) waits: HashMap<SessionId, SessionId>,
    /// How often each session has let go of something.
    released: HashMap<SessionId, u64>,
    /// Sessions chosen to break a deadlock.
    pub(crate) victims: Vec<SessionId>,
}

impl Locks {
    /// `Ok(true)` when it was granted after others let go is the caller's to know; here only
    /// granted or the holder in the way.
    pub(crate) fn app_lock(
        &mut self,
        resource: &AppResource,
        session: SessionId,
        owner: AppOwner,
        mode: AppMode,
    ) -> Result<(), SessionId> {
        let holders = self.app.entry(resource.clone()).or_default();
        if let Some(h) = holders.iter().find(|h| h.session != session && !h.mode.compatible(mode)) {
            return Err(h.session);
        }
        match holders
            .iter_mut()
            .find(|h| h.session == session && h.owner == owner && h.mode == mode)
        {
            Some(h) => h.count += 1,
            None => holders.push(AppHolder { session, owner, mode, count: 1 }),
        }
        Ok(())
    }

    pub(crate) fn app_free(
        &self,
        resource: &AppResource,
        session: SessionId,
        mode: AppMode,
    ) -> bool {
        self.app
            .get(resource)
            .is_none_or(|hs| hs.iter().all(|h| h.session == session || h.mode.compatible(mode)))
    }

    /// The mode held, for `APPLOCK_MODE`.
    pub(crate) fn app_mode(
        &self,
        resource: &AppResource,
        session: SessionId,
        owner: AppOwner,
    ) -> Option<AppMode> {
        self.app
            .get(resource)?
            .iter()
            .find(|h| h.session == session && h.owner == owner)
            .map(|h| h.mode)
    }

    /// False when the session does not hold it.
    pub(crate) fn app_release(
        &mut self,
        resource: &AppResource,
        session: SessionId,
        owner: AppOwner,
    ) -> bool {
        let Some(holders) = self.app.get_mut(resource) else { return false };
        let Some(i) = holders.iter().position(|h| h.session == session && h.owner == owner) else {
            return false;
        };
        holders[i].count -= 1;
        *self.released.entry(session).or_default() += 1;
        if holders[i].count == 0 {
            holders.remove(i);
        }
        if holders.is_empty() {
            self.app.remove(resource);
        }
        true
    }

    /// Locks a key of an index, whether a row has it or not.
    pub(crate) fn key_lock(
        &mut self,
        table: ObjectId,
        key: &Key,
        session: SessionId,
    ) -> Result<(), SessionId> {
        match self.keys.get(&(table, key.clone())) {
            Some(holder) if *holder != session => Err(*holder),
            Some(_) => Ok(()),
            None => {
                self.keys.insert((table, key.clone()), session);
                Ok(())
            }
        }
    }

    /// Who else has locked the key.
    pub(crate) fn key_holder(
        &self,
        table: ObjectId,
        key: &Key,
        session: SessionId,
    ) -> Option<SessionId> {
        if self.keys.is_empty() {
            return None;
        }
        self.keys.get(&(table, key.clone())).copied().filter(|h| *h != session)
    }

    /// Locks a table against writers, and with `exclusive` against readers too.
    pub(crate) fn table_lock(
        &mut self,
        table: ObjectId,
        session: SessionId,
        exclusive: bool,
    ) -> Result<(), SessionId> {
        match self.tables.get_mut(&table) {
            Some((holder, _)) if *holder != session => Err(*holder),
            Some((_, x)) => {
                *x |= exclusive;
                Ok(())
            }
            None => {
                self.tables.insert(table, (session, exclusive));
                Ok(())
            }
        }
    }

    pub(crate) fn table_holder(
        &self,
        table: ObjectId,
        session: SessionId,
        write: bool,
    ) -> Option<SessionId> {
        self.tables.get(&table).filter(|(h, x)| *h != session && (write || *x)).map(|(h, _)| *h)
    }

    /// Changes whenever the session lets go of something.
    pub(crate) fn generation(&self, session: SessionId) -> u64 {
        self.released.get(&session).copied().unwrap_or(0)
    }

    pub(crate) fn let_go(&mut self, session: SessionId) {
        *self.released.entry(session).or_default() += 1;
    }

    /// Lets go of everything that ends with the transaction.
    pub(crate) fn end_transaction(&mut self, session: SessionId) {
        self.let_go(session);
        self.keys.retain(|_, h| *h != session);
        self.tables.retain(|_, (h, _)| *h != session);
        if self.ddl.as_ref().is_some_and(|(s, _)| *s == session) {
            self.ddl = None;
        }
        self.release_app(session, AppOwner::Transaction);
    }

    pub(crate) fn end_session(&mut self, session: SessionId) {
        self.end_transaction(session);
        self.release_app(session, AppOwner::Session);
        self.waits.remove(&session);
        self.victims.retain(|s| *s != session);
    }

    fn release_app(&mut self, session: SessionId, owner: AppOwner) {
        self.app.retain(|_, holders| {
            holders.retain(|h| h.session != session || h.owner != owner);
            !holders.is_empty()
        });
    }

    /// The sessions of a cycle that waiting for `holder` would close.
    pub(crate) fn cycle(&self, session: SessionId, holder: SessionId) -> Option<Vec<SessionId>> {
        let mut seen = vec![session];
        let mut at = holder;
        loop {
            if at == session {
                return Some(seen);
            }
            if seen.contains(&at) {
                return None;
            }
            seen.push(at);
            at = *self.waits.get(&at)?;
        }
    }
}
