//! The tables of endings and reasons in docs/protocol.md, against the code's lists.

use campanile_gateway::client::admission::Turned;
use campanile_gateway::client::close::Ending;
use campanile_gateway::hub::reason::{Published, Reason};

use super::page::{cells, compare, read, section, table};

const PROTOCOL: &str = "docs/protocol.md";
const REDIS: &str = "docs/redis.md";

#[test]
fn every_ending_is_in_its_table() {
    let rows = Ending::ALL.map(|ending| {
        let come_back = if ending.come_back() { "yes" } else { "no" };
        vec![
            ending.code().to_string(),
            ending.text().to_owned(),
            format!("`{}`", ending.word()),
            come_back.to_owned(),
        ]
    });
    compare(PROTOCOL, "## Endings", &rows);
}

#[test]
fn every_ending_of_a_redis_connection_is_in_its_table() {
    let rows = Ending::REDIS.map(|ending| {
        let come_back = if ending.come_back() { "yes" } else { "no" };
        vec![format!("`{}`", ending.word()), come_back.to_owned()]
    });
    compare(REDIS, "## Endings", &rows);
}

#[test]
fn everybody_who_is_turned_away_is_in_the_table() {
    let rows = table(PROTOCOL, "## Endpoint");
    for (turned, row) in Turned::ALL.iter().zip(rows) {
        let answer = format!("{}, body `{}`", turned.status(), turned.text());
        assert_eq!(cells(&row).last(), Some(&answer), "{PROTOCOL}, ## Endpoint, in this order: {answer}");
    }
}

#[test]
fn every_reason_is_in_its_table() {
    let rows = Reason::ALL.map(|reason| {
        let outcome = match reason.outcome() {
            Published::Not => "not_published",
            Published::Unknown => "unknown",
        };
        vec![format!("`{}`", reason.text()), format!("`{outcome}`"), reason.retry().to_string()]
    });
    let text = read(PROTOCOL);
    assert_eq!(
        section(PROTOCOL, &text, "## Errors").iter().filter(|line| line.starts_with("|---")).count(),
        1,
        "{PROTOCOL}: one table of reasons"
    );
    compare(PROTOCOL, "## Errors", &rows);
}
