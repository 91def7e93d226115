//! Work done side by side, in threads, with its results in order.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How many things are done at once.
const AT_ONCE: usize = 4;

/// How many when they are slow: what waits for others and not for this machine's processors is worth more threads, and
/// whatever each of them opens.
const AT_ONCE_IF_SLOW: usize = 8;

/// Not to have done anything after this long is slow.
const SLOW: Duration = Duration::from_millis(10);

/// Does `work` on every item, several at once; the results come back in the order of the items. One item costs no
/// thread.
pub(crate) fn parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    if let [item] = items {
        return vec![work(item)];
    }
    let (next, any) = (AtomicUsize::new(0), AtomicBool::new(false));
    let this = std::thread::current();
    let worker = || {
        let mut done = Vec::new();
        while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed))
            .and_then(|index| Some((index, items.get(index)?)))
        {
            done.push((index, work(item)));
            any.store(true, Ordering::Relaxed);
            // Someone waits for the first one; to be woken once more does no harm.
            this.unpark();
        }
        done
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let start = |_| std::thread::Builder::new().spawn_scoped(scope, worker);
        let mut threads: Vec<_> = (0..items.len().min(AT_ONCE)).flat_map(start).collect();
        let began = Instant::now();
        while !any.load(Ordering::Relaxed) && !threads.is_empty() {
            match SLOW.checked_sub(began.elapsed()) {
                Some(left) => std::thread::park_timeout(left),
                None => {
                    let more = items.len().min(AT_ONCE_IF_SLOW);
                    threads.extend((AT_ONCE..more).flat_map(start));
                    break;
                }
            }
        }
        // Where no thread can be had, this one does the work.
        let own = if threads.is_empty() {
            worker()
        } else {
            Vec::new()
        };
        let others = threads.into_iter().filter_map(|thread| thread.join().ok());
        own.into_iter().chain(others.flatten()).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::Deadline;

    #[test]
    fn slow_items_are_worked_on_by_more() {
        let items = [(); AT_ONCE_IF_SLOW];
        let present = AtomicUsize::new(0);
        // Each waits until all have come.
        let all_came = parallel(&items, |()| {
            present.fetch_add(1, Ordering::SeqCst);
            let patience = Deadline::after(Duration::from_secs(20));
            while present.load(Ordering::SeqCst) < items.len() && !patience.passed() {
                std::thread::sleep(Duration::from_millis(1));
            }
            present.load(Ordering::SeqCst) == items.len()
        });
        assert_eq!(all_came, [true; AT_ONCE_IF_SLOW]);
    }

    /// Where the first is done at once, no more are started for the others. A machine that is too slow for that gets
    /// another chance, and another.
    #[test]
    fn quick_items_are_worked_on_by_few() {
        let items: [usize; AT_ONCE_IF_SLOW] = std::array::from_fn(|index| index);
        let at_once = || {
            let (present, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            parallel(&items, |item| {
                if *item > 0 {
                    let now = present.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    std::thread::sleep(SLOW * 5);
                    present.fetch_sub(1, Ordering::SeqCst);
                }
            });
            most.into_inner()
        };
        assert!((0..20).any(|_| at_once() == AT_ONCE));
    }

    #[test]
    fn results_keep_the_order_of_their_items() {
        let items: Vec<usize> = (0..100).collect();
        let results = parallel(&items, |item| {
            if item % 7 == 0 {
                std::thread::yield_now();
            }
            item * 2
        });
        assert_eq!(
            results,
            items.iter().map(|item| item * 2).collect::<Vec<_>>()
        );
        assert_eq!(parallel(&[] as &[u8], |item| *item), Vec::<u8>::new());
    }
}
