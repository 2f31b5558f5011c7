#include "text.h"

#include <stdarg.h>
#include <stdio.h>

// The host cuts a message of the log after as many bytes.
enum { MAX_LINE = 1024 };

transcoder_plugin_string_t text(const char *constant) {
  transcoder_plugin_string_t string;
  transcoder_plugin_string_set(&string, constant);
  return string;
}

void text_log(millrace_plugin_log_level_t level, const char *format, ...) {
  char line[MAX_LINE + 1];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  transcoder_plugin_string_t message = text(line);
  millrace_plugin_log_write(level, &message);
}

bool text_invalid(millrace_plugin_types_error_t *error, const char *format, ...) {
  char line[MAX_LINE + 1];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  error->tag = MILLRACE_PLUGIN_TYPES_ERROR_INVALID;
  // The string becomes the host's, which is why it is a copy.
  transcoder_plugin_string_dup(&error->val.invalid, line);
  return false;
}
