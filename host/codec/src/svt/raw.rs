//! An owned handle on an instance of SVT-AV1, through `shim.c`.
//!
//! An instance exists from its first picture to its drop: the library cannot end one that was never given a picture. Packets are
//! copied out of the library's buffers, which live in a pool of its own.

use std::ffi::c_void;
use std::ptr;

use bytes::Bytes;

use crate::picture::{Picture, Plane};

/// `struct millrace_svt_settings` of `shim.h`, where the fields are explained.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settings {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) rate_numerator: u32,
    pub(super) rate_denominator: u32,
    pub(super) preset: u32,
    pub(super) bitrate: u32,
    pub(super) quantizer: u32,
    pub(super) min_quantizer: u32,
    pub(super) max_quantizer: u32,
    pub(super) threads: u32,
    pub(super) level: u32,
    pub(super) described: u32,
    pub(super) primaries: u32,
    pub(super) transfer: u32,
    pub(super) matrix: u32,
    pub(super) full_range: u32,
}

/// `struct millrace_svt_packet` of `shim.h`.
#[repr(C)]
struct RawPacket {
    data: *const u8,
    length: usize,
    number: i64,
    keyframe: u32,
    quantizer: u32,
    last: u32,
    buffer: *mut c_void,
}

unsafe extern "C" {
    fn millrace_svt_open(settings: *const Settings, encoder: *mut *mut c_void) -> i32;
    fn millrace_svt_send(
        encoder: *mut c_void,
        planes: *const *const u8,
        strides: *const u32,
        width: u32,
        height: u32,
        number: i64,
    ) -> i32;
    fn millrace_svt_end(encoder: *mut c_void) -> i32;
    fn millrace_svt_receive(encoder: *mut c_void, ended: u32, packet: *mut RawPacket, found: *mut u32) -> i32;
    fn millrace_svt_release(buffer: *mut c_void);
    fn millrace_svt_close(encoder: *mut c_void);
}

/// A call that the library refused, with its return code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{call} returned {code:#010x}")]
pub(super) struct RawError {
    call: &'static str,
    code: i32,
}

fn check(call: &'static str, code: i32) -> Result<(), RawError> {
    if code == 0 { Ok(()) } else { Err(RawError { call, code }) }
}

/// What comes out of an instance.
#[derive(Debug)]
pub(super) struct Unit {
    /// A temporal unit with its delimiter; empty where only the end is told.
    pub(super) data: Bytes,
    /// The number its picture was sent with.
    pub(super) number: i64,
    pub(super) keyframe: bool,
    /// The quantizer its picture was coded with, 0 to 63.
    pub(super) quantizer: u32,
    /// Nothing follows.
    pub(super) last: bool,
}

/// An instance of the library, running.
pub(super) struct RawEncoder {
    handle: *mut c_void,
    ended: bool,
}

// SAFETY: the library's calls may come from any thread, one at a time; its own threads read only what it has copied.
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    /// Opens an instance and sends its first picture.
    pub(super) fn open(settings: &Settings, picture: &Picture, number: i64) -> Result<Self, RawError> {
        let mut handle = ptr::null_mut();
        // SAFETY: the shim reads one block of settings and writes one pointer, during the call.
        check("svt_av1_enc_init", unsafe { millrace_svt_open(settings, &raw mut handle) })?;
        let mut encoder = Self { handle, ended: false };
        if let Err(error) = encoder.send(picture, number) {
            // Without a picture inside it cannot be closed.
            std::mem::forget(encoder);
            return Err(error);
        }
        Ok(encoder)
    }

    /// Sends a picture, which has to be of the size in the settings.
    pub(super) fn send(&mut self, picture: &Picture, number: i64) -> Result<(), RawError> {
        let planes = Plane::ALL.map(|plane| picture.plane(plane).as_ptr());
        let strides = Plane::ALL.map(|plane| picture.stride(plane) as u32);
        let (width, height) = (picture.size().width(), picture.size().height());
        // SAFETY: the handle is live; the planes hold what size and strides say (an invariant of `Picture`); the library copies
        // them during the call.
        let code = unsafe { millrace_svt_send(self.handle, planes.as_ptr(), strides.as_ptr(), width, height, number) };
        check("svt_av1_enc_send_picture", code)
    }

    /// Says that no picture follows.
    pub(super) fn end(&mut self) -> Result<(), RawError> {
        if self.ended {
            return Ok(());
        }
        self.ended = true;
        // SAFETY: the handle is live.
        check("svt_av1_enc_send_picture", unsafe { millrace_svt_end(self.handle) })
    }

    /// The next unit. After the end it waits for it; before, there is none where it is not ready.
    pub(super) fn receive(&mut self) -> Result<Option<Unit>, RawError> {
        let mut packet = RawPacket {
            data: ptr::null(),
            length: 0,
            number: 0,
            keyframe: 0,
            quantizer: 0,
            last: 0,
            buffer: ptr::null_mut(),
        };
        let mut found = 0;
        // SAFETY: the handle is live, and the shim writes a packet and a number, during the call.
        let code = unsafe { millrace_svt_receive(self.handle, self.ended.into(), &raw mut packet, &raw mut found) };
        check("svt_av1_enc_get_packet", code)?;
        if found == 0 {
            return Ok(None);
        }
        let data = if packet.data.is_null() {
            Bytes::new()
        } else {
            // SAFETY: the library gives so many bytes there, valid until the buffer is released, below.
            Bytes::copy_from_slice(unsafe { std::slice::from_raw_parts(packet.data, packet.length) })
        };
        // SAFETY: the buffer came with this packet, and neither it nor its data are used again.
        unsafe { millrace_svt_release(packet.buffer) };
        Ok(Some(Unit {
            data,
            number: packet.number,
            keyframe: packet.keyframe != 0,
            quantizer: packet.quantizer,
            last: packet.last != 0,
        }))
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // Without the end, closing would wait for it for ever.
        if self.end().is_ok() {
            // SAFETY: the handle is live, at least one picture and the end were sent, and it is not used after.
            unsafe { millrace_svt_close(self.handle) };
        }
    }
}
