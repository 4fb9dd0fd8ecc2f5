//! The pages in Markdown.

use std::fmt::Write as _;

use meta_codec::Vendor;

use super::{Count, Language, Page};
use crate::{outcome::Outcome, results::Object};

/// Makes a page.
pub(super) fn page(page: &Page<'_>, language: Language) -> String {
    let mut text = String::new();
    let _ = introduction(&mut text, page, language);
    for vendor in [Vendor::Oss, Vendor::Cos] {
        let _ = summary(&mut text, page, vendor, language);
    }
    let _ = defects(&mut text, page, language);
    for vendor in [Vendor::Oss, Vendor::Cos] {
        let _ = details(&mut text, page, vendor, language);
    }
    text
}

/// Makes the table of all writers and readers.
pub(super) fn matrix(page: &Page<'_>) -> String {
    let mut text = String::new();
    for vendor in [Vendor::Oss, Vendor::Cos] {
        let _ = summary(&mut text, page, vendor, Language::English);
    }
    text
}

fn introduction(
    text: &mut String,
    page: &Page<'_>,
    language: Language,
) -> Result<(), std::fmt::Error> {
    let cells = page.results.cells().count();
    let red = page.explained.len();
    let chosen = match language {
        Language::English => format!(
            "# Who reads what\n\n\
             [中文](interop.zh.md) · [filterable](interop.html)\n\n\
             Every SDK of Aliyun OSS and Tencent COS with client-side encryption writes here, and\n\
             every other one reads: {cells} attempts, each of them run, none of them copied from\n\
             documentation. {red} of them disappoint; each is explained under\n\
             [Defects](#defects).\n\n\
             `cargo xtask interop` runs all of it with pinned versions of the SDKs, against\n\
             loopback servers, and makes this page from the results; `cargo xtask test` fails if\n\
             a result changes. *Recorded* objects are those of SDKs that no registry has (C++;\n\
             those of COS Android were made from its source) and of other versions; *chosen IV*\n\
             are objects whose counter overflows in the fifth block. The SDKs of Node.js have no\n\
             client-side encryption, and alibabacloud-oss-v2 for Java has no client that uses it in\n\
             any release. PHP v2, which has one, is not among the recorded ones.\n\n\
             Each object is read as a whole and, unless it is empty, in the ranges `100-199`,\n\
             `17-` and `-16`. One with a material description is also read by a reader whose\n\
             master key is another, and which has to find the right key by the description\n\
             (*keys*). Every object that `envelope` writes here is [sealed](seal.md).\n"
        ),
        Language::Chinese => format!(
            "# 谁能读取谁写入的对象\n\n\
             [English](interop.md) · [可筛选的表格](interop.html)\n\n\
             阿里云 OSS 与腾讯云 COS 的每一个支持客户端加密的 SDK 都在这里写入对象，再由其他每一个\n\
             SDK 读取：共 {cells} 次尝试，全部实际运行，没有一条抄自文档。其中 {red} 次令人失望，\n\
             原因见[缺陷](#缺陷)。\n\n\
             `cargo xtask interop` 使用固定版本的 SDK 在本机回环服务器上运行全部测试，并由结果生成\n\
             本页；结果一旦变化，`cargo xtask test` 就会失败。*recorded* 是各软件源中没有的 SDK\n\
             （C++；COS Android 的对象由其源码推得）以及其他版本留下的对象；*chosen IV* 是计数器在\n\
             第五个分组处溢出的对象。Node.js 的 SDK 没有客户端加密；Java 的 alibabacloud-oss-v2\n\
             在所有已发布的版本中都没有使用加密的客户端；PHP v2 有，但不在其中。\n\n\
             每个对象先整体读取；若不为空，再按区间 `100-199`、`17-` 和 `-16` 读取。带有密钥描述\n\
             （material description）的对象还会由一个主密钥不同、必须凭描述找到正确密钥的读取方读取\n\
             （*keys*）。`envelope` 在此写入的每个对象都带有[封印](zh/seal.md)。\n"
        ),
    };
    text.push_str(&chosen);
    Ok(())
}

/// Writers against readers: how many reads work.
fn summary(
    text: &mut String,
    page: &Page<'_>,
    vendor: Vendor,
    language: Language,
) -> Result<(), std::fmt::Error> {
    let readers = page.readers(vendor);
    writeln!(text, "\n## {}\n", title(vendor))?;
    let words = language.choose(
        "Reads that work, of all reads. ❗ marks reads that end without an error and give wrong \
         data.",
        "成功的读取次数 / 全部读取次数。❗ 表示读取没有报错、数据却是错的。",
    );
    writeln!(text, "{words}\n")?;
    write!(text, "| {} |", language.choose("written by ↓, read by →", "写入 ↓，读取 →"))?;
    for reader in &readers {
        write!(text, " {reader} |")?;
    }
    writeln!(text, "\n|---|{}", "---|".repeat(readers.len()))?;
    for writer in page.writers(vendor) {
        write!(text, "| {writer} |")?;
        for reader in &readers {
            let mut count = Count::default();
            for (_, _, object) in page.objects(vendor).filter(|(it, ..)| *it == writer) {
                let reads = object.readers.get(*reader).into_iter().flatten();
                reads.for_each(|(_, outcome)| count.add(outcome));
            }
            let Count { works, wrong, all } = count;
            match (all, wrong) {
                (0, _) => write!(text, " – |")?,
                (_, 0) => write!(text, " {works}/{all} |")?,
                _ => write!(text, " {works}/{all} ❗{wrong} |")?,
            }
        }
        writeln!(text)?;
    }
    Ok(())
}

