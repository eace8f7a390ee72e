//! Memory for the values of one batch: a bump allocator whose blocks are kept from batch to batch.

/// Alignment of everything that PostgreSQL aligns most strictly (`MAXIMUM_ALIGNOF`).
const MAX_ALIGN: usize = 8;

/// The size of an ordinary block.
const BLOCK_BYTES: usize = 256 * 1024;

/// How much memory a reset keeps. More is freed, so that one batch of large values does not stay
/// for the life of the scan.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Values allocated from an arena live, and do not move, until [`Arena::reset`] or its drop. The
/// arena is plain Rust memory: no memory context knows it.
pub struct Arena {
    /// Allocated zeroed, so that every byte is initialised from the start.
    blocks: Vec<Vec<u64>>,
    /// How many of `blocks` are in use; the last of these is the current one.
    used_blocks: usize,
    /// The free rest of the current block.
    next: *mut u8,
    end: *mut u8,
}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}

impl Arena {
    #[must_use]
    pub fn new() -> Self {
        Self {
            blocks: Vec::new(),
            used_blocks: 0,
            next: std::ptr::null_mut(),
            end: std::ptr::null_mut(),
        }
    }

    /// `len` bytes at a multiple of `align` (a power of two, at most 8). Their content is
    /// unspecified.
    #[inline]
    pub fn alloc(&mut self, len: usize, align: usize) -> &mut [u8] {
        self.room(len, align);
        let start = self.take(len);
        // SAFETY: `take` returned `len` initialised bytes that nobody else has; they live as long
        // as the borrow of `self` keeps `reset` from being called.
        unsafe { std::slice::from_raw_parts_mut(start, len) }
    }

    /// Room for `len` bytes at a multiple of `align`, of which [`Arena::take`] then takes those
    /// that were needed.
    #[inline]
    pub fn room(&mut self, len: usize, align: usize) -> &mut [u8] {
        debug_assert!(align.is_power_of_two() && align <= MAX_ALIGN);
        let padding = self.next.addr().wrapping_neg() & (align - 1);
        let free = self.end.addr() - self.next.addr();
        if padding + len <= free {
            // SAFETY: within the current block.
            self.next = unsafe { self.next.add(padding) };
        } else {
            self.next_block(len);
        }
        // SAFETY: `len` initialised bytes of the current block that were not handed out yet.
        unsafe { std::slice::from_raw_parts_mut(self.next, len) }
    }

    /// Takes the first `len` bytes of the [`Arena::room`] asked for last.
    ///
    /// # Panics
    /// When there is less room.
    #[inline]
    pub fn take(&mut self, len: usize) -> *mut u8 {
        assert!(len <= self.end.addr() - self.next.addr(), "no room was made for {len} bytes");
        let start = self.next;
        // SAFETY: within the current block, as just checked.
        self.next = unsafe { start.add(len) };
        start
    }

    /// Frees all values at once.
    pub fn reset(&mut self) {
        let mut kept = 0;
        self.blocks.retain(|block| {
            kept += block.len() * 8;
            kept <= KEPT_BYTES
        });
        self.used_blocks = 0;
        self.next = std::ptr::null_mut();
        self.end = std::ptr::null_mut();
        if !self.blocks.is_empty() {
            self.enter_next_block();
        }
    }

    /// Makes a block with room for `len` bytes the current one. The rest of the one before is
    /// lost until the reset.
    #[cold]
    fn next_block(&mut self, len: usize) {
        let fits = |block: &Vec<u64>| block.len() * 8 >= len;
        let found = self.blocks[self.used_blocks..].iter().position(fits);
        match found {
            Some(position) => self.blocks.swap(self.used_blocks, self.used_blocks + position),
            None => {
                let words = len.max(BLOCK_BYTES).div_ceil(8);
                self.blocks.push(vec![0; words]);
                let last = self.blocks.len() - 1;
                self.blocks.swap(self.used_blocks, last);
            }
        }
        self.enter_next_block();
    }

    fn enter_next_block(&mut self) {
        let block = &mut self.blocks[self.used_blocks];
        self.used_blocks += 1;
        self.next = block.as_mut_ptr().cast();
        // SAFETY: one past the end of the block.
        self.end = unsafe { self.next.add(block.len() * 8) };
    }
}
