//! Help that fits on a screen, completions and manual pages.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

use std::{fs, process::Command};

/// Runs the command at 80 columns, and returns what it prints.
fn said(arguments: &[&str]) -> String {
    let out = Command::new(env!("CARGO_BIN_EXE_envelope"))
        .args(arguments)
        .env("COLUMNS", "80")
        .env("XDG_CONFIG_HOME", "/nowhere")
        .output()
        .unwrap();
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Returns the names of the commands that the help lists.
fn commands() -> Vec<String> {
    let help = said(&["help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn it_fits_on_a_screen() {
    let names = commands();
    assert!(names.len() > 20 && names.contains(&"put".to_owned()), "{names:?}");
    for name in &names {
        let help = said(&[name, "--help"]);
        // A usage is one line, however long.
        let lines = || help.lines().filter(|line| !line.starts_with("Usage: "));
        let wide = lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{name}");
        assert!(help.lines().count() < 70, "{name}: {} lines", help.lines().count());
        assert_eq!(help, said(&["help", name]), "{name}");
        assert_eq!(help, said(&[name, "-h"]), "{name}");
    }
    let put = said(&["put", "--help"]);
    assert!(put.lines().count() < 60, "{} lines:\n{put}", put.lines().count());
    // The four that matter come first, and examples last.
    let shown: Vec<usize> = ["--key", "--for", "--force", "--recursive", "--json", "Examples:"]
        .iter()
        .map(|text| put.find(text).unwrap_or_else(|| panic!("{text} is not in\n{put}")))
        .collect();
    assert!(shown.is_sorted(), "{put}");
    assert!(!put.contains("--threshold"));
    let profiles = said(&["help", "profiles"]);
    assert_eq!(profiles.lines().find(|line| line.chars().count() > 80), None);
}

#[test]
fn everything_is_there_on_request() {
    let all = said(&["help", "put", "--all"]);
    for text in ["--threshold", "Many objects:", "Encryption by the store:", "--config"] {
        assert!(all.contains(text), "{text}");
    }
    assert!(said(&["help", "uploads", "abort", "--all"]).contains("--older-than"));
    assert!(said(&["help", "uploads", "abort"]).contains("--older-than"));
}

#[test]
fn a_typing_error_is_answered_with_what_was_meant() {
    for (arguments, tip) in [
        (&["putt", "a", "b"][..], "'put'"),
        (&["put", "a", "oss://b/c", "--forse"], "'--force'"),
        (&["get", "oss://b/c", "--outptu", "x"], "'--output'"),
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_envelope")).args(arguments).output().unwrap();
        let words = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(2), "{words}");
        let advice = words.lines().find(|line| line.starts_with("advice: ")).unwrap();
        assert!(advice.contains("similar") && advice.contains(tip), "{words}");
    }
    let out = Command::new(env!("CARGO_BIN_EXE_envelope")).args(["help", "nothing"]).output();
    assert_eq!(out.unwrap().status.code(), Some(2));
}

#[test]
fn completions_and_manual_pages() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = said(&["completions", shell]);
        assert!(script.contains("envelope") && script.contains("only-new"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man");
    said(&["man", pages.to_str().unwrap()]);
    for name in commands().iter().filter(|name| *name != "help") {
        let page = fs::read_to_string(pages.join(format!("envelope-{name}.1"))).unwrap();
        assert!(page.contains(".SH OPTIONS") || page.contains(".SH SUBCOMMANDS"), "{name}");
    }
    assert!(pages.join("envelope.1").exists());
}
