//! Prints the library's public API, one item a line, for `scripts/public-api`: it is given rustdoc's JSON.

fn main() {
    let json = std::env::args().nth(1).expect("the path of rustdoc's JSON");
    let api = public_api::Builder::from_rustdoc_json(json)
        // Every type has these, or a derive adds them.
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .unwrap_or_else(|error| panic!("{error}"));
    print!("{api}");
}
