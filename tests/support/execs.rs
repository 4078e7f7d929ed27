//! What a log of `strace -f` tells: which program started which, with which arguments.
//!
//! A line is `PID call(…) = result`, or in two parts (`… <unfinished ...>`, later `PID <... call resumed>…) = result`), or
//! `PID +++ exited with 0 +++`. A child may appear before the call that made it has returned, and process ids are used
//! again: so the n-th life of an id belongs to the n-th call that returned it.

use std::collections::HashMap;
use std::rc::Rc;

/// A program with its arguments, its own name first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    pub program: String,
    pub argv: Vec<String>,
}

/// An attempt to execute a program. A search along a `PATH` is one attempt for each directory.
#[derive(Debug, Clone)]
pub struct Exec {
    /// What the process was before; without a program, what had been started before there was a trace.
    pub caller: Rc<Image>,
    pub image: Rc<Image>,
}

/// All of a log.
#[derive(Debug, Default)]
pub struct Log {
    pub execs: Vec<Exec>,
    lives: HashMap<u32, Lives>,
}

/// The processes that had one id, in their order.
#[derive(Debug, Default)]
struct Lives {
    parents: Vec<u32>,
    /// How many of the calls that made them have returned, so far in the log.
    born: usize,
    ended: usize,
    images: HashMap<usize, Rc<Image>>,
    /// What is being executed, while it is not known whether that succeeds.
    attempt: Option<Rc<Image>>,
}

impl Log {
    /// Reads a log; nothing where its last line is not whole.
    pub fn parse(text: &str) -> Option<Self> {
        let lines: Option<Vec<_>> = text.split_inclusive('\n').map(split_line).collect();
        let lines = lines?;
        let mut log = Self::default();
        for &(pid, rest) in &lines {
            log.lives.entry(pid).or_default();
            if let Some(child) = made(rest) {
                log.lives.entry(child).or_default().parents.push(pid);
            }
        }
        for &(pid, rest) in &lines {
            log.take(pid, rest);
        }
        Some(log)
    }

    /// Whether every process that it tells of has ended.
    pub fn is_complete(&self) -> bool {
        let over = |lives: &Lives| lives.ended >= lives.parents.len().max(1);
        !self.lives.is_empty() && self.lives.values().all(over)
    }

    fn take(&mut self, pid: u32, rest: &str) {
        if let Some(child) = made(rest) {
            let image = self.image(pid);
            let lives = self.lives(child);
            lives.images.entry(lives.born).or_insert(image);
            lives.born += 1;
        } else if let Some(thread) = rest.strip_prefix("+++ superseded by execve in pid ") {
            // A thread has executed a program, and goes on under the id of its process.
            if let Some(Ok(thread)) = thread.split(' ').next().map(str::parse) {
                let attempt = self.lives(thread).attempt.take();
                self.lives(thread).ended += 1;
                self.lives(pid).attempt = attempt;
            }
        } else if rest.starts_with("+++ ") {
            let lives = self.lives(pid);
            lives.ended += 1;
            lives.attempt = None;
        } else if rest.starts_with("execve") {
            let (caller, image) = (self.image(pid), Rc::new(attempted(rest)));
            self.lives(pid).attempt = Some(Rc::clone(&image));
            self.execs.push(Exec { caller, image });
        }
        if rest.contains("exec") && rest.trim_end().ends_with("= 0") {
            let lives = self.lives(pid);
            let image = lives.attempt.take();
            lives.images.extend(image.map(|image| (lives.ended, image)));
        }
    }

    fn lives(&mut self, pid: u32) -> &mut Lives {
        self.lives.entry(pid).or_default()
    }

    /// What a process is now: what it has executed last, else what its parent was when it was made.
    fn image(&mut self, pid: u32) -> Rc<Image> {
        let lives = self.lives(pid);
        let life = lives.ended;
        if let Some(image) = lives.images.get(&life) {
            return Rc::clone(image);
        }
        // The parent still waits for the call to return, and so is what it was.
        let image = match lives.parents.get(life).copied() {
            Some(parent) => self.image(parent),
            None => Rc::default(),
        };
        self.lives(pid).images.insert(life, Rc::clone(&image));
        image
    }
}

/// The process id and what follows it, of a line that has its end.
fn split_line(line: &str) -> Option<(u32, &str)> {
    let (pid, rest) = line.strip_suffix('\n')?.split_once(' ')?;
    Some((pid.parse().ok()?, rest.trim_start()))
}

/// The process that a call made, where the line tells of the return of such a call.
fn made(rest: &str) -> Option<u32> {
    let call = rest.strip_prefix("<... ").unwrap_or(rest);
    let makes = ["clone", "fork", "vfork"];
    if !makes.iter().any(|name| call.starts_with(name)) {
        return None;
    }
    rest.rsplit_once("= ")?.1.trim().parse().ok()
}

/// The program and the arguments of an `execve` or `execveat`.
fn attempted(rest: &str) -> Image {
    let (program, rest) = quoted(rest).unwrap_or_default();
    let mut argv = Vec::new();
    let mut rest = rest.split_once('[').map_or("", |(_, rest)| rest);
    while !rest.starts_with(']') {
        let Some((argument, after)) = quoted(rest) else {
            break;
        };
        argv.push(argument);
        rest = after;
    }
    Image { program, argv }
}

/// The next text between double quotes, and what follows it. strace writes it as C does.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (_, inner) = text.split_once('"')?;
    let mut bytes = Vec::new();
    let mut rest = inner.as_bytes();
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => break,
            b'\\' => bytes.push(unescaped(&mut rest)?),
            byte => bytes.push(byte),
        }
    }
    let value = String::from_utf8_lossy(&bytes).into_owned();
    Some((value, &inner[inner.len() - rest.len()..]))
}

/// What stands after a backslash: a letter, or up to three octal digits.
fn unescaped(rest: &mut &[u8]) -> Option<u8> {
    let digits = rest
        .iter()
        .take(3)
        .take_while(|byte| (b'0'..=b'7').contains(byte));
    let digits = digits.count();
    let (code, after) = rest.split_at_checked(digits.max(1))?;
    *rest = after;
    if digits > 0 {
        let code = std::str::from_utf8(code).ok()?;
        return u8::from_str_radix(code, 8).ok();
    }
    Some(match code[0] {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'v' => 11,
        b'f' => 12,
        itself => itself,
    })
}
