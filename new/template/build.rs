fn main() {
    // Otherwise cargo does not notice a new file there.
    println!("cargo::rerun-if-changed=migrations");
}
