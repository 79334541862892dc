//! What a reviewer would look for in every rendered object, as rules that a program checks.
//!
//! A rule looks at all objects of one render and names what it finds. Exceptions stand in
//! `exceptions.rs`, each with its reason.

mod access;
mod batch;
mod exceptions;
mod identity;
mod network;
mod objects;
mod pods;
mod references;

use std::fmt;

pub use objects::Objects;

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// `Kind namespace/name`, and the container if it is about one.
    pub object: String,
    /// What is wrong, and what it should be.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.rule, self.object, self.problem)
    }
}

/// One point of the review.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Names it in findings and planted faults.
    pub name: &'static str,
    check: fn(&Objects, &mut Findings),
}

/// Collects what one rule finds.
pub(crate) struct Findings {
    rule: &'static str,
    all: Vec<Finding>,
}

impl Findings {
    pub(crate) fn add(&mut self, object: impl Into<String>, problem: impl Into<String>) {
        let (object, problem) = (object.into(), problem.into());
        self.all.push(Finding { rule: self.rule, object, problem });
    }

    /// Adds the problem unless `good`.
    pub(crate) fn expect(&mut self, good: bool, object: &str, problem: impl Into<String>) {
        if !good {
            self.add(object, problem);
        }
    }
}

/// Every rule.
#[must_use]
pub fn rules() -> Vec<Rule> {
    [identity::RULES, pods::RULES, batch::RULES, network::RULES, access::RULES, references::RULES]
        .concat()
}

/// Looks at one render with every rule.
#[must_use]
pub fn review(objects: &Objects) -> Vec<Finding> {
    let mut all = Vec::new();
    for rule in rules() {
        let mut findings = Findings { rule: rule.name, all: Vec::new() };
        (rule.check)(objects, &mut findings);
        all.append(&mut findings.all);
    }
    all.sort();
    all.dedup();
    all
}
