//! Every version that is read, once.

use crate::testing::case::{Check, check_eq};
use crate::testing::row::Row;

use super::session::{Target, expected};

pub(super) async fn every_version_is_appended_once(target: &Target) -> Check {
    let mut session = target.session().await?;
    let versions = [Row::new(1), Row::new(2), Row::new(1).amount(7), Row::new(1).amount(8)];
    let first = session.put(1, &versions[..2]).await?;
    check_eq!((first.inserted, first.updated), (2, 0), "inserted and updated by the first batch");
    session.put(2, &versions[2..3]).await?;
    session.put(3, &versions[3..]).await?;
    check_eq!(target.rows().await?, expected(&versions)?, "rows");
    check_eq!(target.checkpoint().await?.rows_total, 4, "rows_total");
    Ok(())
}

pub(super) async fn equal_versions_are_all_kept(target: &Target) -> Check {
    let mut session = target.session().await?;
    session.put(1, &[Row::new(1)]).await?;
    session.put(2, &[Row::new(1)]).await?;
    check_eq!(target.rows().await?, expected(&[Row::new(1), Row::new(1)])?, "rows");
    Ok(())
}
