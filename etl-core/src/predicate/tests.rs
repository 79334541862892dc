use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

use super::{Booleans, Dialect, Predicate};

fn rows() -> RecordBatch {
    let amount = Decimal128Array::from(vec![Some(100), Some(250), None, Some(-5)])
        .with_precision_and_scale(18, 2)
        .unwrap();
    let at = TimestampMicrosecondArray::from(vec![Some(0), Some(1), None, Some(1_000_000)]);
    RecordBatch::try_from_iter([
        ("at", Arc::new(at.with_timezone("UTC")) as ArrayRef),
        ("id", Arc::new(Int64Array::from(vec![1, 2, 3, 4])) as ArrayRef),
        ("amount", Arc::new(amount)),
        ("status", Arc::new(StringArray::from(vec![Some("new"), Some("New"), None, Some("x'y")]))),
        ("paid", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]))),
    ])
    .unwrap()
}

fn passing(text: &str) -> Vec<usize> {
    Predicate::parse(text).unwrap().evaluate(&rows()).unwrap().set_indices().collect()
}

#[test]
fn an_expression_is_true_for_the_right_rows() {
    for (text, expected) in [
        ("status = 'new'", vec![0]),
        ("status <> 'new'", vec![1, 3]),
        ("NOT status = 'new'", vec![1, 3]),
        ("status IS NULL OR id > 3", vec![2, 3]),
        ("amount >= 1", vec![0, 1]),
        ("amount > 0.995 AND amount < 2.505", vec![0, 1]),
        ("amount < -0.04", vec![3]),
        ("3 < id", vec![3]),
        ("id IN (1, 4, 9)", vec![0, 3]),
        ("id NOT IN (1, 4)", vec![1, 2]),
        ("id BETWEEN 2 AND 3", vec![1, 2]),
        ("status LIKE '%e%'", vec![0, 1]),
        ("status = 'x''y'", vec![3]),
        ("at >= '1970-01-01T00:00:00.000001Z'", vec![1, 3]),
        ("at < '1970-01-01T02:00:00+02:00' OR at = '1970-01-01 00:00:01'", vec![3]),
        ("paid", vec![0, 3]),
        ("(paid IS TRUE) AND ID = 1", vec![0]),
        ("paid IS NOT TRUE", vec![1, 2]),
        ("NOT (paid AND amount > 0)", vec![1, 3]),
        ("TRUE", vec![0, 1, 2, 3]),
    ] {
        assert_eq!(passing(text), expected, "{text}");
    }
}

#[test]
fn anything_but_one_boolean_expression_is_refused() {
    for wrong in [
        "",
        "status = 'a'; DROP TABLE orders",
        "status = 'a' UNION SELECT 1",
        "id IN (SELECT 1)",
        "lower(status) = 'a'",
        "now() > updated_at",
        "id + 1 = 2",
        "status = NULL",
        "status",
        "5",
        "other = 1",
        "status = 1",
        "id = 'a'",
        "id = 1 id",
        "EXISTS (SELECT 1)",
        "status = 'a' -- comment\n) OR (TRUE",
        "id = $1",
        "id = 1e400",
    ] {
        let refused = match Predicate::parse(wrong) {
            Ok(predicate) => predicate.check(rows().schema_ref()).is_err(),
            Err(_) => true,
        };
        assert!(refused, "{wrong}");
    }
    let nested = format!("{}id = 1{}", "(".repeat(5000), ")".repeat(5000));
    assert!(Predicate::parse(&nested).is_err());
}

/// On a stack as small as that of the runtime's threads.
#[test]
fn a_long_expression_is_read_or_refused_and_never_overflows_the_stack() {
    let work = || {
        let flags = |count: usize, with: &str| vec!["paid"; count].join(with);
        for with in [" AND ", " OR "] {
            let predicate = Predicate::parse(&flags(500, with)).unwrap();
            assert!(predicate.evaluate(&rows()).unwrap().value(0));
            assert!(Predicate::parse(&flags(5_000, with)).is_err());
        }
        let many: Vec<_> = (0..5_000).map(|id| id.to_string()).collect();
        assert!(Predicate::parse(&format!("id IN ({})", many.join(", "))).is_ok());
        for unit in [" IS TRUE", " IS NULL", "[1]", "::int", " = 1", " COLLATE x", ".a", " - 1"] {
            for count in [65, 300, 450, 5_000] {
                assert!(
                    Predicate::parse(&format!("paid{}", unit.repeat(count))).is_err(),
                    "{unit}"
                );
            }
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).unwrap().join().unwrap();
}

#[test]
fn an_expression_is_written_out_with_quoted_names_and_texts() {
    let predicate = Predicate::parse("\"St\"\"atus\" = 'O''Brien' AND NOT id IN (1, -2)").unwrap();
    let name = |name: &str| Ok(format!("\"{}\"", name.replace('"', "\"\"")));
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let dialect = Dialect { name: &name, text: &text, booleans: Booleans::Keywords };
    assert_eq!(
        predicate.to_sql(&dialect).unwrap(),
        "((\"St\"\"atus\" = 'O''Brien') AND (NOT (\"id\" IN (1, -2))))"
    );
    assert_eq!(predicate.columns().into_iter().collect::<Vec<_>>(), ["St\"atus", "id"]);
}

#[test]
fn where_a_condition_is_no_value_it_is_written_with_bits() {
    let name = |name: &str| Ok(format!("[{name}]"));
    let text = |text: &str| format!("N'{text}'");
    let dialect = Dialect { name: &name, text: &text, booleans: Booleans::Bits };
    for (written, expected) in [
        ("paid", "([paid] = 1)"),
        ("paid = TRUE", "([paid] = 1)"),
        ("NOT paid", "(NOT ([paid] = 1))"),
        ("TRUE OR FALSE", "((1 = 1) OR (1 = 0))"),
        ("id > 3 IS TRUE", "(CASE WHEN ([id] > 3) THEN 1 ELSE 0 END = 1)"),
        ("paid IS NOT FALSE", "(NOT (CASE WHEN NOT ([paid] = 1) THEN 1 ELSE 0 END = 1))"),
        ("status LIKE '50[%]\\_'", "([status] LIKE N'50\\[%]\\_' ESCAPE N'\\')"),
    ] {
        let sql = Predicate::parse(written).unwrap().to_sql(&dialect).unwrap();
        assert_eq!(sql, expected, "{written}");
    }
}
