//! The rows of one table and its indexes.
//!
//! A changed row keeps its committed version beside the current one, with the session that
//! changed it: that mark is the exclusive lock. Index entries exist for both versions until the
//! transaction ends, so whoever looks for the old or the new key meets the lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::SessionId;
use super::catalog::TableDef;
use crate::tds::types::key::{self, Key};
use crate::tds::types::{Coll, Row, Value};

pub(crate) type RowId = u32;

#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) cur: Option<Row>,
    pub(crate) dirty: Option<Box<Dirty>>,
}

/// The version before the transaction, and who changed it.
#[derive(Debug, Clone)]
pub(crate) struct Dirty {
    pub(crate) writer: SessionId,
    pub(crate) committed: Option<Row>,
}

/// The rows under one key.
#[derive(Debug, Clone)]
pub(crate) enum Ids {
    One(RowId),
    Many(Vec<RowId>),
}

impl Ids {
    pub(crate) fn as_slice(&self) -> &[RowId] {
        match self {
            Ids::One(id) => std::slice::from_ref(id),
            Ids::Many(ids) => ids,
        }
    }
}

/// Which rows a filtered index holds.
pub(crate) type Filter = Arc<dyn Fn(&[Value]) -> bool + Send + Sync>;

pub(crate) struct IndexData {
    pub(crate) unique: bool,
    pub(crate) columns: Vec<(usize, Option<Coll>)>,
    pub(crate) filter: Option<Filter>,
    pub(crate) map: BTreeMap<Key, Ids>,
}

impl IndexData {
    /// The row's key; `None` when the filter leaves it out.
    pub(crate) fn key(&self, row: &[Value]) -> Option<Key> {
        if self.filter.as_ref().is_some_and(|f| !f(row)) {
            return None;
        }
        let mut out = Vec::with_capacity(self.columns.len() * 10);
        for (i, coll) in &self.columns {
            key::push(&mut out, &row[*i], *coll);
        }
        Some(out.into_boxed_slice())
    }

    fn insert(&mut self, key: Key, id: RowId) {
        match self.map.entry(key) {
            std::collections::btree_map::Entry::Vacant(v) => {
                v.insert(Ids::One(id));
            }
            std::collections::btree_map::Entry::Occupied(mut o) => {
                let ids = o.get_mut();
                if ids.as_slice().contains(&id) {
                    return;
                }
                let mut all = ids.as_slice().to_vec();
                all.push(id);
                *ids = Ids::Many(all);
            }
        }
    }

    fn remove(&mut self, key: &Key, id: RowId) {
        let Some(ids) = self.map.get_mut(key) else { return };
        let rest: Vec<RowId> = ids.as_slice().iter().copied().filter(|x| *x != id).collect();
        match rest.as_slice() {
            [] => {
                self.map.remove(key);
            }
            [one] => *ids = Ids::One(*one),
            _ => *ids = Ids::Many(rest),
        }
    }
}

#[derive(Default)]
pub(crate) struct TableData {
    pub(crate) slots: Vec<Slot>,
    free: Vec<RowId>,
    pub(crate) indexes: Vec<IndexData>,
    /// The last identity value given out.
    pub(crate) identity: Option<i64>,
    pub(crate) live: usize,
}

impl TableData {
    pub(crate) fn new(def: &TableDef, filters: &dyn Fn(&str) -> Option<Filter>) -> TableData {
        let mut data = TableData::default();
        data.build_indexes(def, filters);
        data
    }

