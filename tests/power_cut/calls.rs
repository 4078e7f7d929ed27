//! System calls, as strace writes them down (`-f -y -ttt -T -xx`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// What strace is to write down: whatever changes files, or says where relative names lead.
pub const TRACED: &str = "open,openat,creat,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,truncate,ftruncate,fallocate,lseek,\
rename,renameat,renameat2,link,linkat,unlink,unlinkat,symlink,symlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sync,syncfs,\
sync_file_range,chmod,fchmod,fchmodat,chdir,fchdir,copy_file_range,sendfile,mmap";

/// A call that has succeeded.
#[derive(Debug, Clone)]
pub struct Call {
    /// In microseconds.
    pub began: u64,
    pub ended: u64,
    pub pid: u32,
    pub name: String,
    /// What stands between the brackets.
    pub args: String,
    pub result: i64,
    /// What the descriptor that was returned leads to.
    pub opened: Option<PathBuf>,
}

/// The calls of a log that have succeeded, in the order in which they ended.
pub fn parse(log: &str) -> Vec<Call> {
    let mut unfinished: BTreeMap<u32, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((pid, rest)) = line.split_once(' ') else {
            continue;
        };
        let pid: u32 = pid.parse().unwrap();
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            unfinished.insert(pid, begun.to_owned());
            continue;
        }
        let whole = match rest.split_once(" resumed>") {
            Some((head, tail)) if head.contains("<... ") => {
                let Some(begun) = unfinished.remove(&pid) else {
                    continue;
                };
                begun + tail
            }
            _ => rest.to_owned(),
        };
        calls.extend(call(pid, &whole));
    }
    calls.sort_by_key(|call| call.ended);
    calls
}

/// `1795445931.005276 fsync(3</tmp/y>) = 0 <0.001>`, where that has succeeded.
fn call(pid: u32, line: &str) -> Option<Call> {
    let (at, rest) = line.split_once(' ')?;
    let (name, rest) = rest.split_once('(')?;
    let (args, result) = rest.rsplit_once(") = ").or_else(|| {
        // Padded to a column.
        let at = rest.rfind(" = ")?;
        Some((rest[..at].trim_end().strip_suffix(')')?, &rest[at + 3..]))
    })?;
    let (result, took) = result.rsplit_once(" <")?;
    let began = micros(at)?;
    let number = result.split(['<', ' ']).next()?;
    let value: i64 = number
        .parse()
        .ok()
        .or_else(|| i64::from_str_radix(number.strip_prefix("0x")?, 16).ok())?;
    (value >= 0).then(|| Call {
        began,
        ended: began + micros(took.strip_suffix('>').unwrap()).unwrap(),
        pid,
        name: name.to_owned(),
        args: args.to_owned(),
        result: value,
        opened: places(result).pop(),
    })
}

fn micros(seconds: &str) -> Option<u64> {
    let (whole, part) = seconds.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 1_000_000 + part.parse::<u64>().ok()?)
}

impl Call {
    /// What is quoted, in its order.
    pub fn strings(&self) -> Vec<Vec<u8>> {
        self.args.split('"').skip(1).step_by(2).map(bytes).collect()
    }

    /// Everything that is written.
    pub fn data(&self) -> Vec<u8> {
        assert!(!self.args.contains("\"..."), "strace has left data out");
        let mut data = self.strings().concat();
        data.truncate(usize::try_from(self.result).unwrap());
        data
    }

    /// What the descriptors among the arguments lead to; nothing for what is no file or has no name any more.
    pub fn places(&self) -> Vec<PathBuf> {
        places(&self.args)
    }

    /// The last argument, a number.
    pub fn last_number(&self) -> u64 {
        let last = self.args.rsplit(", ").next().unwrap();
        last.parse().unwrap()
    }
}

/// `3<\x2f\x74>`: what stands in the angle brackets. Where the file is deleted, nothing.
fn places(text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in text.split("<\\x").skip(1) {
        if let Some((path, rest)) = part.split_once('>') {
            let deleted = rest.starts_with("(deleted)");
            let path = bytes(&format!("\\x{path}"));
            found.push(if deleted {
                PathBuf::new()
            } else {
                OsString::from_vec(path).into()
            });
        }
    }
    found
}

/// From `\x2f\x74`.
fn bytes(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits
        .map(|digits| u8::from_str_radix(&digits[..2], 16).unwrap())
        .collect()
}

#[test]
fn calls_are_read_with_what_was_interrupted() {
    let log = r#"7 1.000010 write(3<\x2f\x61>, "\x68\x69", 2 <unfinished ...>
8 1.000020 fsync(4<\x2f\x62>(deleted)) = 0 <0.000002>
8 1.000030 unlink("\x2f\x63") = -1 ENOENT (No such file or directory) <0.000001>
7 1.000040 <... write resumed>)      = 2 <0.000030>
9 1.000050 openat(AT_FDCWD<\x2f>, "\x64", O_RDWR|O_CREAT, 0644) = 5<\x2f\x64> <0.000001>
"#;
    let calls = parse(log);
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["fsync", "write", "openat"]);
    assert_eq!(calls[1].data(), b"hi");
    assert_eq!(calls[1].places(), [PathBuf::from("/a")]);
    assert_eq!(calls[0].places(), [PathBuf::new()]);
    assert_eq!(calls[2].opened, Some(PathBuf::from("/d")));
    assert_eq!((calls[1].began, calls[1].ended), (1_000_010, 1_000_040));
}
