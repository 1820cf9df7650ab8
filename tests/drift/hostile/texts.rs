//! Texts that attack databases.

pub(super) const STEMS: [&str; 40] = [
    "'",
    "\"",
    "`",
    "\\",
    "''",
    "';",
    "\";",
    "') OR ('1'='1",
    "' OR 1=1 --",
    "\" OR \"\"=\"",
    "1; DROP TABLE universal_documents",
    "'; DROP TABLE universal_documents; --",
    "' UNION SELECT NULL,NULL,NULL --",
    "') UNION ALL SELECT body FROM universal_documents --",
    "1 AND SLEEP(5)",
    "'; SELECT pg_sleep(5); --",
    "' AND 1=(SELECT COUNT(*) FROM sqlite_master) --",
    "$1",
    "$2",
    "?1",
    ":name",
    "@p1",
    "%",
    "_",
    "%%",
    "%s",
    "%27",
    "a.b.c",
    "a[0]",
    "$.a",
    "$.a.b",
    "{a,b}",
    "->>",
    "#>>",
    "::int",
    "/*",
    "*/ OR 1=1 /*",
    "--",
    "\u{2019}",
    "\u{202E}txt",
];
pub(super) const AROUND: [(&str, &str); 13] = [
    ("", ""),
    ("a", ""),
    ("", "a"),
    ("'", "'"),
    ("\"", "\""),
    ("(", ")"),
    ("[\"", "\"]"),
    ("doc.", ""),
    ("a == ", ""),
    (" ", " "),
    ("\u{0}", ""),
    ("\n", "\t"),
    ("💥", "\u{FEFF}"),
];
const ENCODED: [fn(&str) -> String; 6] = [
    str::to_owned,
    |text| text.replace('\'', "%27").replace(' ', "%20"),
    str::to_uppercase,
    |text| text.repeat(40),
    |text| text.chars().rev().collect(),
    |text| format!("name' {text} = 'x"),
];

/// At least 2 000 different texts.
pub(super) fn texts() -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for encode in ENCODED {
        for stem in STEMS {
            texts.extend(AROUND.iter().map(|(before, after)| encode(&format!("{before}{stem}{after}"))));
        }
    }
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Too long for most places, and stored whole where it is a value.
pub(super) fn long() -> String {
    "x".repeat(64 * 1024)
}
