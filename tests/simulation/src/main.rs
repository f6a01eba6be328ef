//! `simulate`: runs many seeds of the simulation, or one with all that happens in it.

use std::io::{self, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use campanile_proto::planted::{FAULTS, Fault};
use campanile_simulation::hunt::hunt;
use campanile_simulation::plan::{Kind, Plan};
use campanile_simulation::run::{explain, run, run_with};
use clap::{Arg, ArgAction, Command, value_parser};

/// What was asked for.
#[derive(Debug)]
struct Arguments {
    count: u64,
    from: u64,
    keep_going: bool,
    kind: Option<Kind>,
    threads: Option<u64>,
}

fn command() -> Command {
    let number = |name: &'static str| Arg::new(name).value_parser(value_parser!(u64));
    Command::new("simulate")
        .about("Runs seeds of the deterministic simulation, and says which break a promise of the design")
        .arg(number("count").value_name("N").default_value("1000").help("How many seeds"))
        .arg(number("from").long("from").value_name("SEED").default_value("0").help("The first one"))
        .arg(
            number("seed")
                .long("seed")
                .value_name("SEED")
                .help("Run this one alone, and print all that happens"),
        )
        .arg(
            number("threads")
                .long("threads")
                .value_name("N")
                .help("By default, as many as there are processors"),
        )
        .arg(Arg::new("kind").long("kind").value_name("KIND").help("Runs of this kind alone"))
        .arg(
            Arg::new("fault")
                .long("fault")
                .value_name("NAME")
                .help("Break a rule on purpose, by its name; ALL: each in turn"),
        )
        .arg(
            Arg::new("keep-going")
                .long("keep-going")
                .action(ArgAction::SetTrue)
                .help("Go on behind a seed that breaks something"),
        )
}

fn main() -> io::Result<ExitCode> {
    let matches = command().get_matches();
    let number = |name| matches.get_one::<u64>(name).copied();
    let kind = matches.get_one::<String>("kind").and_then(|name| Kind::named(name));
    let fault = matches.get_one::<String>("fault").map(String::as_str);
    let planted = FAULTS.iter().copied().find(|known| Some(format!("{known:?}").as_str()) == fault);
    if let Some(seed) = number("seed") {
        return replay(&plan_of(seed, kind), planted);
    }
    if let Some(fault) = fault {
        let from = number("from").unwrap_or_default();
        let seeds = from..from + number("count").unwrap_or_default();
        return faults(planted, fault, seeds);
    }
    many(&Arguments {
        count: number("count").unwrap_or_default(),
        from: number("from").unwrap_or_default(),
        kind,
        keep_going: matches.get_flag("keep-going"),
        threads: number("threads"),
    })
}

/// Which seed shows which fault.
fn faults(planted: Option<Fault>, name: &str, seeds: Range<u64>) -> io::Result<ExitCode> {
    let faults: Vec<Fault> = planted.map_or_else(|| FAULTS.to_vec(), |fault| vec![fault]);
    if planted.is_none() && name != "ALL" {
        writeln!(io::stderr(), "no fault is called {name:?}; there are {FAULTS:?}")?;
        return Ok(ExitCode::from(2));
    }
    // What a rule that was broken on purpose says when it panics is no news.
    std::panic::set_hook(Box::new(|_| {}));
    let mut all = true;
    for fault in faults {
        let found = hunt(fault, seeds.clone());
        all &= found.is_some();
        let found = found.map_or("not found".to_owned(), |found| {
            format!("seed {:>4} {:<12} {}", found.seed, format!("{:?}", found.kind), found.violation)
        });
        writeln!(io::stdout(), "{:<22} {found}", format!("{fault:?}"))?;
    }
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn plan_of(seed: u64, kind: Option<Kind>) -> Plan {
    kind.map_or_else(|| Plan::of(seed), |kind| Plan::of_kind(seed, kind))
}

fn replay(plan: &Plan, fault: Option<Fault>) -> io::Result<ExitCode> {
    let report = run_with(plan, true, fault);
    let mut out = io::BufWriter::new(io::stdout().lock());
    write!(out, "{plan}")?;
    for line in &report.trace {
        writeln!(out, "{line}")?;
    }
    writeln!(
        out,
        "{} published, {} acknowledged, {} delivered, {} lives, {} topics excused by H4, longest answer {} us, hash {:016x}",
        report.published,
        report.acknowledged,
        report.delivered,
        report.lives,
        report.overlaps,
        report.longest,
        report.hash
    )?;
    match &report.violation {
        Some(violation) => {
            writeln!(out, "{}", explain(plan, violation))?;
            Ok(ExitCode::FAILURE)
        }
        None => {
            writeln!(out, "nothing is violated")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What many seeds come to.
#[derive(Default)]
struct Sum {
    done: u64,
    failed: Vec<u64>,
    published: usize,
    delivered: u64,
    longest: u64,
    stop: bool,
}

fn many(arguments: &Arguments) -> io::Result<ExitCode> {
    let begin = Instant::now();
    let sum = std::sync::Mutex::new(Sum::default());
    let next = std::sync::atomic::AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.count);
    let threads = arguments
        .threads
        .or_else(|| std::thread::available_parallelism().ok().map(|count| count.get() as u64));
    std::thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(1).max(1) {
            scope.spawn(|| work(arguments, &sum, &next, end));
        }
    });
    let sum = sum.into_inner().unwrap_or_default();
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} seeds from {} in {:.1} s: {} published, {} delivered; longest answer in a planned move {} ms",
        sum.done,
        arguments.from,
        begin.elapsed().as_secs_f64(),
        sum.published,
        sum.delivered,
        sum.longest / 1_000
    )?;
    if sum.failed.is_empty() {
        writeln!(out, "nothing is violated")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} seeds break something: {:?}", sum.failed.len(), sum.failed)?;
    Ok(ExitCode::FAILURE)
}

fn work(arguments: &Arguments, sum: &std::sync::Mutex<Sum>, next: &std::sync::atomic::AtomicU64, end: u64) {
    loop {
        let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let plan = plan_of(seed, arguments.kind);
        let report = run(&plan, false);
        let Ok(mut sum) = sum.lock() else { return };
        if sum.stop {
            return;
        }
        sum.done += 1;
        sum.published += report.published;
        sum.delivered += report.delivered;
        if plan.is_planned() {
            sum.longest = sum.longest.max(report.longest);
        }
        let mut out = io::stdout().lock();
        if let Some(violation) = &report.violation {
            sum.failed.push(seed);
            sum.stop = !arguments.keep_going;
            let _ = if arguments.keep_going {
                writeln!(out, "seed {seed} ({:?}): {violation}", plan.kind)
            } else {
                writeln!(out, "{}", explain(&plan, violation))
            };
        }
        if sum.done.is_multiple_of(100) {
            let _ = writeln!(
                out,
                "{} of {} seeds, {} break something",
                sum.done,
                arguments.count,
                sum.failed.len()
            );
        }
    }
}
