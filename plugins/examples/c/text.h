// Strings of the contract made of C's.
#pragma once

#include "transcoder_plugin.h"

// A constant as an argument of an import. The import copies it.
transcoder_plugin_string_t text(const char *constant);

// Writes a line to the operator's log, formatted as by `printf`.
void text_log(millrace_plugin_log_level_t level, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Makes an `invalid` error, formatted as by `printf`. Returns false, for `return text_invalid(…)`.
bool text_invalid(millrace_plugin_types_error_t *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
