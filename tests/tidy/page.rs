//! Pages as the tests of this folder read them: sections, tables, code spans.

use std::fs;
use std::path::Path;

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(super) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: cannot be read: {error}"))
}

/// The lines below a heading, up to the next one of the same or a higher level.
pub(super) fn section<'a>(page: &str, text: &'a str, heading: &str) -> Vec<&'a str> {
    let level = heading.find(' ').unwrap();
    let ends = |line: &str| (1..=level).any(|count| line.starts_with(&format!("{} ", "#".repeat(count))));
    let mut lines = text.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "{page} has no heading {heading:?}: a test reads what stands below it");
    let mut in_code = false;
    lines
        .take_while(|line| {
            in_code ^= line.starts_with("```");
            in_code || !ends(line)
        })
        .collect()
}

/// The rows of the first table below a heading, without its head.
pub(super) fn table(page: &str, heading: &str) -> Vec<String> {
    let text = read(page);
    let rows = section(page, &text, heading).into_iter().skip_while(|line| !line.starts_with('|'));
    let rows: Vec<_> = rows.take_while(|line| line.starts_with('|')).map(str::to_owned).collect();
    assert!(rows.len() > 2, "{page}: there is no table below {heading:?}");
    rows[2..].to_vec()
}

/// The cells of a row; `\|` is a character of a cell.
pub(super) fn cells(row: &str) -> Vec<String> {
    let row = row.replace("\\|", "\u{1}");
    let cells = row.trim().trim_start_matches('|').trim_end_matches('|').split('|');
    cells.map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

fn row(cells: &[&str]) -> String {
    let shown = cells.iter().map(|cell| cell.replace('|', "\\|"));
    shown.fold("|".to_owned(), |row, cell| row + " " + &cell + if cell.is_empty() { "|" } else { " |" })
}

/// Compares a table's rows, cut to as many cells as the code knows, with what the code says.
pub(super) fn compare(page: &str, heading: &str, expected: &[Vec<String>]) {
    let width = expected.first().map_or(0, Vec::len);
    let found = table(page, heading).iter().map(|row| cells(row)).collect::<Vec<_>>();
    let found_cut: Vec<_> = found.iter().map(|cells| cells[..width.min(cells.len())].to_vec()).collect();
    let show = |rows: &[Vec<String>]| {
        let rows = rows.iter().map(|cells| row(&cells.iter().map(String::as_str).collect::<Vec<_>>()));
        rows.collect::<Vec<_>>().join("\n")
    };
    let missing: Vec<_> = expected.iter().filter(|row| !found_cut.contains(row)).cloned().collect();
    let surplus: Vec<_> = found_cut.iter().filter(|row| !expected.contains(row)).cloned().collect();
    assert!(
        found_cut == expected,
        "{page}, the table below {heading:?}, is not what the code says.\n\nOnly in the code; add:\n{}\n\nOnly in \
         the page; take out:\n{}\n\nThe first {width} cells of its rows, in the code's order:\n{}\n",
        show(&missing),
        show(&surplus),
        show(expected)
    );
}

/// Code spans of a line.
pub(super) fn spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// A page's lines outside of code blocks, with their numbers.
pub(super) fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let outside = |(_, line): &(usize, &str)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    };
    (1..).zip(text.lines()).filter(outside).collect()
}
