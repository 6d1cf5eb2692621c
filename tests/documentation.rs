//! The documents must say what is so.

use std::fs;
use std::path::Path;
use std::process::Command;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// The code blocks of a document in one language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let parts = document.split(&opening).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn the_code_in_the_readme_is_the_code_in_the_source() {
    let handler = read("src/handler.rs");
    let example = read("src/store/request.rs").replace("/// ", "");
    let blocks = blocks(&read("README.md"), "rust");
    assert_eq!(blocks.len(), 2);
    for function in blocks.iter().flat_map(|block| block.split("\n\n")) {
        assert!(
            handler.contains(function) || example.contains(function),
            "not in the source:\n{function}"
        );
    }
}

#[test]
fn every_file_that_a_document_names_is_there() {
    let mut named = 0;
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        for word in read(document).split(['`', '(', ')', ' ', '\n', ',', ';', ':']) {
            let is_path = word.ends_with(".rs") || word.ends_with(".toml") || word.ends_with(".md");
            if !is_path || word.starts_with("./") || word.starts_with("//") {
                continue;
            }
            named += 1;
            let root = Path::new(env!("CARGO_MANIFEST_DIR"));
            assert!(
                root.join(word).exists() || root.join("src").join(word).exists(),
                "{document} names {word}"
            );
        }
    }
    assert!(named > 20, "only {named} names of files were found");
}

#[test]
fn the_readme_lists_every_subcommand() {
    let help = Command::new(env!("CARGO_BIN_EXE_daybook"))
        .arg("--help")
        .output()
        .expect("the binary runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .expect("a list of commands");
    let readme = read("README.md");
    let commands: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"serve"), "{commands:?}");
    for command in commands {
        assert!(
            command == "help" || readme.contains(&format!("    daybook {command} ")),
            "{command} is not in the README"
        );
    }
}
