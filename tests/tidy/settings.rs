//! The tables of settings in docs/operations.md, against what `--help` shows.

use std::collections::BTreeSet;
use std::process::Command;

use super::page::compare;

const OPERATIONS: &str = "docs/operations.md";

/// One option of a subcommand, as `--help` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    name: String,
    value: String,
    default: String,
    bounds: String,
    help: String,
}

impl Shown {
    fn row(&self, in_file: bool) -> Vec<String> {
        let variable = self.name.to_uppercase().replace('-', "_");
        let key = if in_file { format!("`{}`", self.name.replace('-', "_")) } else { String::new() };
        vec![
            format!("`--{} {}`", self.name, self.value),
            format!("`CAMPANILE_{variable}`"),
            key,
            self.default.clone(),
            self.bounds.clone(),
            self.help.clone(),
        ]
    }
}

/// The options of a subcommand: asked of the program, so that what users see is what is compared.
fn options(subcommand: &str) -> Vec<Shown> {
    let output = Command::new(env!("CARGO_BIN_EXE_campanile")).args([subcommand, "--help"]).output().unwrap();
    assert!(output.status.success(), "campanile {subcommand} --help: {output:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let mut texts: Vec<String> = Vec::new();
    let mut in_option = false;
    for line in help.lines() {
        if line.starts_with("      --") {
            texts.push(line.trim().to_owned());
            in_option = true;
        } else if in_option && line.starts_with("          ") {
            let text = texts.last_mut().unwrap();
            text.push(' ');
            text.push_str(line.trim());
        } else {
            in_option = false;
        }
    }
    texts.iter().map(|text| shown(text)).collect()
}

/// `--name <VALUE> help [bounds] [default: …] [env: …]`.
fn shown(text: &str) -> Shown {
    let parts = text.strip_prefix("--").and_then(|text| text.split_once(" <"));
    let (name, rest) = parts.unwrap_or_else(|| panic!("no option with a value: {text}"));
    let (value, rest) = rest.split_once('>').unwrap();
    let mut rest = rest.trim();
    let mut last_in_brackets = |wanted: &dyn Fn(&str) -> bool| {
        let found = rest.strip_suffix(']').and_then(|text| text.rsplit_once(" ["));
        let (before, inside) = found.filter(|(_, inside)| wanted(inside))?;
        rest = before;
        Some(inside.to_owned())
    };
    last_in_brackets(&|text| text.starts_with("env: ")).expect("a variable");
    let default = last_in_brackets(&|text| text.starts_with("default: "));
    let bounds = last_in_brackets(&|_| true);
    Shown {
        name: name.to_owned(),
        value: value.to_owned(),
        default: default.map_or_else(String::new, |text| text.trim_start_matches("default: ").to_owned()),
        bounds: bounds.unwrap_or_default(),
        help: rest.to_owned(),
    }
}

#[test]
fn every_setting_is_in_its_table() {
    let (gateway, topic_server, dev) = (options("gateway"), options("topic-server"), options("dev"));
    let rows = |options: &[Shown], in_file: bool, keep: &dyn Fn(&Shown) -> bool| -> Vec<Vec<String>> {
        let kept = options.iter().filter(|option| keep(option));
        kept.map(|option| option.row(in_file)).collect()
    };
    let both = rows(&gateway, true, &|option| topic_server.contains(option));
    assert!(!both.is_empty(), "no option that both roles have: has the form of --help changed?");
    compare(OPERATIONS, "### Both roles", &both);
    let own = rows(&gateway, true, &|option| !topic_server.contains(option));
    compare(OPERATIONS, "### Gateway", &own);
    let own = rows(&topic_server, true, &|option| !gateway.contains(option));
    compare(OPERATIONS, "### Topic server", &own);
    let own = rows(&dev, false, &|option| !gateway.contains(option) && !topic_server.contains(option));
    compare(OPERATIONS, "### `campanile dev`", &own);
    // And dev has what the page says it has: all of both but these.
    let of_roles = gateway.iter().chain(&topic_server);
    let not_in_dev: BTreeSet<_> =
        of_roles.filter(|option| !dev.contains(option)).map(|option| &option.name).collect();
    assert_eq!(not_in_dev.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["listen", "name", "redis"]);
}
