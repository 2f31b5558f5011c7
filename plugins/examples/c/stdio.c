// What the C library asks of WASI for `snprintf` and `strtod`, which share their code with files. The linker takes these functions in place
// of imports. So the component imports nothing of WASI, and what is written to standard output and standard error goes to the operator's
// log. A use of the library that needs more of WASI fails in `componentize`, which names the import.

#include <wasi/api.h>

#include "transcoder_plugin.h"

#define WASI(function) __imported_wasi_snapshot_preview1_##function

int32_t WASI(fd_write)(int32_t file, int32_t pieces, int32_t count, int32_t written) {
  const __wasi_ciovec_t *piece = (const __wasi_ciovec_t *)pieces;
  __wasi_size_t *total = (__wasi_size_t *)written;
  *total = 0;
  for (const __wasi_ciovec_t *end = piece + count; piece < end; piece++) {
    // The end of a line is written by itself, and is no line of its own.
    bool newline = piece->buf_len == 1 && piece->buf[0] == '\n';
    if (newline) *total += 1;
    if (piece->buf_len > 0 && !newline) {
      transcoder_plugin_string_t line = {(uint8_t *)piece->buf, piece->buf_len};
      millrace_plugin_log_write(file == 1 ? MILLRACE_PLUGIN_LOG_LEVEL_INFO : MILLRACE_PLUGIN_LOG_LEVEL_ERROR, &line);
      *total += piece->buf_len;
    }
  }
  return __WASI_ERRNO_SUCCESS;
}

int32_t WASI(fd_seek)(int32_t file, int64_t by, int32_t from, int32_t to) {
  (void)file, (void)by, (void)from, (void)to;
  return __WASI_ERRNO_SPIPE;
}

int32_t WASI(fd_close)(int32_t file) {
  (void)file;
  return __WASI_ERRNO_BADF;
}

int32_t WASI(fd_fdstat_get)(int32_t file, int32_t stat) {
  *(__wasi_fdstat_t *)stat = (__wasi_fdstat_t){.fs_filetype = __WASI_FILETYPE_CHARACTER_DEVICE};
  return file <= 2 ? __WASI_ERRNO_SUCCESS : __WASI_ERRNO_BADF;
}
