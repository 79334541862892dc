//! Postgres' exact numbers: digits to the base of 10,000.

/// Why a number could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumericFault {
    NaN,
    Infinite,
    MinusInfinite,
    /// More digits before the point than declared.
    Precision,
    /// Digits other than zero behind the declared scale.
    Scale,
    Garbled,
}

const NAN: u16 = 0xC000;
const POSITIVE_INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;
const NEGATIVE: u16 = 0x4000;

/// The number times `10^scale`, exactly, with at most `precision` digits.
///
/// Format: `numeric_send` in Postgres' `numeric.c`.
pub(super) fn decimal(bytes: &[u8], precision: u8, scale: i8) -> Result<i128, NumericFault> {
    let (header, digits) = bytes.split_at_checked(8).ok_or(NumericFault::Garbled)?;
    let word = |at: usize| {
        header.get(at..).and_then(|rest| rest.first_chunk()).map(|chunk| u16::from_be_bytes(*chunk))
    };
    let (Some(count), Some(weight), Some(sign)) = (word(0), word(2), word(4)) else {
        return Err(NumericFault::Garbled);
    };
    match sign {
        NAN => return Err(NumericFault::NaN),
        POSITIVE_INFINITY => return Err(NumericFault::Infinite),
        NEGATIVE_INFINITY => return Err(NumericFault::MinusInfinite),
        0 | NEGATIVE => {}
        _ => return Err(NumericFault::Garbled),
    }
    let (digits, rest) = digits.as_chunks::<2>();
    if digits.len() != usize::from(count) || !rest.is_empty() {
        return Err(NumericFault::Garbled);
    }
    let mut power = i32::from(weight.cast_signed()) * 4 + i32::from(scale);
    let mut total: i128 = 0;
    for digit in digits {
        total = add(total, i128::from(u16::from_be_bytes(*digit)), power)?;
        power -= 4;
    }
    if total >= 10_i128.pow(u32::from(precision.min(38))) {
        return Err(NumericFault::Precision);
    }
    Ok(if sign == NEGATIVE { -total } else { total })
}

/// `total + digit * 10^power`, if it is a whole number that fits.
fn add(total: i128, digit: i128, power: i32) -> Result<i128, NumericFault> {
    if digit == 0 {
        return Ok(total);
    }
    if !(0..10_000).contains(&digit) {
        return Err(NumericFault::Garbled);
    }
    if let Ok(power) = u32::try_from(power) {
        return 10_i128
            .checked_pow(power)
            .and_then(|factor| digit.checked_mul(factor))
            .and_then(|value| total.checked_add(value))
            .ok_or(NumericFault::Precision);
    }
    let divisor = match power {
        -1 => 10,
        -2 => 100,
        -3 => 1_000,
        _ => return Err(NumericFault::Scale),
    };
    if digit % divisor != 0 {
        return Err(NumericFault::Scale);
    }
    total.checked_add(digit / divisor).ok_or(NumericFault::Precision)
}

/// The wire form of `value / 10^scale`, for a scale of 0 to 38; the reverse of [`decimal`].
///
/// Format: `numeric_recv` in Postgres' `numeric.c`.
pub(crate) fn put_decimal(out: &mut Vec<u8>, value: i128, scale: u8) {
    let places = u32::from(scale);
    let unit = 10_u128.pow(places.min(38));
    let (mut whole, mut fraction) = (value.unsigned_abs() / unit, value.unsigned_abs() % unit);
    let mut digits: Vec<u16> = Vec::with_capacity(20);
    while whole > 0 {
        digits.push(base_digit(whole % 10_000));
        whole /= 10_000;
    }
    digits.reverse();
    let mut weight = i16::try_from(digits.len()).unwrap_or(0) - 1;
    let mut left = places.min(38);
    while left > 0 && fraction > 0 {
        let taken = left.min(4);
        let below = 10_u128.pow(left - taken);
        let digit = base_digit(fraction / below * 10_u128.pow(4 - taken));
        if digits.is_empty() && digit == 0 {
            weight -= 1;
        } else {
            digits.push(digit);
        }
        fraction %= below;
        left -= taken;
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() {
        weight = 0;
    }
    let sign = if value < 0 { NEGATIVE } else { 0 };
    let count = u16::try_from(digits.len()).unwrap_or(0);
    for word in [count, weight.cast_unsigned(), sign, u16::from(scale)].iter().chain(&digits) {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

fn base_digit(digit: u128) -> u16 {
    u16::try_from(digit).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_its_wire_form() {
        let most = 10_i128.pow(38) - 1;
        let mut random = 1_u128;
        let mut numbers = vec![0, 1, -1, 9, 10, 9_999, 10_000, -10_001, 123_456_789, most, -most];
        for step in 0..2_000_u32 {
            random = random.wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645).wrapping_add(7);
            numbers.push((random >> 1).cast_signed() % 10_i128.pow(step % 38 + 1));
        }
        for number in numbers {
            for scale in 0..=38 {
                let mut wire = Vec::new();
                put_decimal(&mut wire, number, scale);
                let scale = i8::try_from(scale).unwrap();
                assert_eq!(decimal(&wire, 38, scale), Ok(number), "{number} {scale} {wire:?}");
                // As the server writes it: no zero first or last.
                let digits: Vec<_> = wire[8..].chunks(2).collect();
                assert_ne!(digits.first(), Some(&[0, 0].as_slice()), "{number} {scale}");
                assert_ne!(digits.last(), Some(&[0, 0].as_slice()), "{number} {scale}");
            }
        }
    }

    fn wire(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let count = u16::try_from(digits.len()).unwrap();
        [count, weight.cast_unsigned(), sign, 0]
            .iter()
            .chain(digits)
            .flat_map(|word| word.to_be_bytes())
            .collect()
    }

    #[test]
    fn a_number_is_exact_or_an_error() {
        let number = wire(1, 0, &[1, 2345, 6700]);
        assert_eq!(decimal(&number, 18, 2), Ok(1_234_567));
        assert_eq!(decimal(&number, 18, 4), Ok(123_456_700));
        assert_eq!(decimal(&number, 18, 1), Err(NumericFault::Scale));
        assert_eq!(decimal(&number, 6, 2), Err(NumericFault::Precision));
        assert_eq!(decimal(&number, 7, 2), Ok(1_234_567));
        assert_eq!(decimal(&wire(0, NEGATIVE, &[5]), 3, 2), Ok(-500));
        assert_eq!(decimal(&wire(0, 0, &[]), 1, 0), Ok(0));
        assert_eq!(decimal(&wire(-2, 0, &[1]), 38, 8), Ok(1));
        assert_eq!(decimal(&wire(-3, 0, &[1]), 38, 8), Err(NumericFault::Scale));
        assert_eq!(decimal(&wire(300, 0, &[1]), 38, 0), Err(NumericFault::Precision));
        let nines = [99, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999, 9999];
        assert_eq!(decimal(&wire(9, 0, &nines), 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(decimal(&wire(0, NAN, &[]), 18, 2), Err(NumericFault::NaN));
        assert_eq!(
            decimal(&wire(0, NEGATIVE_INFINITY, &[]), 18, 2),
            Err(NumericFault::MinusInfinite)
        );
        assert_eq!(decimal(&[0; 7], 18, 2), Err(NumericFault::Garbled));
        assert_eq!(decimal(&wire(0, 0, &[10_000]), 18, 2), Err(NumericFault::Garbled));
    }
}
