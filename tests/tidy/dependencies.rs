//! The dependencies that CONTRIBUTING.md justifies, against those that there are.

use std::collections::BTreeSet;

use super::code_map::files;
use super::page::{read, section};

const CONTRIBUTING: &str = "CONTRIBUTING.md";

#[test]
fn every_dependency_is_justified() {
    let mut used = BTreeSet::new();
    // fuzz/ stands outside of the workspace.
    for (manifest, section) in
        [("Cargo.toml", "[workspace.dependencies]"), ("fuzz/Cargo.toml", "[dependencies]")]
    {
        let mut current = String::new();
        for line in read(manifest).lines() {
            if line.starts_with('[') {
                current = line.to_owned();
            } else if current == section
                && let Some((name, _)) = line.split_once(" = ")
                && !name.starts_with("campanile-")
            {
                used.insert(name.to_owned());
            }
        }
    }
    for package in files().iter().filter(|file| file.ends_with("package.json")) {
        let package: serde_json::Value = serde_json::from_str(&read(package)).unwrap();
        for key in ["dependencies", "devDependencies"] {
            let names = package[key].as_object().into_iter().flat_map(|names| names.keys());
            // Several versions of one package stand under names of their own.
            used.extend(names.map(|name| match name.rsplit_once('-') {
                Some((package, version)) if version.starts_with(|first: char| first.is_ascii_digit()) => {
                    package.to_owned()
                }
                _ => name.to_owned(),
            }));
        }
    }
    let text = read(CONTRIBUTING);
    let lines = section(CONTRIBUTING, &text, "## Dependencies");
    let named: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("* `").and_then(|rest| rest.split('`').next()))
        .map(str::to_owned)
        .collect();
    let unique: BTreeSet<_> = named.iter().cloned().collect();
    assert_eq!(unique.len(), named.len(), "{CONTRIBUTING}, \"Dependencies\": a name stands twice");
    let missing: Vec<_> = used.difference(&unique).collect();
    let surplus: Vec<_> = unique.difference(&used).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "{CONTRIBUTING}, \"Dependencies\": say what these are for: {missing:?}; take out what is not used: {surplus:?}"
    );
}
