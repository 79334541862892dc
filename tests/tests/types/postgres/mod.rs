//! The types of Postgres.

mod numbers;
mod others;
mod texts;
mod times;

use super::cell::{Case, every_scale};

/// What the cases need in the database.
pub(super) const SETUP: &str = "
    CREATE EXTENSION citext SCHEMA public; CREATE EXTENSION hstore SCHEMA public;
    CREATE TYPE public.mood AS ENUM ('sad', 'ha ppy', '😀', 'Sad');
    CREATE DOMAIN public.short_text AS varchar(3); CREATE DOMAIN public.price_base AS numeric(10,2);
    CREATE DOMAIN public.price AS public.price_base CHECK (VALUE >= 0);
    CREATE DOMAIN public.feeling AS public.mood; CREATE DOMAIN public.moment AS timestamptz(3);
    CREATE DOMAIN public.numbers AS int[]; CREATE DOMAIN public.span AS interval;
    CREATE TYPE public.pair AS (a int, b text); CREATE SCHEMA back;";

pub(super) fn cases() -> Vec<Case> {
    let fixed = [numbers::CASES, texts::CASES, times::CASES, others::CASES];
    fixed.concat().into_iter().chain(every_scale("numeric")).collect()
}
