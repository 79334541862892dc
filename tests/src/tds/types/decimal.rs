//! Exact decimal arithmetic on 128-bit integers.

use std::cmp::Ordering;

/// `n` as a signed high and an unsigned low half.
pub(crate) fn split(n: i128) -> (i64, u64) {
    let bytes = n.to_le_bytes();
    let mut lo = [0; 8];
    let mut hi = [0; 8];
    lo.copy_from_slice(&bytes[..8]);
    hi.copy_from_slice(&bytes[8..]);
    (i64::from_le_bytes(hi), u64::from_le_bytes(lo))
}

pub(crate) fn join(hi: i64, lo: u64) -> i128 {
    (i128::from(hi) << 64) | i128::from(lo)
}

pub(crate) fn pow10(n: u8) -> i128 {
    10_i128.checked_pow(u32::from(n)).unwrap_or(i128::MAX)
}

/// `n` at another scale, rounded half away from zero; `None` on overflow.
pub(crate) fn rescale(n: i128, from: u8, to: u8) -> Option<i128> {
    match to.cmp(&from) {
        Ordering::Equal => Some(n),
        Ordering::Greater => n.checked_mul(pow10(to - from)),
        Ordering::Less => Some(div_round(n, pow10(from - to))),
    }
}

/// Division rounded half away from zero.
pub(crate) fn div_round(n: i128, by: i128) -> i128 {
    let (q, r) = (n / by, n % by);
    if r.unsigned_abs() * 2 >= by.unsigned_abs() {
        q + if (n < 0) == (by < 0) { 1 } else { -1 }
    } else {
        q
    }
}

/// Whether `n` has at most `precision` digits.
pub(crate) fn fits(n: i128, precision: u8) -> bool {
    n.unsigned_abs() < pow10(precision).unsigned_abs()
}

pub(crate) fn compare(a: (i128, u8), b: (i128, u8)) -> Ordering {
    if a.1 == b.1 {
        return a.0.cmp(&b.0);
    }
    let scale = a.1.max(b.1);
    match (rescale(a.0, a.1, scale), rescale(b.0, b.1, scale)) {
        (Some(x), Some(y)) => x.cmp(&y),
        // One side does not fit at the common scale: whole parts decide.
        _ => (a.0 / pow10(a.1)).cmp(&(b.0 / pow10(b.1))),
    }
}

/// `a * b` at scale `to`, through 256 bits where needed.
pub(crate) fn multiply(a: (i128, u8), b: (i128, u8), to: u8) -> Option<i128> {
    let scale = a.1 + b.1;
    if let Some(product) = a.0.checked_mul(b.0) {
        return rescale(product, scale, to);
    }
    let negative = (a.0 < 0) != (b.0 < 0);
    let mut wide = wide_mul(a.0.unsigned_abs(), b.0.unsigned_abs());
    let mut dropped = 0;
    for _ in to..scale {
        dropped = wide_div10(&mut wide);
    }
    if wide.1 != 0 {
        return None;
    }
    let mut n = i128::try_from(wide.0).ok()?;
    if dropped >= 5 {
        n += 1;
    }
    Some(if negative { -n } else { n })
}

/// `a / b` at scale `to`, truncated as the server does.
pub(crate) fn divide(a: (i128, u8), b: (i128, u8), to: u8) -> Option<i128> {
    let shift = i32::from(to) + i32::from(b.1) - i32::from(a.1);
    let negative = (a.0 < 0) != (b.0 < 0);
    let divisor = b.0.unsigned_abs();
    let mut quotient = a.0.unsigned_abs();
    let mut n;
    if shift >= 0 {
        // Long division keeps every step within 128 bits.
        let mut rest = quotient % divisor;
        quotient /= divisor;
        n = quotient;
        for _ in 0..shift {
            n = n.checked_mul(10)?;
            let (next, over) = rest.overflowing_mul(10);
            if over {
                return None;
            }
            n = n.checked_add(next / divisor)?;
            rest = next % divisor;
        }
    } else {
        for _ in 0..-shift {
            quotient /= 10;
        }
        n = quotient / divisor;
    }
    let n = i128::try_from(n).ok()?;
    Some(if negative { -n } else { n })
}

fn wide_mul(a: u128, b: u128) -> (u128, u128) {
    let mask = u128::from(u64::MAX);
    let (ah, al, bh, bl) = (a >> 64, a & mask, b >> 64, b & mask);
    let (ll, lh, hl, hh) = (al * bl, al * bh, ah * bl, ah * bh);
    let mid = (ll >> 64) + (lh & mask) + (hl & mask);
    let low = (mid << 64) | (ll & mask);
    (low, hh + (lh >> 64) + (hl >> 64) + (mid >> 64))
}

