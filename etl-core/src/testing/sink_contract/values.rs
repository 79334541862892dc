//! Values are stored as they are.

use crate::testing::case::{Check, check_eq};
use crate::testing::row::Row;

use super::session::{Target, expected};

const MICROS_PER_DAY: i64 = 86_400_000_000;

pub(super) async fn values_come_back_as_they_were(target: &Target) -> Check {
    let at = |id, updated_at| Row { updated_at: Some(updated_at), ..Row::new(id) };
    let rows = vec![
        Row::new(i64::MIN),
        Row::new(i64::MAX),
        Row::new(0).amount(999_999_999_999_999_999),
        Row::new(1).amount(-999_999_999_999_999_999),
        Row::new(2).amount(0),
        Row { active: Some(false), ..Row::new(3) },
        Row { name: None, amount: None, active: None, ..Row::new(4) },
        Row::new(5).name(Some("it's \"quoted\"; --\\ \t\r\n{}%_[]")),
        Row::new(6).name(Some("Ωλ 中文 🦀 e\u{301} \u{feff}x")),
        Row::new(7).name(Some(" ")),
        at(8, 0),
        at(9, -1),
        at(10, 1),
        at(11, 999_999),
        // 0001-01-01 and the last microsecond of 9999.
        at(12, -719_162 * MICROS_PER_DAY),
        at(13, 2_932_897 * MICROS_PER_DAY - 1),
        // The hour that does not exist, or exists twice, in most of Europe.
        at(14, 1_711_850_400_000_001),
        at(15, 1_729_992_600_000_001),
    ];
    let mut session = target.session().await?;
    session.put(1, &rows).await?;
    let found = target.rows().await?;
    let expected = expected(&rows)?;
    for (found, expected) in found.iter().zip(&expected) {
        check_eq!(found, expected, "a row");
    }
    check_eq!(found.len(), expected.len(), "rows");
    let again = session.put(2, &rows).await?;
    check_eq!(again.unchanged, u64::try_from(rows.len()).unwrap_or(0), "rows found equal");
    Ok(())
}

pub(super) async fn greatest_lengths_are_counted_in_characters(target: &Target) -> Check {
    let crabs = "🦀".repeat(40);
    let rows = [Row::new(1).name(Some(&crabs)), Row::new(2).status(&"é".repeat(20))];
    target.session().await?.put(1, &rows).await?;
    check_eq!(target.rows().await?, expected(&rows)?, "rows");
    Ok(())
}
