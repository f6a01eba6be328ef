//! What the targets of `fuzz_targets` share: each runs the function of its name in `campanile_fuzzing`, and watches how
//! much memory that takes. Small input that leads to a large allocation is a finding like any other.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use campanile_fuzzing::Target;
pub use libfuzzer_sys::fuzz_target;

/// A fuzz target by its name.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        $crate::fuzz_target!(|data: &[u8]| $crate::run(stringify!($name), data));
    };
}

/// The system's allocator, counted.
struct Counted;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Runs the target of this name, and panics if it takes more memory than it may.
pub fn run(name: &str, data: &[u8]) {
    let target: &Target = campanile_fuzzing::find(name).expect("a target of this name");
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    (target.run)(data);
    let most = MOST.load(Ordering::Relaxed).saturating_sub(before);
    let allowed = target.memory + target.memory_per_byte * data.len();
    assert!(most <= allowed, "{name}: {most} bytes of memory for {} bytes, {allowed} are allowed", data.len());
}

fn more(bytes: usize) {
    let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // As if both lay there for a moment, which is the worst case.
        more(size);
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}
