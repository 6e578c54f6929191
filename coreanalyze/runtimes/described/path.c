#include "runtimes/described/path.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct ca_arena *arena;
    const char *text, *at;
    unsigned depth, count;
    struct ca_error *error;
};

enum { PATH_NODES = 256 };

static struct ca_path *parse_path(struct parser *p);
static struct ca_path *parse_unary(struct parser *p);

static void *fail(struct parser *p, const char *what)
{
    if (!p->error)
        p->error = ca_error_create(CA_ERROR_FORMAT, "%s at column %zu of \"%.80s\"", what,
                                   (size_t)(p->at - p->text) + 1, p->text);
    return NULL;
}

static void *fail_nomem(struct parser *p)
{
    if (!p->error)
        p->error = &ca_error_nomem;
    return NULL;
}

static void skip_space(struct parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n')
        p->at++;
}

/* Takes the sign when it is next. Longer signs must be asked for first. */
static bool take(struct parser *p, const char *sign)
{
    skip_space(p);
    size_t size = strlen(sign);
    if (strncmp(p->at, sign, size) != 0)
        return false;
    p->at += size;
    return true;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$';
}

static bool take_word(struct parser *p, const char *word)
{
    skip_space(p);
    size_t size = strlen(word);
    if (strncmp(p->at, word, size) != 0 || is_name(p->at[size]))
        return false;
    p->at += size;
    return true;
}

static struct ca_path *make(struct parser *p, enum ca_path_kind kind, struct ca_path *base)
{
    if (p->error)
        return NULL;
    if (++p->count > PATH_NODES)
        return fail(p, "too long");
    struct ca_path *path = ca_arena_alloc(p->arena, sizeof(*path));
    if (!path)
        return fail_nomem(p);
    path->kind = kind;
    path->base = base;
    return path;
}

static const char *take_quoted(struct parser *p, char quote)
{
    const char *start = p->at + 1;
    const char *end = strchr(start, quote);
    if (!end)
        return fail(p, "a quote that does not end");
    p->at = end + 1;
    const char *ret = ca_arena_text(p->arena, start, (size_t)(end - start));
    return ret ? ret : fail_nomem(p);
}

/* NAME, with "::" when it may be qualified. */
static const char *take_name(struct parser *p, bool qualified)
{
    skip_space(p);
    if (*p->at == '`')
        return take_quoted(p, '`');
    const char *start = p->at;
    if (isdigit((unsigned char)*start))
        return fail(p, "a name was expected");
    for (;;) {
        while (is_name(*p->at) || (qualified && *p->at == '~'))
            p->at++;
        if (!qualified || p->at[0] != ':' || p->at[1] != ':')
            break;
        p->at += 2;
    }
    if (p->at == start)
        return fail(p, "a name was expected");
    const char *ret = ca_arena_text(p->arena, start, (size_t)(p->at - start));
    return ret ? ret : fail_nomem(p);
}

static bool take_number(struct parser *p, uint64_t *ret)
{
    skip_space(p);
    bool minus = *p->at == '-';
    const char *start = p->at + minus;
    if (!isdigit((unsigned char)*start))
        return false;
    char *end;
    errno = 0;
    uint64_t number = strtoull(start, &end, start[0] == '0' && (start[1] | 32) == 'x' ? 16 : 10);
    if (errno || is_name(*end)) {
        fail(p, "not a number of 64 bits");
        return false;
    }
    p->at = end;
    *ret = minus ? -number : number;
    return true;
}

