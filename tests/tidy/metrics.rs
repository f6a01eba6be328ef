//! The tables of metrics in docs/operations.md, against the registries.

use std::sync::Arc;

use campanile_process::memory::MemoryGuard;
use campanile_process::metrics::{Registry, encode, register_process};

use super::page::{compare, read};

const OPERATIONS: &str = "docs/operations.md";

/// (name, kind, meaning) of every family in an exposition, with the name that its samples have.
fn families(registry: Registry) -> Vec<Vec<String>> {
    let text = encode(&[Arc::new(registry)]).unwrap();
    let heads = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let families = heads.zip(kinds).map(|(head, kind)| {
        let (name, help) = head.split_once(' ').unwrap();
        let (_, kind) = kind.split_once(' ').unwrap();
        vec![exposed(name, kind), kind.to_owned(), help.trim_end_matches('.').to_owned()]
    });
    families.collect()
}

fn exposed(name: &str, kind: &str) -> String {
    let ending = match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    format!("`{name}{ending}`")
}

/// The same from a role's `metrics.rs`: a family without a sample is not in the exposition.
fn registered(path: &str, prefix: &str) -> Vec<Vec<String>> {
    let source = read(path);
    let kind_of = |field: &str| {
        let declared =
            source.split_once(&format!("pub {field}: ")).unwrap_or_else(|| panic!("{path}: {field}?")).1;
        let declared = declared.split(",\n").next().unwrap();
        let labels = match declared {
            _ if !declared.starts_with("Family") => "",
            _ if declared.contains("String") => "`member`",
            _ => "`reason`",
        };
        (if declared.contains("Counter") { "counter" } else { "gauge" }, labels)
    };
    let calls = source.split(".register(").skip(1).filter(|call| call.trim_start().starts_with('"'));
    let rows = calls.map(|call| {
        let texts: Vec<_> = call.split('"').skip(1).step_by(2).take(2).collect();
        let field = call.split("self").nth(1).unwrap().trim().trim_start_matches('.').trim();
        let field = field.split(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap();
        let (kind, labels) = kind_of(field);
        let name = exposed(&format!("{prefix}_{}", texts[0]), kind);
        vec![name, kind.to_owned(), labels.to_owned(), texts[1].to_owned()]
    });
    rows.collect()
}

#[test]
fn every_metric_is_in_its_table() {
    let mut gateway = Registry::default();
    campanile_gateway::Metrics::default().register(&mut gateway);
    let mut topic_server = Registry::default();
    campanile_topic_server::Metrics::default().register(&mut topic_server);
    for (heading, path, prefix, registry) in [
        ("### Of a gateway", "gateway/src/metrics.rs", "campanile_gateway", gateway),
        ("### Of a topic server", "topic-server/src/metrics.rs", "campanile_topic_server", topic_server),
    ] {
        let registered = registered(path, prefix);
        let without_label = registered.iter().filter(|row| row[2].is_empty());
        let without_label = without_label.map(|row| vec![row[0].clone(), row[1].clone(), row[3].clone()]);
        // What was read from the source is what the program shows.
        assert_eq!(
            without_label.collect::<Vec<_>>(),
            families(registry),
            "{path} is not read as it is meant"
        );
        compare(OPERATIONS, heading, &registered);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn every_number_of_the_process_is_in_its_table() {
    let mut process = Registry::default();
    register_process(&mut process, "", "");
    MemoryGuard::new(None).register(&mut process);
    compare(OPERATIONS, "### Of the process", &families(process));
}
