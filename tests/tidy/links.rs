//! Links between pages, their headings included.

use std::fs;
use std::path::{Path, PathBuf};

use super::page::{prose, read, root};

/// All pages: Markdown files at the root and below docs/.
fn pages() -> Vec<String> {
    fn below(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(&path, into);
            } else {
                into.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below(&root().join("docs"), &mut found);
    found.extend(fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()));
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut pages: Vec<_> =
        found.iter().map(|path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()).collect();
    pages.sort();
    pages
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).into_iter().filter(|(_, line)| line.starts_with('#'));
    let slug = |(_, line): (usize, &str)| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        kept.chars()
            .filter(|char| char.is_alphanumeric() || " -_".contains(*char))
            .map(|char| if char == ' ' { '-' } else { char })
            .collect()
    };
    headings.map(slug).collect()
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    let mut faults = Vec::new();
    for page in pages() {
        let text = read(&page);
        for (number, line) in prose(&text) {
            for rest in line.split("](").skip(1) {
                let target = rest.split(')').next().unwrap();
                if target.contains("://") {
                    continue;
                }
                let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
                let folder = Path::new(&page).parent().unwrap();
                let linked = if path.is_empty() { PathBuf::from(&page) } else { folder.join(path) };
                if !root().join(&linked).exists() {
                    faults.push(format!("{page}:{number}: {target}: there is no such file"));
                } else if !anchor.is_empty() {
                    let linked = fs::read_to_string(root().join(&linked)).unwrap();
                    if !anchors(&linked).iter().any(|known| known == anchor) {
                        faults.push(format!("{page}:{number}: {target}: there is no such heading"));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "links that lead nowhere; mend or take out:\n{}\n", faults.join("\n"));
}
