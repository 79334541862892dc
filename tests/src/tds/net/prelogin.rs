//! PRELOGIN: what both sides can do about encryption (MS-TDS 2.2.6.5).

const ENCRYPTION: u8 = 1;

/// What a side says about encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encrypt {
    /// Only the login is encrypted.
    Off,
    On,
    NotSupported,
    Required,
}

impl Encrypt {
    fn byte(self) -> u8 {
        match self {
            Encrypt::Off => 0,
            Encrypt::On => 1,
            Encrypt::NotSupported => 2,
            Encrypt::Required => 3,
        }
    }
}

/// The client's wish; `None` when the message is broken.
pub(crate) fn client(message: &[u8]) -> Option<Encrypt> {
    let mut at = 0;
    loop {
        let token = *message.get(at)?;
        if token == 0xff {
            return Some(Encrypt::NotSupported);
        }
        if token == ENCRYPTION {
            let offset =
                usize::from(u16::from_be_bytes([*message.get(at + 1)?, *message.get(at + 2)?]));
            return match message.get(offset)? {
                0 => Some(Encrypt::Off),
                1 => Some(Encrypt::On),
                2 => Some(Encrypt::NotSupported),
                3 => Some(Encrypt::Required),
                _ => None,
            };
        }
        at += 5;
    }
}

/// The server's answer: version, encryption, instance, thread, MARS.
pub(crate) fn answer(encrypt: Encrypt) -> Vec<u8> {
    let options: [(u8, &[u8]); 5] = [
        (0, &[15, 0, 0x11, 0x4e, 0, 0]),
        (ENCRYPTION, &[encrypt.byte()]),
        (2, &[0]),
        (3, &[]),
        (4, &[0]),
    ];
    let mut head = Vec::new();
    let mut body = Vec::new();
    let start = options.len() * 5 + 1;
    for (token, data) in options {
        head.push(token);
        head.extend_from_slice(&u16::try_from(start + body.len()).unwrap_or(0).to_be_bytes());
        head.extend_from_slice(&u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
        body.extend_from_slice(data);
    }
    head.push(0xff);
    head.extend(body);
    head
}
