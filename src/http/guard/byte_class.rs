//! Byte classes: which bytes are allowed in each part of a message.

/// A method, a field name, a transfer coding or a chunk extension name (RFC 9110 `tchar`).
pub(super) const TOKEN: u8 = 1;
/// A request target before its `?`. Narrower than hyper's class: no `"`.
pub(super) const PATH: u8 = 2;
/// A request target after its `?`.
pub(super) const QUERY: u8 = 4;
/// A field value: no control characters except tab. Bytes above ASCII are opaque.
pub(super) const TEXT: u8 = 8;
/// A host name, except for percent-encoding and commas.
pub(super) const HOST: u8 = 16;

const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let byte = index as u8;
        if matches!(byte,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
            | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        {
            table[index] |= TOKEN;
        }
        if matches!(byte, b'!' | b'$'..=b';' | b'=' | b'@'..=b'_' | b'a'..=b'~') {
            table[index] |= PATH | QUERY;
        }
        if matches!(byte, b'?' | b'`') {
            table[index] |= QUERY;
        }
        if matches!(byte,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~'
            | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=')
        {
            table[index] |= HOST;
        }
        if (byte >= b' ' && byte != 0x7f) || byte == b'\t' {
            table[index] |= TEXT;
        }
        index += 1;
    }
    table
};

pub(super) const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// The length of the longest prefix whose bytes are all of this class.
pub(super) fn prefix_len(bytes: &[u8], class: u8) -> usize {
    let other = bytes.iter().position(|&byte| !is(byte, class));
    other.unwrap_or(bytes.len())
}

/// [`prefix_len`] for [`TEXT`], eight bytes at a time: field values are most of a head.
pub(super) fn text_prefix_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES * 0x80;
    let (words, _) = bytes.as_chunks::<8>();
    let text_words = words.iter().take_while(|word| {
        let word = u64::from_le_bytes(**word);
        let delete = word ^ (ONES * 0x7f);
        // The high bit of each byte below the space, or equal to DEL, is set here. A borrow may also set it in the bytes
        // above such a byte; the byte-by-byte count below corrects for that.
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let delete = delete.wrapping_sub(ONES) & !delete;
        (control | delete) & HIGH_BITS == 0
    });
    let counted = text_words.count() * 8;
    counted + prefix_len(&bytes[counted..], TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_at_a_time_give_the_same_length() {
        for byte in 0..=255_u8 {
            for index in 0..20 {
                for fill in [b'a', 0xff, b' ', 0x80, b'\t'] {
                    let mut bytes = [fill; 20];
                    bytes[index] = byte;
                    assert_eq!(
                        text_prefix_len(&bytes),
                        prefix_len(&bytes, TEXT),
                        "{bytes:?}"
                    );
                }
            }
        }
    }
}
