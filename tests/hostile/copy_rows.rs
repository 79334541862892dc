//! A binary COPY as Postgres sends it: one column of each type, three rows.

use super::targets::WIRES;
use etl_sql::postgres::types::Wire;

/// A first byte for the size of the pieces, then the bytes of a COPY.
pub(crate) fn samples() -> Vec<Vec<u8>> {
    [1, 7, 64, 255].map(|pieces| [vec![pieces], copy()].concat()).to_vec()
}

fn copy() -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    let count = i16::try_from(WIRES.len()).unwrap().to_be_bytes();
    for row in 0..3 {
        bytes.extend(count);
        for (index, wire) in WIRES.iter().enumerate() {
            // The columns of odd number may be NULL; see the targets' schema.
            if row == 2 && index % 2 == 1 {
                bytes.extend((-1_i32).to_be_bytes());
                continue;
            }
            let field = field(*wire, row == 0);
            bytes.extend(i32::try_from(field.len()).unwrap().to_be_bytes());
            bytes.extend(field);
        }
    }
    bytes.extend([0xff, 0xff]);
    bytes
}

fn field(wire: Wire, first: bool) -> Vec<u8> {
    match wire {
        Wire::Bool => vec![u8::from(first)],
        Wire::Int2 => if first { i16::MIN } else { 7 }.to_be_bytes().to_vec(),
        Wire::Int4 => if first { i32::MIN } else { 7 }.to_be_bytes().to_vec(),
        Wire::Int8 => if first { i64::MAX } else { 7 }.to_be_bytes().to_vec(),
        Wire::Float4 => if first { -1.5_f32 } else { 0.1 }.to_be_bytes().to_vec(),
        Wire::Float8 => if first { -2.5e15_f64 } else { 0.1 }.to_be_bytes().to_vec(),
        // 1,2345.6700 and -5, to the base of 10,000.
        Wire::Numeric(..) if first => vec![0, 3, 0, 1, 0, 0, 0, 2, 0, 1, 9, 41, 26, 44],
        Wire::Numeric(..) => vec![0, 1, 0, 0, 0x40, 0, 0, 0, 0, 5],
        Wire::Text => if first { "line\n\u{1f980} ção" } else { "" }.as_bytes().to_vec(),
        Wire::Xid8 => if first { u64::MAX } else { 7 }.to_be_bytes().to_vec(),
        Wire::Bytes => if first { &[0, 1, 255][..] } else { &[] }.to_vec(),
        Wire::Uuid => vec![if first { 0x12 } else { 0xfe }; 16],
        Wire::Date => if first { -730_119 } else { 8_825_i32 }.to_be_bytes().to_vec(),
        Wire::Time => if first { 0 } else { 86_399_999_999_i64 }.to_be_bytes().to_vec(),
        _ => if first { -63_082_281_600_000_000 } else { 762_539_696_123_456_i64 }
            .to_be_bytes()
            .to_vec(),
    }
}
