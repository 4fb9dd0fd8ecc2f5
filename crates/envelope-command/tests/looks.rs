//! What is shown on a terminal, and what in a pipe.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use std::{fs, process::Command};

use envelope_testkit::folder;
use tempfile::TempDir;

const ESCAPE: char = '\u{1b}';

/// Runs a line of the shell in a folder with a bucket: in a pipe, or in a terminal of so many
/// columns. Returns what is shown.
fn shown(line: &str, columns: Option<u32>, variables: &[(&str, &str)]) -> String {
    let shell = TempDir::new().unwrap();
    fs::copy(folder("keys/public_key.pem"), shell.path().join("key.pem")).unwrap();
    fs::create_dir_all(shell.path().join("bucket/folder")).unwrap();
    fs::write(shell.path().join("bucket/folder/plain"), "not encrypted").unwrap();
    fs::write(shell.path().join("bucket/plain"), "not encrypted").unwrap();
    let line = line.replace("envelope", env!("CARGO_BIN_EXE_envelope"));
    let mut command = match columns {
        None => {
            let mut command = Command::new("sh");
            command.args(["-c", &line]);
            command
        }
        Some(columns) => {
            let mut command = Command::new("script");
            command.args(["-qec", &format!("stty rows 40 cols {columns}; {line}"), "/dev/null"]);
            command
        }
    };
    let output = command
        .current_dir(shell.path())
        .env("XDG_CONFIG_HOME", shell.path())
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let line = "envelope ls -l file:bucket/";
    let colours = shown(line, Some(100), &[]);
    assert!(colours.contains("\u{1b}[34m"), "folders stand out: {colours:?}");
    assert!(colours.contains("\u{1b}[33m"), "what is not encrypted stands out: {colours:?}");
    for plain in [
        shown(line, None, &[]),
        shown(line, Some(100), &[("NO_COLOR", "1")]),
        shown(line, Some(100), &[("TERM", "dumb")]),
        shown("envelope ls --json file:bucket/", Some(100), &[]),
    ] {
        assert!(!plain.contains(ESCAPE) && plain.contains("folder"), "{plain:?}");
    }
}

#[test]
fn explanations_are_broken_between_words_only_on_a_terminal() {
    let line = "envelope encrypt key.pem --key key.pem --dialect oss-v2 --no-seal --metadata-out h \
                --output c 2>/dev/null && envelope inspect h";
    let whole = shown(line, None, &[]);
    assert!(whole.lines().any(|line| line.chars().count() > 120), "{whole}");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for columns in [60, 80, 120] {
        let broken = shown(line, Some(columns), &[]);
        assert!(!broken.contains(ESCAPE), "{broken:?}");
        assert_eq!(words(&broken), words(&whole));
        for line in broken.lines() {
            let len = line.trim_end().chars().count();
            assert!(len <= usize::try_from(columns).unwrap(), "{columns}: {line}");
        }
        // Further lines begin below the first one's words.
        assert!(broken.lines().any(|line| line.starts_with(&" ".repeat(15))), "{broken}");
    }
    assert!(whole.starts_with("master key     RSA, 2048 bits\n   |           "), "{whole}");
}

/// What is printed while a bar is shown begins a line of its own.
#[test]
fn lines_do_not_run_into_the_bar() {
    let shown = shown(
        "envelope put -r bucket file:other/ --key key.pem --dialect oss-v2 --dry-run 2>&1",
        Some(80),
        &[],
    );
    let planned: Vec<&str> = shown.lines().filter(|line| line.contains("to upload")).collect();
    assert!(planned.len() >= 3, "{shown:?}");
    for line in planned {
        // A bar is removed before the line, and drawn again after it.
        let line = line.rsplit(['\r', 'K']).next().unwrap_or_default();
        assert!(line.starts_with("to upload") || line.contains(" to upload ("), "{shown:?}");
    }
}
