//! ARCHITECTURE.md's map of the files, against the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::page::{read, root, section};

const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Names of folders that hold no source.
const NO_SOURCE: [&str; 5] = ["target", "node_modules", ".git", ".cache", "docs"];

/// Every file of the project: those that git knows of, or, outside of a checkout, those that are there.
pub(super) fn files() -> Vec<String> {
    let listed = Command::new("git").current_dir(root()).args(["ls-files", "-z"]).output();
    let mut files: Vec<String> = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = String::from_utf8(output.stdout).unwrap();
            let names = names.split('\0').filter(|name| !name.is_empty());
            // A file that is deleted and not yet so in git is gone.
            names.filter(|name| root().join(name).is_file()).map(str::to_owned).collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(root(), &mut found);
            found.sort();
            found
        }
    };
    files.retain(|file| is_source(file));
    assert!(files.len() > 50, "found only {files:?}");
    files
}

fn walk(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !NO_SOURCE.contains(&name.as_str()) {
                walk(&path, into);
            }
        } else {
            let path = path.strip_prefix(root()).unwrap();
            into.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
}

/// What the code map lists: all but pages, lock files, inputs of the fuzzer, and the small files of tools that begin with a dot.
fn is_source(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap();
    let is_page = name.ends_with(".md") || name == "LICENSE" || file.starts_with("docs/");
    let is_lock = name == "Cargo.lock" || name == "package-lock.json";
    // The copy of the example that the README asks for, where nobody asks git.
    let is_local = file == "ring.toml" || file == "campanile.toml";
    // Inputs that a search has found; the folder of each target stands for them.
    let is_input = file.starts_with("fuzz/corpus/");
    !is_page && !is_lock && !is_local && !is_input && !name.starts_with('.')
}

#[test]
fn the_code_map_names_every_file_once() {
    let text = read(ARCHITECTURE);
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    for line in section(ARCHITECTURE, &text, "## Code map") {
        if let Some(file) = line.strip_prefix("* `").and_then(|rest| rest.split('`').next()) {
            *named.entry(file).or_default() += 1;
            let about = line.trim_start_matches("* `").trim_start_matches(file).trim_start_matches('`');
            assert!(about.trim_start_matches(':').trim().len() > 10, "{ARCHITECTURE}: say what {file} holds");
        }
    }
    let files = files();
    let mut faults = Vec::new();
    for file in &files {
        match named.get(file.as_str()) {
            None => faults.push(format!("add a line:      * `{file}`: …")),
            Some(1) => {}
            Some(count) => faults.push(format!("stands {count} times: {file}")),
        }
    }
    // A file that git does not know of yet may be there already.
    let gone = named.keys().filter(|file| !root().join(file).is_file());
    faults.extend(gone.map(|file| format!("take out, it is gone: {file}")));
    assert!(
        faults.is_empty(),
        "{ARCHITECTURE}, \"Code map\", is not the files that there are:\n{}\n",
        faults.join("\n")
    );
}
