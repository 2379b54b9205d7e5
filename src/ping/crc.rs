//! CRC-32 as Ethernet and zip have it, eight bytes at a time: a message of
//! 64 KiB must not cost more to check than to send.

const POLYNOMIAL: u32 = 0xedb8_8320;

/// What each byte does to the sum when 0 to 7 other bytes follow it.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        tables[0][byte as usize] = sum;
        byte += 1;
    }
    let mut behind = 1;
    while behind < 8 {
        let mut byte = 0;
        while byte < 256 {
            let sum = tables[behind - 1][byte];
            tables[behind][byte] = sum >> 8 ^ tables[0][(sum & 0xff) as usize];
            byte += 1;
        }
        behind += 1;
    }
    tables
}

/// The checksum of some pieces, one behind the other.
pub(super) fn crc32(pieces: &[&[u8]]) -> u32 {
    !pieces.iter().fold(!0, |sum, piece| update(sum, piece))
}

fn update(mut sum: u32, bytes: &[u8]) -> u32 {
    let mut eights = bytes.chunks_exact(8);
    for eight in &mut eights {
        let first = u32::from_le_bytes([eight[0], eight[1], eight[2], eight[3]]) ^ sum;
        sum = TABLES[7][(first & 0xff) as usize]
            ^ TABLES[6][(first >> 8 & 0xff) as usize]
            ^ TABLES[5][(first >> 16 & 0xff) as usize]
            ^ TABLES[4][(first >> 24) as usize]
            ^ TABLES[3][eight[4] as usize]
            ^ TABLES[2][eight[5] as usize]
            ^ TABLES[1][eight[6] as usize]
            ^ TABLES[0][eight[7] as usize];
    }
    for &byte in eights.remainder() {
        sum = sum >> 8 ^ TABLES[0][((sum ^ u32::from(byte)) & 0xff) as usize];
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_crc_that_everybody_has() {
        assert_eq!(crc32(&[b""]), 0);
        assert_eq!(crc32(&[b"123456789"]), 0xcbf4_3926);
        assert_eq!(crc32(&[b"The quick brown fox jumps over the lazy dog"]), 0x414f_a339);
    }

    #[test]
    fn pieces_are_one_text() {
        let text: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for cut in [0, 1, 7, 8, 9, 500, 1000] {
            let (a, b) = text.split_at(cut);
            assert_eq!(crc32(&[a, b]), crc32(&[&text]), "{cut}");
        }
    }
}
