#include "settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

// jsmn is a header of functions. Strict parsing refuses what is not JSON, and parent links tell the keys of the object from those within.
#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include "jsmn.h"

// Tokens (objects, arrays, keys and values) that the settings may have.
enum { MAX_TOKENS = 256 };

static const char KEY[] = "max_gop_seconds";

static bool is_key(const jsmntok_t *token, const char *json) {
  return token->type == JSMN_STRING && token->parent == 0 && token->end - token->start == sizeof KEY - 1 &&
         memcmp(json + token->start, KEY, sizeof KEY - 1) == 0;
}

bool settings_parse(settings_t *settings, const transcoder_plugin_string_t *text, millrace_plugin_types_error_t *error) {
  const char *json = (const char *)text->ptr;
  static jsmntok_t tokens[MAX_TOKENS];
  jsmn_parser parser;
  jsmn_init(&parser);
  int count = jsmn_parse(&parser, json, text->len, tokens, MAX_TOKENS);
  if (count < 1 || tokens[0].type != JSMN_OBJECT) {
    return text_invalid(error, "the settings are not a JSON object of at most %d parts", MAX_TOKENS);
  }

  settings->max_gop_seconds = 4;
  for (int i = 1; i + 1 < count; i++) {
    if (!is_key(&tokens[i], json)) {
      continue;
    }
    const jsmntok_t *value = &tokens[i + 1];
    // The object's own brace ends the number at the latest, so that this does not read past the text.
    double seconds = value->type == JSMN_PRIMITIVE ? strtod(json + value->start, NULL) : 0;
    if (!isfinite(seconds) || seconds <= 0) {
      return text_invalid(error, "max_gop_seconds is %.*s, and must be a positive number of seconds",
                          value->end - value->start, json + value->start);
    }
    settings->max_gop_seconds = seconds;
  }
  return true;
}
