//! What breaks: connections, directions, hosts, processes.

use super::maker::Maker;
use super::{Kind, Operation, Process};

impl Maker<'_> {
    pub(super) fn trouble(&mut self, at: u64) {
        let other = Process::Server(self.random.usize(..self.spots.len()));
        let one = self.anybody();
        if one == other {
            return;
        }
        let (forth, back) = match self.random.u32(..4) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        match self.random.u32(..12) {
            0..3 => self.operations.push((at, Operation::Reset { one, other })),
            3..7 => {
                // What one of them says is stuck, and gone then; what it heard it has heard.
                let (lasts, one_way) = (self.random.u64(5..600), self.random.bool());
                let cut = Operation::Cut { one, other, forth: one_way, back: !one_way, lasts };
                self.operations.push((at, cut));
                let end = at + self.random.u64(lasts / 2..=lasts);
                if self.kind == Kind::Everything && self.random.bool() {
                    let silent = self.random.u32(..4) == 0;
                    self.operations.push((end, Operation::Kill { process: other, silent }));
                    let back = end + self.random.u64(20..3_000);
                    self.operations.push((back, Operation::Start { process: other }));
                } else {
                    self.operations.push((end, Operation::Reset { one, other }));
                }
            }
            7..9 => {
                let lasts = self.random.u64(20..2_500);
                self.operations.push((at, Operation::Cut { one, other, forth, back, lasts }));
            }
            9 => {
                let lasts = self.random.u64(3_000..9_000);
                self.operations.push((at, Operation::Cut { one, other, forth, back, lasts }));
            }
            _ => {
                let (by, lasts) = (self.random.u64(5..400), self.random.u64(200..3_000));
                self.operations.push((at, Operation::Slow { one, other, by, lasts }));
            }
        }
        if self.random.u32(..4) == 0 {
            // What comes back breaks again.
            let again = at + self.random.u64(10..300);
            self.operations.push((again, Operation::Reset { one, other }));
        }
    }

    pub(super) fn death(&mut self, at: u64) {
        let process = if self.random.u32(..3) == 0 {
            Process::Gateway(self.random.usize(..self.gateways))
        } else {
            Process::Server(self.random.usize(..self.spots.len()))
        };
        let silent = self.random.u32(..4) == 0;
        self.operations.push((at, Operation::Kill { process, silent }));
        let back =
            at + if self.random.bool() { self.random.u64(20..800) } else { self.random.u64(800..7_000) };
        self.operations.push((back, Operation::Start { process }));
    }
}
