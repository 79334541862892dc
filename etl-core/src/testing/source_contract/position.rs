//! Positions that are not the source's own, and positions told again.

use crate::error::Class;
use crate::position::Position;
use crate::testing::case::{Check, check_class};

use super::world::{World, begin_sweep, rows, sweep};

pub(super) async fn a_position_of_something_else_is_refused(world: &World) -> Check {
    world.fill(2).await?;
    let source = world.source().await?;
    for text in ["42", "null", "[]", "\"x\"", "{}", "{\"v\":99}", "{\"low\":{\"a\":[1]}}"] {
        let after = Some(Position::from_text(text)?);
        let read = match source.read(after, rows(2)).await {
            Ok(mut stream) => match futures::StreamExt::next(&mut stream).await {
                Some(item) => item.map(drop),
                None => Ok(()),
            },
            Err(error) => Err(error),
        };
        check_class!(read, Class::Config, "reading after {text}");
    }
    Ok(())
}

pub(super) async fn durable_positions_may_be_told_twice(world: &World) -> Check {
    world.fill(5).await?;
    let source = world.source().await?;
    let begun = begin_sweep(&source, None, rows(2), 1).await?;
    for batch in begun.iter().chain(&sweep(&source, None, rows(2)).await?) {
        source.committed(&batch.position).await?;
        source.committed(&batch.position).await?;
    }
    Ok(())
}