/* A type's name: NAME, with any number of '*'. */
static const char *take_type(struct parser *p)
{
    skip_space(p);
    static const char *const words[] = {"struct", "union", "enum", "class"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (take_word(p, words[i]))
            break;
    const char *name = take_name(p, true);
    if (!name)
        return NULL;
    size_t stars = 0;
    while (take(p, "*"))
        stars++;
    if (!stars)
        return name;
    if (stars > 4)
        return fail(p, "too many '*'");
    char *ret = ca_arena_printf(p->arena, "%s%.*s", name, (int)stars, "****");
    return ret ? ret : fail_nomem(p);
}

static struct ca_path *member(struct parser *p, struct ca_path *base)
{
    const char *name = take_name(p, false);
    struct ca_path *path = name ? make(p, CA_PATH_MEMBER, base) : NULL;
    if (path)
        path->name = name;
    return path;
}

static struct ca_path *parse_primary(struct parser *p)
{
    skip_space(p);
    uint64_t number;
    if (take_number(p, &number)) {
        struct ca_path *path = make(p, CA_PATH_NUMBER, NULL);
        if (path)
            path->number = number;
        return path;
    }
    if (p->error)
        return NULL;
    if (*p->at == '"') {
        const char *text = take_quoted(p, '"');
        struct ca_path *path = text ? make(p, CA_PATH_STRING, NULL) : NULL;
        if (path)
            path->name = text;
        return path;
    }
    if (take(p, "(")) {
        struct ca_path *path = parse_path(p);
        if (path && !take(p, ")"))
            return fail(p, "')' was expected");
        return path;
    }
    if (take(p, "^"))
        return make(p, CA_PATH_OUTER, NULL);
    if (*p->at == '.' && p->at[1] != '.') {
        struct ca_path *path = make(p, CA_PATH_THIS, NULL);
        p->at++;
        return path && (is_name(*p->at) || *p->at == '`') ? member(p, path) : path;
    }
    const char *name = take_name(p, true);
    struct ca_path *path = name ? make(p, CA_PATH_NAME, NULL) : NULL;
    if (path)
        path->name = name;
    return path;
}

/* base[NUMBER], or base[path] */
static struct ca_path *parse_index(struct parser *p, struct ca_path *base)
{
    struct ca_path *index = parse_path(p);
    if (index && !take(p, "]"))
        return fail(p, "']' was expected");
    bool constant = index && index->kind == CA_PATH_NUMBER;
    struct ca_path *path = index ? make(p, constant ? CA_PATH_INDEX : CA_PATH_ELEMENT, base) : NULL;
    if (path && constant)
        path->number = index->number;
    else if (path)
        path->member = index;
    return path;
}

static struct ca_path *parse_members(struct parser *p, struct ca_path *path)
{
    while (path) {
        skip_space(p);
        if ((p->at[0] == '.' && p->at[1] != '.') || (p->at[0] == '-' && p->at[1] == '>')) {
            p->at += p->at[0] == '.' ? 1 : 2;
            path = member(p, path);
        } else if (take(p, "[")) {
            path = parse_index(p, path);
        } else {
            break;
        }
    }
    return path;
}

static struct ca_path *parse_unary(struct parser *p)
{
    if (++p->depth > CA_PATH_DEPTH)
        return fail(p, "nested too deeply");
    struct ca_path *path;
    skip_space(p);
    if (p->at[0] == '&' && p->at[1] != '&') {
        p->at++;
        path = parse_unary(p);
        path = path ? make(p, CA_PATH_ADDRESS, path) : NULL;
    } else if (take(p, "*")) {
        path = parse_unary(p);
        path = path ? make(p, CA_PATH_DEREF, path) : NULL;
    } else {
        path = parse_members(p, parse_primary(p));
    }
    p->depth--;
    return path;
}

static struct ca_path *parse_operand(struct parser *p)
{
    struct ca_path *path = parse_unary(p);
    while (path) {
        skip_space(p);
        bool minus = p->at[0] == '-' && p->at[1] != '>';
        bool mask = p->at[0] == '&' && p->at[1] != '&';
        bool left = p->at[0] == '<' && p->at[1] == '<', right = p->at[0] == '>' && p->at[1] == '>';
        if (*p->at != '+' && !minus && !mask && !left && !right)
            break;
        p->at += left || right ? 2 : 1;
        uint64_t number;
        if (!take_number(p, &number))
            return fail(p, "a number was expected (only constants can be added, masked, shifted)");
        if ((left || right) && number > 63)
            return fail(p, "a shift of 0 to 63 was expected");
        enum ca_path_kind kind = mask ? CA_PATH_MASK : left || right ? CA_PATH_SHIFT : CA_PATH_ADD;
        if ((path = make(p, kind, path)))
            path->number = minus || right ? -number : number;
    }
    return path;
}

static struct ca_path *parse_in(struct parser *p, struct ca_path *base)
{
    struct ca_path *path = make(p, CA_PATH_IN, base);
    if (!path || !(path->name = take_type(p)))
        return NULL;
    struct ca_path *chain = make(p, CA_PATH_THIS, NULL);
    if (!take(p, "."))
        return fail(p, "'in' needs TYPE.MEMBER");
    do {
        if (!chain || !(chain = member(p, chain)))
            return NULL;
    } while (*p->at == '.' && p->at[1] != '.' && take(p, "."));
    path->member = chain;
    return path;
}

static struct ca_path *parse_path(struct parser *p)
{
    if (++p->depth > CA_PATH_DEPTH)
        return fail(p, "nested too deeply");
    struct ca_path *path = parse_operand(p);
    for (bool more = true; path && more;) {
        if (take_word(p, "as")) {
            path = make(p, CA_PATH_AS, path);
            if (path && !(path->name = take_type(p)))
                path = NULL;
            path = parse_members(p, path);
        } else if (take_word(p, "in")) {
            path = parse_in(p, path);
        } else if (take_word(p, "demangled")) {
            path = make(p, CA_PATH_DEMANGLED, path);
        } else {
            more = false;
        }
    }
    p->depth--;
    return path;
}

/* Nothing may be left; what is most often there by mistake is explained. */
static void end(struct parser *p)
{
    static const struct {
        const char *sign, *why;
    } hints[] = {
        {"= ", "a test is written \"==\", here is \"=\""},
        {"==", "a path was expected, not a test: \"==\""},
        {"!=", "a path was expected, not a test: \"!=\""},
        {"||", "there is no \"or\" in tests (write two rules)"},
        {"+", "put brackets around what stands before '+'"},
        {"-", "put brackets around what stands before '-'"},
        {".", "put brackets around what stands before '.'"},
        {"(", "there are no calls"},
        {"as", "a type is one name (u64, not unsigned long)"},
    };
    skip_space(p);
    if (p->error || !*p->at)
        return;
    for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++)
        if (strncmp(p->at, hints[i].sign, strlen(hints[i].sign)) == 0) {
            fail(p, hints[i].why);
            return;
        }
    fail(p, "not expected");
}

