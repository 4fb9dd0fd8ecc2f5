//! The README in both languages: what is typed is the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests fail loudly")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

fn blocks(name: &str) -> Vec<(String, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = fs::read_to_string(root.join(name)).unwrap();
    let mut blocks: Vec<(String, Vec<String>)> = Vec::new();
    let mut is_open = false;
    for line in text.lines() {
        match (line.strip_prefix("```"), is_open) {
            (Some(language), false) => {
                blocks.push((language.to_owned(), Vec::new()));
                is_open = true;
            }
            (Some(_), true) => is_open = false,
            (None, true) => blocks.last_mut().unwrap().1.push(line.to_owned()),
            (None, false) => {}
        }
    }
    blocks
}

/// Returns a line without its comment.
fn typed<'a>(line: &'a str, language: &str) -> &'a str {
    let mark = if language == "rust" { "//" } else { "#" };
    let line = line.trim_end();
    match line.trim_start().starts_with(mark) {
        true => "",
        false => line.split_once(&format!(" {mark} ")).map_or(line, |(typed, _)| typed.trim_end()),
    }
}

#[test]
fn both_languages_say_the_same_commands() {
    let (english, chinese) = (blocks("README.md"), blocks("README.zh-CN.md"));
    assert_eq!(english.len(), chinese.len());
    for ((language, lines), (other, translated)) in english.iter().zip(&chinese) {
        assert_eq!(language, other);
        let typed = |lines: &[String]| -> Vec<String> {
            lines.iter().map(|line| typed(line, language).to_owned()).collect()
        };
        assert_eq!(typed(lines), typed(translated));
    }
}

/// Every option that the README names, there is.
#[test]
fn the_options_are_known() {
    let mut checked = BTreeSet::new();
    for (language, lines) in blocks("README.md") {
        let joined = lines.join("\n").replace("\\\n", " ");
        for line in joined.lines().filter(|_| language == "sh") {
            let Some((_, line)) = line.split_once("envelope ") else { continue };
            let line = typed(line, &language);
            let mut words = line.split_whitespace();
            let Some(command) = words.next().filter(|word| !word.starts_with('-')) else {
                continue;
            };
            if command == "--" || command == "/" {
                continue;
            }
            let command = if command == "uploads" { "uploads ls" } else { command };
            let mut help = Command::new(env!("CARGO_BIN_EXE_envelope"));
            help.arg("help")
                .args(command.split(' '))
                .arg("--all")
                .env("XDG_CONFIG_HOME", "/nowhere");
            let out = help.output().unwrap();
            assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
            let text = String::from_utf8(out.stdout).unwrap();
            for option in words.filter(|word| word.starts_with("--")) {
                assert!(text.contains(option), "{option} is no option of `{command}`");
                checked.insert(option.to_owned());
            }
        }
    }
    assert!(checked.len() >= 20, "{checked:?}");
}
