//! What `tests/run` found or started, by the variables it sets.

use std::path::{Path, PathBuf};

/// The value of `variable`, which `tests/run` sets.
#[must_use]
pub fn required(variable: &str) -> String {
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{variable} is not set: run the tests with tests/run, which finds or installs what they need"),
    }
}

/// The program at the path in `variable`, or the first of `names` that is on the `PATH`.
#[must_use]
pub fn program(variable: &str, names: &[&str]) -> PathBuf {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        return path.into();
    }
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let found =
        names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()));
    found.unwrap_or_else(|| {
        panic!("{} is not on the PATH: install it, or set {variable} to its path", names.join(" or "))
    })
}

/// The root of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository").to_path_buf()
}

/// The built example program `name`, beside the running test binary in the target folder.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let profile = test.parent().and_then(Path::parent).expect("test binaries lie in <target>/<profile>/deps");
    let program = profile.join("examples").join(name);
    assert!(
        program.is_file(),
        "the example program {} is not built: run the tests with tests/run, or `cargo build --workspace --all-features --examples` first",
        program.display()
    );
    program
}

/// How much the fault tests do: `ci` (the default, a sample) or `release`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Volume {
    /// A sample, for every change.
    Ci,
    /// What a release must pass.
    Release,
}

impl Volume {
    /// From `UNIVERSAL_TEST_VOLUME`.
    #[must_use]
    pub fn from_environment() -> Self {
        match std::env::var("UNIVERSAL_TEST_VOLUME").as_deref() {
            Ok("release") => Self::Release,
            Ok("ci") | Err(_) => Self::Ci,
            Ok(other) => panic!("UNIVERSAL_TEST_VOLUME is `{other}`; it is `ci` (the default) or `release`"),
        }
    }

    /// `ci` or `release`, whichever this is.
    #[must_use]
    pub fn pick<T>(self, ci: T, release: T) -> T {
        match self {
            Self::Ci => ci,
            Self::Release => release,
        }
    }
}

/// Ends the test, with a sentence that says how to go on, unless so many files may be open at once here and in what is
/// started from here.
pub fn required_files(count: usize) {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let allowed = line.and_then(|line| line.split_ascii_whitespace().next()).and_then(|limit| limit.parse().ok());
    // Where it is unlimited or not told, the test will show.
    if let Some(allowed) = allowed.filter(|allowed: &usize| *allowed < count) {
        panic!("{count} files must be open at once, and {allowed} may be: `ulimit -n {count}` before the tests");
    }
}