/// What each red cell is about.
fn defects(text: &mut String, page: &Page<'_>, language: Language) -> Result<(), std::fmt::Error> {
    writeln!(text, "\n## {}", language.choose("Defects", "缺陷"))?;
    for (index, defect) in page.defects.iter().enumerate() {
        let cells = page.explained.iter().filter(|(_, it)| it.id == defect.id);
        let wrong = cells.clone().filter(|(cell, _)| *cell.outcome == Outcome::Wrong).count();
        let refused = cells.clone().count() - wrong;
        let reason = cells.clone().find_map(|(cell, _)| match cell.outcome {
            Outcome::Refuses(reason) if !reason.is_empty() => Some(reason),
            _ => None,
        });
        let words = language.choose(&defect.en, &defect.zh).trim();
        writeln!(text, "\n### {}. {}\n\n{words}\n", index + 1, defect.id)?;
        match language {
            Language::English => {
                writeln!(text, "- refused: {refused}; silently wrong: {wrong}")?;
                writeln!(text, "- where: {}", defect.place)?;
                writeln!(text, "- to reproduce: {}", defect.reproduction)?;
            }
            Language::Chinese => {
                writeln!(text, "- 拒绝：{refused}；静默出错：{wrong}")?;
                writeln!(text, "- 位置：{}", defect.place)?;
                writeln!(text, "- 重现：{}", defect.reproduction)?;
            }
        }
        if let Some(reason) = reason {
            let reason = reason.replace('`', "'").replace('|', "\\|");
            writeln!(text, "- {}: `{reason}`", language.choose("it says", "报错"))?;
        }
    }
    Ok(())
}

/// Every object against every reader.
fn details(
    text: &mut String,
    page: &Page<'_>,
    vendor: Vendor,
    language: Language,
) -> Result<(), std::fmt::Error> {
    let heading = language.choose("every object", "逐个对象");
    writeln!(text, "\n## {}: {heading}\n", title(vendor))?;
    let words = language.choose(
        "✓: every read works. W: the whole object, R: ranges, K: the key by its description; a \
         number is that of the defect; `–`: the interface cannot express it.",
        "✓：所有读取都成功。W：整个对象；R：区间；K：凭描述找密钥；数字是缺陷的编号；`–`：接口无法\
         表达。",
    );
    writeln!(text, "{words}")?;
    let readers = page.readers(vendor);
    for writer in page.writers(vendor) {
        writeln!(text, "\n### {writer} ({})\n", vendor.id())?;
        write!(text, "| |")?;
        for reader in &readers {
            write!(text, " {reader} |")?;
        }
        writeln!(text, "\n|---|{}", "---|".repeat(readers.len()))?;
        let mut unsupported = Vec::new();
        for (_, case, object) in page.objects(vendor).filter(|(it, ..)| *it == writer) {
            if let Outcome::Unsupported(reason) = &object.written {
                unsupported.push((case, reason));
                continue;
            }
            write!(text, "| {case} |")?;
            for reader in &readers {
                write!(text, " {} |", cell(page, writer, case, reader, object))?;
            }
            writeln!(text)?;
        }
        if !unsupported.is_empty() {
            let words = language.choose("Cannot be written with this SDK:", "此 SDK 无法写入：");
            writeln!(text, "\n{words}")?;
            let mut reasons: Vec<_> = unsupported.iter().map(|(_, reason)| *reason).collect();
            reasons.dedup();
            for reason in reasons {
                let cases = unsupported.iter().filter(|(_, it)| *it == reason);
                let cases: Vec<_> = cases.map(|(case, _)| *case).collect();
                writeln!(text, "{} ({reason}).", cases.join(", "))?;
            }
        }
    }
    Ok(())
}

/// What a reader makes of an object.
fn cell(page: &Page<'_>, writer: &str, case: &str, reader: &str, object: &Object) -> String {
    if object.written.is_red() {
        let number = page.defect(writer, case, None);
        return number.map(|number| format!("✗{number}")).unwrap_or_default();
    }
    let Some(reads) = object.readers.get(reader) else { return "–".to_owned() };
    if reads.values().all(|outcome| *outcome == Outcome::Works) {
        return "✓".to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    for letter in ["W", "R", "K"] {
        let mut reads = reads.iter().filter(|(kind, _)| self::letter(kind) == letter).peekable();
        if reads.peek().is_none() {
            continue;
        }
        let red = reads.clone().find(|(_, outcome)| outcome.is_red());
        let mark = if let Some((kind, outcome)) = red {
            let number = page.defect(writer, case, Some((reader, kind)));
            let mark = if *outcome == Outcome::Wrong { "❗" } else { "✗" };
            format!("{mark}{}", number.map(|number| number.to_string()).unwrap_or_default())
        } else if reads.clone().any(|(_, outcome)| *outcome == Outcome::Works) {
            "✓".to_owned()
        } else {
            "–".to_owned()
        };
        words.push(format!("{letter}{mark}"));
    }
    // What a reader cannot do at all needs no letters.
    if words.iter().all(|word| word.ends_with('–')) { "–".to_owned() } else { words.join(" ") }
}

/// Returns the letter of a kind of read.
fn letter(kind: &str) -> &'static str {
    match kind {
        "whole" => "W",
        "keys" => "K",
        _ => "R",
    }
}

const fn title(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Oss => "Aliyun OSS",
        Vendor::Cos => "Tencent COS",
    }
}