struct ca_error *ca_path_parse(struct ca_arena *arena, const char *text,
                               struct ca_path *ret[CA_PATH_CHOICES], unsigned *count)
{
    struct parser p = {.arena = arena, .text = text, .at = text};
    *count = 0;
    do {
        if (*count == CA_PATH_CHOICES)
            fail(&p, "too many choices");
        else if ((ret[*count] = parse_path(&p)))
            ++*count;
    } while (!p.error && take(&p, "|"));
    end(&p);
    return p.error;
}

static enum ca_test_op take_op(struct parser *p)
{
    static const struct {
        const char *sign;
        enum ca_test_op op;
    } ops[] = {{"==", CA_TEST_EQ}, {"!=", CA_TEST_NE}, {"<=", CA_TEST_LE},
               {">=", CA_TEST_GE}, {"<", CA_TEST_LT},  {">", CA_TEST_GT}};
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++)
        if (take(p, ops[i].sign))
            return ops[i].op;
    return take_word(p, "within") ? CA_TEST_WITHIN : CA_TEST_NONZERO;
}

static struct ca_test_syntax *parse_test(struct parser *p)
{
    struct ca_test_syntax *test = ca_arena_alloc(p->arena, sizeof(*test));
    if (!test)
        return fail_nomem(p);
    skip_space(p);
    const char *start = p->at;
    if (!(test->left = parse_path(p)))
        return NULL;
    test->op = take_op(p);
    if (test->op != CA_TEST_NONZERO && !(test->right = parse_path(p)))
        return NULL;
    if (test->op == CA_TEST_WITHIN) {
        if (!take(p, ".."))
            return fail(p, "'within' needs LOW .. HIGH");
        if (!(test->high = parse_path(p)))
            return NULL;
    }
    const char *end = p->at;
    while (end > start && end[-1] == ' ')
        end--;
    test->text = ca_arena_text(p->arena, start, (size_t)(end - start));
    return test->text ? test : fail_nomem(p);
}

struct ca_error *ca_path_parse_tests(struct ca_arena *arena, const char *text,
                                     struct ca_test_syntax **ret)
{
    struct parser p = {.arena = arena, .text = text, .at = text};
    while (*ret)
        ret = &(*ret)->next;
    do {
        *ret = parse_test(&p);
        if (*ret)
            ret = &(*ret)->next;
    } while (!p.error && take(&p, "&&"));
    end(&p);
    return p.error;
}
