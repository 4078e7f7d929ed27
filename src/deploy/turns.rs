//! Whose turn it is to build: as many builds at once as the machine bears, in the order in which they were asked for.
//!
//! ```text
//!   take ──room──► Turn ──drop──► room for the first that waits
//!     └──no room──► waits, and is told its place whenever it changes
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

/// The builds of all apps.
#[derive(Debug)]
pub struct Turns {
    limit: usize,
    line: watch::Sender<Line>,
}

#[derive(Debug, Default)]
struct Line {
    running: usize,
    waiting: VecDeque<u64>,
    next: u64,
}

/// The right to build, until it is dropped.
#[derive(Debug)]
pub struct Turn(Arc<Turns>);

/// A place in the line; it is given up when it is dropped.
struct Place<'t> {
    turns: &'t Turns,
    number: u64,
}

impl Turns {
    /// Lets this many build at once; at least one.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            line: watch::Sender::new(Line::default()),
        })
    }

    /// Waits for a turn. `told` hears how many are before, at first and whenever that changes; nothing where there is
    /// room at once.
    pub async fn take(self: &Arc<Self>, mut told: impl FnMut(usize)) -> Turn {
        let mut changes = self.line.subscribe();
        let place = self.line_up();
        let mut last = None;
        loop {
            changes.borrow_and_update();
            match self.advance(place.number) {
                None => return Turn(Arc::clone(self)),
                Some(before) if last == Some(before) => {}
                Some(before) => {
                    last = Some(before);
                    told(before);
                }
            }
            // The sender is held by `self`: it can't be gone.
            let _ = changes.changed().await;
        }
    }

    fn line_up(&self) -> Place<'_> {
        let mut number = 0;
        self.line.send_modify(|line| {
            number = line.next;
            line.next += 1;
            line.waiting.push_back(number);
        });
        Place {
            turns: self,
            number,
        }
    }

    /// Takes the turn if it is this number's; else gives how many wait before it.
    fn advance(&self, number: u64) -> Option<usize> {
        let mut before = None;
        self.line.send_if_modified(|line| {
            before = line.waiting.iter().position(|&other| other == number);
            let turn = before == Some(0) && line.running < self.limit;
            if turn {
                line.waiting.pop_front();
                line.running += 1;
                before = None;
            }
            turn
        });
        before
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.line.send_if_modified(|line| {
            let before = line.waiting.len();
            line.waiting.retain(|&other| other != self.number);
            before != line.waiting.len()
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.line.send_modify(|line| line.running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    type Told = Arc<Mutex<Vec<usize>>>;

    fn wait(turns: &Arc<Turns>) -> (tokio::task::JoinHandle<Turn>, Told) {
        let (turns, told) = (Arc::clone(turns), Told::default());
        let hears = Arc::clone(&told);
        let task = tokio::spawn(async move {
            turns
                .take(|before| hears.lock().unwrap().push(before))
                .await
        });
        (task, told)
    }

    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn turns_come_in_order_and_everybody_learns_his_place() {
        let turns = Turns::new(1);
        let first = turns.take(|_| panic!("there is room")).await;
        let (second, second_told) = wait(&turns);
        settle().await;
        let (third, third_told) = wait(&turns);
        settle().await;
        assert_eq!(*second_told.lock().unwrap(), [0]);
        assert_eq!(*third_told.lock().unwrap(), [1]);
        drop(first);
        let second = second.await.unwrap();
        settle().await;
        assert!(!third.is_finished());
        assert_eq!(*third_told.lock().unwrap(), [1, 0]);
        drop(second);
        third.await.unwrap();
    }

    #[tokio::test]
    async fn who_leaves_the_line_gives_up_his_place() {
        let turns = Turns::new(1);
        let first = turns.take(|_| {}).await;
        let (second, _) = wait(&turns);
        settle().await;
        let (third, _) = wait(&turns);
        settle().await;
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        drop(first);
        third.await.unwrap();
    }

    #[tokio::test]
    async fn as_many_as_the_limit_allows_build_at_once() {
        let turns = Turns::new(2);
        let (one, _two) = (turns.take(|_| {}).await, turns.take(|_| {}).await);
        let (third, _) = wait(&turns);
        settle().await;
        assert!(!third.is_finished());
        drop(one);
        third.await.unwrap();
    }
}