fn wide_div10(wide: &mut (u128, u128)) -> u128 {
    let mask = u128::from(u64::MAX);
    let parts = [wide.1 >> 64, wide.1 & mask, wide.0 >> 64, wide.0 & mask];
    let mut out = [0_u128; 4];
    let mut rest = 0;
    for (o, p) in out.iter_mut().zip(parts) {
        let n = (rest << 64) | p;
        *o = n / 10;
        rest = n % 10;
    }
    *wide = ((out[2] << 64) | out[3], (out[0] << 64) | out[1]);
    rest
}

/// `-12.340` from 12340 at scale 3.
pub(crate) fn to_text(n: i128, scale: u8) -> String {
    let digits = n.unsigned_abs().to_string();
    let scale = usize::from(scale);
    let sign = if n < 0 { "-" } else { "" };
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    format!("{sign}{whole}.{fraction}")
}

/// The number in a text such as ` -12.5 `; `None` where the server would refuse it.
pub(crate) fn parse(text: &str) -> Option<(i128, u8)> {
    let text = text.trim();
    let (negative, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text.strip_prefix('+').unwrap_or(text).trim_start()),
    };
    let mut n: i128 = 0;
    let mut scale: Option<u8> = None;
    let mut digits = 0;
    for c in body.chars() {
        match c {
            '0'..='9' => {
                let d = i128::from(c.to_digit(10)?);
                if let Some(s) = scale.as_mut() {
                    if *s >= 38 {
                        continue;
                    }
                    *s += 1;
                }
                n = n.checked_mul(10)?.checked_add(d)?;
                digits += 1;
            }
            '.' if scale.is_none() => scale = Some(0),
            _ => return None,
        }
    }
    if digits == 0 {
        return None;
    }
    Some((if negative { -n } else { n }, scale.unwrap_or(0)))
}

/// The nearest float.
pub(crate) fn to_f64(n: i128, scale: u8) -> f64 {
    to_text(n, scale).parse().unwrap_or(f64::NAN)
}

/// A float as an unscaled decimal; `None` on overflow.
pub(crate) fn from_f64(f: f64, scale: u8) -> Option<i128> {
    if !f.is_finite() || f.abs() >= 1e38 {
        return None;
    }
    let text = format!("{f:.*}", usize::from(scale).min(38));
    let (n, s) = parse(&text)?;
    rescale(n, s, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_beyond_128_bits_are_rounded_exactly() {
        let n = 10_i128.pow(30) + 7;
        // (10^30+7)^2 = 10^60 + 14*10^30 + 49, at scale 40 reduced to 10: rounds the tail.
        let got = multiply((n, 20), (n, 20), 10);
        assert_eq!(got, Some(10_i128.pow(30) + 14));
    }

    #[test]
    fn text_round_trips() {
        for (n, s, t) in [(0, 2, "0.00"), (-5, 2, "-0.05"), (12340, 3, "12.340"), (7, 0, "7")] {
            assert_eq!(to_text(n, s), t);
            assert_eq!(parse(t), Some((n, s)));
        }
        assert_eq!(parse("1e3"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn halves_survive_splitting() {
        for n in [0, 1, -1, i128::MAX, i128::MIN, 1 << 64, -(1 << 64)] {
            let (hi, lo) = split(n);
            assert_eq!(join(hi, lo), n);
        }
    }

    #[test]
    fn division_truncates() {
        assert_eq!(divide((10, 0), (3, 0), 6), Some(3_333_333));
        assert_eq!(divide((20, 0), (3, 0), 2), Some(666));
    }

    proptest::proptest! {
        #[test]
        fn arithmetic_agrees_with_wider_integers(a in -10_i128.pow(15)..10_i128.pow(15), b in -10_i128.pow(15)..10_i128.pow(15), s in 0_u8..8, t in 0_u8..8, to in 0_u8..8) {
            let product = a * b;
            proptest::prop_assert_eq!(multiply((a, s), (b, t), to), rescale(product, s + t, to));
            if b != 0 && i32::from(to) + i32::from(t) >= i32::from(s) {
                let shifted = a * pow10(to + t - s);
                proptest::prop_assert_eq!(divide((a, s), (b, t), to), Some(shifted / b));
            }
            let text = to_text(a, s);
            proptest::prop_assert_eq!(parse(&text), Some((a, s)));
        }

        #[test]
        fn rounding_is_half_away_from_zero(n in -100_000_i128..100_000, by in 1_i128..1000) {
            let q = div_round(n, by);
            proptest::prop_assert!((n - q * by).abs() * 2 <= by);
            if (n - q * by).abs() * 2 == by {
                proptest::prop_assert!(q.abs() * by >= n.abs());
            }
        }
    }
}
