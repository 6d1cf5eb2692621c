//! An application as a program of its own: `tests/programs/app.rs`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The program's path. Cargo builds it for `cargo test`, but not if one test target is named; so this asks cargo, which
/// returns at once where it is built.
pub fn application() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // TARGET/PROFILE/deps/all-…
        let test = env::current_exe().expect("this test's path");
        let built = test.ancestors().nth(2).expect("the profile's directory");
        let profile = match built.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            name => name.expect("the profile's name"),
        };
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--locked", "--profile", profile])
            .args(["--example", "test-app", "--target-dir"])
            .arg(built.parent().expect("the target directory"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("starting cargo");
        assert!(status.success(), "the program cannot be built");
        built.join("examples/test-app")
    })
}
