//! A row that cannot be stored stops its whole batch.

use crate::connector::Mode;
use crate::error::Class;
use crate::testing::case::{Check, check, check_class, check_eq};
use crate::testing::row::Row;

use super::session::{Session, Target, expected, position};

/// 41 characters, one more than the column has.
const TOO_LONG: &str = "secret-secret-secret-secret-secret-secret";

/// Tries a batch with `bad` between two good rows.
async fn refused(target: &Target, session: &mut Session, bad: Row, column: &str) -> Check {
    session.put(1, &[Row::new(1)]).await?;
    let before = target.checkpoint().await?;
    let key = bad.id.to_string();
    let answer = session.put(2, &[Row::new(2), bad, Row::new(3)]).await;
    let error = check_class!(answer, Class::Data, "a bad value in {column}");
    let text = format!("{error:?}");
    check!(text.contains(column), "the message does not name column {column}: {text}");
    check!(text.contains(&key), "the message does not name key {key}: {text}");
    check!(!text.contains("secret"), "the message shows the value: {text}");
    let after = target.checkpoint().await?;
    check_eq!(after.position, Some(position(1)?), "position");
    check_eq!(after.sequence, before.sequence, "sequence");
    if target.mode() == Mode::Replace {
        session.apply().await?;
    }
    check_eq!(target.rows().await?, expected(&[Row::new(1)])?, "rows");
    Ok(())
}

pub(super) async fn a_too_long_text_is_refused_with_column_and_key(target: &Target) -> Check {
    let mut session = target.session().await?;
    refused(target, &mut session, Row::new(4711).name(Some(TOO_LONG)), "name").await
}

pub(super) async fn a_null_where_none_may_be_is_refused(target: &Target) -> Check {
    let mut session = target.session().await?;
    let row = Row { status: None, ..Row::new(4711).name(Some("secret")) };
    refused(target, &mut session, row, "status").await
}

pub(super) async fn after_a_refusal_the_same_sink_goes_on(target: &Target) -> Check {
    let mut session = target.session().await?;
    let long = Row::new(4711).name(Some(TOO_LONG));
    refused(target, &mut session, long, "name").await?;
    session.put(2, &[Row::new(2)]).await?;
    check_eq!(target.rows().await?, expected(&[Row::new(1), Row::new(2)])?, "rows");
    Ok(())
}
