//! Which pages of old files are written anew beside the changed ones, so that old files can go.

/// What a state still has of one of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileUse {
    /// Bytes of the pages that are live.
    pub(crate) live: u64,
    pub(crate) total: u64,
    /// Written by another lane, or at another parallelism: holds entries of others.
    pub(crate) foreign: bool,
}

/// A state has no more files than these, or is about to.
pub(crate) const MOST_FILES: usize = 32;
/// So much is moved per snapshot even if little else is written.
const LEAST_BUDGET: u64 = 4 << 20;

/// How many bytes of live pages to move out of which files: `(file, bytes)`. `written` is what the snapshot writes anyway.
///
/// Files of others are moved out of first, then, while more than half of all bytes are garbage, the files with the smallest
/// live part, as far as the budget goes: twice what is written anyway, so that the cost is spread. If there are too many files, the one
/// with the fewest live bytes goes as a whole, which is at most a 32nd of the state.
pub(crate) fn plan(files: &[FileUse], written: u64, everything: bool) -> Vec<(usize, u64)> {
    if everything {
        return (0..files.len()).map(|file| (file, u64::MAX)).collect();
    }
    let mut moves: Vec<(usize, u64)> = Vec::new();
    let mut budget = LEAST_BUDGET.max(2 * written);
    let mut total: u64 = files.iter().map(|file| file.total).sum();
    let live: u64 = files.iter().map(|file| file.live).sum();
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&n| (!files[n].foreign, files[n].live.saturating_mul(1000) / files[n].total.max(1)));
    for n in order {
        let file = files[n];
        if budget == 0 || !file.foreign && total.saturating_sub(live) <= total / 2 {
            break;
        }
        moves.push((n, if file.live <= budget { u64::MAX } else { budget }));
        budget = budget.saturating_sub(file.live);
        total = total.saturating_sub(file.total).saturating_add(file.live);
    }
    let left = files.len() - moves.iter().filter(|(_, bytes)| *bytes == u64::MAX).count();
    if left >= MOST_FILES {
        let rest = (0..files.len()).filter(|n| !moves.contains(&(*n, u64::MAX)));
        if let Some(least) = rest.min_by_key(|&n| files[n].live) {
            moves.retain(|(n, _)| *n != least);
            moves.push((least, u64::MAX));
        }
    }
    moves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(live: u64, total: u64) -> FileUse {
        FileUse { live: live << 20, total: total << 20, foreign: false }
    }

    #[test]
    fn nothing_moves_while_most_is_live() {
        assert_eq!(plan(&[own(60, 100), own(10, 10)], 0, false), []);
        assert_eq!(plan(&[], 0, false), []);
    }

    #[test]
    fn the_emptiest_files_go_first_within_the_budget() {
        let files = [own(40, 100), own(3, 100), own(10, 10)];
        assert_eq!(plan(&files, 0, false), [(1, u64::MAX), (0, 1 << 20)]);
        assert_eq!(plan(&files, 100 << 20, false), [(1, u64::MAX), (0, u64::MAX)], "until half is live");
    }

    #[test]
    fn files_of_others_go_however_live_they_are() {
        let foreign = FileUse { foreign: true, ..own(10, 10) };
        assert_eq!(plan(&[own(10, 10), foreign], 0, false), [(1, 4 << 20)]);
        assert_eq!(plan(&[own(10, 10), foreign], 5 << 20, false), [(1, u64::MAX)]);
    }

    #[test]
    fn the_smallest_goes_when_there_are_too_many() {
        let mut files = vec![own(10, 10); MOST_FILES];
        files[7] = own(9, 9);
        assert_eq!(plan(&files, 0, false), [(7, u64::MAX)]);
        assert_eq!(plan(&files[1..], 0, false), []);
    }

    #[test]
    fn everything_moves_on_request() {
        assert_eq!(plan(&[own(10, 10), own(1, 1)], 0, true), [(0, u64::MAX), (1, u64::MAX)]);
    }
}
