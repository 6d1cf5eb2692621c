//! The documents agree with the source.

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
fn code_in_the_readme_is_in_the_source() {
    let echo = read("src/main.rs");
    let example = read("src/http/request_store.rs").replace("/// ", "");
    let blocks = blocks(&read("README.md"), "rust");
    assert_eq!(blocks.len(), 2);
    for function in blocks.iter().flat_map(|block| block.split("\n\n")) {
        assert!(
            echo.contains(function) || example.contains(function),
            "not in the source:\n{function}"
        );
    }
}

#[test]
fn code_in_the_cookbook_is_in_its_tests() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cookbook");
    let files = fs::read_dir(directory).expect("the folder");
    let sources: String = files
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| fs::read_to_string(path).expect("a source"))
        .collect();
    let tables = read("tests/cookbook/migrations/0001_cookbook.sql");
    let cookbook = read("docs/cookbook.md");
    let (rust, sql) = (blocks(&cookbook, "rust"), blocks(&cookbook, "sql"));
    assert!(rust.len() > 10 && sql.len() > 2);
    for block in rust.iter().flat_map(|block| block.split("\n\n")) {
        assert!(sources.contains(block), "not in tests/cookbook:\n{block}");
    }
    for block in sql {
        assert!(tables.contains(&block), "not in its migration:\n{block}");
    }
}

#[test]
fn compose_without_the_scripts_uses_the_ports_of_project_env() {
    let settings = read("project.env");
    let compose = read("compose.yaml");
    let mut defaults = 0;
    for used in compose.split("${PROJECT_").skip(1) {
        let (name, rest) = used.split_once(":-").expect("a default");
        let (port, _) = rest.split_once('}').expect("its end");
        let line = format!("PROJECT_{name}={port}");
        assert!(settings.lines().any(|setting| setting == line), "{line}");
        defaults += 1;
    }
    assert!(defaults >= 5, "{defaults} ports");
}

#[test]
fn files_that_documents_name_exist() {
    let mut named = 0;
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ] {
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
    assert!(named > 20, "only {named} file names were found");
}

#[test]
fn the_reference_lists_every_subcommand() {
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
    let reference = read("docs/reference.md");
    let commands: Vec<&str> = commands
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"serve"), "{commands:?}");
    for command in commands {
        assert!(
            command == "help" || reference.contains(&format!("    daybook {command} ")),
            "{command} is not in docs/reference.md"
        );
    }
}

/// The names in a text that begin with DAYBOOK_.
fn variables(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("DAYBOOK_").filter_map(|(at, prefix)| {
        let name = text[at..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        name.into_iter().next().filter(|name| *name != prefix)
    })
}

#[test]
fn variables_of_the_deployment_are_keys_of_the_program() {
    assert!(
        !read("compose.yaml").contains("${DAYBOOK_"),
        "compose.yaml reads a variable with the program's prefix: rename it"
    );
    let mut files = vec!["compose.yaml".to_owned()];
    for folder in [
        "scripts",
        "litestream",
        "haproxy",
        "quadlet",
        "systemd",
        "server",
    ] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for entry in fs::read_dir(root.join(folder)).expect(folder) {
            let entry = entry.expect(folder);
            if fs::metadata(entry.path()).is_ok_and(|file| file.is_file()) {
                files.push(format!("{folder}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    for file in files {
        // The names of an application's section are its own.
        let text = read(&file).replace("DAYBOOK_APP__", "");
        for name in variables(&text) {
            let run = Command::new(env!("CARGO_BIN_EXE_daybook"))
                .arg("config")
                .current_dir(std::env::temp_dir())
                .env_clear()
                .env(name, "")
                .output()
                .expect("the binary runs");
            let error_line = String::from_utf8_lossy(&run.stderr);
            assert!(
                !error_line.contains("no such key"),
                "{file}: {name}: {error_line}"
            );
        }
    }
}
