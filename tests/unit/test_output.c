/* The JSON writer, the words of a request, and numbers for people. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "output/duration.h"
#include "output/json_task.h"
#include "output/words.h"

static bool collect(void *arg, const char *text, size_t size)
{
    ca_buf_add(arg, text, size);
    return true;
}

static struct ca_sink *sink_on(struct ca_buf *buf)
{
    static struct ca_sink sink;
    memset(&sink, 0, sizeof(sink));
    sink.fn = collect;
    sink.arg = buf;
    return &sink;
}

static void check_string(const char *text, const char *json)
{
    struct ca_buf buf = {0};
    struct ca_json writer;
    struct ca_sink *sink = sink_on(&buf);
    ca_json_init(&writer, sink);
    ca_json_string(&writer, text);
    ca_sink_flush(sink);
    assert_string_equal(buf.data, json);
    ca_buf_deinit(&buf);
}

static void test_strings(void **state)
{
    (void)state;
    check_string(NULL, "null");
    check_string("", "\"\"");
    check_string("a\"b\\c\n\x01\x7f", "\"a\\\"b\\\\c\\n\\u0001\\u007f\"");
    check_string("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
                 "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    /* Overlong, a surrogate, too large, cut short, a byte alone. */
    check_string("\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    check_string("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_string("\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_string("x\xe2\x82", "\"x\xef\xbf\xbd\xef\xbf\xbd\"");
    check_string("\xff", "\"\xef\xbf\xbd\"");
}

static void test_document(void **state)
{
    (void)state;
    struct ca_buf buf = {0};
    struct ca_json json;
    struct ca_sink *sink = sink_on(&buf);
    ca_json_init(&json, sink);
    ca_json_object(&json);
    ca_json_key(&json, "a");
    ca_json_array(&json);
    ca_json_int(&json, INT64_MAX);
    ca_json_int(&json, -7);
    ca_json_int(&json, CA_UNKNOWN);
    ca_json_break_line(&json);
    ca_json_address(&json, 0xc000012345);
    ca_json_address(&json, 0);
    ca_json_end(&json);
    ca_json_key(&json, "b");
    ca_json_object(&json);
    ca_json_end(&json);
    ca_json_key_text(&json, "c\"");
    ca_json_bool(&json, true);
    ca_json_end(&json);
    ca_sink_flush(sink);
    assert_string_equal(buf.data, "{\"a\":[9223372036854775807,-7,null,\n"
                                  "\"0xc000012345\",\"0x0\"],\"b\":{},\"c\\\"\":true}");
    assert_false(json.misused);
    ca_json_end(&json);
    assert_true(json.misused);
    ca_buf_deinit(&buf);
}

static bool refuse(void *arg, const char *text, size_t size)
{
    (void)text, (void)size;
    ++*(int *)arg;
    return false;
}

static void test_sink_stops(void **state)
{
    (void)state;
    static struct ca_sink sink;
    int calls = 0;
    sink.fn = refuse;
    sink.arg = &calls;
    for (size_t i = 0; i < 3 * CA_SINK_SIZE; i++)
        ca_sink_putc(&sink, 'x');
    ca_sink_flush(&sink);
    assert_true(sink.stopped);
    assert_int_equal(calls, 1);
}

static void test_same_key(void **state)
{
    (void)state;
    assert_true(ca_json_same_key("ab", "ab"));
    assert_true(ca_json_same_key("a\xff", "a\xfe"));
    assert_true(ca_json_same_key("\xef\xbf\xbd", "\xfe"));
    assert_false(ca_json_same_key("a", "ab"));
    assert_false(ca_json_same_key("a", "b"));
}

