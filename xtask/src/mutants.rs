//! Mutants: changes to the code that a test must notice.

use std::{fs, path::Path, process::Command};

use crate::{root, run::run, target, tool};

/// What is mutated, and the packages whose tests must notice.
struct Scope {
    name: &'static str,
    package: &'static str,
    files: &'static [&'static str],
    /// The tests of the package that are quick and notice most mutants, as arguments of cargo.
    quick: &'static [&'static str],
    tests: &'static [&'static str],
    /// More packages whose tests notice some, and take too long for the gate.
    slow_users: &'static [&'static str],
}

const SCOPES: [Scope; 5] = [
    Scope {
        name: "meta-codec",
        package: "meta-codec",
        files: &[],
        quick: &[],
        tests: &["meta-codec", "envelope-core"],
        slow_users: &[],
    },
    Scope {
        name: "envelope-core",
        package: "envelope-core",
        files: &[],
        quick: &[
            "--test=format_docs",
            "--test=lenient",
            "--test=matrix",
            "--test=policy",
            "--test=promises",
            "--test=runtime",
        ],
        tests: &["envelope-core", "ctr-kernel"],
        slow_users: &[],
    },
    Scope {
        name: "ctr-kernel",
        package: "ctr-kernel",
        files: &[],
        quick: &[],
        tests: &["ctr-kernel", "envelope-core"],
        slow_users: &[],
    },
    Scope {
        name: "envelope-kms",
        package: "envelope-kms",
        files: &[],
        quick: &[],
        tests: &["envelope-kms"],
        slow_users: &[],
    },
    Scope {
        name: "envelope-store",
        package: "envelope-store",
        files: &[
            "crates/envelope-store/src/put/**",
            "crates/envelope-store/src/put.rs",
            "crates/envelope-store/src/get/**",
            "crates/envelope-store/src/get.rs",
            "crates/envelope-store/src/rewrap/**",
            "crates/envelope-store/src/rewrap.rs",
            "crates/envelope-store/src/journal.rs",
        ],
        quick: &[
            "--lib",
            "--test=bulk",
            "--test=customer_key",
            "--test=download",
            "--test=lenient",
            "--test=looks",
            "--test=owned",
            "--test=resumed",
            "--test=sealed",
            "--test=stores",
        ],
        tests: &["envelope-store"],
        slow_users: &["envelope-command"],
    },
];

/// The most mutants of a change that are tried in the gate.
const MOST: usize = 8;
/// The least share that tests must catch, in percent: of a scope, and of the few of a change.
const LEAST: usize = 95;
const LEAST_OF_CHANGE: usize = 80;

/// Tries the mutants of a scope, or a shard of them, such as `0/8`.
///
/// The quick tests of the package come first, and notice most mutants. Only what they miss meets
/// all tests of the package, and then those of the packages that use it. Without a shard, a second
/// run goes on with what the first one has not caught.
pub(crate) fn of_scope(name: &str, shard: Option<&str>) -> Result<(), String> {
    let names = || SCOPES.map(|scope| scope.name).join(", ");
    let scope = SCOPES.iter().find(|scope| scope.name == name);
    let scope = scope.ok_or_else(|| format!("there is no {name}; there are {}", names()))?;
    let part = shard.map_or("all".to_owned(), |shard| shard.replace('/', "-of-"));
    let output = target().join("mutants").join(name).join(part);
    let users = scope.tests.iter().chain(scope.slow_users);
    let users: Vec<_> = users.filter(|it| **it != scope.package).copied().collect();
    let stages = [
        ("quick", &[scope.package][..], scope.quick),
        ("own", &[scope.package], &[]),
        ("users", &users, &[]),
    ];

    let mut outcome: Option<Outcome> = None;
    for (stage, packages, programs) in stages {
        let nothing_to_run = packages.is_empty() || (stage == "quick" && programs.is_empty());
        if nothing_to_run || outcome.as_ref().is_some_and(|before| before.missed.is_empty()) {
            continue;
        }
        let mut command = mutants(scope, packages)?;
        command.args(programs.iter().map(|program| format!("--cargo-arg={program}")));
        match (&outcome, shard) {
            (Some(before), _) => {
                for mutant in &before.missed {
                    command.arg("--re").arg(format!("^{}$", escaped(mutant)));
                }
            }
            (None, Some(shard)) => {
                command.args(["--sharding", "round-robin", "--shard", shard]);
            }
            (None, None) => {
                command.arg("--iterate");
            }
        }
        let now = attempt(&mut command, &output.join(stage))?;
        let caught = outcome.map_or(0, |before| before.caught) + now.caught;
        outcome = Some(Outcome { caught, missed: now.missed });
    }
    outcome.ok_or("no test can notice anything")?.judge(LEAST)
}

