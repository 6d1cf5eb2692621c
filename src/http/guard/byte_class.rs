//! Which bytes may stand where.

/// What a name, a method or a transfer coding is made of (RFC 9110, tchar).
pub(super) const TOKEN: u8 = 1;
/// What may stand in a target before its `?`. Narrower than hyper's: no `"`.
pub(super) const PATH: u8 = 2;
/// What may stand in a target behind its `?`.
pub(super) const QUERY: u8 = 4;
/// What may stand in a field's value: no control but the tab. Bytes above ASCII are opaque.
pub(super) const TEXT: u8 = 8;
/// What a host's name is made of, percent-encoding and comma aside.
pub(super) const HOST: u8 = 16;

const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut place = 0;
    while place < 256 {
        let byte = place as u8;
        if matches!(byte,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\''
            | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
        {
            table[place] |= TOKEN;
        }
        if matches!(byte, b'!' | b'$'..=b';' | b'=' | b'@'..=b'_' | b'a'..=b'~') {
            table[place] |= PATH | QUERY;
        }
        if matches!(byte, b'?' | b'`') {
            table[place] |= QUERY;
        }
        if matches!(byte,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~'
            | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=')
        {
            table[place] |= HOST;
        }
        if (byte >= b' ' && byte != 0x7f) || byte == b'\t' {
            table[place] |= TEXT;
        }
        place += 1;
    }
    table
};

pub(super) const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// How many bytes at the front are of this class.
pub(super) fn count(bytes: &[u8], class: u8) -> usize {
    let other = bytes.iter().position(|&byte| !is(byte, class));
    other.unwrap_or(bytes.len())
}

/// As [`count`] for [`TEXT`], eight at a time: field values are most of a head.
pub(super) fn count_text(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES * 0x80;
    let (words, _) = bytes.as_chunks::<8>();
    let plain = words.iter().take_while(|word| {
        let word = u64::from_le_bytes(**word);
        let delete = word ^ (ONES * 0x7f);
        // The high bit of a byte is set here if the byte is below the space, or is DEL. (Sometimes also above such a
        // byte; those are then counted one by one.)
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let delete = delete.wrapping_sub(ONES) & !delete;
        (control | delete) & HIGH == 0
    });
    let plain = plain.count() * 8;
    plain + count(&bytes[plain..], TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_at_a_time_counts_the_same() {
        for byte in 0..=255_u8 {
            for place in 0..20 {
                for fill in [b'a', 0xff, b' ', 0x80, b'\t'] {
                    let mut bytes = [fill; 20];
                    bytes[place] = byte;
                    assert_eq!(count_text(&bytes), count(&bytes, TEXT), "{bytes:?}");
                }
            }
        }
    }
}