    /// Makes the indexes anew from the definition and the rows.
    pub(crate) fn build_indexes(
        &mut self,
        def: &TableDef,
        filters: &dyn Fn(&str) -> Option<Filter>,
    ) {
        self.indexes = def
            .indexes
            .iter()
            .map(|i| IndexData {
                unique: i.unique,
                columns: i.keys.iter().map(|(c, _)| (*c, def.columns[*c].collation)).collect(),
                filter: i.filter.as_deref().and_then(filters),
                map: BTreeMap::new(),
            })
            .collect();
        for (n, slot) in self.slots.iter().enumerate() {
            let id = RowId::try_from(n).unwrap_or(RowId::MAX);
            let old = slot.dirty.as_ref().and_then(|d| d.committed.as_ref());
            for row in slot.cur.iter().chain(old) {
                for index in &mut self.indexes {
                    if let Some(key) = index.key(row) {
                        index.insert(key, id);
                    }
                }
            }
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = RowId> + use<> {
        0..RowId::try_from(self.slots.len()).unwrap_or(RowId::MAX)
    }

    pub(crate) fn slot(&self, id: RowId) -> Option<&Slot> {
        self.slots.get(usize::try_from(id).ok()?)
    }

    /// A place for a new row; the caller sets it.
    pub(crate) fn allocate(&mut self) -> RowId {
        if let Some(id) = self.free.pop() {
            return id;
        }
        self.slots.push(Slot::default());
        RowId::try_from(self.slots.len() - 1).unwrap_or(RowId::MAX)
    }

    /// Sets the current version and keeps the indexes right. Returns the version before, and
    /// whether the row was changed by this transaction already.
    pub(crate) fn set(
        &mut self,
        id: RowId,
        row: Option<Row>,
        writer: SessionId,
    ) -> (Option<Row>, bool) {
        let Some(slot) = usize::try_from(id).ok().and_then(|i| self.slots.get_mut(i)) else {
            return (None, false);
        };
        let before = slot.cur.take();
        let was_dirty = slot.dirty.is_some();
        if !was_dirty {
            slot.dirty = Some(Box::new(Dirty { writer, committed: before.clone() }));
        }
        let committed = slot.dirty.as_ref().and_then(|d| d.committed.clone());
        slot.cur = row.clone();
        self.live = self.live + usize::from(row.is_some()) - usize::from(before.is_some());
        self.reindex(id, before.as_ref(), row.as_ref(), committed.as_ref());
        (before, was_dirty)
    }

    fn reindex(
        &mut self,
        id: RowId,
        before: Option<&Row>,
        after: Option<&Row>,
        keep: Option<&Row>,
    ) {
        for index in &mut self.indexes {
            let new = after.and_then(|r| index.key(r));
            if let Some(old) = before.and_then(|r| index.key(r)) {
                if new.as_ref() == Some(&old) {
                    continue;
                }
                if keep.and_then(|r| index.key(r)).as_ref() != Some(&old) {
                    index.remove(&old, id);
                }
            }
            if let Some(new) = new {
                index.insert(new, id);
            }
        }
    }

    /// Takes one change back.
    pub(crate) fn undo(&mut self, id: RowId, before: Option<Row>, was_dirty: bool) {
        let Some(slot) = usize::try_from(id).ok().and_then(|i| self.slots.get_mut(i)) else {
            return;
        };
        let now = slot.cur.take();
        slot.cur = before.clone();
        let committed = slot.dirty.as_ref().and_then(|d| d.committed.clone());
        if !was_dirty {
            slot.dirty = None;
        }
        let gone = slot.cur.is_none() && slot.dirty.is_none();
        self.live = self.live + usize::from(before.is_some()) - usize::from(now.is_some());
        self.reindex(id, now.as_ref(), before.as_ref(), committed.as_ref());
        if gone {
            self.free.push(id);
        }
    }

    /// Makes the current version the committed one. False when it was so already.
    pub(crate) fn commit(&mut self, id: RowId) -> bool {
        let Some(slot) = usize::try_from(id).ok().and_then(|i| self.slots.get_mut(i)) else {
            return false;
        };
        let Some(dirty) = slot.dirty.take() else { return false };
        let cur = slot.cur.clone();
        if cur.is_none() {
            self.free.push(id);
        }
        if let Some(old) = dirty.committed {
            for index in &mut self.indexes {
                let new = cur.as_ref().and_then(|r| index.key(r));
                if let Some(key) = index.key(&old)
                    && new.as_ref() != Some(&key)
                {
                    index.remove(&key, id);
                }
            }
        }
        true
    }

    /// Puts a row where the log says it was; only while the log is replayed.
    pub(crate) fn replay(&mut self, id: RowId, row: Option<Row>) {
        let at = usize::try_from(id).unwrap_or(usize::MAX);
        while self.slots.len() <= at {
            self.slots.push(Slot::default());
        }
        let before = self.slots[at].cur.take();
        self.live = self.live + usize::from(row.is_some()) - usize::from(before.is_some());
        self.slots[at].cur = row.clone();
        self.reindex(id, before.as_ref(), row.as_ref(), None);
    }

    /// Finds the free places after a replay.
    pub(crate) fn find_free(&mut self) {
        let empty = self.slots.iter().enumerate().filter(|(_, s)| s.cur.is_none());
        self.free = empty.filter_map(|(i, _)| RowId::try_from(i).ok()).collect();
    }
}