/// Tries a few mutants of the lines that the last commit changed.
pub(crate) fn of_change() -> Result<(), String> {
    let git = |arguments: &[&str]| text(Command::new("git").args(arguments));
    if git(&["rev-parse", "--verify", "--quiet", "HEAD~1"]).is_err() {
        println!("skipped: this clone has no commit before the last one");
        return Ok(());
    }
    let diff = git(&["diff", "HEAD~1", "HEAD", "--", "crates"])?;
    let commit = git(&["rev-parse", "HEAD"])?;
    let path = target().join("change.diff");
    fs::write(&path, &diff).map_err(|error| error.to_string())?;
    let mut tried = false;
    for scope in &SCOPES {
        if !diff.contains(&format!("crates/{}/src", scope.package)) {
            continue;
        }
        let list = text(mutants(scope, scope.tests)?.arg("--in-diff").arg(&path).arg("--list"))?;
        let count = list.lines().count();
        if count == 0 {
            continue;
        }
        let shards = count.div_ceil(MOST);
        // Another shard with every commit, but the same one whenever it is tried again.
        let number = commit.get(..8).and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let shard = number.unwrap_or_default().checked_rem(shards).unwrap_or_default();
        println!("{}: {count} mutants of this change, shard {shard} of {shards}", scope.name);
        let mut command = mutants(scope, scope.tests)?;
        command.arg("--in-diff").arg(&path);
        command.args(["--sharding", "round-robin", "--shard", &format!("{shard}/{shards}")]);
        let output = target().join("mutants-of-change").join(scope.name);
        attempt(&mut command, &output)?.judge(LEAST_OF_CHANGE)?;
        tried = true;
    }
    if !tried {
        println!("skipped: the last commit changes no code that is mutated");
    }
    Ok(())
}

/// What became of the mutants that compile.
struct Outcome {
    caught: usize,
    missed: Vec<String>,
}

impl Outcome {
    /// Fails if tests caught too few.
    fn judge(&self, least: usize) -> Result<(), String> {
        let all = self.caught + self.missed.len();
        println!("{} of {all} mutants were caught", self.caught);
        self.missed.iter().for_each(|mutant| println!("missed: {mutant}"));
        if self.caught * 100 < least * all {
            return Err(format!("fewer than {least} % of {all} mutants were caught"));
        }
        Ok(())
    }
}

/// Runs the mutants.
fn attempt(command: &mut Command, output: &Path) -> Result<Outcome, String> {
    fs::create_dir_all(output).map_err(|error| error.to_string())?;
    let status = run(command.arg("--output").arg(output));
    let lines = |name: &str| -> Result<Vec<String>, String> {
        let path = output.join("mutants.out").join(name);
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(text.lines().map(str::to_owned).collect())
    };
    // With --iterate, what was caught before is listed apart.
    let before = lines("previously_caught.txt").unwrap_or_default();
    let caught = lines("caught.txt")?.len() + lines("timeout.txt")?.len() + before.len();
    let outcome = Outcome { caught, missed: lines("missed.txt")? };
    if outcome.caught == 0 && outcome.missed.is_empty() {
        // Without a single mutant, only the tests themselves can have failed.
        status?;
    }
    Ok(outcome)
}

/// Returns a regular expression for a text. A backslash would give `<` and `>` a meaning.
fn escaped(text: &str) -> String {
    let is_special = |letter: char| letter.is_ascii_punctuation() && !"<>".contains(letter);
    let special = |letter: char| is_special(letter).then_some('\\');
    text.chars().flat_map(|letter| special(letter).into_iter().chain([letter])).collect()
}

/// Returns what a command prints.
fn text(command: &mut Command) -> Result<String, String> {
    let output = command.current_dir(root()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

/// Returns the command that tries the mutants of a scope with the tests of some packages.
fn mutants(scope: &Scope, tests: &[&str]) -> Result<Command, String> {
    let tools = tool::install("cargo-mutants", "27.1.0")?;
    let mut command = Command::new(tools.join("cargo-mutants"));
    command.args(["mutants", "--package", scope.package, "--no-shuffle"]);
    // Without features, files would be changed that are not compiled.
    command.args(["--all-features", "--minimum-test-timeout", "120", "--colors", "never"]);
    command.args(["--test-package", &tests.join(",")]);
    for file in scope.files {
        command.args(["--file", file]);
    }
    // What reads the inputs of the fuzzer is compiled for nothing else.
    command.args(["--exclude-re", "replace fuzz with"]);
    // Code of other processors, which no test of this one can notice.
    for file in ["arm.rs", "arm/**", "none.rs"] {
        command.arg("--exclude").arg(format!("crates/ctr-kernel/src/{file}"));
    }
    // Cargo takes the same package in another folder for the same one, if the files there are not
    // newer. In the folder of all other builds, the last mutant would stay in place of our code.
    command.env("CARGO_TARGET_DIR", target().join("mutants-target"));
    command.current_dir(root());
    Ok(command)
}
