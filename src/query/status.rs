//! The filter `status`.

/// The rows that one `status` parameter asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StatusFilter {
    /// `500`.
    Exactly(i64),
    /// `5xx`, as the first digit.
    Class(i64),
    /// `none`: the record has no status.
    None,
}

/// The right form of a status.
pub(super) const EXPECTED: &str = "use a status such as 500, a class such as 5xx, or none";

impl StatusFilter {
    pub fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Self::None);
        }
        let [first @ b'1'..=b'9', second, third] = *text.as_bytes() else {
            return None;
        };
        match (second, third) {
            (b'x', b'x') => Some(Self::Class((first - b'0').into())),
            (b'0'..=b'9', b'0'..=b'9') => text.parse().ok().map(Self::Exactly),
            _ => None,
        }
    }

    pub fn matches(self, status: Option<i64>) -> bool {
        match self {
            Self::Exactly(code) => status == Some(code),
            Self::Class(class) => status.is_some_and(|status| status / 100 == class),
            Self::None => status.is_none(),
        }
    }

    pub fn sql(self) -> String {
        match self {
            Self::Exactly(code) => format!("status = {code}"),
            Self::Class(class) => format!("status between {class}00 and {class}99"),
            // Another program can have written a text.
            Self::None => "typeof(status) <> 'integer'".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_a_code_a_class_or_none() {
        let parse = StatusFilter::parse;
        assert_eq!(parse("404"), Some(StatusFilter::Exactly(404)));
        assert_eq!(parse("4xx"), Some(StatusFilter::Class(4)));
        assert_eq!(parse("none"), Some(StatusFilter::None));
        for text in [
            "", "4", "40", "4x", "4x4", "44x", "xxx", "099", "0xx", "5XX", "1000", "-40", "5äx",
            "null",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
