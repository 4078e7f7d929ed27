//! Packs that no git would write: any bytes in a tree, any number in a header, any base for a delta.

use std::fmt;
use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

/// What an object is, as packs number it.
pub const COMMIT: u8 = 1;
pub const TREE: u8 = 2;
pub const BLOB: u8 = 3;
pub const TAG: u8 = 4;
const OFS_DELTA: u8 = 6;
const REF_DELTA: u8 = 7;

/// The name of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Id(pub [u8; 20]);

impl Id {
    /// What stands for "nothing" in a push.
    pub const NULL: Self = Self([0; 20]);
    /// An object that nobody has.
    pub const NOBODYS: Self = Self([0xab; 20]);

    /// Reads 40 digits.
    pub fn of_hex(hex: &str) -> Self {
        let mut bytes = [0; 20];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        }
        Self(bytes)
    }

    /// The name of an object with this content.
    pub fn of_object(kind: u8, data: &[u8]) -> Self {
        let mut sha = sha_of_header(kind, data.len() as u64);
        sha.update(data);
        Self(sha.finalize().into())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One entry of a tree, exactly as it will stand there.
#[derive(Clone, Debug)]
pub struct Entry {
    pub mode: String,
    pub name: Vec<u8>,
    pub id: Id,
}

/// An entry; the mode is octal text, as in a tree object.
pub fn entry(mode: &str, name: impl AsRef<[u8]>, id: Id) -> Entry {
    Entry {
        mode: mode.to_owned(),
        name: name.as_ref().to_vec(),
        id,
    }
}

/// A tree with the entries in the order in which they are given.
pub fn tree_bytes(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(entry.mode.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&entry.name);
        bytes.push(0);
        bytes.extend_from_slice(&entry.id.0);
    }
    bytes
}

/// Puts entries into git's order, in which a directory sorts as if its name ended in a slash.
pub fn in_gits_order(mut entries: Vec<Entry>) -> Vec<Entry> {
    let key = |entry: &Entry| {
        let slash: &[u8] = if entry.mode == "40000" { b"/" } else { b"" };
        [&entry.name[..], slash].concat()
    };
    entries.sort_by_key(key);
    entries
}

/// A pack in the making. It is all in memory: what is huge in it must compress well.
#[derive(Debug, Default)]
pub struct Pack {
    body: Vec<u8>,
    objects: u32,
}

impl Pack {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object; gives its name.
    pub fn object(&mut self, kind: u8, data: &[u8]) -> Id {
        self.claiming(kind, data.len() as u64, data);
        Id::of_object(kind, data)
    }

    /// Adds a file's content.
    pub fn blob(&mut self, data: impl AsRef<[u8]>) -> Id {
        self.object(BLOB, data.as_ref())
    }

    /// Adds a tree with the entries in the given order.
    pub fn tree(&mut self, entries: &[Entry]) -> Id {
        self.object(TREE, &tree_bytes(entries))
    }

    /// Adds a file of so many zeros, which is never in memory as a whole.
    pub fn zeros(&mut self, len: u64) -> Id {
        static PIECE: [u8; 1 << 16] = [0; 1 << 16];
        let mut sha = sha_of_header(BLOB, len);
        self.header(BLOB, len);
        let mut deflate = ZlibEncoder::new(&mut self.body, Compression::fast());
        let mut left = len;
        while left > 0 {
            let piece = &PIECE[..usize::try_from(left.min(PIECE.len() as u64)).unwrap()];
            sha.update(piece);
            deflate.write_all(piece).unwrap();
            left -= piece.len() as u64;
        }
        deflate.finish().unwrap();
        Id(sha.finalize().into())
    }

    /// Adds an object whose header names another size than it has; of any kind, known or not.
    pub fn claiming(&mut self, kind: u8, size: u64, data: &[u8]) {
        self.header(kind, size);
        self.deflated(data);
    }

    /// Adds an object whose content is not what zlib writes.
    pub fn undeflated(&mut self, kind: u8, size: u64, raw: &[u8]) {
        self.header(kind, size);
        self.body.extend_from_slice(raw);
    }

    /// Adds a delta to an object, here or in the repository or nowhere.
    pub fn ref_delta(&mut self, base: Id, delta: &[u8]) {
        self.header(REF_DELTA, delta.len() as u64);
        self.body.extend_from_slice(&base.0);
        self.deflated(delta);
    }

    /// Adds a delta to what begins so many bytes before it.
    pub fn ofs_delta(&mut self, back: u64, delta: &[u8]) {
        self.header(OFS_DELTA, delta.len() as u64);
        let mut digits = vec![(back & 0x7f) as u8];
        let mut rest = back >> 7;
        while rest > 0 {
            rest -= 1;
            digits.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        self.body.extend(digits.iter().rev());
        self.deflated(delta);
    }

    /// Where the next object will begin, counted from the first.
    pub fn position(&self) -> u64 {
        self.body.len() as u64
    }

    /// The pack, with the right number of objects and the right checksum.
    pub fn finish(self) -> Vec<u8> {
        let objects = self.objects;
        self.finish_as(2, objects)
    }

    /// The pack, with any version and number of objects.
    pub fn finish_as(self, version: u32, objects: u32) -> Vec<u8> {
        let mut pack = b"PACK".to_vec();
        pack.extend(version.to_be_bytes());
        pack.extend(objects.to_be_bytes());
        pack.extend(self.body);
        let checksum = Sha1::digest(&pack);
        pack.extend_from_slice(&checksum);
        pack
    }

    fn deflated(&mut self, data: &[u8]) {
        let mut deflate = ZlibEncoder::new(&mut self.body, Compression::fast());
        deflate.write_all(data).unwrap();
        deflate.finish().unwrap();
    }

    /// Type and size: four bits of the size beside the type, then seven a byte.
    fn header(&mut self, kind: u8, size: u64) {
        self.objects += 1;
        let mut first = (kind & 7) << 4 | (size & 0xf) as u8;
        let mut rest = size >> 4;
        while rest > 0 {
            self.body.push(first | 0x80);
            first = (rest & 0x7f) as u8;
            rest >>= 7;
        }
        self.body.push(first);
    }
}

/// A delta: the size of its base, the size of its result, and copies of the base's first `copied` bytes.
pub fn delta_of_copies(base: u64, copied: u32, times: u64) -> Vec<u8> {
    let mut delta = Vec::new();
    varint(&mut delta, base);
    varint(&mut delta, u64::from(copied) * times);
    let [_, high, middle, low] = copied.to_be_bytes();
    for _ in 0..times {
        delta.extend([0b1111_0000, low, middle, high]);
    }
    delta
}

/// A number as deltas have them: seven bits a byte, the low ones first.
pub fn varint(to: &mut Vec<u8>, mut value: u64) {
    let low = |value: u64| value.to_le_bytes()[0];
    while value >= 0x80 {
        to.push(low(value) | 0x80);
        value >>= 7;
    }
    to.push(low(value));
}

fn sha_of_header(kind: u8, len: u64) -> Sha1 {
    let name = match kind {
        COMMIT => "commit",
        TREE => "tree",
        BLOB => "blob",
        _ => "tag",
    };
    Sha1::new_with_prefix(format!("{name} {len}\0"))
}
