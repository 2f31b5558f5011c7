//! What no language's bindings let through: values that the contract's types do not have.

#[link(wasm_import_module = "millrace:plugin/log@0.2.1")]
unsafe extern "C" {
    #[link_name = "write"]
    fn write(level: i32, text: *const u8, len: usize);
}

#[link(wasm_import_module = "millrace:plugin/metrics@0.2.1")]
unsafe extern "C" {
    #[link_name = "[static]counter.open"]
    fn open(name: *const u8, len: usize, by: i32, more: *const u8, entries: usize, result: *mut u8);
    #[link_name = "[method]counter.add"]
    fn add(counter: i32, by: i64);
}

pub fn work(what: &str) {
    // What the host writes there: an error, or a handle.
    let mut result = [0u32; 8];
    let result = result.as_mut_ptr().cast();
    unsafe {
        match what {
            // A lone surrogate, as it would be in UTF-8.
            "raw-surrogate" => write(2, b"\xed\xa0\x80".as_ptr(), 3),
            "raw-bytes" => write(2, b"\xff\xfe".as_ptr(), 2),
            "raw-enum" => write(77, b"hello".as_ptr(), 5),
            "raw-pointer" => write(2, 0xffff_0000 as *const u8, 0x2_0000),
            "raw-flags" => open(b"flags".as_ptr(), 5, 0xf8, core::ptr::without_provenance(8), 0, result),
            "raw-alignment" => open(b"list".as_ptr(), 4, 0, core::ptr::without_provenance(1), 0, result),
            "raw-list" => open(b"list".as_ptr(), 4, 0, core::ptr::without_provenance(8), 0x0fff_ffff, result),
            "raw-handle" => add(12_345, 1),
            _ => {}
        }
    }
}

/// So many lines in a row, without a loop: nothing of the guest is entered between them.
pub fn unrolled() {
    // In memory that is zero, and valid UTF-8.
    let text = std::vec![0u8; 32 << 20];
    macro_rules! lines {
        ($($n:tt)*) => { $( let _ = $n; unsafe { write(3, text.as_ptr(), text.len()) }; )* };
    }
    lines!(0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0);
}
