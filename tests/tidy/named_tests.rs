//! The tests that ARCHITECTURE.md names: they exist, and each invariant and each absence names what keeps it.

use std::fs;

use super::page::{prose, read, root, spans, table};

const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// `path::name` in code: a test of a file. In JavaScript the name is a part of the test's words.
fn is_test(path: &str, name: &str) -> Result<(), String> {
    let Ok(source) = fs::read_to_string(root().join(path)) else {
        return Err(format!("there is no file {path}"));
    };
    if !path.ends_with(".rs") {
        let known = source.lines().any(|line| line.contains("test(") && line.contains(name));
        return known.then_some(()).ok_or_else(|| format!("{path} has no test {name:?}"));
    }
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let is_it = |line: &&str| {
        let line = line.trim_start_matches("async ");
        line.strip_prefix("fn ").is_some_and(|rest| rest.split('(').next() == Some(name))
    };
    let Some(at) = lines.iter().position(is_it) else {
        // Or a transcript, or another test that a macro makes from its name.
        let made = lines.iter().any(|line| {
            line.split(|char: char| !char.is_alphanumeric() && char != '_').any(|word| word == name)
        });
        return made.then_some(()).ok_or_else(|| format!("{path} has no test {name}"));
    };
    let above = lines[..at]
        .iter()
        .rev()
        .take_while(|line| line.starts_with('#') || line.starts_with("//") || line.ends_with(")]"));
    let marked = above.into_iter().any(|line| line.contains("test"));
    marked.then_some(()).ok_or_else(|| format!("{path}: {name} is not marked as a test"))
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let text = read(ARCHITECTURE);
    let mut faults = Vec::new();
    for (number, line) in prose(&text) {
        for (path, name) in spans(line).filter_map(|span| span.split_once("::")) {
            if path.contains('/')
                && let Err(fault) = is_test(path, name)
            {
                faults.push(format!("{ARCHITECTURE}:{number}: {fault}; name the test that keeps it now"));
            }
        }
    }
    for heading in ["## Invariants", "## Absences"] {
        for row in table(ARCHITECTURE, heading) {
            let named = spans(&row).any(|span| span.contains("::") || span.ends_with(".toml"));
            if !named {
                faults.push(format!("{ARCHITECTURE}, {heading:?}: name what keeps it: {row}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}\n", faults.join("\n"));
}
