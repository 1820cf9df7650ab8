//! The report, in Markdown.

use std::{fmt::Write as _, fs};

use crate::{
    options::Options,
    sample::Sample,
    series::{Figure, Series},
};

/// What was found, as `docs/performance.md` shows it.
pub(crate) fn report(options: &Options, series: &[Series]) -> String {
    let mut out = String::new();
    head(&mut out, options);
    out.push_str(
        "\n| measured | limit | server /s | limit /s | ratio (range) | server CPU µs | limit CPU µs | ratio (range) |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n",
    );
    for one in series {
        for limit in &one.limits {
            let rate = |sample: &Sample| Some(sample.rate());
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                one.name,
                limit.name,
                plain(Figure::each(&one.server, rate)),
                plain(Figure::each(&limit.samples, rate)),
                ranged(one.ratio(limit, rate)),
                plain(Figure::each(&one.server, Sample::cpu_micros)),
                plain(Figure::each(&limit.samples, Sample::cpu_micros)),
                ranged(one.ratio(limit, Sample::cpu_micros)),
            );
        }
    }
    database(&mut out, series);
    out
}

fn head(out: &mut String, options: &Options) {
    let database = if options.postgres.is_some() { "PostgreSQL" } else { "SQLite, `synchronous=FULL`" };
    let _ = writeln!(
        out,
        "On {database}; medians of {} interleaved rounds of {} s a measurement.\n\n{}.",
        options.rounds,
        options.time.as_secs(),
        machine(),
    );
    if cfg!(debug_assertions) {
        out.push_str("\n**Built without optimisation: these figures show that the program works, nothing else.**\n");
    }
    if options.rounds < 5 {
        out.push_str("\n**Fewer than five rounds: a try, not a measurement.**\n");
    }
}

/// PostgreSQL's own time, where it could be read.
fn database(out: &mut String, series: &[Series]) {
    if !series.iter().flat_map(|one| &one.server).any(|sample| sample.database_cpu.is_some()) {
        return;
    }
    out.push_str(
        "\nPostgreSQL's CPU time beside it:\n\n\
         | measured | with the server, µs | with the limit, µs | ratio (range) |\n|---|---:|---:|---:|\n",
    );
    for one in series {
        // Where no limit has PostgreSQL behind it, there is nothing to compare.
        let limit = one.limits.iter().find(|limit| limit.samples.iter().any(|sample| sample.database_cpu.is_some()));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            one.name,
            plain(Figure::each(&one.server, Sample::database_micros)),
            plain(limit.and_then(|limit| Figure::each(&limit.samples, Sample::database_micros))),
            ranged(limit.and_then(|limit| one.ratio(limit, Sample::database_micros))),
        );
    }
}

fn plain(figure: Option<Figure>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| number(figure.median))
}

fn ranged(figure: Option<Figure>) -> String {
    figure.map_or_else(
        || "–".to_owned(),
        |figure| format!("{} ({}–{})", number(figure.median), number(figure.range.0), number(figure.range.1)),
    )
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        _ if !value.is_finite() => "–".to_owned(),
        _ if value < 1.0 => format!("{value:.3}"),
        _ if value < 10.0 => format!("{value:.2}"),
        _ if value < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The processor, the system, and how busy both are with other things.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{cores} cores ({}), Linux {}, load average at the end {}",
        model.map_or("unknown", |(_, model)| model.trim()),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_table() {
        let sample = |count| Sample {
            count,
            wall: Duration::from_secs(1),
            cpu: Some(Duration::from_millis(100)),
            database_cpu: None,
        };
        let mut series = Series::new("get, 16 connections");
        for count in [100, 200, 300] {
            series.server.push(sample(count));
            series.add("bare", sample(1000));
        }
        let report = report(&Options::default(), &[series]);
        let row = "| get, 16 connections | bare | 200 | 1000 | 0.200 (0.100–0.300) | 500 | 100 | 5.00 (3.33–10.0) |";
        assert!(report.contains(row), "{report}");
    }
}