static void test_durations(void **state)
{
    (void)state;
    int64_t ns;
    assert_true(ca_duration_parse("90s", &ns));
    assert_int_equal(ns, 90000000000);
    assert_true(ca_duration_parse("1h30m", &ns));
    assert_int_equal(ns, 5400000000000);
    assert_true(ca_duration_parse("3d", &ns));
    assert_int_equal(ns, 3 * 86400000000000);
    const char *const wrong[] = {"", "5", "m", "-5m", "5 m", "5w", "999999999999d", "1h2"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(ca_duration_parse(wrong[i], &ns));
}

static void shows(struct ca_buf *buf, const char *text)
{
    assert_string_equal(buf->data, text);
    buf->len = 0;
}

static void test_words(void **state)
{
    (void)state;
    struct ca_buf buf = {0};
    ca_words_number(&buf, 48213);
    shows(&buf, "48,213");
    ca_words_number(&buf, -1000);
    shows(&buf, "-1,000");
    ca_words_count(&buf, 1, "group");
    shows(&buf, "1 group");
    ca_words_age(&buf, (6 * 24 + 3) * 3600000000000);
    shows(&buf, "6d 3h");
    ca_words_age(&buf, 40000000);
    shows(&buf, "40 ms");
    ca_words_size(&buf, 1900000000);
    shows(&buf, "1.9 GB");
    ca_words_size(&buf, 40000);
    shows(&buf, "40 kB");
    ca_words_size(&buf, 999999);
    shows(&buf, "1 MB");
    ca_words_clean(&buf, "a\x1b[2J\xff\xc2\x9b\xc3\xa9");
    shows(&buf, "a\\x1b[2J\\xff\\xc2\\x9b\xc3\xa9");
    ca_words_function(&buf, "github.com/me/app/api.(*Client).fetch.func1", 60);
    shows(&buf, "api.(*Client).fetch.func1");
    ca_words_function(&buf, "github.com/me/app/v2.Run[go.shape.int/x]", 60);
    shows(&buf, "app/v2.Run[go.shape.int/x]");
    ca_words_function(&buf, "main.aVeryLongNameThatDoesNotFitAtAll", 20);
    assert_int_equal(buf.len, 20);
    buf.len = 0;
    struct ca_paths paths = {"/build/app/"};
    ca_words_place(&buf, &paths, "/build/app/api/client.go", 88);
    shows(&buf, "api/client.go:88");
    ca_words_place(&buf, &paths, "/root/go/pkg/mod/github.com/x/y@v1.2.3/z.go", 7);
    shows(&buf, "github.com/x/y@v1.2.3/z.go:7");
    ca_words_place(&buf, &paths, "/usr/local/go/src/net/http/server.go", 0);
    shows(&buf, "net/http/server.go");
    ca_buf_deinit(&buf);
}

#define PARSE(door, line, ...)                                                                     \
    ({                                                                                             \
        const char *words_[] = {__VA_ARGS__};                                                      \
        ca_request_parse(sizeof(words_) / sizeof(words_[0]), words_, door, line);                  \
    })

static void test_request(void **state)
{
    (void)state;
    struct ca_command_line *line = NULL;
    assert_null(PARSE(CA_DOOR_COMMAND, &line, "task", "17", "my core", "--format=json", "--own",
                      "a", "--own", "b", "--min-age", "2h", "-e", "x"));
    assert_string_equal(line->request.command, "task");
    assert_string_equal(line->request.argument, "17");
    assert_string_equal(line->target, "my core");
    assert_true(line->request.json);
    assert_string_equal(line->options.own[1], "b");
    assert_null(line->options.own[2]);
    assert_int_equal(line->options.min_age_ns, 7200000000000);
    assert_string_equal(line->request.target_words, "'my core' --exe x");
    ca_command_line_destroy(line);
    assert_null(PARSE(CA_DOOR_COMMAND, &line, "-p", "4711", "--limit", "0"));
    assert_string_equal(line->request.command, "leaks");
    assert_int_equal(line->pid, 4711);
    assert_int_equal(line->request.limit, 0);
    ca_command_line_destroy(line);
    assert_null(PARSE(CA_DOOR_DEBUGGER, &line, "explain", "pth:3"));
    assert_string_equal(line->request.argument, "pth:3");
    ca_command_line_destroy(line);
}

#define REFUSED(door, code_, part, ...)                                                            \
    do {                                                                                           \
        struct ca_command_line *line_ = NULL;                                                      \
        struct ca_error *error_ = PARSE(door, &line_, __VA_ARGS__);                                \
        assert_non_null(error_);                                                                   \
        assert_int_equal(error_->code, code_);                                                     \
        assert_non_null(strstr(error_->message, part));                                            \
        ca_error_destroy(error_);                                                                  \
    } while (0)

static void test_request_refused(void **state)
{
    (void)state;
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "--bogus", "core", "--bogus");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "needs a value", "core", "--limit");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "takes no value", "core", "--full=1");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "whole number", "core", "--limit", "x");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "no verdict", "core", "--verdict", "dead");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "--sort", "core", "--sort", "size");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "needs ID and a target", "task", "core");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "no command", "taskss", "core");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "no target", "info");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_INVALID, "two targets", "core", "-p", "1");
    REFUSED(CA_DOOR_COMMAND, CA_ERROR_UNSUPPORTED, "later version", "watch");
    REFUSED(CA_DOOR_DEBUGGER, CA_ERROR_INVALID, "too many", "tasks", "core");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),    cmocka_unit_test(test_document),
        cmocka_unit_test(test_sink_stops), cmocka_unit_test(test_same_key),
        cmocka_unit_test(test_durations),  cmocka_unit_test(test_words),
        cmocka_unit_test(test_request),    cmocka_unit_test(test_request_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
