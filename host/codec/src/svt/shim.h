/* What Rust sees of SVT-AV1: plain values and opaque pointers. The library's own structures stay in shim.c. */
#ifndef MILLRACE_SVT_SHIM_H
#define MILLRACE_SVT_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* Mirrored by `Settings` in raw.rs, field for field. */
struct millrace_svt_settings {
    uint32_t width;
    uint32_t height;
    uint32_t rate_numerator;
    uint32_t rate_denominator;
    uint32_t preset;
    /* Bits per second; 0 holds `quantizer` instead. */
    uint32_t bitrate;
    uint32_t quantizer;
    /* The finest and the coarsest that a bitrate may be met with. */
    uint32_t min_quantizer;
    uint32_t max_quantizer;
    uint32_t threads;
    /* Ten times the level's name; 0 lets the library choose. */
    uint32_t level;
    uint32_t described;
    uint32_t primaries;
    uint32_t transfer;
    uint32_t matrix;
    uint32_t full_range;
};

/* Mirrored by `RawPacket` in raw.rs, field for field. Valid until it is released. */
struct millrace_svt_packet {
    const uint8_t *data;
    size_t length;
    int64_t number;
    uint32_t keyframe;
    uint32_t quantizer;
    /* Nothing follows. */
    uint32_t last;
    void *buffer;
};

/* All return the library's code, 0 where it went well. */
int32_t millrace_svt_open(const struct millrace_svt_settings *settings, void **encoder);
int32_t millrace_svt_send(void *encoder, const uint8_t *const planes[3], const uint32_t strides[3], uint32_t width,
                          uint32_t height, int64_t number);
int32_t millrace_svt_end(void *encoder);
/* Fills the packet, or gives `*found` 0 where there is none yet; waits for one only after the end was sent. */
int32_t millrace_svt_receive(void *encoder, uint32_t ended, struct millrace_svt_packet *packet, uint32_t *found);
void millrace_svt_release(void *buffer);
/* Only after a picture and the end were sent: the library waits for its last packet. */
void millrace_svt_close(void *encoder);

#endif
