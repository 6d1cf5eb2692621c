//! Which keys there are, and on which line of a file each stands.

use super::DEFAULT_TOML;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{collections::BTreeMap, fmt, sync::LazyLock};
use toml::Spanned;

/// Every key there is. They are read from the file of the defaults, in which only `replica`, whose default depends on
/// the host, is commented out.
pub(super) static KNOWN: LazyLock<Vec<String>> = LazyLock::new(|| {
    let defaults = toml::from_str(DEFAULT_TOML).expect("daybook.toml is tested to be TOML");
    let mut keys = vec!["replica".to_owned()];
    flatten(&defaults, "", &mut |key, _, is_table| {
        if !is_table {
            keys.push(key.to_owned());
        }
    });
    keys
});

/// The lines of a file's keys, by their dotted names.
pub(super) type Lines = BTreeMap<String, usize>;

/// Something is wrong with a file's TOML or with its keys.
pub(super) struct Misplaced {
    pub line: Option<usize>,
    pub key: Option<String>,
    pub message: String,
}

/// Finds the line of every key, and refuses TOML that cannot be read and keys that nobody knows.
pub(super) fn lines(text: &str) -> Result<Lines, Misplaced> {
    let line_at = |offset: usize| {
        1 + text
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count()
    };
    let tree = toml::from_str(text).map_err(|error| Misplaced {
        line: error.span().map(|span| line_at(span.start)),
        key: None,
        message: match error.message() {
            // The parser shows a date as a map whose one key has no place in the file.
            date if date.contains("$__toml_private_datetime") => {
                "no key takes a date: write text in quotes".to_owned()
            }
            message => format!("this is not TOML: {}", message.replace('\n', "; ")),
        },
    })?;
    let (mut lines, mut wrong) = (Lines::new(), None);
    flatten(&tree, "", &mut |key, offset, is_table| {
        lines.insert(key.to_owned(), line_at(offset));
        let message = match (is_section(key), KNOWN.iter().any(|known| known == key)) {
            (false, false) => unknown(key, |known| format!("`{known}`")),
            (true, _) if !is_table => {
                format!("this is a section: write [{key}], and its keys below it")
            }
            _ => return,
        };
        wrong.get_or_insert(Misplaced {
            line: Some(line_at(offset)),
            key: Some(key.to_owned()),
            message,
        });
    });
    wrong.map_or(Ok(lines), Err)
}

fn is_section(key: &str) -> bool {
    KNOWN.iter().any(|known| {
        known
            .split_once('.')
            .is_some_and(|(section, _)| section == key)
    })
}

/// Says that there is no such key, and which was probably meant; `write` puts a key into the reader's form.
pub(super) fn unknown(key: &str, write: impl Fn(&str) -> String) -> String {
    nearest(key).map_or_else(
        || "there is no such key; `daybook config --default` prints all there are".to_owned(),
        |known| format!("there is no such key; did you mean {}?", write(known)),
    )
}

/// The known key or section with the same last word, else the one a few keystrokes away.
fn nearest(key: &str) -> Option<&'static str> {
    let last = key.rsplit('.').next();
    let same_word = KNOWN
        .iter()
        .find(|known| known.contains('.') && known.rsplit('.').next() == last);
    if let Some(known) = same_word {
        return Some(known);
    }
    let sections = KNOWN
        .iter()
        .filter_map(|known| known.split_once('.'))
        .map(|(section, _)| section);
    let (distance, known) = (KNOWN.iter().map(String::as_str).chain(sections))
        .map(|known| (strsim::osa_distance(key, known), known))
        .min()?;
    (distance <= 1 + known.len() / 6).then_some(known)
}

/// TOML reduced to its keys and where each begins.
enum Tree {
    Value,
    Table(Vec<(Spanned<String>, Tree)>),
}

fn flatten(tree: &Tree, prefix: &str, visit: &mut impl FnMut(&str, usize, bool)) {
    let Tree::Table(entries) = tree else { return };
    for (name, value) in entries {
        let key = format!("{prefix}{}", name.get_ref());
        visit(&key, name.span().start, matches!(value, Tree::Table(_)));
        flatten(value, &format!("{key}."), visit);
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TOML")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Tree::Table(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Tree::Value)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Value)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Value)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Value)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Value)
    }
}
